//! A balloon that is up: its driver, and sleep while there is nothing to do.

use alloc::string::{String, ToString};
use core::time::Duration;

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::frames::Frame;
use example_platform::interrupts::wait;
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::balloon::{
    Balloon, BalloonFeatures, HintSlots, Hints, Pages, Progress, ReportSlots, Reports, Settings, Slots,
    Starting,
};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::ring::Rearmed;

use crate::argument;
use crate::memory::Memory;

/// The target with which the host says that it is over.
pub const END_FRAMES: u32 = 1;
/// How long the device may take for something.
pub const LIMIT_MILLIS: u64 = 10_000;
/// The longest sleep: whoever is not interrupted is late, and so are the tests.
const LONG_NAP: Duration = Duration::from_secs(5);
/// The longest sleep if queues do not interrupt.
const SHORT_NAP: Duration = Duration::from_millis(1);
/// Blocks that are hinted at and not given back: more than there are.
const BLOCKS_MAX: usize = 4096;

static SIGNALS: Signals<5> = Signals::new();

/// See the module's head.
pub struct Inflatable {
    pub balloon: Balloon<'static, Way, Dma, Frame>,
    pub hints: Option<Hints<'static, Dma, Frame>>,
    pub reports: Option<Reports<'static, Dma, Frame>>,
    pub wiring: Wiring,
    nap: Duration,
}

impl Inflatable {
    /// Brings the first balloon up, with room for all memory; free memory is filled with `poison`, if that is a value.
    pub fn start(memory: &Memory, poison: Option<u32>) -> Result<Self, String> {
        let mut device = devices::take_balloon()?.ok_or("no virtio memory balloon found")?;
        println!("balloon at {}", device.place);
        let prepared = device.prepare(Interrupts::asked_for()?, &[0; 5])?;
        let notifications = prepared.kind != Interrupts::None && argument("notifications") != Some("off");
        let settings = Settings { notifications, poison, ..Settings::default() };
        let patience = clock::within_millis(LIMIT_MILLIS);
        let wants = Wants::features(BalloonFeatures::all());
        let starting = Starting::begin(device.transport, &settings, wants, patience);
        let mut starting = starting.map_err(|error| error.to_string())?;
        let features = starting.features();
        let (mut hints, mut reports) = (None, None);
        if features.contains(BalloonFeatures::FREE_PAGE_HINT) {
            let installed = starting.install_hints(&DMA, HintSlots::allocate(BLOCKS_MAX));
            hints = Some(installed.map_err(|failed| failed.to_string())?);
        }
        if features.contains(BalloonFeatures::PAGE_REPORTING) {
            let installed = starting.install_reports(&DMA, ReportSlots::allocate(32));
            reports = Some(installed.map_err(|failed| failed.to_string())?);
        }
        // Room for one more than there are: what runs out is memory.
        let started = starting.start(&DMA, Slots::allocate(memory.frames.count() + 1));
        let mut balloon = started.map_err(|failed| failed.to_string())?;
        let hints = hints.map(|idle| balloon.activate_hints(idle));
        let reports = reports.map(|idle| balloon.activate_reports(idle));
        let wiring = prepared.attach_with(|| balloon.connect_interrupts(&SIGNALS))?;
        println!("features: {features:?}");
        println!("interrupts: {} ({:?})", wiring.kind.name(), balloon.control().vectors());
        let nap = if notifications { LONG_NAP } else { SHORT_NAP };
        Ok(Self { balloon, hints, reports, wiring, nap })
    }

    /// A step of the balloon's, and the target that it was about.
    pub fn poll(&mut self, memory: &mut Memory) -> Result<(Progress, u32), String> {
        let target = self.target_frames()?;
        let progress = self.balloon.poll(memory).map_err(|error| error.to_string())?;
        // The host may have set another one meanwhile, which is to be reached as well.
        let is_same = self.target_frames()? == target;
        Ok((if is_same { progress } else { Progress::Working }, target))
    }

    /// How many frames the host wants in there.
    pub fn target_frames(&self) -> Result<u32, String> {
        self.balloon.target_frames().map_err(|error| error.to_string())
    }

    /// Sleeps until the device has something to say.
    pub fn nap(&mut self) {
        let is_quiet = self.nap == SHORT_NAP || {
            let hints = self.hints.as_mut().map_or(Rearmed::Quiet, Hints::rearm);
            self.balloon.rearm() == Rearmed::Quiet && hints == Rearmed::Quiet
        };
        match self.wiring.kind {
            Interrupts::None => core::hint::spin_loop(),
            // Interrupts are taken inside of a wait only, so none is lost between the last look and the sleep.
            Interrupts::Messages | Interrupts::Line if is_quiet => wait(clock::now() + self.nap),
            Interrupts::Messages | Interrupts::Line => {}
        }
    }

    /// Sleeps until the host wants another number of frames than this.
    pub fn wait_for_target(&mut self, not: u32) -> Result<u32, String> {
        loop {
            let target = self.target_frames()?;
            if target != not {
                return Ok(target);
            }
            self.nap();
        }
    }

    /// Polls, and sleeps in between, until progress and target are what is waited for.
    pub fn follow(
        &mut self,
        memory: &mut Memory,
        is_over: impl Fn(Progress, u32) -> bool,
    ) -> Result<(), String> {
        loop {
            let (progress, target) = self.poll(memory)?;
            if is_over(progress, target) {
                return Ok(());
            }
            self.nap();
        }
    }

    /// Takes it down: the kernel has all pages again.
    pub fn end(self, memory: &mut Memory) -> Result<(), String> {
        let patience = clock::within_millis(LIMIT_MILLIS);
        let down = self.balloon.take_down(patience).map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        down.pages.for_each(|page| memory.take_back(page));
        if let Some(hints) = self.hints {
            hints.reclaim(&down.reset, memory.frames).map_err(|_| "the queue is of another bring-up")?;
        }
        if let Some(reports) = self.reports {
            reports.reclaim(&down.reset, memory.frames).map_err(|_| "the queue is of another bring-up")?;
        }
        Ok(())
    }
}
