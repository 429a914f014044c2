//! A network card of DPDK's `testpmd`, under the driver that kernels use.

mod support;

use std::time::Instant;

use qemu_tests::backend::{Forwarding, Testpmd, TestpmdSettings};
use support::{LIMIT, memory, patience, polled};
use virtio_guest::device::net::{
    ControlSlots, FramePool, Net, PLAIN, PairSlots, PoolSettings, Settings, Slots,
};
use virtio_guest::lifecycle::{ConfigError, Wants};
use virtio_guest::raw::PoolEntries;
use virtio_guest::ring::Layout;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_user::memory::{SharedHal, SharedMemory};
use virtio_user::{Listener, VhostUser};

type Card<'c> = Net<'c, &'c mut VhostUser, SharedHal>;

/// A card that was brought up, with rings of the format that is wanted.
fn start<'c>(
    transport: &'c mut VhostUser,
    memory: &SharedMemory,
    pool: &'c FramePool<'c, SharedHal>,
    is_packed: bool,
) -> Card<'c> {
    let slots = Slots { pair: PairSlots::allocate(64), control: ControlSlots::allocate(16) };
    let without = if is_packed { CommonFeatures::empty() } else { CommonFeatures::RING_PACKED };
    let wants = Wants::features(PLAIN).without(without);
    let supply = pool.supply().expect("nobody else has it");
    let card =
        Net::start_with(transport, memory.hal(), slots, supply, &Settings::default(), wants, patience());
    card.expect("the card comes up")
}

fn pool(memory: &SharedMemory) -> FramePool<'static, SharedHal> {
    FramePool::new(&memory.hal(), PoolEntries::allocate(256), PoolSettings::default())
        .expect("room for a pool")
}

/// Sends frames of many lengths to whoever sends them back with their addresses exchanged, and compares.
fn exchange(card: &mut Card<'_>) {
    let mut answer = [0; 2048];
    for number in 0..200u8 {
        let length = 60 + usize::from(number) * 7;
        let mut frame: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0] ^ number).collect();
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        let sent = Instant::now();
        card.transmit_blocking(&frame, patience()).expect("there is room for a frame");
        let received = card.receive_blocking(&mut answer, patience()).expect("an answer comes");
        assert!(sent.elapsed() < LIMIT);
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        assert_eq!(&answer[..received], frame, "frame {number}");
    }
}

#[test]
fn frames_come_back_from_a_switch_in_split_and_packed_rings_one_after_the_other_on_one_connection() {
    let testpmd =
        Testpmd::start(TestpmdSettings { forwarding: Forwarding::Back, ..TestpmdSettings::default() });
    let memory = memory();
    let pool = pool(&memory);
    let mut transport = VhostUser::connect(testpmd.socket(0), DeviceType::NETWORK, &memory, &polled())
        .expect("testpmd is there");

    for is_packed in [false, true, false, true] {
        let mut card = start(&mut transport, &memory, &pool, is_packed);
        assert_eq!(card.active_paths().ring.layout == Layout::Packed, is_packed);
        exchange(&mut card);
        card.close(patience()).expect("the card lets itself be reset");
    }
    testpmd.stop();
}

#[test]
fn a_switch_that_connects_by_itself_is_accepted_again_after_it_was_killed() {
    let settings =
        TestpmdSettings { forwarding: Forwarding::Back, connects: true, ..TestpmdSettings::default() };
    let mut testpmd = Testpmd::start(settings);
    let listener = Listener::bind(testpmd.socket(0)).expect("a socket");
    let memory = memory();
    let pool = pool(&memory);
    let mut transport = listener.accept(DeviceType::NETWORK, &memory, &polled()).expect("testpmd connects");
    let link = transport.link();
    let mut card = start(&mut transport, &memory, &pool, true);
    exchange(&mut card);

    testpmd.kill();
    assert!(!link.is_up());
    card.close(patience()).expect("a hang-up is a reset");
    testpmd.start_again();
    transport.reconnect().expect("testpmd connects again");

    let mut card = start(&mut transport, &memory, &pool, true);
    exchange(&mut card);
    card.close(patience()).expect("the card lets itself be reset");
    testpmd.stop();
}

#[test]
fn a_card_has_a_link_as_long_as_its_switch_is_there() {
    let mut testpmd =
        Testpmd::start(TestpmdSettings { forwarding: Forwarding::Back, ..TestpmdSettings::default() });
    let memory = memory();
    let pool = pool(&memory);
    let mut transport = VhostUser::connect(testpmd.socket(0), DeviceType::NETWORK, &memory, &polled())
        .expect("testpmd is there");
    let link = transport.link();
    let mut card = start(&mut transport, &memory, &pool, false);
    assert!(card.control().link().expect("it says so").is_up);

    testpmd.kill();

    assert!(!link.is_up());
    assert_eq!(card.control().link(), Err(ConfigError::Removed));
    card.close(patience()).expect("a hang-up is a reset");
}
