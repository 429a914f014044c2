//! Random histories of a queue, against the model: whatever is done in whatever order, nothing is lost, doubled or mixed up, and notifications are necessary and
//! sufficient.
//!
//! Spec: §2.6 Virtqueues. A failing history is shrunk to a short one and printed.

#![allow(clippy::cast_possible_truncation, reason = "histories are short")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::{RING_SETTINGS, Ring, RingBench};
use virtio_guest::hal::Attempts;
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, QueueSettings, Rearmed};

const RING_RESET: u128 = 1 << 40;
/// Bytes of the queue's memory that one chain may use: chains do not share any.
const PLACE: u32 = 64;
const PLACES: u32 = 4096 / PLACE;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The driver makes a chain available: so many readable and writable segments.
    MakeAvailable { readable: u32, writable: u32 },
    /// It publishes what it made available.
    Publish,
    /// It takes up to so many used chains.
    TakeUsed(usize),
    /// It wants no notifications.
    Suppress,
    /// It wants one after so many chains.
    Rearm(u16),
    /// The device takes up to so many chains.
    Pop(usize),
    /// It returns some: which of those it holds, how many bytes it writes; in order, the oldest ones.
    Complete { choice: usize, written: u32 },
    /// In order: it returns several at once.
    CompleteBatch(usize),
    /// It goes to sleep.
    Sleep,
    /// It polls.
    Poll,
    /// The queue is reset, and comes up with another size.
    Resize(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3u32, 0..3u32).prop_map(|(readable, writable)| Step::MakeAvailable { readable, writable }),
        4 => Just(Step::Publish),
        4 => (1..4usize).prop_map(Step::TakeUsed),
        1 => Just(Step::Suppress),
        2 => (1..5u16).prop_map(Step::Rearm),
        4 => (1..4usize).prop_map(Step::Pop),
        5 => (any::<usize>(), 0..40u32).prop_map(|(choice, written)| Step::Complete { choice, written }),
        2 => (1..4usize).prop_map(Step::CompleteBatch),
        1 => Just(Step::Sleep),
        1 => Just(Step::Poll),
        1 => (1..9u16).prop_map(Step::Resize),
    ]
}

/// A chain in the device's hands.
struct Held {
    chain: virtio_model::Chain,
    context: u32,
}

/// A queue, and what is known about it from outside.
struct History {
    bench: RingBench<Tag<u32>>,
    /// Contexts that the driver has handed in and not got back, and of how many segments each chain is, readable and writable.
    out: BTreeMap<u32, (u32, u32)>,
    /// Places of the queue's memory that no chain uses.
    free_places: Vec<u32>,
    next_context: u32,
    /// Chains that were published and that the device has not looked at.
    waiting: usize,
    held: Vec<Held>,
    /// What the device returned and the driver has not taken: context, and what it wrote.
    returned: Vec<(u32, Vec<u8>)>,
    /// The device has seen that nothing is waiting, and relies on a notification.
    device_sleeps: bool,
    /// The device has said that it wants no notification.
    device_polls: bool,
    /// The driver has said so.
    driver_polls: bool,
    /// The driver has seen that nothing is used, and relies on one after so many more chains.
    driver_waits: Option<usize>,
    /// Chains published, and chains popped, since the queue came up, as its indices count them.
    published: u16,
    popped: u16,
    /// How many had been popped when the device last asked to be notified of the next one.
    asked: u16,
}

