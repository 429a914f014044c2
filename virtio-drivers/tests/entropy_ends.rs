//! How an entropy device comes up, and to its end.
//!
//! Spec: §5.4.5 Device Initialization, §2.4 Device Reset.

mod support;

use support::entropy::Make;
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::entropy::{Closed, Entropy, EntropyError, Slots, StartError, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::ResetError;
use virtio_guest::ring::Broken;
use virtio_guest::wire::device_type::DeviceType;
use virtio_model::pci::{Completion, PciDevice};

fn open(device: &PciDevice) -> Either {
    Either::open_pci(claim(device), &Mapper(device.clone())).unwrap()
}

#[test]
fn a_dropped_driver_resets_its_device_and_gives_its_memory_back() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let _ = bench.driver.read(&mut [0; 8]);

        drop(bench.driver);

        assert_eq!(bench.device.status(), 0);
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

#[test]
fn a_closed_driver_leaves_everything_for_another_one() {
    let bench = Make::default().start();
    let Closed { transport, slots, handlers } = bench.driver.close(Attempts(10)).unwrap();
    assert_eq!(handlers, Ok(()));

    let mut again = Entropy::start(transport, bench.hal.clone(), slots, Attempts(10)).unwrap();

    let mut bytes = [0; 8];
    assert_eq!(again.read(&mut bytes), Ok(0));
    bench.model.serve(&bench.device, &bench.hal.space);
    assert_eq!(again.read(&mut bytes), Ok(8));
    drop(again);
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// Spec: §2.4.1 — memory that the device may still use is not freed.
#[test]
fn a_device_that_does_not_answer_a_reset_keeps_its_memory() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let mut bytes = [0; 8];
        let _ = bench.driver.read(&mut bytes);
        bench.device.misbehave(|lies| lies.reset = Completion::Never);
        let memory = bench.hal.dma_regions();

        let failed = bench.driver.close(Attempts(10)).unwrap_err();

        assert!(matches!(failed.error, ResetError::TimedOut { .. }));
        assert_eq!(bench.hal.dma_regions(), memory);
        bench.driver = failed.entropy;
        assert_eq!(bench.driver.read(&mut bytes), Err(Broken::ResetPending));
        bench.device.misbehave(|lies| lies.reset = Completion::Prompt);
        bench.end();
    }
}

#[test]
fn a_device_of_another_type_is_left_alone() {
    let device = virtio_model::Disk::with_sectors(1).builder().build();
    let hal = TestHal::default();

    let failed = Entropy::start(open(&device), hal.clone(), Slots::allocate(8), Attempts(10)).unwrap_err();

    assert_eq!(failed.error, StartError::NotAnEntropyDevice(DeviceType::BLOCK));
    assert_eq!(device.statuses_written(), []);
    hal.assert_all_returned();
}

#[test]
fn a_driver_that_does_not_come_up_gives_its_storage_back() {
    let device = virtio_model::Entropy::new(1).builder().queue_sizes(&[0]).build();
    let hal = TestHal::default();
    let mut storage = Storage::<8>::new();

    let failed = Entropy::start(open(&device), hal.clone(), &mut storage, Attempts(10)).unwrap_err();
    assert!(matches!(failed.error, StartError::Queue(_)), "{failed}");
    let device = virtio_model::Entropy::new(1).builder().build();
    hal.limit_allocations(0);
    let failed = Entropy::start(open(&device), hal.clone(), failed.slots, Attempts(10)).unwrap_err();
    assert!(matches!(failed.error, StartError::Queue(_)), "{failed}");
    hal.limit_allocations(100);
    let mut entropy = Entropy::start(open(&device), hal.clone(), failed.slots, Attempts(10)).unwrap();

    assert_eq!(entropy.fill_blocking(&mut [0; 8], Attempts(3)), Err(EntropyError::TimedOut));
    drop(entropy);
    hal.assert_all_returned();
}
