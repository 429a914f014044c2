//! How a network device comes to its end, and begins again.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back, that of the control queue as well.

mod support;

use support::commands::{ADDRESS, nic};
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::net::{
    Closed, ControlError, ControlSlots, FramePool, FrameSupply, HANDLED, Net, NetFeatures, PairSlots,
    PoolSettings, Settings, Slots, StartError, Starting, TransmitError,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::ring::Broken;
use virtio_model::Nic;
use virtio_model::pci::{Completion, PciDevice};

type Card = Net<'static, Either, TestHal>;

struct Bench {
    nic: Nic,
    device: PciDevice,
    hal: TestHal,
}

impl Bench {
    fn new() -> Self {
        let nic = nic();
        let device = nic.builder().build();
        Self { nic, device, hal: TestHal::default() }
    }

    fn open(&self) -> Either {
        Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).unwrap()
    }

    /// Storage, and the right to take from a pool, which is one region of memory.
    fn parts(&self) -> (Slots<'static, TestHal>, FrameSupply<'static, TestHal>) {
        let pool = FramePool::new(&self.hal, PoolEntries::allocate(20), PoolSettings::default()).unwrap();
        let pool: &'static FramePool<'static, TestHal> = Box::leak(Box::new(pool));
        let slots = Slots { pair: PairSlots::allocate(16), control: ControlSlots::allocate(16) };
        (slots, pool.supply().unwrap())
    }

    fn start(
        &self,
        transport: Either,
        (slots, supply): (Slots<'static, TestHal>, FrameSupply<'static, TestHal>),
    ) -> Card {
        let settings = Settings { drop_attempts: Attempts(5), ..Settings::default() };
        let wants = Wants::features(HANDLED);
        Net::start_with(transport, self.hal.clone(), slots, supply, &settings, wants, Attempts(10)).unwrap()
    }

    /// Has the card carry a command and a frame.
    fn use_it(&self, card: &mut Card) {
        let wait = || {
            self.nic.serve(&self.device, &self.hal.space);
            true
        };
        assert_eq!(card.control().set_promiscuous(true, wait), Ok(()));
        let mut frame = card.frame().unwrap();
        frame.append(&[0xff; 60]).unwrap();
        card.transmit(frame).unwrap();
        self.nic.serve(&self.device, &self.hal.space);
        assert_eq!(self.nic.take_transmitted().len(), 1);
    }
}

#[test]
fn a_card_that_is_dropped_is_reset_and_gives_its_memory_back() {
    let bench = Bench::new();
    let mut card = bench.start(bench.open(), bench.parts());
    bench.use_it(&mut card);
    assert!(bench.hal.dma_regions() > 1);

    drop(card);

    assert_eq!((bench.hal.dma_regions(), bench.device.status()), (1, 0), "the pool is left");
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_card_that_was_closed_begins_again_with_what_came_back() {
    let bench = Bench::new();
    let mut card = bench.start(bench.open(), bench.parts());
    for _ in 0..3 {
        bench.use_it(&mut card);
        let Closed { transport, slots, supply, handlers } = card.close(Attempts(10)).unwrap();
        assert_eq!((handlers, bench.hal.dma_regions()), (Ok(()), 1));
        card = bench.start(transport, (slots, supply.unwrap()));
    }
    bench.use_it(&mut card);
    drop(card);
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_card_that_does_not_confirm_its_reset_is_told_nothing_and_keeps_its_memory() {
    let bench = Bench::new();
    let mut card = bench.start(bench.open(), bench.parts());
    bench.use_it(&mut card);
    let regions = bench.hal.dma_regions();
    bench.device.misbehave(|lies| lies.reset = Completion::Never);

    let mut card = card.close(Attempts(3)).unwrap_err().card;

    let refused = card.control().set_promiscuous(false, Attempts(3));
    assert_eq!(refused, Err(ControlError::Broken(Broken::ResetPending)));
    let mut frame = card.frame().unwrap();
    frame.append(&[0xff; 60]).unwrap();
    let notifications = bench.device.notifications(1);
    assert_eq!(card.transmit(frame).unwrap_err().error, TransmitError::Broken(Broken::ResetPending));
    assert_eq!(card.receive().unwrap_err(), Broken::ResetPending);
    assert_eq!(bench.device.notifications(1), notifications);
    drop(card);
    assert_eq!(bench.hal.dma_regions(), regions, "the device may still use it");
    bench.device.assert_driver_was_correct();
}

/// Once it does confirm it, there is nothing else that was lost.
#[test]
fn a_card_that_confirms_its_reset_late_gives_its_memory_back_then() {
    let bench = Bench::new();
    let card = bench.start(bench.open(), bench.parts());
    bench.device.misbehave(|lies| lies.reset = Completion::Never);
    let card = card.close(Attempts(3)).unwrap_err().card;
    bench.device.misbehave(|lies| lies.reset = Completion::Prompt);

    let Closed { transport, slots, supply, .. } = card.close(Attempts(3)).unwrap();

    assert_eq!(bench.hal.dma_regions(), 1);
    let mut card = bench.start(transport, (slots, supply.unwrap()));
    bench.use_it(&mut card);
    drop(card);
    bench.device.assert_driver_was_correct();
}

/// A frame that can never arrive is told of at the start, not by silence.
#[test]
fn buffers_that_no_frame_fits_into_are_refused() {
    let features = NetFeatures::GUEST_CSUM | NetFeatures::GUEST_TSO4;
    for (buffers, queue_size) in [(64, 16), (20, 64)] {
        let hal = TestHal::default();
        let nic = Nic::new(ADDRESS).with_features(features.bits());
        let device = nic.builder().queue_sizes(&[queue_size; 3]).build();
        let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        let pool = FramePool::new(&hal, PoolEntries::allocate(buffers), PoolSettings::default()).unwrap();
        let settings = Settings { drop_attempts: Attempts(5), ..Settings::default() };
        let mut card = Starting::begin(transport, &settings, Wants::features(HANDLED), Attempts(10)).unwrap();

        let failed = card.install_pair(&hal, PairSlots::allocate(64), pool.supply().unwrap()).unwrap_err();

        assert_eq!(failed.error, StartError::BuffersTooSmall { buffers: 32 });
    }
}
