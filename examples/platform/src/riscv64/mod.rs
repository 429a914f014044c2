//! The `virt` machine of QEMU with 64-bit RISC-V processors, entered in supervisor mode.
//!
//! The firmware (OpenSBI) stays below us, in machine mode: it starts processors and sets the timer when it is asked (RISC-V SBI Specification 2.0). Where
//! everything else is, the device tree says.

#![allow(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits here, and so have the processor's registers"
)]

mod boot;
pub mod clock;
pub mod cpus;
mod csr;
pub(crate) mod exit;
pub(crate) mod interrupts;
pub(crate) mod memory;
pub(crate) mod serial;
mod traps;

pub use crate::device_tree::{PciAccess, command_line};
pub(crate) use crate::device_tree::{pci_buses as pci_host, slots};

use crate::device_tree;

unsafe extern "C" {
    /// What the program's `entry!` made.
    safe fn kernel_main() -> !;
}

/// The first Rust code: brings the machine up, then runs the program.
#[unsafe(no_mangle)]
extern "C" fn machine_main(hart: usize, tree: usize) -> ! {
    // SAFETY: the firmware put the tree there, and nothing of ours goes there (see `memory`).
    unsafe { device_tree::init(tree) };
    cpus::init(hart);
    exit::init();
    crate::console::init();
    memory::init();
    clock::init();
    interrupts::init();
    kernel_main()
}
