//! Mode `oom`: the kernel's allocator runs out of memory while the balloon has some, and takes it from there.
//!
//! Spec: §5.5.6.1 Driver Requirements: Device Operation (DEFLATE_ON_OOM).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::frames::Frame;
use example_platform::println;
use virtio_guest::device::balloon::{BalloonError, Progress};

use crate::balloon::{END_FRAMES, Inflatable, LIMIT_MILLIS};
use crate::contents::put_all;
use crate::ensure;
use crate::memory::Memory;

/// Frames that are needed beyond those that are free.
const NEEDED: usize = 1000;
/// Frames that are asked back at a time.
const AT_A_TIME: u32 = 64;

pub fn run() -> Result<(), String> {
    let mut memory = Memory::take()?;
    let free = memory.frames.free();
    let mut device = Inflatable::start(&memory, None)?;
    println!("balloon: ready");
    device.wait_for_target(0)?;
    device.follow(&mut memory, |progress, _| progress == Progress::AtTarget)?;
    let held = device.balloon.held_frames();
    println!("balloon: at {held} frames, {} free", memory.frames.free());

    let wanted = memory.frames.free() + NEEDED;
    let mut taken: Vec<Frame> = Vec::with_capacity(wanted);
    let mut times = 0;
    while taken.len() < wanted {
        let Some(frame) = memory.frames.take(1) else {
            let patience = device.wiring.patience(LIMIT_MILLIS);
            match device.balloon.deflate_for_oom(&mut memory, AT_A_TIME, patience) {
                Ok(frames) => ensure(frames > 0, "the balloon gives something back")?,
                Err(BalloonError::Unsupported) => break,
                Err(error) => return Err(error.to_string()),
            }
            times += 1;
            continue;
        };
        taken.push(frame);
    }
    let (progress, _) = device.poll(&mut memory)?;
    println!("out of memory {times} times: the balloon has {} frames now", device.balloon.held_frames());
    println!("progress: {progress:?}");
    put_all(memory.frames, taken);
    device.balloon.resume();
    device.follow(&mut memory, |progress, target| progress == Progress::AtTarget && target == END_FRAMES)?;
    device.end(&mut memory)?;
    println!("free at the end: {} of {free}", memory.frames.free());
    ensure(memory.frames.free() == free, "no frame is lost")
}
