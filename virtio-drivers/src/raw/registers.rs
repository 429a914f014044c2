//! Bounded windows of device registers.
//!
//! Spec: §4.1.3.1 and §4.2.2.2 (access widths). One access is one load or store of exactly the register's width, or one call that passes it on
//! ([`WindowedFunction`](super::WindowedFunction)).

use super::register_access::{read_memory, write_memory};
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use super::register_access::{read_port, write_port};
use crate::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};

/// A window of registers with a known size, for those who make transports. Accesses outside of it behave as if no device was there: reads give all ones, writes vanish.
#[derive(Debug)]
pub struct Registers {
    window: RegisterWindow,
    size_bytes: usize,
}

// SAFETY: the window stays mapped for as long as the kernel runs, whichever processor uses it; handlers are `Sync`.
unsafe impl Send for Registers {}
// SAFETY: the same, and each access is a single load or store, which processors may make at the same time.
unsafe impl Sync for Registers {}

impl Registers {
    /// Has the kernel map a window; `None` if it cannot.
    ///
    /// # Safety
    /// - There are nothing but registers of one device in that range, and they are the caller's to use.
    /// - Writing is safe, and some registers make a device use memory: the caller, and nobody else, gets the value, and
    ///   hands it to no code that may write what is not the driver's to write.
    pub unsafe fn map(mapper: &impl MapMmio, physical_address: u64, size_bytes: usize) -> Option<Self> {
        // SAFETY: the caller's promise.
        let window = unsafe { mapper.map_mmio(physical_address, size_bytes) }?;
        Some(Self { window, size_bytes })
    }

    /// Has the kernel make ports of I/O space reachable; `None` if it cannot.
    ///
    /// # Safety
    /// As for [`map`](Registers::map).
    pub unsafe fn map_ports(mapper: &impl MapMmio, port: u32, size_bytes: usize) -> Option<Self> {
        // SAFETY: the caller's promise.
        let window = unsafe { mapper.map_ports(port, size_bytes) }?;
        Some(Self { window, size_bytes })
    }

    /// A window of calls.
    pub(super) const fn handled(handler: &'static dyn RegisterHandler, size_bytes: usize) -> Self {
        Self { window: RegisterWindow::Handler(handler), size_bytes }
    }

    /// The same window once more, for what outlives a transport and writes nothing that makes a device use memory.
    pub(crate) const fn share(&self) -> Self {
        Self { window: self.window, size_bytes: self.size_bytes }
    }

    /// Its size in bytes.
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Reads a register; all ones if it is not inside of the window.
    pub fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        match self.place(offset, width) {
            Some(RegisterWindow::Memory(register)) => {
                // SAFETY: `place` checked bounds and alignment.
                unsafe { read_memory(register, width) }
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Some(RegisterWindow::Ports(port)) => {
                // SAFETY: as above.
                unsafe { read_port(port, width) }
            }
            Some(RegisterWindow::Handler(handler)) => handler.read(offset, width),
            None => all_ones(width),
        }
    }

    /// Writes a register; without effect if it is not inside of the window.
    pub fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        match self.place(offset, width) {
            Some(RegisterWindow::Memory(register)) => {
                // SAFETY: `place` checked bounds and alignment.
                unsafe { write_memory(register, width, value) };
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Some(RegisterWindow::Ports(port)) => {
                // SAFETY: as above.
                unsafe { write_port(port, width, value) };
            }
            Some(RegisterWindow::Handler(handler)) => handler.write(offset, width, value),
            None => {}
        }
    }

    /// The register itself, if all of it is inside and aligned: its address, its port, or the window's handler.
    pub(super) fn place(&self, offset: usize, width: AccessWidth) -> Option<RegisterWindow> {
        let end = offset.checked_add(width.bytes())?;
        if end > self.size_bytes {
            return None;
        }
        match self.window {
            RegisterWindow::Memory(base) => {
                // SAFETY: `end` is inside of the window that `MapMmio` promised.
                let register = unsafe { base.add(offset) };
                let aligned = register.addr().get().is_multiple_of(width.bytes());
                aligned.then_some(RegisterWindow::Memory(register))
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            RegisterWindow::Ports(base) => {
                let port = base.checked_add(u16::try_from(offset).ok()?)?;
                let aligned = usize::from(port).is_multiple_of(width.bytes());
                aligned.then_some(RegisterWindow::Ports(port))
            }
            RegisterWindow::Handler(_) => offset.is_multiple_of(width.bytes()).then_some(self.window),
        }
    }
}

pub(super) const fn all_ones(width: AccessWidth) -> u32 {
    match width {
        AccessWidth::Byte => 0xff,
        AccessWidth::Word => 0xffff,
        AccessWidth::Long => 0xffff_ffff,
    }
}
