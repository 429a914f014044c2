//! The life of a balloon's driver, from when it is up: calls, and a kernel that changes its mind; then a reset, and everything comes back.
//!
//! Spec: §5.5.6 Device Operation, §2.4 Device Reset. After each step each page is in one place, and so is each block; a device that does not let itself be reset keeps what it has.

use virtio_guest::device::balloon::{
    Balloon, BalloonError, BalloonFeatures, Hints, Pages, Progress, ReportError, Reports,
};
use virtio_guest::transport::mmio::MmioTransport;
use virtio_test_hal::TestHal;

use super::kernel::{BLOCKS, Block, Kernel, Page};
use super::world::{act, detail, patience, step, with};

/// Looks of a call.
const LOOKS: usize = 4;

/// See the module's head.
pub(crate) struct Life<'s, 'k> {
    balloon: Balloon<'s, MmioTransport, TestHal, Page>,
    hints: Option<Hints<'s, TestHal, Block>>,
    reports: Option<Reports<'s, TestHal, Block>>,
    kernel: &'k mut Kernel,
    /// Whether the driver was told that the kernel fills its pages.
    is_poisoning: bool,
}

impl<'s, 'k> Life<'s, 'k> {
    pub(crate) fn new(
        balloon: Balloon<'s, MmioTransport, TestHal, Page>,
        hints: Option<Hints<'s, TestHal, Block>>,
        reports: Option<Reports<'s, TestHal, Block>>,
        kernel: &'k mut Kernel,
        is_poisoning: bool,
    ) -> Self {
        Self { balloon, hints, reports, kernel, is_poisoning }
    }

    /// Lives on until the script is over, then ends.
    pub(crate) fn run(mut self) {
        let features = self.balloon.features();
        let is_fine = self.is_poisoning || !features.contains(BalloonFeatures::PAGE_POISON);
        assert!(is_fine, "a poison value that nobody said");
        while let Some(step) = step() {
            act();
            match step % 16 {
                0..5 => self.poll(),
                5 => self.reach_target(),
                6 => self.deflate(),
                7 => self.balloon.resume(),
                8 | 9 => self.hint(),
                10 => {
                    if let Some(hints) = &mut self.hints {
                        hints.release(self.kernel);
                        assert_eq!(hints.kept_blocks(), 0, "all of them were wanted");
                    }
                }
                11 => self.report(),
                12 => self.report_all(),
                13 => self.kernel.change(step >> 4),
                14 => with(|world| world.hal.limit_maps(if step & 0x80 == 0 { 1000 } else { 1 })),
                _ => {
                    let _ = (self.balloon.rearm(), self.balloon.condition(), self.balloon.target_frames());
                    let _ =
                        (self.hints.as_mut().map(Hints::rearm), self.reports.as_mut().map(Reports::rearm));
                }
            }
            self.look();
        }
        self.end();
    }

    /// Everything is in one place.
    fn look(&self) {
        let (held, unanswered) = (self.balloon.held_frames(), self.balloon.unanswered_frames());
        let out = self.kernel.frames_out();
        assert!(
            out == held || out == held + unanswered,
            "{out} frames are out: {held} in, {unanswered} on their way"
        );
        assert_eq!(self.kernel.dropped(), 0, "a page was dropped");
        let hints = self.hints.as_ref().map_or(0, |hints| hints.kept_blocks() + hints.blocks_in_flight());
        let reports = self.reports.as_ref().map_or(0, |reports| usize::from(reports.in_flight()));
        assert_eq!(self.kernel.blocks() + hints + reports, BLOCKS, "{hints} hinted, {reports} reported");
        with(|world| {
            if !world.device.is_forged && !world.device.is_lost {
                let touched = world.device.balloon.touched();
                let stolen = touched.iter().find(|frame| self.kernel.has_frame(**frame));
                assert_eq!(stolen, None, "the kernel uses a page that the balloon has");
            }
        });
    }

