//! What a kernel needs before it can use `virtio-guest`: boot, memory, console, clock, devices.
//!
//! Made to be read and copied from. What a driver asks of a kernel is in two files: `dma.rs` implements
//! [`Hal`](virtio_guest::hal::Hal) and [`MapMmio`](virtio_guest::hal::MapMmio), `time.rs` a
//! [`Patience`](virtio_guest::hal::Patience).
//!
//! A program says what to run once the machine is up:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! example_platform::entry!(run);
//!
//! fn run() -> Result<(), &'static str> {
//!     example_platform::println!("hello");
//!     Ok(())
//! }
//! ```
//!
//! It ends when `run` returns: QEMU exits with status 33 after `Ok`, with 35 after an error, a panic or an exception.

#![no_std]

extern crate alloc;

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
mod machine;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64/mod.rs"]
mod machine;

#[cfg(target_arch = "riscv64")]
#[path = "riscv64/mod.rs"]
mod machine;

pub mod console;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod device_tree;
pub mod devices;
mod dma;
pub mod frames;
mod heap;
pub mod hot_plug;
pub mod interrupts;
pub mod pci;
mod time;
mod wiring;

pub use dma::{DMA, Dma, MMIO, Mmio};
pub use heap::{Usage, allocations, usage};
#[cfg(target_arch = "x86_64")]
pub use machine::iommu;
pub use machine::{clock, command_line, cpus};

use core::fmt::Display;

/// Runs a program and turns its result into the machine's exit. Called by [`entry!`].
pub fn run<E: Display>(program: fn() -> Result<(), E>) -> ! {
    match program() {
        Ok(()) => machine::exit::exit(machine::exit::Status::Success),
        Err(error) => {
            println!("error: {error}");
            machine::exit::exit(machine::exit::Status::Failure)
        }
    }
}

/// Names the function that runs once the machine is up: `fn() -> Result<(), E>` with an error that can be printed.
#[macro_export]
macro_rules! entry {
    ($program:path) => {
        /// Called by the platform's boot code.
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main() -> ! {
            $crate::run($program)
        }
    };
}

/// Prints a line on the serial console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::console::print_line(::core::format_args!($($argument)*))
    };
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    machine::exit::exit(machine::exit::Status::Failure)
}