/// Each context uses the place of its number: unlike any other's in flight.
fn header(context: u32) -> [u8; 8] {
    u64::from(context).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

impl History {
    fn new(ring: Ring) -> Self {
        Self {
            bench: RingBench::offering(8, ring, RING_RESET),
            out: BTreeMap::new(),
            free_places: (0..PLACES).collect(),
            next_context: 0,
            waiting: 0,
            held: Vec::new(),
            returned: Vec::new(),
            device_sleeps: false,
            device_polls: false,
            driver_polls: false,
            driver_waits: None,
            published: 0,
            popped: 0,
            asked: 0,
        }
    }

    /// Serves so many plain chains, which brings the indices to where they wrap.
    fn run_up(&mut self, chains: u16) {
        for _ in 0..chains {
            self.take(&Step::MakeAvailable { readable: 0, writable: 1 });
            for step in
                [Step::Publish, Step::Pop(1), Step::Complete { choice: 0, written: 8 }, Step::TakeUsed(1)]
            {
                self.take(&step);
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::MakeAvailable { readable, writable } => self.make_available(readable, writable),
            Step::Publish => self.publish(),
            Step::TakeUsed(limit) => self.take_used(limit),
            Step::Suppress => {
                self.bench.queue.suppress_notifications();
                (self.driver_waits, self.driver_polls) = (None, true);
            }
            Step::Rearm(chains) => self.rearm(chains),
            Step::Pop(limit) => self.pop(limit),
            Step::Complete { choice, written } if !self.held.is_empty() => {
                let index = if self.bench.ring.in_order { 0 } else { choice % self.held.len() };
                self.complete(index..index + 1, written);
            }
            Step::CompleteBatch(chains) if self.bench.ring.in_order && !self.held.is_empty() => {
                self.complete(0..chains.min(self.held.len()), u32::MAX);
            }
            Step::Complete { .. } | Step::CompleteBatch(_) => {}
            Step::Sleep => {
                self.device_sleeps = !self.bench.other_side.enable_notifications().unwrap();
                self.device_polls = false;
                assert_eq!(self.device_sleeps, self.waiting == 0, "the device sees what is published");
                self.asked = self.popped;
            }
            Step::Poll => {
                self.bench.other_side.disable_notifications().unwrap();
                (self.device_sleeps, self.device_polls) = (false, true);
            }
            Step::Resize(size) => self.resize(size),
        }
        assert_eq!(usize::from(self.bench.queue.in_flight()), self.out.len());
    }

    fn make_available(&mut self, readable: u32, writable: u32) {
        let Some(place) = self.free_places.pop() else { return };
        let at = place * PLACE;
        self.bench.queue.write_memory(at as usize, &header(self.next_context)).unwrap();
        let part = |index| Portion { offset: at + 8 + 8 * index, len: 8 };
        let mut readables = vec![Portion { offset: at, len: 8 }];
        readables.extend((0..readable).map(part));
        let writables: Vec<_> = (readable..readable + writable).map(part).collect();
        let chain = Chain { readable: &readables, writable: &writables };
        let payload = Tag(self.next_context << 8 | place);
        let made = if self.next_context.is_multiple_of(2) {
            self.bench.queue.make_available(chain, payload)
        } else {
            let made = self.bench.queue.make_available_burst([(chain, payload)]);
            made.map(|made| assert_eq!(made, 1)).map_err(|burst| burst.refused)
        };
        match made {
            Ok(()) => {
                self.out.insert(self.next_context << 8 | place, (readable, writable));
                self.next_context += 1;
            }
            Err(refused) => {
                assert_eq!(refused.payload, Tag(self.next_context << 8 | place), "it comes back");
                self.free_places.push(place);
            }
        }
    }

    fn publish(&mut self) {
        let before = self.bench.device.notifications(0);
        let unpublished = self.out.len() - self.waiting - self.held.len() - self.returned.len();
        let notified = self.bench.queue.publish();
        assert_eq!(self.bench.device.notifications(0) - before, usize::from(notified));
        self.waiting += unpublished;
        if unpublished == 0 || self.device_polls {
            assert!(!notified, "{unpublished} chains were published, polls: {}", self.device_polls);
        } else if self.device_sleeps {
            assert!(notified, "a sleeping device is woken");
            self.device_sleeps = false;
        } else if self.is_exact() {
            let passed = (0..unpublished).any(|step| self.published.wrapping_add(step as u16) == self.asked);
            assert_eq!(notified, passed, "a device that is busy is left alone");
        }
        self.published = self.published.wrapping_add(unpublished as u16);
    }

    /// Whether both sides ask for notifications by an index that counts chains: then not one is superfluous.
    fn is_exact(&self) -> bool {
        self.bench.ring.event_index && !self.bench.ring.packed
    }

    fn pop(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some(chain) = self.bench.other_side.pop().expect("the driver keeps to the protocol") else {
                assert_eq!(self.waiting, 0, "the device sees what is published");
                return;
            };
            self.waiting -= 1;
            self.popped = self.popped.wrapping_add(1);
            let bytes = chain.read_all(&self.bench.hal.space).unwrap();
            let ours = self.out.iter().find(|(tag, _)| header(**tag >> 8) == bytes[..8]);
            let (&context, &(readable, writable)) = ours.expect("a chain of ours");
            assert_eq!(chain.readable_lens(), vec![8; 1 + readable as usize]);
            assert_eq!(chain.writable_lens(), vec![8; writable as usize]);
            self.held.push(Held { chain, context });
        }
    }

    fn complete(&mut self, range: std::ops::Range<usize>, written: u32) {
        let chains: Vec<_> = self.held.drain(range).collect();
        let mut batch = Vec::new();
        for Held { chain, context } in &chains {
            let written = written.min(chain.writable_bytes() as u32);
            let bytes: Vec<u8> = (0..written).map(|index| (context.wrapping_add(index)) as u8).collect();
            chain.write_all(&self.bench.hal.space, &bytes).unwrap();
            batch.push((chain.head, written));
            self.returned.push((*context, bytes));
        }
        let interrupted = match batch[..] {
            [(head, written)] => self.bench.other_side.complete(head, written).unwrap(),
            _ => self.bench.other_side.complete_batch(&batch).unwrap(),
        };
        assert!(!(interrupted && self.driver_polls), "a driver that polls is left alone");
        if let Some(after) = self.driver_waits {
            if batch.len() >= after {
                assert!(interrupted, "a driver that waits is woken");
            } else if self.is_exact() {
                assert!(!interrupted, "and not before it wants to be");
            }
            self.driver_waits = (!interrupted).then(|| after - batch.len());
        }
    }

    fn take_used(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some(used) = self.bench.queue.take_used().expect("the device keeps to the protocol") else {
                assert!(self.returned.is_empty(), "the driver sees what is used");
                return;
            };
            let Tag(context) = used.payload;
            let (expected, bytes) = self.returned.remove(0);
            assert_eq!((context, used.written_len as usize), (expected, bytes.len()));
            let (readable, _) = self.out.remove(&context).expect("handed back once");
            let mut read = vec![0; bytes.len()];
            let at = (context & 0xff) * PLACE + 8 + 8 * readable;
            self.bench.queue.read_memory(at as usize, &mut read).unwrap();
            assert_eq!(read, bytes, "what the device wrote is there");
            self.free_places.push(context & 0xff);
        }
    }

    fn rearm(&mut self, chains: u16) {
        let rearmed = self.bench.queue.rearm_delayed(chains);
        self.driver_polls = false;
        let held = self.waiting + self.held.len() + self.returned.len();
        let expected = if self.returned.is_empty() { Rearmed::Quiet } else { Rearmed::MoreWaiting };
        assert_eq!(rearmed, expected);
        let after = usize::from(chains).min(held.max(1));
        self.driver_waits = (rearmed == Rearmed::Quiet && held > 0).then_some(after);
    }

    fn contexts(&self) -> Vec<u32> {
        self.out.keys().copied().collect()
    }

    fn resize(&mut self, size_max: u16) {
        let Self { bench, .. } = self;
        let Ok(reset) = replace_queue(bench, size_max) else { panic!("the device resets queues") };
        assert_eq!(sorted(reset), self.contexts(), "each comes back once");
        self.out.clear();
        self.free_places = (0..PLACES).collect();
        (self.waiting, self.device_sleeps, self.driver_waits) = (0, false, None);
        (self.device_polls, self.driver_polls) = (false, false);
        (self.published, self.popped, self.asked) = (0, 0, 0);
        self.held.clear();
        self.returned.clear();
    }
}

