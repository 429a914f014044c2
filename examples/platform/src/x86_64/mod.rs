//! The PC: `q35` and `pc` machines of QEMU, entered through PVH.

#![allow(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits here, and table sizes are constants"
)]

mod acpi;
mod boot;
pub mod clock;
pub mod console;
pub mod cpus;
mod descriptors;
mod exceptions;
pub(crate) mod exit;
pub(crate) mod interrupts;
pub(crate) mod memory;
mod mp_table;
pub(crate) mod pci_access;
mod ports;
mod pvh;
mod topology;

pub use pvh::command_line;

unsafe extern "C" {
    /// What the program's `entry!` made.
    safe fn kernel_main() -> !;
}

/// The first Rust code: brings the machine up, then runs the program.
#[unsafe(no_mangle)]
extern "C" fn machine_main(start_info: usize) -> ! {
    console::init();
    descriptors::init();
    // SAFETY: the boot code passes on the address that the loader left in a register, once.
    unsafe { pvh::init(start_info) };
    memory::init(pvh::memory_map());
    clock::init();
    interrupts::init();
    kernel_main()
}
