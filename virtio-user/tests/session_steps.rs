//! What sessions promise at a back-end that fails in the middle of a restart, in each of its steps.

#[path = "support/script.rs"]
mod script;
mod support;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use script::request::*;
use script::{CARD, DISK, Deed, Script, Scripted};
use support::{LIMIT, memory, polled};
use virtio_guest::device::block::{CacheMode, Sector};
use virtio_guest::device::net::{FramePool, PoolSettings};
use virtio_guest::raw::PoolEntries;
use virtio_user::memory::{SharedBuffer, SharedMemory};
use virtio_user::protocol::Cause;
use virtio_user::session::{Away, Card, CardSettings, Disk, DiskSettings, Trouble, Wait};
use virtio_user::{ConnectError, Settings};

const ONCE: Wait = Wait { connect_within: Duration::ZERO, return_within: Duration::ZERO };
/// Requests in flight, or frames on their way.
const IN_FLIGHT: u8 = 4;
/// Who is late is late by so much,
const LATE: Duration = Duration::from_secs(4);
/// is waited for so long,
const SHORT: Duration = Duration::from_millis(300);
/// and has so long to hang up; and this machine to do all that.
const GRACE: Duration = Duration::from_secs(2);

/// Each message of a restart, and how many of them come before the one that is meant: for a device with so many queues, of which this one is not set up.
///
/// `true`: it is on the way down. A hang-up is a reset, too, so the same try goes on with the bring-up.
const fn steps(queues: u32, not_set_up: u32) -> [(u32, u32, bool); 19] {
    [
        (SET_VRING_ENABLE, 0, true),
        (SET_VRING_ENABLE, queues - 1, true),
        (GET_VRING_BASE, 0, true),
        (RESET_DEVICE, 0, true),
        (GET_FEATURES, 0, false),
        (GET_PROTOCOL_FEATURES, 0, false),
        (SET_PROTOCOL_FEATURES, 0, false),
        (SET_OWNER, 0, false),
        (SET_BACKEND_REQ_FD, 0, false),
        (GET_QUEUE_NUM, 0, false),
        (SET_FEATURES, 0, false),
        (SET_MEM_TABLE, 0, false),
        (SET_VRING_NUM, not_set_up, false),
        (SET_VRING_BASE, not_set_up, false),
        (SET_VRING_ADDR, not_set_up, false),
        (SET_VRING_CALL, not_set_up, false),
        (SET_VRING_KICK, not_set_up, false),
        (SET_VRING_ENABLE, queues, false),
        (SET_VRING_ENABLE, 2 * queues - 1, false),
    ]
}

fn disk(back_end: &Path, memory: &SharedMemory, wait: Wait) -> Result<Disk, Away> {
    let settings = DiskSettings { front_end: polled(), wait, ..DiskSettings::default() };
    Disk::connect(back_end, memory, settings)
}

fn hand_in(disk: &mut Disk, memory: &SharedMemory) {
    for place in 0..IN_FLIGHT {
        let mut buffer = memory.buffer(512).expect("there is memory");
        buffer.fill(place);
        disk.submit_write(0, Sector(place.into()), buffer).expect("there is room");
    }
    disk.publish(0);
}

#[test]
fn a_disks_restart_at_a_back_end_that_hangs_up_in_any_step_keeps_all_for_the_next() {
    for (at, after, is_down) in steps(1, 0).into_iter().chain([(GET_CONFIG, 0, false)]) {
        let (back_end, memory) = (Scripted::start(Script::honest(DISK)), memory());
        let mut disk = disk(&back_end.socket(), &memory, ONCE).expect("a disk");
        hand_in(&mut disk, &memory);
        back_end.change_once(at, Deed::HangsUp, after);

        let restarted = disk.restart();

        assert_eq!(restarted.is_ok(), is_down, "message {at}: {restarted:?}");
        assert_eq!(disk.in_flight(), IN_FLIGHT.into(), "message {at}");
        if !is_down {
            disk.restart().expect("it is back");
        }
        assert_eq!((disk.restarts(), disk.complete_burst(0, 8, |done| panic!("{done:?}"))), (1, Ok(0)));
        let unfinished = disk.close(LIMIT).expect("it stops");
        let contents = |buffer: Option<SharedBuffer>| buffer.expect("its buffer").to_vec();
        for (place, done) in (0..IN_FLIGHT).zip(unfinished) {
            assert_eq!((done.sent, contents(done.buffer)), (2, vec![place; 512]), "message {at}");
        }
        assert_eq!(memory.free_bytes(), memory.bytes(), "message {at}");
    }
}

