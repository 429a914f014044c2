//! A function that is taken out while it is driven: where its registers read all ones then, and where they read zeros.
//!
//! Spec: §2.1 Device Status Field, §2.4.1 Driver Requirements: Device Reset; PCI Local Bus Specification 3.0, §6.1. Zeros are what QEMU's q35 gives; an empty status would be that of a device
//! that completed a reset.

mod support;

use support::{Bench, DiskBench, RING_SETTINGS, Ring, RingBench};
use virtio_guest::device::block::{RequestError, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, QueueResetError, ResetError, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, Slots};
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::pci::PciDevice;

const RING_RESET: u128 = 1 << 40;
const PATIENCE: Attempts = Attempts(4);

/// Takes a device out.
fn take_out(device: &PciDevice, zeros: bool) {
    device.misbehave(|lies| (lies.all_ones, lies.gone_bars_read_zero) = (true, zeros));
}

/// Nothing is freed on the word of registers that nobody is behind.
#[test]
fn a_device_that_was_taken_out_is_not_taken_for_reset() {
    for zeros in [false, true] {
        let mut bench = RingBench::<Tag<u8>>::new(4, false, false);
        let portion = [Portion { offset: 0, len: 8 }];
        bench.queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(1)).unwrap();
        let memory = bench.hal.dma_regions();
        take_out(&bench.device, zeros);

        assert!(bench.running.is_removed() && !bench.running.needs_reset());
        let failed = bench.running.reset(PATIENCE).unwrap_err();

        assert_eq!(failed.error, ResetError::Removed);
        drop((failed, bench.queue));
        assert_eq!(bench.hal.dma_regions(), memory, "lent memory stays");
    }
}

/// Spec: §2.6.1.1 — nor is a queue of such a device.
#[test]
fn a_queue_of_a_device_that_was_taken_out_is_not_taken_for_reset() {
    for zeros in [false, true] {
        let mut bench = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
        let memory = bench.hal.dma_regions();
        take_out(&bench.device, zeros);

        let failed = bench.running.reset_queue(bench.queue, PATIENCE).unwrap_err();

        assert_eq!((failed.error, bench.hal.dma_regions()), (QueueResetError::TimedOut, memory));
    }
}

/// A removal at any register access of a bring-up, and of the reset after it.
#[test]
fn a_removal_at_any_access_leaves_lent_memory_alone() {
    for (accesses, zeros) in
        (0..90).step_by(if cfg!(miri) { 17 } else { 1 }).flat_map(|count| [(count, false), (count, true)])
    {
        let bench = Bench::with_queue(4, 0);
        let transport = bench.transport();
        bench.device.misbehave(|lies| {
            (lies.removed_after, lies.gone_bars_read_zero) = (Some(accesses), zeros);
        });
        let Ok(device) = Negotiating::begin(transport, PATIENCE) else { continue };
        let device = device.with_drop_attempts(Attempts(2)).negotiate(Wants::<BlockFeatures>::none());
        let Ok(mut device) = device else { continue };
        let queue = device.install_queue(0, &bench.hal, &RING_SETTINGS, Slots::<Tag<()>>::allocate(4));
        let Ok(queue) = queue else { continue };
        let before = bench.hal.dma_regions();
        match device.start().reset(PATIENCE) {
            Ok((_, reset)) => {
                bench.device.misbehave(|lies| assert!(!lies.all_ones, "removed after {accesses} accesses"));
                assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
            }
            Err(failed) => {
                assert_eq!(failed.error, ResetError::Removed, "removed after {accesses} accesses");
                drop((failed, queue));
                assert_eq!(bench.hal.dma_regions(), before, "lent memory stays");
            }
        }
    }
}

/// Each call says what happened, and so does the end.
#[test]
fn every_call_on_a_disk_that_was_taken_out_says_so() {
    for zeros in [false, true] {
        let bench = DiskBench::new(|_| {});
        let mut storage = Storage::<16>::new();
        let mut disk = bench.start(&mut storage).unwrap();
        let memory = bench.hal.dma_regions();
        take_out(&bench.device, zeros);
        bench.disk.hold();

        let removed = Err(RequestError::Removed);
        assert_eq!(disk.read_blocking(Sector(0), &mut [0; 512], bench.working(3)), removed);
        assert_eq!(disk.write_blocking(Sector(0), &[0; 512], bench.working(3)), removed);

        let failed = disk.close(PATIENCE).unwrap_err();
        assert_eq!(failed.error, ResetError::Removed);
        drop(failed);
        assert_eq!(bench.hal.dma_regions(), memory, "lent memory stays");
    }
}
