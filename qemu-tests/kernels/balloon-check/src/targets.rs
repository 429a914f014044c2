//! Mode `targets`: follows the host, and says when it is where it is to be.

use alloc::string::String;

use example_platform::println;
use virtio_guest::device::balloon::Progress;

use crate::balloon::{END_FRAMES, Inflatable};
use crate::memory::Memory;
use crate::{ensure, number};

pub fn run() -> Result<(), String> {
    let mut memory = Memory::take()?;
    let free = memory.frames.free();
    let poison = number("poison")?;
    if let Some(value) = poison {
        memory.poison(value);
    }
    let mut device = Inflatable::start(&memory, poison)?;
    println!("balloon: ready");
    let mut said = None;
    loop {
        let (progress, target) = device.poll(&mut memory)?;
        let (held, rest) = (device.balloon.held_frames(), memory.frames.free());
        match progress {
            Progress::AtTarget if said != Some(target) => {
                println!("balloon: at {held} frames, {rest} free");
                said = Some(target);
            }
            Progress::OutOfPages if said != Some(target) => {
                println!("balloon: out of pages at {held} frames, {rest} free");
                said = Some(target);
            }
            _ => {}
        }
        if progress == Progress::AtTarget && target == END_FRAMES {
            break;
        }
        device.nap();
    }
    println!("interrupts that arrived: {}", device.wiring.arrived());
    device.end(&mut memory)?;
    println!("free at the end: {} of {free}", memory.frames.free());
    ensure(memory.frames.free() == free, "no frame is lost")?;
    ensure(memory.is_poisoned(), "free memory is full of its value")
}