fn sorted(mut contexts: Vec<u32>) -> Vec<u32> {
    contexts.sort_unstable();
    contexts
}

/// Resets the queue, installs another in its place, and says what came back.
fn replace_queue(bench: &mut RingBench<Tag<u32>>, size_max: u16) -> Result<Vec<u32>, ()> {
    let spare = RingBench::<Tag<u32>>::new(1, false, false).queue;
    let queue = std::mem::replace(&mut bench.queue, spare);
    let mut reset = bench.running.reset_queue(queue, Attempts(10)).map_err(|_| ())?;
    let contexts = reset.returned.by_ref().map(|Tag(context)| context).collect();
    let settings = QueueSettings { size_max, ..RING_SETTINGS };
    let slots = reset.returned.into_slots();
    bench.queue =
        bench.running.reinstall_queue(reset.vacancy, &bench.hal, &settings, slots).map_err(|_| ())?;
    bench.other_side = bench.device.device_queue(0, &bench.hal.space).ok_or(())?.map_err(|_| ())?;
    Ok(contexts)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 400 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_every_history_each_chain_comes_back_once_as_it_was_returned(
        ring in 0..16usize,
        is_long in prop::bool::weighted(if cfg!(miri) { 0.0 } else { 0.03 }),
        steps in prop::collection::vec(step(), if cfg!(miri) { 40 } else { 400 }),
    ) {
        let mut history = History::new(Ring::all().nth(ring % Ring::all().count()).expect("there are some"));
        if is_long {
            history.run_up(65_500);
        }
        for step in &steps {
            history.take(step);
        }
        let History { bench, out, .. } = history;
        let mut rest: Vec<_> = bench.finish().into_iter().map(|Tag(context)| context).collect();
        rest.sort_unstable();
        prop_assert_eq!(rest, out.into_keys().collect::<Vec<_>>());
    }
}
