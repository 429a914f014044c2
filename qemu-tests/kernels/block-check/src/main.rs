//! A test kernel: everything the block driver promises, printed for the host.
//!
//! On the first virtio disk. Command line: see `block_promises.rs`.

#![no_std]
#![no_main]
#![allow(clippy::cast_possible_truncation, reason = "the ranges are short")]

extern crate alloc;

#[path = "../../block_promises.rs"]
mod block_promises;

use alloc::string::String;

use example_platform::{DMA, devices, println};
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

fn run() -> Result<(), String> {
    // SAFETY: this program is all there is, and it opens the disk once.
    let device = unsafe { devices::open_first(DeviceType::BLOCK) }?;
    block_promises::check(device.ok_or("no virtio block device")?, &DMA)?;
    println!("block check: done");
    Ok(())
}
