//! A disk that gets another size while it runs.
//!
//! Spec: §5.2.6.2, §5.2.6.3 (capacity may change, with a configuration change notification), §2.5 (configuration generation).

mod support;

use support::levels::{Ask, Got, Level, LevelBench, by_task, range};
use support::tasks::{Task, TaskBench, handlers, run_woken};
use virtio_guest::device::block::{RequestError, Sector, Unmap};
use virtio_guest::lifecycle::{Condition, Signals};
use virtio_model::Disk;
use virtio_model::block::{RangeLimits, SECTOR_BYTES};

const LIMITS: RangeLimits = RangeLimits { sectors_max: 4, ranges_max: 1, alignment_sectors: 1 };

fn disk() -> Disk {
    Disk::with_sectors(8).with_write_zeroes(LIMITS, false)
}

fn resize(bench: &LevelBench, sectors: u64) {
    bench.bench.disk.resize(&bench.bench.device, sectors);
}

/// Reads the shape again, and tells who sends.
fn refresh(bench: &mut LevelBench) -> u64 {
    let shape = bench.control().refresh_shape().unwrap();
    match bench.level {
        Level::Task => bench.tasks().unwrap().set_shape(shape),
        _ => bench.queue().set_shape(shape),
    }
    shape.capacity_sectors
}

fn beyond(sector: u64, capacity_sectors: u64) -> RequestError {
    RequestError::OutOfRange { sector, sectors: 1, capacity_sectors }
}

#[test]
fn a_larger_disk_is_used_to_its_new_end() {
    for mut bench in LevelBench::each(disk) {
        let (last, zeroes) =
            (Ask::Write(Sector(15), 3, SECTOR_BYTES), Ask::WriteZeroes(range(13, 3), Unmap::Forbidden));
        resize(&bench, 16);
        assert_eq!(bench.refusal(last), beyond(15, 8), "not before it was looked at");

        assert_eq!((refresh(&mut bench), bench.control().capacity_sectors()), (16, 16));

        assert_eq!(bench.ask(last), Ok(Got::Nothing));
        assert_eq!(bench.ask(Ask::Read(Sector(15), SECTOR_BYTES)), Ok(Got::Bytes(vec![3; SECTOR_BYTES])));
        assert_eq!(bench.ask(zeroes), Ok(Got::Nothing));
        assert_eq!(bench.disk().sector(15), [0; SECTOR_BYTES]);
        bench.finish();
    }
}

#[test]
fn a_smaller_disk_is_not_asked_for_what_it_lost() {
    for mut bench in LevelBench::each(disk) {
        resize(&bench, 4);
        assert_eq!(refresh(&mut bench), 4);
        assert_eq!(bench.refusal(Ask::Read(Sector(4), SECTOR_BYTES)), beyond(4, 4));
        assert_eq!(bench.refusal(Ask::WriteZeroes(range(4, 1), Unmap::Forbidden)), beyond(4, 4));
        assert!(bench.ask(Ask::Read(Sector(3), SECTOR_BYTES)).is_ok());
        resize(&bench, 0);
        assert_eq!(refresh(&mut bench), 0);
        assert_eq!(bench.refusal(Ask::Read(Sector(0), SECTOR_BYTES)), beyond(0, 0));
        bench.finish();
    }
}

/// Who has not looked yet is told by the disk; nothing breaks.
#[test]
fn a_request_for_what_is_gone_fails_and_the_next_one_does_not() {
    for mut bench in LevelBench::each(disk) {
        resize(&bench, 4);
        assert_eq!(bench.ask(Ask::Read(Sector(7), SECTOR_BYTES)), Err(RequestError::Device));
        assert!(bench.ask(Ask::Read(Sector(3), SECTOR_BYTES)).is_ok());
        assert_eq!(bench.bench.device.driver_errors().len(), 1, "it could not know");
    }
}

/// Each piece is judged by what the disk is when it is sent.
#[test]
fn a_long_range_ends_where_the_disk_ends_now() {
    let bench = TaskBench::of(disk(), 0);
    let mut running = bench.start::<16>();
    let shape = running.control.shape();
    let zeroes = Ask::WriteZeroes(range(0, 8), Unmap::Forbidden);
    let mut task = [Task::new(by_task(&running.tasks, shape, zeroes))];
    run_woken(&mut task);

    bench.disk.resize(&bench.device, 4);
    running.tasks.set_shape(running.control.refresh_shape().unwrap());
    bench.run_to_end(&running.handlers, &mut task);

    let beyond = RequestError::OutOfRange { sector: 4, sectors: 4, capacity_sectors: 4 };
    assert_eq!(task[0].result, Some(Err(beyond)));
    assert_eq!(bench.disk.requests().len(), 1);
    drop(task);
    bench.finish(running);
}

#[test]
fn whether_zeros_give_storage_back_is_read_again_too() {
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        assert!(!bench.control().shape().write_zeroes_may_unmap);
        let device = bench.bench.device.clone();
        bench.disk().change_config(&device, |config| config.write_zeroes_may_unmap = 1);
        assert!(bench.control().refresh_shape().unwrap().write_zeroes_may_unmap);
        bench.finish();
    }
}

/// Spec: §2.5.1 — a size that changes while its halves are read is read again.
#[test]
fn a_size_is_never_half_of_one_and_half_of_another() {
    let (small, large) = (0xffff_ffffu64, 0x1_0000_0000u64);
    for reads in 1..8 {
        for mut bench in LevelBench::at(&[Level::Blocking], disk) {
            let bytes = |sectors| {
                Disk::with_sectors(0).with_config(|config| config.capacity_sectors = sectors).config().bytes()
            };
            bench.bench.device.set_config(bytes(small));
            bench.bench.device.set_config_after_reads(reads, bytes(large));
            let capacity = bench.control().refresh_shape().unwrap().capacity_sectors;
            assert!(capacity == small || capacity == large, "{capacity:#x}");
            bench.finish();
        }
    }
}

#[test]
fn the_interrupt_for_the_configuration_says_when_to_look() {
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        let signals: &'static Signals = Box::leak(Box::default());
        let (device, disk) = (bench.bench.device.clone(), bench.bench.disk.clone());
        let handlers = handlers(bench.control().connect_interrupts(signals).unwrap());
        assert_eq!(bench.control().take_configuration_change(), None);

        disk.resize(&device, 20);
        assert_eq!(bench.bench.interrupt(&handlers), 1);

        assert_eq!(bench.control().take_configuration_change(), Some(Condition::Live));
        assert_eq!(refresh(&mut bench), 20);
        assert_eq!(bench.control().take_configuration_change(), None);
        bench.finish();
    }
}
