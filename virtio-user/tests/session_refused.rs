//! What sessions promise at back-ends that refuse to begin.

#[path = "support/script.rs"]
mod script;
mod support;

use std::time::{Duration, Instant};

use script::request::SET_VRING_ENABLE;
use script::{CARD, DISK, Deed, Script, Scripted};
use support::{LIMIT, memory, polled};
use virtio_guest::device::net::{FramePool, PoolSettings};
use virtio_guest::raw::PoolEntries;
use virtio_user::memory::{SharedBuffer, SharedHal, SharedMemory};
use virtio_user::protocol::Cause;
use virtio_user::session::{Away, Card, CardSettings, Disk, DiskSettings, Trouble, Wait};
use virtio_user::{ConnectError, Settings};

const ONCE: Wait = Wait { connect_within: Duration::ZERO, return_within: Duration::ZERO };

fn refusing(features: u64) -> Scripted {
    Scripted::start(Script { at: SET_VRING_ENABLE, deed: Deed::Refuses(7), ..Script::honest(features) })
}

fn expect_refused(away: &Away) {
    let Trouble::Connect(ConnectError::Protocol { fault, .. }) = &away.trouble else { panic!("{away}") };
    assert_eq!((fault.step.name, fault.cause), ("SET_VRING_ENABLE", Cause::Refused(7)));
}

#[test]
fn a_disk_whose_queues_are_not_enabled_is_none_and_says_why() {
    let (back_end, memory) = (refusing(DISK), memory());
    let settings = DiskSettings { front_end: polled(), wait: ONCE, ..DiskSettings::default() };

    let disk = Disk::<SharedBuffer>::connect(&*back_end.socket(), &memory, settings);

    expect_refused(&disk.expect_err("it refuses"));
    assert_eq!(memory.free_bytes(), memory.bytes());
}

#[test]
fn a_card_whose_queues_are_not_enabled_is_none_and_says_why() {
    let (back_end, memory) = (refusing(CARD), memory());
    let pool = FramePool::new(&memory.hal(), PoolEntries::allocate(64), PoolSettings::default());
    let pool = pool.expect("room for a pool");
    let settings = CardSettings { front_end: polled(), wait: ONCE, ..CardSettings::default() };

    let card = Card::connect(&*back_end.socket(), &memory, pool.supply(), settings);

    expect_refused(&card.expect_err("it refuses"));
    drop(pool);
    assert_eq!(memory.free_bytes(), memory.bytes());
}

/// Frames for each pair of a card, in a memory of their own.
fn pools(memory: &SharedMemory) -> [FramePool<'static, SharedHal>; 2] {
    [(); 2].map(|()| {
        FramePool::new(&memory.hal(), PoolEntries::allocate(64), PoolSettings::default())
            .expect("room for a pool")
    })
}

/// A card came up, and then the back-end does not answer, nor hang up for a while: it has both pairs until it does.
#[test]
fn pairs_of_a_back_end_that_did_not_answer_to_their_number_are_made_anew_when_it_has_gone() {
    let back_end = Scripted::start(Script { queues: 2, ..Script::honest(CARD) });
    let (memory, limit) = (memory(), Duration::from_millis(100));
    let pools = pools(&memory);
    let front_end = Settings { answer_limit: limit, ..polled() };
    let wait = Wait { return_within: limit * 3, ..ONCE };
    let settings = CardSettings { front_end, wait, ..CardSettings::default() };
    let supplies = pools.iter().filter_map(FramePool::supply);
    let mut card = Card::connect(&*back_end.socket(), &memory, supplies, settings).expect("a card");
    // Of four queues, all are disabled by the reset, and enabled or not by the bring-up.
    back_end.change_once(SET_VRING_ENABLE, Deed::IsLate(limit * 8), 8);

    let away = card.restart().expect_err("it is late");
    let start = Instant::now();
    while let Err(away) = card.restart() {
        assert!(matches!(away.trouble, Trouble::NotReset(_)) && start.elapsed() < LIMIT, "{away}");
    }

    assert!(matches!(away.trouble, Trouble::Pairs(_) | Trouble::NotReset(_)), "{away}");
    assert!(card.queues(0).is_some() && card.queues(1).is_some());
    let closed = card.close(LIMIT).expect("it stops");
    assert!(closed.supplies.iter().all(Option::is_some));
    drop(closed);
    drop(pools);
    assert_eq!(memory.free_bytes(), memory.bytes());
}
