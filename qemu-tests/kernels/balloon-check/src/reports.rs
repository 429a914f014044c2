//! Mode `reports`: all memory was written, and is free; the device is told so, and the host may take it away.
//!
//! Spec: §5.5.6.7 Free Page Reporting, §5.5.6.6 Page Poison. The host sets one target when it has looked at how much memory the machine has, and another one when it has looked again.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::frames::{BLOCK_FRAMES, Frame};
use example_platform::println;

use crate::balloon::{Inflatable, LIMIT_MILLIS};
use crate::contents::{fill_with, is_full_of, put_all, take_all, use_all};
use crate::memory::Memory;
use crate::{ensure, number};

/// What is in memory if nothing is agreed on.
const ANYTHING: u32 = 0x5a5a_a5a5;

pub fn run() -> Result<(), String> {
    let mut memory = Memory::take()?;
    let free = memory.frames.free();
    let poison = number("poison")?;
    let mut all: Vec<Frame> = take_all(memory.frames, BLOCK_FRAMES).collect();
    for frame in &mut all {
        fill_with(frame, poison.unwrap_or(ANYTHING));
    }
    put_all(memory.frames, all);

    let mut device = Inflatable::start(&memory, poison)?;
    println!("balloon: ready");
    let go_on = device.wait_for_target(0)?;
    let patience = device.wiring.patience(LIMIT_MILLIS);
    let reports = device.reports.as_mut().ok_or("the device takes no reports")?;
    let blocks = reports.report_blocking(memory.frames, patience).map_err(|error| error.to_string())?;
    println!("reported: {} frames of {free}", blocks * u32::from(BLOCK_FRAMES));
    device.wait_for_target(go_on)?;

    if let Some(poison) = poison {
        let mut all: Vec<Frame> = take_all(memory.frames, BLOCK_FRAMES).collect();
        let is_full = all.iter_mut().all(|frame| is_full_of(frame, poison));
        put_all(memory.frames, all);
        ensure(is_full, "what was reported is as it was")?;
    }
    use_all(memory.frames, 1)?;
    device.end(&mut memory)?;
    ensure(memory.frames.free() == free, "no frame is lost")
}
