//! Disks whose sizes and limits are unusual, or make no sense.
//!
//! Spec: §5.2.4 Device configuration layout, §5.2.5 Device Initialization.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Config, DiskBench};
use virtio_guest::device::block::{RequestError, Sector, StartError, Storage};
use virtio_guest::hal::Attempts;
use virtio_model::block::DiskConfig;

const ROUNDS: usize = 50;

#[test]
fn limits_that_a_device_names_are_kept() {
    let bench = DiskBench::new(|config| (config.size_max, config.seg_max) = (Some(700), Some(3)));
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let mut read = [0; 4096];
    disk.read_blocking(Sector(0), &mut read, bench.working(ROUNDS)).unwrap();

    for seen in bench.disk.requests() {
        let data = &seen.writable_lens[..seen.writable_lens.len() - 1];
        assert!(data.len() <= 3 && data.iter().all(|len| *len <= 700), "{seen:?}");
    }
    assert_eq!(read[..], bench.disk.contents()[..4096]);
}

#[test]
fn limits_and_sizes_that_make_no_sense_are_survived() {
    let start = |change: &dyn Fn(&mut Config)| {
        let bench = DiskBench::new(|config| change(config));
        let mut storage = Storage::<16>::new();
        let outcome = bench.start(&mut storage).map(|mut disk| {
            disk.read_blocking(Sector(0), &mut [0; 512], bench.working(ROUNDS)).expect("one sector is read");
            disk.block_bytes()
        });
        bench.assert_all_returned();
        outcome
    };
    assert_eq!(start(&|config| config.seg_max = Some(0)), Ok(None), "counts as 1");
    assert_eq!(start(&|config| config.size_max = Some(0)), Ok(None), "counts as none");
    assert_eq!(
        start(&|config| config.size_max = Some(1)),
        Err(StartError::LimitsTooSmall { queue_size: 16 })
    );
    for (said, meant) in
        [(0, None), (511, None), (768, None), (256, None), (512, Some(512)), (4096, Some(4096))]
    {
        assert_eq!(start(&|config| config.blk_size = Some(said)), Ok(meant));
    }
}

#[test]
fn a_disk_of_no_sectors_starts_and_refuses_every_range() {
    let bench = DiskBench::new(|config| config.capacity = 0);
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();

    let refused = disk.read_blocking(Sector(0), &mut [0; 512], Attempts(1));

    assert_eq!(refused, Err(RequestError::OutOfRange { sector: 0, sectors: 1, capacity_sectors: 0 }));
}

#[test]
fn a_resized_disk_is_noticed_when_asked() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    bench.device.set_config(DiskConfig { capacity_sectors: 8, ..bench.disk.config() }.bytes());

    assert_eq!(disk.capacity_sectors(), 64, "not before");
    assert_eq!(disk.refresh_capacity_sectors(), Ok(8));
    assert!(matches!(
        disk.read_blocking(Sector(8), &mut [0; 512], Attempts(1)),
        Err(RequestError::OutOfRange { .. })
    ));
}

/// A chain has three descriptors and may not be longer than the queue: 4 are the least.
#[test]
fn small_queues_serve_or_say_that_they_cannot() {
    for (queue_size, serves) in [(1, false), (2, false), (4, true), (7, true)] {
        for indirect in [false, true] {
            let bench =
                DiskBench::new(|config| (config.queue_size, config.indirect) = (queue_size, indirect));
            let mut storage = Storage::<16>::new();
            match bench.start(&mut storage) {
                Ok(mut disk) => {
                    assert!(serves);
                    let mut read = [0; 8192];
                    disk.read_blocking(Sector(0), &mut read, bench.working(ROUNDS)).unwrap();
                    assert_eq!(read[..], bench.disk.contents()[..8192]);
                }
                Err(error) => assert!(
                    !serves && matches!(error, StartError::LimitsTooSmall { .. }),
                    "{queue_size}: {error}"
                ),
            }
            bench.assert_all_returned();
        }
    }
}

#[test]
fn another_device_type_is_not_started_as_a_disk() {
    let bench = support::Bench::with_queue(16, 0);
    let mut storage = Storage::<16>::new();

    let error = virtio_guest::device::block::Block::start(
        bench.transport(),
        bench.hal.clone(),
        &mut storage,
        Attempts(10),
    );

    assert!(matches!(error.unwrap_err().error, StartError::NotABlockDevice(_)));
    assert_eq!(bench.device.status(), 0, "it was not touched");
}

/// Memory that runs out anywhere during bring-up: an error, and everything given back.
#[test]
fn memory_that_runs_out_during_bring_up_is_all_given_back() {
    for allocations in 0..3 {
        let bench = DiskBench::new(|_| {});
        bench.hal.limit_allocations(allocations);
        let mut storage = Storage::<16>::new();
        assert!(matches!(bench.start(&mut storage), Err(StartError::Queue(_))));
        bench.assert_all_returned();
    }
}
