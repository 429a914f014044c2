//! What sessions promise at back-ends that refuse to begin.

#[path = "support/script.rs"]
mod script;
mod support;

use std::time::Duration;

use script::request::SET_VRING_ENABLE;
use script::{CARD, DISK, Deed, Script, Scripted};
use support::{memory, polled};
use virtio_guest::device::net::{FramePool, PoolSettings};
use virtio_guest::raw::PoolEntries;
use virtio_user::ConnectError;
use virtio_user::memory::SharedBuffer;
use virtio_user::protocol::Cause;
use virtio_user::session::{Away, Card, CardSettings, Disk, DiskSettings, Trouble, Wait};

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
