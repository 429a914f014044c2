//! Calls that end before the device is done: out of patience, or with a reset. What comes late is nobody else's answer.
//!
//! Spec: §5.2.6 Device Operation, §2.4 Device Reset.

mod support;

use support::levels::{Ask, Got, Level, LevelBench, by_task, range};
use support::tasks::{Running, Task, TaskBench, run_woken};
use virtio_guest::device::block::{RequestError, Sector, Unmap, Zone, ZoneAction};
use virtio_guest::hal::Attempts;
use virtio_model::Disk;
use virtio_model::block::{RangeLimits, SECTOR_BYTES, WrittenLen, ZoneSetup, zone_state};

const LIMITS: RangeLimits = RangeLimits { sectors_max: 8, ranges_max: 1, alignment_sectors: 8 };
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;

/// Zones of 8 sectors, and everything else that goes with them.
fn disk(zones: u64) -> Disk {
    let setup = ZoneSetup { conventional: 2, ..ZoneSetup::host_managed(8) };
    let disk = Disk::with_sectors(8 * zones).with_zones(&setup).with_lifetime(1, 2, 3).with_id("late");
    disk.with_write_zeroes(LIMITS, true).with_secure_erase(LIMITS)
}

#[test]
fn whoever_gives_up_on_an_append_or_a_report_leaves_the_next_one_its_own() {
    for mut bench in LevelBench::at(&[Level::Blocking], || disk(8)) {
        bench.disk().hold();
        let page = [1; SECTOR_BYTES];
        let (device, space, late) =
            (bench.bench.device.clone(), bench.bench.hal.space.clone(), bench.disk().clone());
        let given_up = || {
            let mut looks = 3;
            let (device, space, late) = (&device, &space, &late);
            move || {
                late.serve(device, space);
                looks -= 1;
                looks > 0
            }
        };
        let queue = bench.queue();
        assert_eq!(queue.append_blocking(Sector(24), &page, given_up()), Err(RequestError::TimedOut));
        assert_eq!(queue.lifetime_blocking(given_up()).err(), Some(RequestError::TimedOut));
        let zeroes = queue.write_zeroes_blocking(range(0, 16), Unmap::Allowed, given_up());
        assert_eq!(zeroes, Err(RequestError::TimedOut));
        let mut zones = [Zone::NONE; 2];
        assert_eq!(
            queue.report_zones_blocking(Sector(0), &mut zones, given_up()),
            Err(RequestError::TimedOut)
        );
        assert_eq!(zones, [Zone::NONE; 2]);

        bench.disk().release_all();
        assert_eq!(bench.ask(Ask::Append(Sector(32), 2, SECTOR_BYTES)), Ok(Got::Appended(Sector(32))));
        assert!(matches!(bench.ask(Ask::DeviceId), Ok(Got::Id(_))));
        assert_eq!(bench.ask(Ask::Append(Sector(24), 2, SECTOR_BYTES)), Ok(Got::Appended(Sector(25))));
        let zeroes = bench.disk().requests().iter().filter(|request| request.request_type == 13).count();
        assert_eq!(zeroes, 1, "the other half was not sent any more");
        assert_eq!(bench.queue().free_requests(), bench.queue().requests());
        bench.finish();
    }
}

#[test]
fn tasks_whose_disk_is_reset_are_told_whatever_they_asked() {
    for ring in [0, EVENT_IDX | RING_PACKED].into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
        let bench = TaskBench::of(disk(8), ring);
        let Running { control, tasks: shared, .. } = bench.start::<16>();
        let shape = control.shape();
        bench.disk.hold();
        let asks = [
            Ask::WriteZeroes(range(0, 16), Unmap::Allowed),
            Ask::SecureErase(range(16, 32)),
            Ask::Lifetime,
            Ask::DeviceId,
            Ask::Zone(ZoneAction::Open, Sector(16)),
            Ask::ResetAllZones,
            Ask::Append(Sector(16), 1, SECTOR_BYTES),
            Ask::Report(Sector(0), 8),
        ];
        let mut tasks: Vec<_> = asks.map(|ask| Task::new(by_task(&shared, shape, ask))).into();
        run_woken(&mut tasks);
        bench.disk.serve(&bench.device, &bench.hal.space);

        let down = control.take_down(Attempts(10)).unwrap();
        assert!(shared.take_down(&down.reset).is_some());
        shared.end(RequestError::Removed);
        run_woken(&mut tasks);

        // Those that waited for a place were never sent, and learn why they never will be.
        for (at, task) in tasks.into_iter().enumerate() {
            let expected =
                if at < bench.disk.requests().len() { RequestError::Reset } else { RequestError::Removed };
            assert_eq!(task.result, Some(Err(expected)), "{:?}", asks[at]);
        }
        assert!(bench.disk.zones()[2..].iter().all(|zone| zone.state == zone_state::EMPTY));
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// Seven zones fit into a request of a call that waits.
#[test]
fn all_zones_of_a_large_disk_are_reported() {
    for zones in [7, 8, 100] {
        for mut bench in LevelBench::each(|| disk(zones)) {
            for room in [zones - 1, zones, zones + 50] {
                // Devices that count the whole of their room, status included.
                let bytes = if bench.level == Level::Blocking { 512 } else { 64 * (room + 1) };
                let all = WrittenLen::Exactly(u32::try_from(bytes + 1).unwrap());
                for lie in [WrittenLen::Honest, all] {
                    bench.disk().misbehave(|lies| lies.written = lie);
                    let room = usize::try_from(room).unwrap();
                    let Ok(Got::Zones(seen)) = bench.ask(Ask::Report(Sector(0), room)) else {
                        panic!("{zones}, {room}: {:?}", bench.level);
                    };
                    let starts = (0..zones).map(|zone| Sector(8 * zone)).take(room);
                    assert!(seen.iter().map(|zone| zone.start).eq(starts));
                    bench.disk().misbehave(|lies| lies.written = WrittenLen::Honest);
                }
            }
            bench.finish();
        }
    }
}
