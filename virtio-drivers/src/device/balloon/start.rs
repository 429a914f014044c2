//! Bring-up: from a transport to a balloon, or back to a device that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.5.5 Device Initialization.
//!
//! ```text
//!   Starting::begin              type, features, poison value, vectors     touches no storage
//!   Starting::install_hints      the queue for hints, if it was agreed on  storage comes back if it fails
//!   Starting::install_reports    the queue for reports, the same
//!   Starting::start              the other queues, DRIVER_OK: Balloon; activate hints and reports
//! ```
//!
//! [`Balloon::start`] does all of it for a balloon without hints and reports.

use core::fmt;

use super::books::Books;
use super::bursts::{self, FrameQueue};
use super::control::Control;
use super::driver::{Balloon, Live};
use super::slots::{QueueSlots, Slots};
use super::statistics::{self, StatisticsQueue};
use crate::hal::{Attempts, BalloonPage, Hal, Patience};
use crate::lifecycle::{
    ConfigError, ControlHalf, InstallError, InstallFailed, Installing, NegotiateError, Negotiating,
    ResetError, Wants,
};
use crate::raw::{ConfirmedReset, Tag};
use crate::ring::{InstalledQueue, QueueSettings, Returned};
use crate::transport::{Interface, Transport};
use crate::wire::balloon::{BalloonFeatures, config, queue};
use crate::wire::device_type::DeviceType;

/// What this driver handles: everything. [`PAGE_POISON`](BalloonFeatures::PAGE_POISON) only with [`Settings::poison`].
pub const HANDLED: BalloonFeatures = BalloonFeatures::all();

/// What [`Balloon::start`] asks for: everything but hints and reports.
pub const PLAIN: BalloonFeatures =
    HANDLED.difference(BalloonFeatures::FREE_PAGE_HINT).difference(BalloonFeatures::PAGE_REPORTING);

/// What a kernel may choose about a balloon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most frames of 4096 bytes that go to the device in one burst, at least one. A page with more than these cannot be given to the balloon.
    pub burst_frames: u16,
    /// Whether the device is to interrupt when it answers, wants statistics, or changes its target. Without, it is looked at, and no vector is used.
    pub notifications: bool,
    /// What the kernel fills pages with: those that it takes back from the balloon, and blocks before it lends them. `None`: with nothing in particular. A kernel that has such a value expects it to stay in free memory, so blocks are
    /// not reported to a device that does not know of it.
    pub poison: Option<u32>,
    /// Most descriptors of a queue, even if storage and device allow more.
    pub queue_size_max: u16,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// 512 frames (2 MiB) in a burst, no notifications, no poison, as many descriptors as there is storage for, 100,000 attempts.
    fn default() -> Self {
        Self {
            burst_frames: 512,
            notifications: false,
            poison: None,
            queue_size_max: u16::MAX,
            drop_attempts: Attempts(100_000),
        }
    }
}

/// Why a balloon could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device is of another type.
    #[error("device type {0:?} is no memory balloon")]
    NotABalloon(DeviceType),
    /// It does not answer a reset.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// No agreement on features.
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    /// Its configuration cannot be accessed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A queue cannot be installed.
    #[error(transparent)]
    Queue(#[from] InstallError),
    /// The feature was not agreed on that the queue is for, or the queue is installed.
    #[error("the queue is for a feature that was not agreed on, or it is installed")]
    NoSuchQueue,
}

/// A balloon that was not brought up: why, and what was handed in.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s, P> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a queue that the device knows of, if it does not let itself be reset.
    pub slots: Slots<'s, P>,
    /// The proof with which hints and reports that were installed give back what they have, if the device was reset after that.
    pub reset: Option<ConfirmedReset>,
}

impl<P> fmt::Debug for StartFailed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<P> From<StartFailed<'_, P>> for StartError {
    fn from(failed: StartFailed<'_, P>) -> Self {
        failed.error
    }
}

/// A balloon on its way up: it agreed on features, and waits for its queues.
///
/// Dropping it resets the device; queues installed until then leak their memory, unless [`give_up`](Starting::give_up) is used instead.
pub struct Starting<T: Transport> {
    pub(super) device: Installing<T, BalloonFeatures>,
    pub(super) settings: Settings,
    pub(super) offered: BalloonFeatures,
    pub(super) is_legacy: bool,
    pub(super) has_hints: bool,
    pub(super) has_reports: bool,
}

