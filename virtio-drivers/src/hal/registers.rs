//! Register windows: how a kernel hands a device's registers to a transport.
//!
//! Spec: §4.1.3.1 (PCI access widths), §4.2.2.2 (MMIO access widths).
//!
//! Usually a window is mapped memory. Where register accesses are no loads and stores (a hypervisor call in a confidential
//! guest, a device behind configuration space alone, a test's device model) it is a [`RegisterHandler`]; doorbells go through it, too.

use core::fmt;
use core::ptr::NonNull;

/// Width of one register access; the specification allows no other, and no access may be split or merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessWidth {
    /// 8 bits.
    Byte,
    /// 16 bits, at an even offset.
    Word,
    /// 32 bits, at an offset that is a multiple of 4.
    Long,
}

impl AccessWidth {
    /// The width in bytes: 1, 2 or 4.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Long => 4,
        }
    }
}

/// Registers that are reached by a call instead of by a load or store. Values are plain numbers, not bytes in some order.
///
/// # Safety
/// What the drivers free rests on what they read: the implementor passes each access on to the one device whose window it is, once, with its width and in
/// order, and answers reads with what the device said (all ones if there is no device any more).
pub unsafe trait RegisterHandler: Sync {
    /// Reads the register at `offset` bytes into the window.
    fn read(&self, offset: usize, width: AccessWidth) -> u32;
    /// Writes the register at `offset` bytes into the window; `value` fits the width.
    fn write(&self, offset: usize, width: AccessWidth, value: u32);
}

/// A window of device registers, as [`MapMmio::map_mmio`] hands it out.
#[derive(Clone, Copy)]
pub enum RegisterWindow {
    /// Device memory mapped into the kernel's address space: uncached, valid for as long as the kernel runs.
    Memory(NonNull<u8>),
    /// Ports of I/O space, from this one on, which the processor has instructions for.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Ports(u16),
    /// Calls instead of loads and stores.
    Handler(&'static dyn RegisterHandler),
}

impl fmt::Debug for RegisterWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(pointer) => write!(f, "RegisterWindow::Memory({:p})", *pointer),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Ports(port) => write!(f, "RegisterWindow::Ports({port:#x})"),
            Self::Handler(_) => f.write_str("RegisterWindow::Handler"),
        }
    }
}

/// A kernel's promise to map device registers. Asked only of kernels with devices behind PCI or MMIO.
///
/// # Safety
///
/// - A [`RegisterWindow::Memory`] points to `size_bytes` bytes of device memory at exactly `physical_address`, mapped so that each
///   access reaches the device once, in program order and with its own width (uncached), for as long as the kernel runs.
/// - The pointer is aligned at least as well as `physical_address`, up to 4096 bytes.
/// - A [`RegisterWindow::Handler`] reaches the device whose registers are at `physical_address`, and no other.
/// - What [`map_ports`](MapMmio::map_ports) hands out reaches the device at these ports in the same way. Its default is right where programs may use ports at all.
/// - Nothing but registers of the device in question is handed out, no ordinary memory and no other device's registers: where addresses come from a device's own
///   configuration space (BARs), it may lie about them, and about how many there are. Kernels that do not trust their devices compare the range with what they, or
///   the firmware, assigned to that function (a value of this type may be one function's); at least with what the host bridge passes on to its buses.
pub unsafe trait MapMmio {
    /// Maps `size_bytes` bytes of device registers at a physical address (of any alignment), or says `None` if that cannot be done.
    ///
    /// The address is where firmware or the kernel put the device's BAR, plus an offset inside of it; it may be far above 4 GiB.
    /// Windows may overlap in one page: mapping a page again is no error.
    ///
    /// # Safety
    /// There are registers of one device in that range, and they are the caller's to use.
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow>;

    /// Makes ports of PCI's I/O space reachable, or says `None` if that cannot be done: legacy PCI devices have their registers there, no others.
    ///
    /// On x86 that is [`RegisterWindow::Ports`], which every kernel has, for all ports but the first 4096: those are the machine's own (its timers, its ways to configuration space and to a
    /// reset), whatever a BAR says. Elsewhere the PCI host bridge has a window of memory behind which ports are, which is mapped as other registers are.
    ///
    /// # Safety
    /// There are registers of one device at these ports, and they are the caller's to use.
    unsafe fn map_ports(&self, port: u32, size_bytes: usize) -> Option<RegisterWindow> {
        ports(port, size_bytes)
    }
}

/// The first port that may be a PCI function's.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
const FIRST_PCI_PORT: u32 = 0x1000;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn ports(port: u32, size_bytes: usize) -> Option<RegisterWindow> {
    if port < FIRST_PCI_PORT {
        return None;
    }
    let end = usize::try_from(port).ok()?.checked_add(size_bytes)?;
    let port = u16::try_from(port).ok()?;
    (end <= usize::from(u16::MAX) + 1).then_some(RegisterWindow::Ports(port))
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
const fn ports(_: u32, _: usize) -> Option<RegisterWindow> {
    None
}
