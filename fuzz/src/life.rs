//! One life of a queue: it comes up, is used as the script says, and ends in a reset or in being dropped.
//!
//! Spec: §2.6, §2.7.13, §2.7.14, §2.8.21, §2.8.22. After each step the queue must agree with the [`Ledger`] on what it has. A life whose device never lied must go well:
//! nothing breaks, nothing is refused without reason, and what the device returned comes back in its order.

use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, ResetQueue, Running, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Layout, QueueSettings, Rearmed, RefusedReason, Slots, Virtqueue};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;

use crate::Mode;
use crate::device::{Device, Return};
use crate::ledger::{Cargo, Ledger, Size};
use crate::memory::{Buffer, Mapped, WatchedHal};
use crate::plan::Plan;
use crate::script::Script;
use crate::transport::Registers;
use crate::world::{self, within};

/// Bytes of memory that the queue has for its driver.
pub(crate) const MEMORY_BYTES: usize = 256;
/// Looks at a reset that is not done, before a call gives up.
const PATIENCE: Attempts = Attempts(2);
/// Loads that taking one used chain may take: index or flags, id, length.
const LOADS_PER_CHAIN: usize = 3;
/// Stores that one descriptor may take: address, length, flags, and next or id.
const STORES_PER_DESCRIPTOR: usize = 4;

type Queue = Virtqueue<'static, WatchedHal, Cargo>;

/// Lives once, as `bytes` say. Panics if a promise is broken.
pub fn live(mode: Mode, bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (size, features, tables) = (script.detail(), script.detail(), script.detail());
    let size_max = match mode.layout {
        Layout::Split => 1 << (size % 6),
        Layout::Packed => 1 + u16::from(size % 24),
    };
    let device = Device::new(offered(mode, features).bits(), size_max);
    world::begin(script, device);

    let mut life = Some(Life::begin(mode, tables));
    while let Some(living) = life.take() {
        let Some(step) = world::with(|world| world.script.step()) else {
            living.end(0);
            break;
        };
        life = living.step(step);
    }
    world::with(|world| world.memory.sweep());
}

/// What the device offers: the target's kind of ring, and what the script says.
fn offered(mode: Mode, script: u8) -> CommonFeatures {
    let by_script = [
        CommonFeatures::EVENT_IDX,
        CommonFeatures::INDIRECT_DESC,
        CommonFeatures::NOTIFICATION_DATA,
        CommonFeatures::ORDER_PLATFORM,
    ];
    let mut features = CommonFeatures::VERSION_1 | CommonFeatures::RING_RESET;
    features.set(CommonFeatures::RING_PACKED, mode.layout == Layout::Packed);
    features.set(CommonFeatures::IN_ORDER, mode.in_order);
    for (bit, feature) in by_script.into_iter().enumerate() {
        features.set(feature, script & 1 << bit != 0);
    }
    features
}

fn settings(tables: u8, size_max: u16) -> QueueSettings {
    QueueSettings { size_max, indirect_segments: u16::from(tables % 8), memory_bytes: MEMORY_BYTES }
}

/// What comes back next, if the device never lied.
fn honest_return() -> Option<Return> {
    world::with(|world| {
        let returned = world.device.returned.pop_front();
        assert!(
            returned.is_some() || !world.device.is_honest,
            "a chain comes back that the device did not return"
        );
        returned.filter(|_| world.device.is_honest)
    })
}

/// See the module's head.
struct Life {
    mode: Mode,
    tables: u8,
    running: Running<Registers, BlockFeatures>,
    queue: Queue,
    ledger: Ledger,
}

impl Life {
    fn begin(mode: Mode, tables: u8) -> Self {
        let negotiating = Negotiating::begin(Registers, PATIENCE).expect("the device resets");
        let mut device = negotiating.negotiate(Wants::<BlockFeatures>::none()).expect("features are agreed");
        let size = device.queue_size_max(0);
        let queue = device
            .install_queue(0, &WatchedHal, &settings(tables, u16::MAX), Slots::allocate(size))
            .expect("the queue installs");
        let running = device.start();
        let queue = running.activate(queue);
        assert_eq!(queue.size(), size);
        Self { mode, tables, running, queue, ledger: Ledger::default() }
    }

    /// Does what a byte of the script says. `None` if the queue's life ends with it.
    fn step(mut self, step: u8) -> Option<Self> {
        let number = step >> 4;
        match step % 16 {
            0..2 => self.make_available(1),
            2 => self.make_available(2 + usize::from(number % 4)),
            3..5 => self.publish(),
            5..7 => self.take_used(),
            7 => self.take_used_burst(number.into()),
            8 => within(0, 1, || self.queue.suppress_notifications()),
            9 => self.rearm(1),
            10 => self.rearm(u16::from(number)),
            11..14 => {
                let step = world::with(|world| world.script.detail());
                world::with(|world| world.device.step(step, &world.memory));
            }
            14 => self.use_memory(),
            _ if number < 8 => self = self.reset_queue(number),
            _ => {
                self.end(number);
                return None;
            }
        }
        self.check();
        Some(self)
    }

