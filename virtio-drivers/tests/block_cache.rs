//! The disk's cache: what is safe from a power failure, and when.
//!
//! Spec: §5.2.5 Device Initialization, §5.2.6.3 — the three cases in which a write becomes stable. The model knows which writes those are.

mod support;

use support::levels::{Ask, Got, Level, LevelBench, range};
use support::tasks::{Load, Pool, TaskBench};
use virtio_guest::device::block::{Block, CacheMode, HANDLED, Sector, Settings, Storage, Unmap};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{ConfigError, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk;
use virtio_model::block::{RangeLimits, SECTOR_BYTES, status};

use CacheMode::{WriteBack, WriteThrough};

const FLUSH: u128 = 1 << 9;
const CONFIG_WCE: u128 = 1 << 11;

const fn write(sector: u64) -> Ask {
    Ask::Write(Sector(sector), 5, SECTOR_BYTES)
}

fn disk() -> Disk {
    Disk::with_sectors(32).with_cache_switch(true)
}

#[test]
fn a_flush_makes_everything_safe_that_was_done() {
    let limits = RangeLimits { sectors_max: 2, ranges_max: 1, alignment_sectors: 1 };
    let disk = || Disk::with_sectors(32).with_write_zeroes(limits, true).with_discard(limits);
    for mut bench in LevelBench::each(disk) {
        bench.ask(write(3)).unwrap();
        bench.ask(Ask::WriteZeroes(range(8, 2), Unmap::Allowed)).unwrap();
        bench.ask(Ask::Discard(range(20, 1))).unwrap();
        assert_eq!(bench.disk().volatile_sectors(), [3, 8, 9, 20]);

        assert_eq!(bench.ask(Ask::Flush), Ok(Got::Nothing));

        assert_eq!((bench.disk().volatile_sectors(), bench.disk().flushes()), (vec![], 1));
        assert_eq!(bench.disk().stable_contents(), bench.disk().contents());
        bench.finish();
    }
}

#[test]
fn a_flush_that_fails_is_told_and_makes_nothing_safe() {
    for mut bench in LevelBench::each(disk) {
        bench.ask(write(3)).unwrap();
        bench.disk().fail_nth(1, status::IOERR);
        assert!(bench.ask(Ask::Flush).is_err());
        assert_eq!(bench.disk().volatile_sectors(), [3]);
        bench.finish();
    }
}

/// A flush is about what was done before it was sent, so it is not enough to send it behind a write.
#[test]
fn a_flush_in_the_same_burst_says_nothing_of_the_write() {
    for mut bench in LevelBench::at(&[Level::Burst], disk) {
        let page = Pool::new(1, SECTOR_BYTES).take(5);
        let page = MappedBuffer::map(&bench.bench.hal, page, Direction::DeviceReadable).unwrap();
        bench.queue().submit_write(Sector(3), page).unwrap();
        bench.queue().submit_flush().unwrap();
        bench.queue().publish();
        bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space);
        while bench.queue().next_completion().unwrap().is_some() {}
        assert_eq!(bench.disk().volatile_sectors(), [3]);
        bench.finish();
    }
}

/// Spec: §5.2.6.3, case 2; and what was volatile before stays so.
#[test]
fn a_cache_that_is_switched_writes_through_from_then_on() {
    for mut bench in LevelBench::each(disk) {
        assert_eq!(bench.control().cache_mode(), Ok(WriteBack));
        bench.ask(write(1)).unwrap();
        assert_eq!(bench.control().set_cache_mode(WriteThrough), Ok(WriteThrough));
        assert_eq!(bench.control().cache_mode(), Ok(WriteThrough));
        bench.ask(write(2)).unwrap();
        assert_eq!(bench.disk().volatile_sectors(), [1]);
        assert_eq!(bench.control().set_cache_mode(WriteBack), Ok(WriteBack));
        bench.ask(write(2)).unwrap();
        bench.ask(Ask::Flush).unwrap();
        assert_eq!(bench.disk().volatile_sectors(), []);
        assert_eq!(bench.bench.device.config_writes(), [(0x20, 1, 0), (0x20, 1, 1)]);
        bench.finish();
    }
}

