//! What the loader tells: the PVH start information.
//!
//! Layout: `struct hvm_start_info`, version 1, little-endian, physical addresses.

use core::ffi::CStr;
use core::ops::Range;
use core::slice;

use spin::Once;

const MAGIC: u32 = 0x336e_c578;

#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    modules_address: u64,
    command_line_address: u64,
    rsdp_address: u64,
    memory_map_address: u64,
    memory_map_entries: u32,
    reserved: u32,
}

/// A range of physical memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryRange {
    pub(super) address: u64,
    pub(super) bytes: u64,
    kind: u32,
    reserved: u32,
}

impl MemoryRange {
    /// Whether it is memory that may be used.
    pub(super) fn is_usable(&self) -> bool {
        self.kind == 1
    }
}

static START_INFO: Once<&'static StartInfo> = Once::new();

/// Takes the start information.
///
/// # Safety
/// `address` is what the loader passed, and nobody overwrites what it leads to.
pub(super) unsafe fn init(address: usize) {
    // SAFETY: the loader put the structure there, in identity-mapped memory.
    let info = unsafe { &*(address as *const StartInfo) };
    assert!(info.magic == MAGIC && info.version >= 1, "not started through PVH");
    START_INFO.call_once(|| info);
}

fn start_info() -> &'static StartInfo {
    START_INFO.get().expect("the machine is up")
}

/// The kernel's command line (QEMU's `-append`).
pub fn command_line() -> &'static str {
    let address = start_info().command_line_address as usize;
    if address == 0 {
        return "";
    }
    // SAFETY: the loader put a terminated string there, and nobody overwrites it.
    let text = unsafe { CStr::from_ptr(address as *const _) };
    text.to_str().unwrap_or("")
}

/// Where ACPI starts, if there is ACPI.
pub(super) fn rsdp_address() -> Option<usize> {
    Some(start_info().rsdp_address as usize).filter(|address| *address != 0)
}

/// What QEMU's `-initrd` becomes.
#[repr(C)]
struct Module {
    address: u64,
    bytes: u64,
    command_line_address: u64,
    reserved: u64,
}

/// Where the loader put things that must not be overwritten.
pub(super) fn loaded() -> impl Iterator<Item = Range<u64>> {
    let info = start_info();
    let modules: &'static [Module] = if info.modules_address == 0 {
        &[]
    } else {
        // SAFETY: the loader put that many entries there, and nobody overwrites them.
        unsafe { slice::from_raw_parts(info.modules_address as *const Module, info.modules as usize) }
    };
    let own = [
        range(&raw const *info as u64, size_of::<StartInfo>()),
        range(info.modules_address, size_of_val(modules)),
        range(info.memory_map_address, size_of_val(memory_map())),
        text(info.command_line_address),
    ];
    let of_modules = modules
        .iter()
        .flat_map(|module| [range(module.address, module.bytes as usize), text(module.command_line_address)]);
    own.into_iter().chain(of_modules)
}

fn range(address: u64, bytes: usize) -> Range<u64> {
    address..address + bytes as u64
}

/// Where a command line is, with the zero at its end; nowhere, if its address is 0.
fn text(address: u64) -> Range<u64> {
    if address == 0 {
        return 0..0;
    }
    // SAFETY: the loader put a terminated string there, and nobody overwrites it.
    let text = unsafe { CStr::from_ptr(address as *const _) };
    range(address, text.count_bytes() + 1)
}

/// All ranges of physical memory.
pub(super) fn memory_map() -> &'static [MemoryRange] {
    let info = start_info();
    if info.memory_map_address == 0 {
        return &[];
    }
    // SAFETY: the loader put that many entries there, and nobody overwrites them.
    unsafe {
        slice::from_raw_parts(info.memory_map_address as *const MemoryRange, info.memory_map_entries as usize)
    }
}