impl<T: Transport> Starting<T> {
    /// Agrees on features, tells the device the poison value if there is one, and deals out interrupt vectors, if [`Settings::notifications`] are wanted.
    ///
    /// [`MUST_TELL_HOST`](BalloonFeatures::MUST_TELL_HOST) is accepted whatever `wants` says, and so is [`PAGE_POISON`](BalloonFeatures::PAGE_POISON) with [`Settings::poison`].
    ///
    /// # Errors
    /// See [`StartError`]. To keep the transport, pass `&mut transport`.
    ///
    /// Spec: §5.5.3.1 Driver Requirements: Feature bits, §5.5.6.6.1 Driver Requirements: Page Poison.
    pub fn begin(
        transport: T,
        settings: &Settings,
        wants: Wants<BalloonFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        let device_type = transport.device_type();
        if device_type != DeviceType::BALLOON {
            return Err(StartError::NotABalloon(device_type));
        }
        let is_legacy = transport.interface() == Interface::Legacy;
        let device = Negotiating::begin(transport, patience)?.with_drop_attempts(settings.drop_attempts);
        let offered = BalloonFeatures::from_bits_truncate(device.offered().bits());
        let mut wants = wants.with(BalloonFeatures::MUST_TELL_HOST);
        let mut handled = HANDLED;
        if settings.poison.is_none() {
            handled.remove(BalloonFeatures::PAGE_POISON);
        } else {
            wants = wants.with(BalloonFeatures::PAGE_POISON);
            if !offered.contains(BalloonFeatures::PAGE_POISON) {
                handled.remove(BalloonFeatures::PAGE_REPORTING);
            }
        }
        let mut device = device.negotiate(wants.within(handled))?;
        let features = device.features().device;
        // A balloon without a target, or without a place for the answer to it, is none.
        device.config().read(config::NUM_PAGES)?;
        device.config().read(config::ACTUAL)?;
        if let Some(poison) = settings.poison.filter(|_| features.contains(BalloonFeatures::PAGE_POISON)) {
            device.write_config(config::POISON_VAL, poison)?;
        }
        let settings = Settings { burst_frames: settings.burst_frames.max(1), ..*settings };
        let mut starting =
            Self { device, settings, offered, is_legacy, has_hints: false, has_reports: false };
        if settings.notifications {
            let queues = starting.queues_in_a_row();
            starting.device.route_vectors(queues);
        }
        Ok(starting)
    }

    /// What was agreed of the device's own features.
    pub fn features(&self) -> BalloonFeatures {
        self.device.features().device
    }

    /// The index of the queue for hints.
    pub(super) fn hints_index(&mut self) -> u16 {
        self.index_of(queue::FREE_PAGE_VQ, &[BalloonFeatures::STATS_VQ])
    }

    /// The index of the queue for reports.
    pub(super) fn reports_index(&mut self) -> u16 {
        self.index_of(queue::REPORTING_VQ, &[BalloonFeatures::STATS_VQ, BalloonFeatures::FREE_PAGE_HINT])
    }

    /// An optional queue, which comes after those for these features: its index by the specification, or where it is with devices that leave no gaps.
    fn index_of(&mut self, specified: u16, before: &[BalloonFeatures]) -> u16 {
        if self.has_gaps() {
            return specified;
        }
        let there = before.iter().filter(|feature| self.offered.contains(**feature));
        there.fold(queue::STATSQ, |index, _| index.saturating_add(1))
    }

    /// Whether the device's last queue is where the specification has it: one in between could be another.
    fn has_gaps(&mut self) -> bool {
        let last = if self.offered.contains(BalloonFeatures::PAGE_REPORTING) {
            queue::REPORTING_VQ
        } else {
            queue::FREE_PAGE_VQ
        };
        self.device.queue_size_max(last) > 0
    }

    /// How many queues there will be without a gap, from the first one on: each of them can have a vector of its own.
    fn queues_in_a_row(&mut self) -> u16 {
        let features = self.features();
        let mut next = queue::STATSQ;
        let optional = [
            (BalloonFeatures::STATS_VQ, queue::STATSQ),
            (BalloonFeatures::FREE_PAGE_HINT, self.hints_index()),
            (BalloonFeatures::PAGE_REPORTING, self.reports_index()),
        ];
        for (feature, index) in optional {
            if features.contains(feature) && index == next {
                next = next.saturating_add(1);
            }
        }
        next
    }

