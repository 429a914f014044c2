//! A disk that works at the worst moment of a call that sleeps: between two accesses of the driver's.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression. A completion in the moment between looking and falling asleep is not missed, and one that is shown and taken back keeps nobody
//! awake for ever. Runs with `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]

mod support;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use support::{Either, Mapper, TestHal, claim, message};
use virtio_guest::device::block::{Block, RequestError, Sector, Settings, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::stand_in::{self, StandIn};
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk;
use virtio_model::pci::PciDevice;

const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;
/// At least as many accesses as a call makes before it sleeps.
const ACCESSES: usize = 60;
/// More loads than any wait of these calls makes.
const LOADS_MAX: usize = 1000;

#[derive(Clone)]
struct Bench {
    disk: Disk,
    device: PciDevice,
    hal: TestHal,
}

impl Bench {
    fn new(features: u128) -> Self {
        let disk = Disk::with_sectors(8);
        let device = disk.builder().features(VERSION_1 | features).msi_x(2).build();
        Self { disk, device, hal: TestHal::default() }
    }

    fn start<'s>(&self, storage: &'s mut Storage<16>) -> Block<'s, Either, TestHal> {
        self.start_with(storage, 4096)
    }

    fn start_with<'s>(&self, storage: &'s mut Storage<16>, request_bytes: u32) -> Block<'s, Either, TestHal> {
        let mut transport = Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).unwrap();
        transport.enable_msi_x(&[message(0), message(1)]).unwrap();
        let settings = Settings {
            request_bytes,
            notifications: true,
            drop_attempts: Attempts(10),
            ..Settings::default()
        };
        let wants = Wants::features(BlockFeatures::all());
        Block::start_with(transport, self.hal.clone(), storage, &settings, wants, Attempts(10)).unwrap()
    }

    /// Completes all requests, or a single one if the disk holds them back. Says whether there was anything to do.
    fn serve(&self) -> bool {
        let mut completed = self.disk.serve(&self.device, &self.hal.space);
        if self.disk.waiting() > 0 {
            self.disk.release(1);
            completed += self.disk.serve(&self.device, &self.hal.space);
        }
        completed > 0
    }
}

/// What happens at the driver's accesses to shared memory.
enum Plan {
    Nothing,
    /// The disk works before this access from now on, or as soon after it as there is work.
    ServeBefore(usize, Bench),
    /// Every other load of 16 bits says 0, and every other one 1.
    Flicker(usize),
}

thread_local! {
    static PLAN: RefCell<Plan> = const { RefCell::new(Plan::Nothing) };
    static LOADS: Cell<usize> = const { Cell::new(0) };
}

/// Has the disk work, if this is the access to do that before.
fn before_access() {
    let bench = PLAN.with_borrow_mut(|plan| match plan {
        Plan::ServeBefore(left @ 1.., _) => {
            *left -= 1;
            None
        }
        Plan::ServeBefore(0, bench) => {
            let bench = bench.clone();
            *plan = Plan::Nothing;
            Some(bench)
        }
        Plan::Nothing | Plan::Flicker(_) => None,
    });
    if let Some(bench) = bench
        && !bench.serve()
    {
        PLAN.set(Plan::ServeBefore(0, bench));
    }
}

struct Planned;

impl StandIn for Planned {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, _: NonNull<u8>, word: &mut [u8]) -> bool {
        before_access();
        LOADS.set(LOADS.get() + 1);
        PLAN.with_borrow_mut(|plan| match plan {
            Plan::Flicker(count) if word.len() == 2 => {
                assert!(LOADS.get() < LOADS_MAX, "the call is kept awake");
                word.copy_from_slice(&[u8::from(*count % 2 == 1), 0]);
                *count += 1;
                true
            }
            _ => false,
        })
    }

    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        before_access();
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

/// Whenever the disk completes the request: the call sees it, or is woken when it has fallen asleep.
#[test]
fn a_completion_between_looking_and_sleeping_is_not_missed() {
    stand_in::install(&Planned);
    for features in [0, EVENT_IDX, RING_PACKED, EVENT_IDX | RING_PACKED] {
        let (mut seen_awake, mut woken) = (0, 0);
        for before in 0..ACCESSES {
            let bench = Bench::new(features);
            let mut storage = Storage::<16>::new();
            let mut block = bench.start(&mut storage);
            for round in 0..3 {
                PLAN.set(Plan::ServeBefore(before, bench.clone()));
                let mut sleeps = 0;
                let until_message = || {
                    sleeps += 1;
                    if matches!(PLAN.replace(Plan::Nothing), Plan::ServeBefore(..)) {
                        bench.serve();
                    }
                    // Said in here, for the call would look once more.
                    assert!(!bench.device.take_messages().is_empty(), "asleep for ever");
                    true
                };
                let read = block.read_blocking(Sector(0), &mut [0; 512], until_message);
                assert_eq!(read, Ok(()), "features {features:#x}, before access {before}, round {round}");
                if sleeps == 0 { seen_awake += 1 } else { woken += 1 }
            }
            bench.device.assert_driver_was_correct();
        }
        assert!(seen_awake > 0 && woken > 0, "{features:#x}: {seen_awake} awake, {woken} woken");
    }
}

/// The disk completes one of several requests at any moment, and the next one each time the call sleeps: whatever was armed before, that wakes it.
#[test]
fn a_call_with_several_requests_is_woken_for_each() {
    const REQUESTS: usize = 4;
    stand_in::install(&Planned);
    for features in [0, EVENT_IDX, RING_PACKED, EVENT_IDX | RING_PACKED] {
        let (mut seen_awake, mut woken) = (0, 0);
        for before in 0..2 * ACCESSES {
            let bench = Bench::new(features);
            let mut storage = Storage::<16>::new();
            let mut block = bench.start_with(&mut storage, 512);
            bench.disk.hold();
            // The later rounds find a queue that is armed for what is long done.
            for round in 0..3 {
                PLAN.set(Plan::ServeBefore(before, bench.clone()));
                let mut served = 0;
                let until_message = || {
                    PLAN.set(Plan::Nothing);
                    // What came while the call was awake ends its sleep at once.
                    if bench.device.take_messages().is_empty() {
                        served += 1;
                        bench.serve();
                        let is_woken = !bench.device.take_messages().is_empty();
                        assert!(
                            is_woken,
                            "{features:#x}, before access {before}, round {round}, request {served}"
                        );
                    }
                    true
                };
                let read = block.read_blocking(Sector(0), &mut [0; REQUESTS * 512], until_message);
                PLAN.set(Plan::Nothing);
                assert_eq!(read, Ok(()), "{features:#x}, before access {before}, round {round}");
                if served < REQUESTS { seen_awake += 1 } else { woken += 1 }
            }
            bench.device.assert_driver_was_correct();
        }
        assert!(seen_awake > 0 && woken > 0, "{features:#x}: {seen_awake} awake, {woken} woken");
    }
}

/// A used index that is there when the driver arms and gone when it looks: each sleep comes after a bounded number of looks, so patience runs out.
#[test]
fn a_completion_that_is_taken_back_does_not_keep_a_call_awake() {
    stand_in::install(&Planned);
    let bench = Bench::new(0);
    let mut storage = Storage::<16>::new();
    let mut block = bench.start(&mut storage);
    let mut sleeps = 0;

    let read = block.read_blocking(Sector(0), &mut [0; 512], || {
        sleeps += 1;
        LOADS.set(0);
        PLAN.set(Plan::Flicker(0));
        sleeps < 10
    });

    PLAN.set(Plan::Nothing);
    assert_eq!((read, sleeps), (Err(RequestError::TimedOut), 10));
}
