//! The memory balloon: it follows the host's wishes between two keys, with frames that nobody else wants.

use alloc::string::{String, ToString};
use core::fmt::Write;

use example_platform::devices::{self, Interrupts, Way};
use example_platform::frames::{self, FRAME_BYTES, Frame, Frames};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::balloon::{Balloon, BalloonError, PLAIN, Progress, Settings, Slots};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::ring::Rearmed;

use crate::machine::Problem;

/// How often it is looked at in a row, if each time the device has answered already.
const LOOKS: usize = 16;
const PATIENCE_MILLIS: u64 = 5000;

static SIGNALS: Signals<3> = Signals::new();

/// A balloon that is up, and the frame allocator.
pub struct Inflatable {
    balloon: Balloon<'static, Way, Dma, Frame>,
    frames: &'static mut Frames,
    progress: Result<Progress, BalloonError>,
}

impl Inflatable {
    /// Brings the first balloon up, if there is one. It takes most of the memory that is left for frames, so everything else is up.
    pub fn bring_up() -> Result<Option<Self>, String> {
        let Some(mut device) = devices::take_balloon()? else { return Ok(None) };
        println!("balloon at {}", device.place);
        let prepared = device.prepare(Interrupts::asked_for()?, &[0, 0, 0])?;
        let frames = frames::take().ok_or("there is no memory for frames")?;
        let slots = Slots::allocate(frames.count());
        let settings = Settings { notifications: prepared.kind != Interrupts::None, ..Settings::default() };
        let (wants, patience) = (Wants::features(PLAIN), clock::within_millis(PATIENCE_MILLIS));
        let balloon = Balloon::start_with(device.transport, &DMA, slots, &settings, wants, patience);
        let mut balloon = balloon.map_err(|failed| failed.to_string())?;
        prepared.attach_with(|| balloon.connect_interrupts(&SIGNALS))?;
        Ok(Some(Self { balloon, frames, progress: Ok(Progress::AtTarget) }))
    }

    /// A step towards what the host wants; the next one when the device interrupts. Never waits.
    pub fn serve(&mut self) {
        for _ in 0..LOOKS {
            self.progress = self.balloon.poll(self.frames);
            if self.balloon.rearm() == Rearmed::Quiet {
                break;
            }
        }
    }

    /// Says what the host wants, what it has, and what is left.
    pub fn describe(&mut self, answer: &mut String) -> Result<(), Problem> {
        self.serve();
        let mib = |frames: usize| (frames * FRAME_BYTES) >> 20;
        let wanted = self.balloon.target_frames().map_err(|error| error.to_string())?;
        for (what, frames) in [
            ("wanted", usize::try_from(wanted).unwrap_or(usize::MAX)),
            ("held", usize::try_from(self.balloon.held_frames()).unwrap_or(usize::MAX)),
            ("free", self.frames.free()),
        ] {
            writeln!(answer, "{what:<7} {frames} frames ({} MiB)", mib(frames))?;
        }
        let progress = self.progress.map_err(|error| error.to_string())?;
        writeln!(answer, "{progress:?}")?;
        Ok(())
    }

    /// The way down: all frames come back.
    pub fn take_down(self) -> Result<(), String> {
        let down = self.balloon.take_down(clock::within_millis(PATIENCE_MILLIS));
        let down = down.map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        down.pages.for_each(|frame| self.frames.put(frame));
        println!("free frames at the end: {} of {}", self.frames.free(), self.frames.count());
        Ok(())
    }
}