    /// Installs the remaining queues, and tells the device that its driver is ready. [`poll`](Balloon::poll) it once then: it may want something already, and gets its first statistics.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back.
    ///
    /// Spec: §5.5.5 Device Initialization.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a device's life")]
    pub fn start<'s, H: Hal, P: BalloonPage>(
        mut self,
        hal: &H,
        slots: impl Into<Slots<'s, P>>,
    ) -> Result<Balloon<'s, T, H, P>, StartFailed<'s, P>> {
        let Slots { pages, inflate, deflate, statistics } = slots.into();
        let Settings { burst_frames, queue_size_max, notifications: notified, .. } = self.settings;
        let has_statistics = self.features().contains(BalloonFeatures::STATS_VQ);
        let numbers = bursts::queue_settings(burst_frames, queue_size_max);
        let mut failed = None;
        let mut install = |index, settings: &QueueSettings, slots: QueueSlots<'s>, is_wanted: bool| {
            if failed.is_some() || !is_wanted {
                return Place::Empty(slots);
            }
            match self.device.install_queue(index, hal, settings, slots) {
                Ok(queue) => Place::Queue(queue),
                Err(InstallFailed { error, storage }) => {
                    failed = Some(error);
                    Place::Empty(storage)
                }
            }
        };
        let inflate = install(queue::INFLATEQ, &numbers, inflate, true);
        let deflate = install(queue::DEFLATEQ, &numbers, deflate, true);
        let settings = statistics::queue_settings(queue_size_max);
        let statistics = install(queue::STATSQ, &settings, statistics, has_statistics);
        match (inflate, deflate, statistics, failed) {
            (Place::Queue(inflate), Place::Queue(deflate), statistics, None) => {
                let half = ControlHalf::new(self.device.start());
                let inflate = FrameQueue::new(half.activate(inflate), burst_frames, notified);
                let deflate = FrameQueue::new(half.activate(deflate), burst_frames, notified);
                let (statistics, unused) = match statistics {
                    Place::Queue(queue) => {
                        (Some(StatisticsQueue::new(half.activate(queue), self.is_legacy, notified)), None)
                    }
                    Place::Empty(slots) => (None, Some(slots)),
                };
                let control = Control { half, actual: None };
                let books = Books::new(pages);
                let paused_at = None;
                let live = Live { control, inflate, deflate, statistics, unused, books, paused_at, notified };
                Ok(Balloon::of(live))
            }
            (inflate, deflate, statistics, failed) => {
                let error = failed.map_or(StartError::NoSuchQueue, StartError::from);
                let reset = self.device.give_up_within_drop_bound();
                let [inflate, deflate, statistics] =
                    [inflate, deflate, statistics].map(|place| place.into_slots(reset.as_ref()));
                Err(StartFailed { error, slots: Slots { pages, inflate, deflate, statistics }, reset })
            }
        }
    }

    /// Gives up: resets the device, so that hints and reports installed until now can give their memory back.
    ///
    /// # Errors
    /// - [`ResetError`]: the device does not answer; what it learned of stays lent to it.
    pub fn give_up(self, patience: impl Patience) -> Result<ConfirmedReset, ResetError> {
        self.device.reset(patience)
    }
}

/// A queue, or its memory.
#[allow(clippy::large_enum_variant, reason = "three of them, once in a device's life")]
enum Place<'s, H: Hal> {
    Queue(InstalledQueue<'s, H, Tag<()>>),
    Empty(QueueSlots<'s>),
}

impl<'s, H: Hal> Place<'s, H> {
    /// The memory: nothing, of a queue whose device was not reset.
    fn into_slots(self, reset: Option<&ConfirmedReset>) -> QueueSlots<'s> {
        match (self, reset) {
            (Self::Empty(slots), _) => slots,
            (Self::Queue(queue), Some(reset)) => {
                queue.reclaim(reset).map_or_else(|_| QueueSlots::none(), Returned::into_slots)
            }
            (Self::Queue(_), None) => QueueSlots::none(),
        }
    }
}

impl<'s, T: Transport, H: Hal, P: BalloonPage> Balloon<'s, T, H, P> {
    /// Brings a balloon up, with default [`Settings`], and without hints and reports ([`PLAIN`]). [`poll`](Balloon::poll) it once then.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. To keep the transport, too, pass `&mut transport`.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a device's life")]
    pub fn start(
        transport: T,
        hal: &H,
        storage: impl Into<Slots<'s, P>>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, P>> {
        Self::start_with(transport, hal, storage, &Settings::default(), Wants::features(PLAIN), patience)
    }

    /// Brings a balloon up, with settings and features of the caller's choice, and without hints and reports.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back.
    ///
    /// Spec: §3.1.1, §5.5.5.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a device's life")]
    pub fn start_with(
        transport: T,
        hal: &H,
        storage: impl Into<Slots<'s, P>>,
        settings: &Settings,
        wants: Wants<BalloonFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, P>> {
        let slots = storage.into();
        match Starting::begin(transport, settings, wants.within(PLAIN), patience) {
            Ok(starting) => starting.start(hal, slots),
            Err(error) => Err(StartFailed { error, slots, reset: None }),
        }
    }
}

impl<T: Transport> fmt::Debug for Starting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starting").field("features", &self.features()).finish_non_exhaustive()
    }
}