/// Spec: §5.2.6.1 — that a disk writes through from now on makes nothing safe that was written before, so a flush is still one.
#[test]
fn a_flush_after_the_switch_to_writing_through_is_still_sent() {
    for mut bench in LevelBench::each(disk) {
        bench.ask(write(1)).unwrap();
        assert_eq!(bench.control().set_cache_mode(WriteThrough), Ok(WriteThrough));
        assert_eq!(bench.disk().volatile_sectors(), [1]);

        assert_eq!(bench.ask(Ask::Flush), Ok(Got::Nothing));

        assert_eq!((bench.disk().flushes(), bench.disk().volatile_sectors()), (1, vec![]));
        bench.finish();
    }
}

#[test]
fn a_disk_that_does_not_take_the_mode_says_which_one_it_has() {
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        bench.bench.device.misbehave(|lies| lies.ignores_config_writes = true);
        assert_eq!(bench.control().set_cache_mode(WriteThrough), Ok(WriteBack));
        bench.finish();
    }
}

#[test]
fn a_disk_that_is_gone_has_neither_mode_nor_shape() {
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        bench.bench.device.misbehave(|lies| lies.all_ones = true);
        let control = bench.control();
        assert_eq!(control.cache_mode(), Err(ConfigError::Removed));
        assert_eq!(control.set_cache_mode(WriteThrough), Err(ConfigError::Removed));
        assert_eq!(control.refresh_shape(), Err(ConfigError::Removed));
        assert_eq!(control.capacity_sectors(), 32, "what was known before");
    }
}

/// Spec: §5.2.5.1 — what a driver may deduce of a disk that cannot be asked. Nothing is written to it, nor read.
#[test]
fn a_disk_without_a_switch_is_taken_for_what_it_can_do() {
    for (features, mode) in [(FLUSH, WriteBack), (0, WriteThrough)] {
        let disk = Disk::with_sectors(8);
        let bench = TaskBench::new(features, |builder| builder.config(disk.config().bytes()));
        let mut bench = LevelBench::new(Level::Blocking, bench);
        assert_eq!(bench.control().cache_mode(), Ok(mode));
        for asked in [WriteBack, WriteThrough] {
            assert_eq!(bench.control().set_cache_mode(asked), Ok(mode));
        }
        assert_eq!(bench.control().shape().has_flush(), features == FLUSH);
        assert_eq!(bench.ask(Ask::Flush), Ok(Got::Nothing));
        assert_eq!(bench.disk().flushes(), usize::from(features == FLUSH));
        assert!(bench.bench.device.config_writes().is_empty());
        bench.finish();
    }
}

/// Spec: §5.2.6.3, case 1; and a switch is of no use without a flush, so neither is agreed on.
#[test]
fn a_driver_that_wants_no_flush_has_every_write_safe() {
    for unwanted in [BlockFeatures::FLUSH, BlockFeatures::FLUSH | BlockFeatures::CONFIG_WCE] {
        let bench = TaskBench::of(disk(), 0);
        let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
        let wants = Wants::features(HANDLED.difference(unwanted));
        let settings = Settings { drop_attempts: Attempts(5), ..Settings::default() };
        let mut block =
            Block::start_with(bench.open(2), bench.hal.clone(), storage, &settings, wants, Attempts(10))
                .unwrap();
        assert_eq!(bench.device.negotiated_features() & (FLUSH | CONFIG_WCE), 0);
        assert_eq!(block.control().cache_mode(), Ok(WriteThrough));
        let patience = || bench.disk.serve(&bench.device, &bench.hal.space) < 100;
        block.write_blocking(Sector(3), &[5; SECTOR_BYTES], patience).unwrap();
        block.flush_blocking(patience).unwrap();
        assert_eq!(
            (bench.disk.volatile_sectors(), bench.disk.stable_contents()[3 * SECTOR_BYTES]),
            (vec![], 5)
        );
        block.close(Attempts(10)).unwrap();
        bench.device.assert_driver_was_correct();
    }
}