    /// The queue and the ledger agree.
    fn check(&self) {
        assert_eq!(usize::from(self.queue.in_flight()), self.ledger.len(), "chains in flight");
        let in_service = self.queue.broken().is_none();
        let free = if in_service { usize::from(self.queue.size()) - self.ledger.descriptors() } else { 0 };
        assert_eq!(usize::from(self.queue.free_descriptors()), free, "free descriptors");
        let is_honest = world::with(|world| world.device.is_honest);
        assert!(!is_honest || in_service, "an honest device broke the queue");
    }

    /// Makes chains available, one by itself or several in a burst, until one is refused.
    fn make_available(&mut self, chains: usize) {
        let plans: Vec<_> = (0..chains).map(|_| world::with(|world| Plan::read(&mut world.script))).collect();
        let descriptors: usize = plans.iter().map(|plan| usize::from(plan.segments()) + 2).sum();
        let limits = Limits::of(&self.queue);
        let Self { queue, ledger, .. } = self;
        let mut expected = Vec::new();
        let mut supply = plans.iter().map(|plan| {
            if !expected.is_empty() {
                // Another one is asked for: the one before was taken.
                ledger.accept();
            }
            let verdict = limits.judge(plan, ledger.descriptors());
            expected.push(verdict);
            let mut buffers = plan.buffers.iter().map(|(len, direction)| {
                Mapped::map(&WatchedHal, Buffer::new(*len), *direction).expect("there is room")
            });
            let cargo = (Tag(ledger.next_context()), [buffers.next(), buffers.next()]);
            ledger.lend(&cargo, verdict.unwrap_or_default());
            (Chain { readable: &plan.readable, writable: &plan.writable }, cargo)
        });
        let mut made_before = None;
        let result = within(0, STORES_PER_DESCRIPTOR * descriptors, || match chains {
            1 => {
                let (chain, cargo) = supply.next().expect("there is one");
                queue.make_available(chain, cargo).map(|()| 1)
            }
            _ => queue.make_available_burst(supply).map_err(|burst| {
                made_before = Some(burst.made_available);
                burst.refused
            }),
        });

        let made = result.map_err(|refused| {
            ledger.check_returned(refused.payload);
            refused.reason
        });
        let all: Result<Vec<_>, _> = expected.iter().copied().collect();
        assert_eq!(made, all.map(|all| all.len()), "what becomes of chains");
        assert!(
            made.is_ok() || expected.iter().filter(|verdict| verdict.is_err()).count() == 1,
            "it stops there"
        );
        assert!(
            made_before.is_none_or(|count| count + 1 == expected.len()),
            "how many before the refused one"
        );
        if made.is_ok() {
            ledger.accept();
        }
    }

    fn publish(&mut self) {
        let in_service = self.queue.broken().is_none();
        let shown = if in_service { self.ledger.publish() } else { 0 };
        let before = world::with(|world| world.device.notifications);

        let notified = within(1, 2, || self.queue.publish());

        world::with(|world| {
            let device = &world.device;
            assert_eq!(device.notifications - before, notified.into(), "notifications");
            assert!(shown > 0 || !notified, "a notification of nothing");
            let must_wake = device.is_honest && device.sleeps && shown > 0;
            assert!(notified || !must_wake, "the device sleeps on");
        });
    }

    fn take_used(&mut self) {
        let in_order = self.mode.in_order;
        let is_waiting = world::with(|world| !world.device.returned.is_empty());
        let result = within(LOADS_PER_CHAIN, 0, || self.queue.take_used());
        let is_honest = world::with(|world| world.device.is_honest);
        match result {
            Ok(Some(used)) => self.ledger.check_used(used, in_order, honest_return()),
            Ok(None) => {
                world::with(|world| world.witness.check_nothing());
                assert!(!is_waiting || !is_honest, "a chain that the device returned is not seen");
            }
            Err(broken) => {
                assert!(!is_honest, "an honest device: {broken}");
                assert_eq!(self.queue.broken(), Some(broken), "for good");
            }
        }
    }

    fn take_used_burst(&mut self, limit: usize) {
        let (ledger, in_order, mut taken) = (&mut self.ledger, self.mode.in_order, 0);
        let result = within(LOADS_PER_CHAIN * limit, 0, || {
            self.queue.take_used_burst(limit, |used| {
                taken += 1;
                ledger.check_used(used, in_order, honest_return());
            })
        });
        assert!(result.is_err() || result == Ok(taken), "as many as it says");
        assert!(taken <= limit, "no more than were asked for");
        if taken < limit && result.is_ok() {
            world::with(|world| world.witness.check_nothing());
        }
    }

