//! The device side of the split ring, held against another project's.
//!
//! Step by step, against rust-vmm's `virtio-queue`.
//!
//! Spec: §2.7 Split Virtqueues. A driver made of bare stores writes the same bytes into two
//! memories, at the same device addresses; each device works on its own. They must see the same
//! buffers, decide the same about notifications, and leave the same bytes behind.
//!
//! ```text
//!   Driver --the same bytes--> guest --> virtio_queue::Queue      (theirs)
//!                         \--> space --> virtio_model::SplitQueue (ours)
//! ```
//!
//! Compared are buffers from drivers that keep to the rules: ours refuses what breaks one, theirs
//! takes most of it, and both may.

// Their memory is mapped with flags that miri does not know.
#![cfg(not(miri))]

mod driver;

use driver::{AVAIL, BASE, BYTES, Driver, Numbers, TABLE, USED};
use virtio_model::split::{Published, Setup};
use virtio_model::{ModelError, Segment, SplitQueue};
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;

/// For buffers of which only the number matters.
const SEGMENT: Segment = Segment { addr: 0x1000, len: 1, writable: true };

/// One driver, and both devices.
struct Bench {
    driver: Driver,
    theirs: Queue,
    ours: SplitQueue,
    event_idx: bool,
    in_flight: Vec<u16>,
}

impl Bench {
    fn new(size: u16, event_idx: bool) -> Self {
        let driver = Driver::new(size);
        let mut theirs = Queue::new(size).unwrap();
        theirs.try_set_desc_table_address(GuestAddress(TABLE)).unwrap();
        theirs.try_set_avail_ring_address(GuestAddress(AVAIL)).unwrap();
        theirs.try_set_used_ring_address(GuestAddress(USED)).unwrap();
        theirs.set_event_idx(event_idx);
        theirs.set_ready(true);
        assert!(theirs.is_valid(&driver.guest));
        let setup = Setup {
            size,
            descriptor_area: TABLE,
            driver_area: AVAIL,
            device_area: USED,
            event_idx,
            indirect: true,
            in_order: false,
        };
        let ours = SplitQueue::new(&driver.space, setup).unwrap();
        Self { driver, theirs, ours, event_idx, in_flight: Vec::new() }
    }

    /// Lets both devices take one buffer, and expects the same one; tells its head and segments.
    fn pop(&mut self) -> Option<(u16, Vec<Segment>)> {
        let theirs = self.theirs.pop_descriptor_chain(&self.driver.guest).map(|chain| {
            let segment = |descriptor: virtio_queue::desc::split::Descriptor| Segment {
                addr: descriptor.addr().0,
                len: descriptor.len(),
                writable: descriptor.is_write_only(),
            };
            (chain.head_index(), chain.map(segment).collect())
        });
        let ours = self.ours.pop().unwrap().map(|chain| (chain.head, chain.segments));
        assert_eq!(ours, theirs);
        assert_eq!(self.ours.next_avail(), self.theirs.next_avail());
        if let Some((head, _)) = &ours {
            self.in_flight.push(*head);
        }
        ours
    }

    /// Lets both devices return `count` buffers in flight, whichever, in one burst.
    fn complete(&mut self, numbers: &mut Numbers, count: usize) -> Published {
        for _ in 0..count {
            let head = numbers.pick(&mut self.in_flight);
            let written = u32::try_from(numbers.next() >> 32).unwrap();
            self.theirs.add_used(&self.driver.guest, head, written).unwrap();
            self.ours.push_used(head.into(), written).unwrap();
            self.driver.reclaim(head);
        }
        let published = self.ours.publish_used().unwrap();
        assert_eq!(self.ours.used_idx(), self.theirs.next_used());
        published
    }

    /// Expects both devices to decide the same about an interrupt for a burst.
    ///
    /// Without the event index, theirs says yes whatever was or was not published, and does not
    /// look at the driver's flag ("isn't supported yet" in their source): there is something to
    /// compare only where something was published, with the flag at 0.
    fn expect_the_same_interrupt(&mut self, published: Published) -> bool {
        let ours = self.ours.needs_interrupt(published).unwrap();
        let theirs = self.theirs.needs_notification(&self.driver.guest).unwrap();
        if self.event_idx || published.old != published.new {
            assert_eq!(ours, theirs, "{published:?}, used_event {:?}", self.ours.used_event());
        }
        ours
    }

    /// Expects the same bytes in both used rings, flags, index and `avail_event` included.
    fn expect_the_same_used_ring(&self) {
        let [theirs, ours] = self.driver.both(USED, 4 + 8 * u64::from(self.driver.size) + 2);
        assert_eq!(ours, theirs);
    }

    /// Expects the same bytes everywhere: neither device wrote where the other one did not.
    fn expect_the_same_memory(&self) {
        let [theirs, ours] = self.driver.both(BASE, BYTES as u64);
        assert!(ours == theirs, "the memories differ outside of the used ring");
    }

