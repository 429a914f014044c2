//! The Arm machine: `virt` of QEMU, entered as an ELF file.

#![allow(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits here, and table sizes are constants"
)]

mod boot;
pub mod clock;
pub mod cpus;
mod exceptions;
pub(crate) mod exit;
pub(crate) mod interrupts;
pub(crate) mod memory;
pub(crate) mod serial;

pub use crate::device_tree::{PciAccess, command_line};
pub(crate) use crate::device_tree::{pci_buses as pci_host, slots};

unsafe extern "C" {
    /// What the program's `entry!` made.
    safe fn kernel_main() -> !;
}

/// The first Rust code: brings the machine up, then runs the program.
#[unsafe(no_mangle)]
extern "C" fn machine_main(device_tree: usize) -> ! {
    exceptions::init();
    cpus::init();
    // SAFETY: the boot code passes on where memory begins, once; QEMU puts the tree there, where it is mapped read-only.
    unsafe { crate::device_tree::init(device_tree) };
    crate::console::init();
    memory::init();
    interrupts::init();
    kernel_main()
}