    fn rearm(&mut self, chains: u16) {
        let is_waiting = world::with(|world| !world.device.returned.is_empty());
        let rearmed = within(1, 1, || self.queue.rearm_delayed(chains));
        let is_honest = world::with(|world| world.device.is_honest);
        assert!(rearmed == Rearmed::MoreWaiting || !is_waiting || !is_honest, "the driver sleeps on");
    }

    /// Writes to the queue's memory and reads it back, which a lie may have changed.
    fn use_memory(&mut self) {
        let (offset, number) = world::with(|world| (world.script.detail(), world.script.detail()));
        let (offset, len) = (usize::from(offset), usize::from(number % 32));
        let fits = offset + len <= MEMORY_BYTES;
        let written = within(0, len, || self.queue.write_memory(offset, &[number; 32][..len]));
        let mut bytes = [0; 32];
        let read = within(len, 0, || self.queue.read_memory(offset, &mut bytes[..len]));
        assert_eq!((written.is_ok(), read.is_ok()), (fits, fits), "inside of the memory");
    }

    /// Resets the queue alone, which may take longer than the driver waits, and installs it anew, perhaps with another size.
    fn reset_queue(mut self, number: u8) -> Self {
        world::with(|world| world.device.reset_delay = number % 4);
        let before = world::with(|world| world.memory.counts());
        let ResetQueue { mut returned, vacancy } = loop {
            match self.running.reset_queue(self.queue, PATIENCE) {
                Ok(reset) => break reset,
                Err(failed) => {
                    self.queue = failed.queue;
                    assert_eq!(world::with(|world| world.memory.counts()), before, "nothing is released");
                    assert!(!within(0, 0, || self.queue.publish()), "nothing goes out any more");
                    assert!(within(0, 0, || self.queue.take_used()).is_err(), "and nothing comes in");
                }
            }
        };
        returned.by_ref().for_each(|cargo| self.ledger.check_returned(cargo));
        assert_eq!(self.ledger.len(), 0, "every chain comes back");
        world::with(|world| world.memory.assert_all_returned());

        let size_max = world::with(|world| world.script.detail()).max(1);
        let settings = settings(self.tables, size_max.into());
        let slots = returned.into_slots();
        self.queue = self
            .running
            .reinstall_queue(vacancy, &WatchedHal, &settings, slots)
            .expect("the queue installs anew");
        self
    }

    /// Ends the life: by dropping the queue, which releases nothing; or by a reset, which releases all.
    fn end(self, number: u8) {
        let Self { mut running, queue, mut ledger, .. } = self;
        let before = world::with(|world| world.memory.counts());
        if number % 4 == 3 {
            drop(queue);
            assert_eq!(world::with(|world| world.memory.counts()), before, "the device may be using it");
            return;
        }
        world::with(|world| world.device.reset_delay = number % 4);
        let reset = loop {
            match running.reset(PATIENCE) {
                Ok((Registers, reset)) => break reset,
                Err(failed) => {
                    running = failed.device;
                    assert_eq!(world::with(|world| world.memory.counts()), before, "nothing is released");
                }
            }
        };
        let returned = queue.reclaim(&reset).expect("the queue's own reset");
        returned.for_each(|cargo| ledger.check_returned(cargo));
        assert_eq!(ledger.len(), 0, "every chain comes back");
        world::with(|world| world.memory.assert_all_returned());
    }
}

/// What decides whether a queue takes a chain.
struct Limits {
    size: u16,
    indirect_segments: Option<u16>,
    is_broken: bool,
}

impl Limits {
    fn of(queue: &Queue) -> Self {
        let (size, indirect_segments) = (queue.size(), queue.indirect_segments());
        Self { size, indirect_segments, is_broken: queue.broken().is_some() }
    }

    /// Why a chain must be refused, if it must, `taken` descriptors being taken; and what it takes itself.
    fn judge(&self, plan: &Plan, taken: usize) -> Result<Size, RefusedReason> {
        let segments = plan.segments();
        let goes_into_a_table =
            self.indirect_segments.is_some_and(|longest| (2..=longest).contains(&segments));
        let descriptors = if goes_into_a_table { 1 } else { segments };
        if self.is_broken {
            Err(RefusedReason::Broken)
        } else if segments == 0 {
            Err(RefusedReason::Empty)
        } else if segments > self.size {
            Err(RefusedReason::TooLong)
        } else if taken + usize::from(descriptors) > self.size.into() {
            Err(RefusedReason::Full)
        } else if plan.has_bad_portion() {
            Err(RefusedReason::BadPortion)
        } else if plan.is_misordered() {
            Err(RefusedReason::Misordered)
        } else {
            Ok(Size { descriptors, writable_bytes: plan.writable_bytes() })
        }
    }
}