    /// Makes `chains` buffers available and takes them back, in bursts of any size.
    fn run(&mut self, numbers: &mut Numbers, chains: u32) {
        let mut expected = Vec::new();
        let mut served = 0;
        let [mut interrupts, mut bursts] = [0, 0];
        while served < chains {
            for _ in 0..=numbers.below(self.driver.size) {
                expected.extend(self.driver.make_available(numbers));
            }
            let takes = usize::from(numbers.below(self.driver.size + 1)).min(expected.len());
            for made_available in expected.drain(..takes) {
                assert_eq!(self.pop(), Some(made_available));
                served += 1;
            }
            if expected.is_empty() {
                assert_eq!(self.pop(), None);
            }
            let most = u16::try_from(self.in_flight.len()).unwrap() + 1;
            let burst = numbers.below(most);
            let new = self.ours.used_idx().wrapping_add(burst);
            let near =
                new.wrapping_add(self.driver.size).wrapping_sub(numbers.below(2 * self.driver.size + 2));
            let used_event = if numbers.one_in(8) { numbers.word() } else { near };
            self.driver.ask_for_interrupt_after(used_event);
            let published = self.complete(numbers, burst.into());
            bursts += 1;
            interrupts += i32::from(self.expect_the_same_interrupt(published));
            self.expect_the_same_used_ring();
        }
        self.expect_the_same_memory();
        assert!(interrupts > 0 && interrupts < bursts, "{interrupts} interrupts for {bursts} bursts");
    }
}

/// Spec: §2.7.5, §2.7.6, §2.7.7, §2.7.8.
#[test]
fn both_devices_see_the_same_chains_and_leave_the_same_used_ring_round_after_round() {
    for (seed, size) in (1..).zip([1u16, 2, 8, 64, 128]) {
        for event_idx in [false, true] {
            let mut bench = Bench::new(size, event_idx);

            bench.run(&mut Numbers(seed), 40 * u32::from(size));
        }
    }
}

/// Spec: §2.7.6 — the indices run freely, and start over at 65536.
#[test]
fn both_devices_agree_where_the_indices_start_over_at_65536() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(32, event_idx);

        bench.run(&mut Numbers(0xfeed), 65_536 + 32 * 8);
    }
}

/// Spec: §2.7.7 — with `EVENT_IDX`, all events within reach, for bursts of all sizes.
#[test]
fn both_devices_interrupt_for_the_same_events() {
    let mut bench = Bench::new(8, true);
    let mut numbers = Numbers(7);
    for burst in 0..=8 {
        for distance in 0..24 {
            let new = bench.ours.used_idx().wrapping_add(burst);
            let burst = usize::from(burst);
            while bench.in_flight.len() < burst {
                let entry = numbers.pick(&mut bench.driver.free);
                bench.driver.describe_indirect(&mut numbers, entry, &[SEGMENT]);
                bench.driver.chains.insert(entry, vec![entry]);
                bench.driver.publish(entry);
                bench.pop();
            }

            bench.driver.ask_for_interrupt_after(new.wrapping_add(8).wrapping_sub(distance));
            let published = bench.complete(&mut numbers, burst);

            bench.expect_the_same_interrupt(published);
        }
    }
}

/// Spec: §2.7.10 — the device asks for a notification with the next buffer, and looks once more.
///
/// Asking for none is compared without `EVENT_IDX` only: with it, theirs leaves `avail_event` as
/// it is, since the driver has passed it, and ours moves it a full round back. Either is right.
#[test]
fn both_devices_ask_for_notifications_in_the_same_words() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(8, event_idx);
        let mut numbers = Numbers(11);
        for _ in 0..200 {
            bench.driver.make_available(&mut numbers);
            if numbers.one_in(2) {
                bench.pop();
                let count = bench.in_flight.len();
                bench.complete(&mut numbers, count);
            }
            if !event_idx {
                bench.theirs.disable_notification(&bench.driver.guest).unwrap();
                bench.ours.disable_notifications().unwrap();
                bench.expect_the_same_used_ring();
            }

            let theirs = bench.theirs.enable_notification(&bench.driver.guest).unwrap();
            let ours = bench.ours.enable_notifications().unwrap();

            assert_eq!(ours, theirs);
            bench.expect_the_same_used_ring();
        }
    }
}

/// Spec: §2.7.13 — there are never more buffers available than the queue has entries.
#[test]
fn both_devices_refuse_an_index_that_runs_ahead_of_the_ring() {
    let mut bench = Bench::new(4, false);

    bench.driver.store(AVAIL + 2, &5u16.to_le_bytes());

    assert!(bench.theirs.pop_descriptor_chain(&bench.driver.guest).is_none());
    assert!(matches!(bench.ours.pop(), Err(ModelError::Driver(_))));
    assert_eq!((bench.theirs.next_avail(), bench.ours.next_avail()), (0, 0));
}