#[test]
fn a_cards_restart_at_a_back_end_that_hangs_up_in_any_step_loses_no_frame_but_those_on_their_way() {
    // Two pairs, which are enabled one after the other: four messages more.
    let more = [(SET_VRING_ENABLE, 8, false), (SET_VRING_ENABLE, 11, false)];
    for (at, after, is_down) in steps(4, 3).into_iter().chain(more) {
        let (back_end, memory) = (Scripted::start(Script { queues: 2, ..Script::honest(CARD) }), memory());
        let pools = [(); 2].map(|()| {
            FramePool::new(&memory.hal(), PoolEntries::allocate(64), PoolSettings::default())
                .expect("room for a pool")
        });
        let settings =
            CardSettings { front_end: polled(), wait: ONCE, descriptors: 16, ..CardSettings::default() };
        let supplies = pools.iter().filter_map(FramePool::supply);
        let mut card = Card::connect(&*back_end.socket(), &memory, supplies, settings).expect("a card");
        for pair in [0, 1] {
            for _ in 0..IN_FLIGHT {
                let mut frame = card.frame(pair).expect("one of many");
                frame.append(&[7; 60]).expect("it fits");
                assert!(card.transmit_burst(pair, [frame]).is_ok());
            }
        }
        back_end.change_once(at, Deed::HangsUp, after);

        let restarted = card.restart();

        assert_eq!(restarted.is_ok(), is_down, "message {at} after {after}: {restarted:?}");
        if !is_down {
            card.restart().expect("it is back");
        }
        assert_eq!((card.restarts(), card.lost()), (1, 2 * u64::from(IN_FLIGHT)), "message {at}");
        let closed = card.close(LIMIT).expect("it stops");
        assert!(closed.supplies.iter().all(Option::is_some), "message {at}");
        drop(closed);
        drop(pools);
        assert_eq!(memory.free_bytes(), memory.bytes(), "message {at}");
    }
}

fn is_not_answered(away: &Away, message: &str) -> bool {
    let Trouble::Connect(ConnectError::Protocol { fault, .. }) = &away.trouble else { return false };
    fault.step.name == message && matches!(fault.cause, Cause::NoAnswer(limit) if limit <= SHORT)
}

#[test]
fn a_try_that_began_in_time_ends_in_time_at_a_back_end_that_does_not_answer() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = memory();
    let mut disk = disk(&back_end.socket(), &memory, Wait { return_within: SHORT, ..ONCE }).expect("a disk");
    for (at, message) in [(GET_CONFIG, "GET_CONFIG"), (GET_VRING_BASE, "")] {
        back_end.change_once(at, Deed::IsLate(LATE), 0);
        let start = Instant::now();

        let away = disk.restart().expect_err("it does not answer");

        assert!(start.elapsed() < SHORT + GRACE, "{:?}", start.elapsed());
        assert!(is_not_answered(&away, message) || matches!(away.trouble, Trouble::NotReset(_)), "{away}");
        while let Err(away) = disk.restart() {
            assert!(start.elapsed() < LATE + LIMIT, "{away}");
        }
    }
    back_end.change_once(GET_VRING_BASE, Deed::IsLate(LATE), 0);
    let start = Instant::now();

    drop(disk);

    assert!(start.elapsed() < Duration::from_secs(1) + GRACE, "{:?}", start.elapsed());
}

#[test]
fn a_first_try_ends_in_time_too_and_one_without_a_limit_waits_for_each_answer() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = memory();
    back_end.change_once(GET_CONFIG, Deed::IsLate(SHORT * 2), 0);
    let start = Instant::now();

    let refused = disk(&back_end.socket(), &memory, Wait { connect_within: SHORT, ..ONCE });

    assert!(is_not_answered(&refused.expect_err("it is late"), "GET_CONFIG"));
    assert!(start.elapsed() < SHORT + GRACE, "{:?}", start.elapsed());
    back_end.change_once(GET_CONFIG, Deed::IsLate(SHORT * 2), 0);
    disk(&back_end.socket(), &memory, ONCE).expect("it is waited for");
}

#[test]
fn what_is_asked_of_a_disk_that_came_up_in_time_has_its_own_time() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = memory();
    let front_end = Settings { answer_limit: LIMIT, ..polled() };
    let wait = Wait { connect_within: SHORT * 4, ..ONCE };
    let settings = DiskSettings { front_end, wait, ..DiskSettings::default() };
    let mut disk = Disk::<SharedBuffer>::connect(&*back_end.socket(), &memory, settings).expect("a disk");
    thread::sleep(SHORT * 4);
    back_end.change_once(SET_CONFIG, Deed::IsLate(SHORT), 0);

    let control = disk.control().expect("it is up");

    control.set_cache_mode(CacheMode::WriteThrough).expect("it answers");
    assert!(disk.link().expect("it is up").is_up());
}
