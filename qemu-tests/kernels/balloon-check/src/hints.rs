//! Mode `hints`: some memory is in use and the rest is free, full of what nobody needs; the machine is copied, and goes on elsewhere.
//!
//! Spec: §5.5.6.5 Free Page Hinting. The copy is to have what is in use. Disk, card and console are used before and after.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::frames::{BLOCK_FRAMES, Frame, Frames};
use example_platform::println;
use virtio_guest::device::balloon::{FreeBlocks, HintCommand, Progress};

use crate::balloon::{END_FRAMES, Inflatable};
use crate::contents::{check_mark, mark, put_all, take_all, use_all};
use crate::memory::Memory;
use crate::others::Others;
use crate::{ensure, number};

/// One block of so many is in use.
const IN_USE: u64 = 4;

/// The allocator, and what it lent.
struct Counted<'f> {
    frames: &'f mut Frames,
    lent: u32,
    is_at_end: bool,
}

impl FreeBlocks for Counted<'_> {
    type Block = Frame;

    fn lend(&mut self) -> Option<Frame> {
        let block = self.frames.lend();
        self.lent += u32::from(block.is_some());
        self.is_at_end = block.is_none();
        block
    }

    fn take_back(&mut self, block: Frame) {
        FreeBlocks::take_back(self.frames, block);
    }

    fn take_back_early(&mut self, block: Frame) {
        self.frames.take_back_early(block);
    }
}

pub fn run() -> Result<(), String> {
    let mut memory = Memory::take()?;
    let free = memory.frames.free();
    let seed = number("seed")?.unwrap_or(1).into();
    let mut in_use = Vec::new();
    let all: Vec<Frame> = take_all(memory.frames, BLOCK_FRAMES).collect();
    for (mut block, number) in all.into_iter().zip(0..) {
        mark(&mut block, seed, number);
        if number % IN_USE == 0 {
            in_use.push((block, number));
        } else {
            memory.frames.put(block);
        }
    }
    let mut others = Others::start(seed)?;
    others.check(0)?;
    let mut device = Inflatable::start(&memory, None)?;
    println!("in use: {} frames, {} free", in_use.len() * usize::from(BLOCK_FRAMES), memory.frames.free());
    println!("balloon: ready");

    let (mut command, mut told, mut said) = (HintCommand::Done, 0, 0);
    loop {
        // The command counts when it changes: a device may say Stop while a round is under way.
        if device.balloon.control().take_configuration_change().is_some() {
            let now = device.balloon.hint_command().map_err(|error| error.to_string())?;
            if now != command {
                println!("hints: {now:?}");
                if matches!(now, HintCommand::Round(_)) {
                    memory.frames.forget_told();
                    told = 0;
                }
                command = now;
            }
        }
        if let Some(hints) = &mut device.hints {
            let mut blocks = Counted { frames: memory.frames, lent: 0, is_at_end: false };
            let _progress = hints.poll(command, &mut blocks).map_err(|error| error.to_string())?;
            told += blocks.lent;
            if blocks.is_at_end && blocks.lent > 0 {
                println!("hints: told {told} blocks");
            }
        }
        let (progress, target) = device.poll(&mut memory)?;
        let held = device.balloon.held_frames();
        if progress == Progress::AtTarget && target != said {
            println!("balloon: at {held} frames, {} free", memory.frames.free());
            said = target;
        }
        if progress == Progress::AtTarget && target == END_FRAMES {
            break;
        }
        device.nap();
    }

    for (frame, number) in &mut in_use {
        check_mark(frame, seed, *number)?;
    }
    println!("in use: as it was");
    others.check(1)?;
    others.end()?;
    device.end(&mut memory)?;
    use_all(memory.frames, seed + 1)?;
    put_all(memory.frames, in_use.into_iter().map(|(frame, _)| frame));
    println!("free at the end: {} of {free}", memory.frames.free());
    ensure(memory.frames.free() == free, "no frame is lost")
}
