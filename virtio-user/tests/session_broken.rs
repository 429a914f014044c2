//! What sessions promise at back-ends that break the rules of the rings, and at one that stops too late.

#[path = "support/script.rs"]
mod script;
mod support;

use std::time::{Duration, Instant};

use script::request::{GET_VRING_BASE, SET_VRING_ENABLE};
use script::{CARD, DISK, Deed, Script, Scripted};
use support::{LIMIT, memory, polled};
use virtio_guest::device::block::Sector;
use virtio_guest::device::net::{FramePool, PoolSettings};
use virtio_guest::raw::PoolEntries;
use virtio_user::memory::{SharedHal, SharedMemory};
use virtio_user::session::{Card, CardSettings, Disk, DiskSettings, Trouble, Wait};
use virtio_user::{Settings, within};

fn pools<const PAIRS: usize>(memory: &SharedMemory) -> [FramePool<'static, SharedHal>; PAIRS] {
    [(); PAIRS].map(|()| {
        FramePool::new(&memory.hal(), PoolEntries::allocate(64), PoolSettings::default())
            .expect("room for a pool")
    })
}

#[test]
fn a_disk_whose_back_end_uses_what_it_was_not_given_says_so_until_it_is_restarted() {
    let (back_end, memory) = (Scripted::start(Script::honest(DISK)), memory());
    let settings = DiskSettings { front_end: polled(), ..DiskSettings::default() };
    let mut disk = Disk::connect(&*back_end.socket(), &memory, settings).expect("a disk");
    let id = disk.submit_read(0, Sector(0), memory.buffer(512).expect("there is memory"));
    let id = id.expect("there is room");
    disk.publish(0);
    back_end.say_used(0, 2);

    for _ in 0..3 {
        let away = disk.complete_burst(0, 8, |done| panic!("{done:?}")).expect_err("one was handed in");
        assert!(matches!(away.trouble, Trouble::Broken(_)), "{away}");
        assert_eq!((disk.in_flight(), disk.restarts()), (1, 0));
    }
    disk.restart().expect("it may try again");

    assert_eq!(disk.complete_burst(0, 8, |done| panic!("{done:?}")), Ok(0));
    let unfinished = disk.close(LIMIT).expect("it stops");
    assert_eq!(unfinished.iter().map(|done| (done.id, done.sent)).collect::<Vec<_>>(), [(id, 2)]);
    drop(unfinished);
    assert_eq!(memory.free_bytes(), memory.bytes());
}

#[test]
fn a_card_whose_back_end_uses_what_it_was_not_given_says_so_until_it_is_restarted() {
    let (back_end, memory) = (Scripted::start(Script::honest(CARD)), memory());
    let pools = pools::<1>(&memory);
    let settings = CardSettings { front_end: polled(), descriptors: 16, ..CardSettings::default() };
    let supplies = pools.iter().filter_map(FramePool::supply);
    let mut card = Card::connect(&*back_end.socket(), &memory, supplies, settings).expect("a card");
    back_end.say_used(0, 1000);

    for _ in 0..3 {
        let away = card.receive_burst(0, 8, |_| panic!("a frame")).expect_err("there are not so many");
        assert!(matches!(away.trouble, Trouble::Broken(_)), "{away}");
        assert_eq!(card.restarts(), 0);
    }
    card.restart().expect("it may try again");

    assert_eq!(card.receive_burst(0, 8, |_| panic!("a frame")), Ok(0));
    let closed = card.close(LIMIT).expect("it stops");
    assert!(closed.supplies.iter().all(Option::is_some));
    drop(closed);
    drop(pools);
    assert_eq!(memory.free_bytes(), memory.bytes());
}

/// Spec: §5.1.9.5.5 Device operation in multiqueue mode: commands are carried out in this process, whatever the back-end does.
#[test]
fn a_card_that_was_asked_to_reset_takes_no_command_before_that_is_done_and_then_does_again() {
    let (late, short) = (Duration::from_secs(1), Duration::from_millis(100));
    let (back_end, memory) = (Scripted::start(Script { queues: 2, ..Script::honest(CARD) }), memory());
    let pools = pools::<2>(&memory);
    let wait = Wait { return_within: short, ..Wait::default() };
    let front_end = Settings { answer_limit: short, ..polled() };
    let settings = CardSettings { front_end, wait, descriptors: 16, ..CardSettings::default() };
    let supplies = pools.iter().filter_map(FramePool::supply);
    let mut card = Card::connect(&*back_end.socket(), &memory, supplies, settings).expect("a card");
    back_end.change_once(GET_VRING_BASE, Deed::IsLate(late), 0);

    let start = Instant::now();
    let away = card.restart().expect_err("it does not stop in time");
    let refused = card.control().expect("it is kept").set_pairs(1, within(short));
    let was_late = start.elapsed() < late;
    while let Err(away) = card.restart() {
        assert!(start.elapsed() < LIMIT, "{away}");
    }
    let before = enables(&back_end);
    let done = card.control().expect("it is up").set_pairs(1, within(short));

    assert!(matches!(away.trouble, Trouble::NotReset(_)), "{away}");
    assert!(refused.is_err() && was_late, "{refused:?}");
    assert_eq!(done, Ok(()));
    assert_eq!(enables(&back_end), before + 4, "each queue is told");
    drop(card.close(LIMIT).expect("it stops"));
    drop(pools);
    assert_eq!(memory.free_bytes(), memory.bytes());
}

fn enables(back_end: &Scripted) -> usize {
    back_end.requests().iter().filter(|request| **request == SET_VRING_ENABLE).count()
}