    /// The device knows how many frames there are, after a call that went well.
    fn look_at_actual(&self) {
        let actual = with(|world| {
            let device = world.device.registers.device();
            (!world.device.is_lost).then(|| world.device.balloon.actual(device))
        });
        assert!(actual.is_none_or(|actual| actual == self.balloon.held_frames()), "{actual:?}");
    }

    fn poll(&mut self) {
        let result = self.balloon.poll(self.kernel);
        assert!(result != Err(BalloonError::TimedOut), "a poll does not wait");
        self.judge(result);
    }

    fn reach_target(&mut self) {
        let result = self.balloon.reach_target_blocking(self.kernel, patience(LOOKS));
        assert!(result != Ok(Progress::Working), "it ended before it was there");
        self.judge(result);
    }

    fn judge(&self, result: Result<Progress, BalloonError>) {
        if let Ok(progress) = result {
            let is_on_its_way = self.balloon.unanswered_frames() > 0;
            assert_eq!(progress == Progress::Working, is_on_its_way, "{progress:?}");
            self.look_at_actual();
        }
        let is_broken = matches!(result, Err(BalloonError::Broken(_)));
        assert!(!is_broken || self.may_break(), "{result:?}");
    }

    /// Whether the device has given reason to.
    fn may_break(&self) -> bool {
        with(|world| world.device.is_forged || world.device.is_lost || world.device.lied_about_lengths)
    }

    fn deflate(&mut self) {
        let frames = u32::from(detail() % 32);
        self.kernel.frames_back = 0;
        let result = self.balloon.deflate_for_oom(self.kernel, frames, patience(LOOKS));
        let came_back = self.kernel.frames_back;
        match result {
            Ok(said) => assert_eq!(said, came_back, "what came back is what it says"),
            Err(_) => assert_eq!(came_back, 0, "nothing came back"),
        }
    }

    fn hint(&mut self) {
        let Some(hints) = &mut self.hints else { return };
        let Ok(command) = self.balloon.hint_command() else { return };
        let result = hints.poll(command, self.kernel);
        assert!(result.is_ok() || self.may_break(), "{result:?}");
    }

    fn report(&mut self) {
        let Some(reports) = &mut self.reports else { return };
        let result = reports.poll(self.kernel);
        let is_broken = matches!(result, Err(ReportError::Broken(_)));
        assert!(!is_broken || self.may_break(), "{result:?}");
    }

    fn report_all(&mut self) {
        if let Some(reports) = &mut self.reports {
            let _ = reports.report_blocking(self.kernel, patience(LOOKS));
        }
    }

    /// A reset, at the second try at the latest.
    fn end(self) {
        let Self { mut balloon, hints, reports, kernel, .. } = self;
        let kind = detail();
        if kind & 3 == 3 && hints.is_none() && reports.is_none() {
            with(|world| world.device.heal());
            drop(balloon);
            return;
        }
        let before = (kernel.frames_out(), kernel.blocks());
        let mut down = None;
        for _ in 0..2 {
            match balloon.take_down(patience(3)) {
                Ok(done) => {
                    down = Some(done);
                    break;
                }
                Err(failed) => balloon = failed.balloon,
            }
            assert_eq!((kernel.frames_out(), kernel.blocks()), before, "the device has them as before");
            let again = balloon.poll(kernel);
            assert_ne!(again, Ok(Progress::Working), "a device that was asked for a reset is told of pages");
            assert_eq!((kernel.frames_out(), kernel.blocks()), before, "the device has them as before");
            with(|world| world.device.heal());
        }
        let down = down.expect("a device that lets itself be reset");
        if kind & 4 == 0 {
            down.pages.for_each(|page| Pages::take_back(kernel, page));
        } else {
            drop(down.pages);
        }
        assert!(hints.is_none_or(|hints| hints.reclaim(&down.reset, kernel).is_ok()), "its own reset");
        assert!(reports.is_none_or(|reports| reports.reclaim(&down.reset, kernel).is_ok()), "its own reset");
    }
}
