//! A network card with two pairs of queues: `testpmd` serves them, and the commands that say how many are used are carried out in this process.
//!
//! Spec: §5.1.9.5.5 Device operation in multiqueue mode.

mod support;

use std::time::{Duration, Instant};

use qemu_tests::backend::{Forwarding, Testpmd, TestpmdSettings};
use support::{LIMIT, memory, patience, polled};
use virtio_guest::device::net::{
    Control, ControlSlots, Frame, FramePool, PLAIN, PairSlots, PoolSettings, ReceiveQueue, Settings,
    Starting, TransmitError, TransmitQueue,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::ring::Layout;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::NetFeatures;
use virtio_user::VhostUser;
use virtio_user::memory::{SharedHal, SharedMemory};

const PAIRS: u16 = 2;

type Pair<'c> = (ReceiveQueue<'c, SharedHal>, TransmitQueue<'c, SharedHal>);
type Card<'c> = Control<'c, &'c mut VhostUser, SharedHal>;

/// A `testpmd` with two pairs of queues, which sends back on each what came on it.
fn testpmd() -> Testpmd {
    Testpmd::start(TestpmdSettings {
        forwarding: Forwarding::Back,
        pairs: PAIRS,
        ..TestpmdSettings::default()
    })
}

fn connect(testpmd: &Testpmd, memory: &SharedMemory, settings: &virtio_user::Settings) -> VhostUser {
    VhostUser::connect(testpmd.socket(0), DeviceType::NETWORK, memory, settings).expect("testpmd is there")
}

fn pools(memory: &SharedMemory) -> [FramePool<'static, SharedHal>; PAIRS as usize] {
    [(); PAIRS as usize].map(|()| {
        FramePool::new(&memory.hal(), PoolEntries::allocate(256), PoolSettings::default())
            .expect("room for a pool")
    })
}

/// The card, with both pairs installed, and rings of the format that is wanted.
fn start<'c>(
    transport: &'c mut VhostUser,
    memory: &SharedMemory,
    pools: &'c [FramePool<'c, SharedHal>],
    is_packed: bool,
    notifications: bool,
) -> (Card<'c>, Vec<Pair<'c>>) {
    let hal = memory.hal();
    let settings = Settings { pairs_max: PAIRS, notifications, ..Settings::default() };
    let without = if is_packed { CommonFeatures::empty() } else { CommonFeatures::RING_PACKED };
    let wants = Wants::features(PLAIN).without(without);
    let mut card = Starting::begin(transport, &settings, wants, patience()).expect("a card");
    assert_eq!(card.pairs(), PAIRS);
    let install = |pool: &'c FramePool<'c, SharedHal>| {
        let supply = pool.supply().expect("nobody else has it");
        card.install_pair(&hal, PairSlots::allocate(64), supply).expect("a pair of queues")
    };
    let installed: Vec<_> = pools.iter().map(install).collect();
    card.install_control(&hal, ControlSlots::allocate(16)).expect("a control queue");
    let control = card.start();
    let pairs: Vec<_> = installed.into_iter().map(|pair| control.activate(pair)).collect();
    assert_eq!(pairs[0].0.active_path().layout == Layout::Packed, is_packed);
    (control, pairs)
}

/// A frame with a number in it, between stations that are nobody's.
fn numbered<'c>(supply: &mut ReceiveQueue<'c, SharedHal>, mark: u8, number: u16) -> Frame<'c, SharedHal> {
    let mut frame = supply.frame().expect("one of many");
    let [high, low] = number.to_be_bytes();
    let header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    frame.append(&header).expect("room for a header");
    frame.append(&[mark, high, low]).expect("room for three bytes");
    frame.append(&[mark; 43]).expect("room for the shortest frame");
    frame
}

/// The next frame that comes within a time: whose it is, and its number.
fn next(receive: &mut ReceiveQueue<'_, SharedHal>, limit: Duration) -> Option<(u8, u16)> {
    let start = Instant::now();
    loop {
        if let Some(frame) = receive.receive().expect("the queue is sound") {
            let mut bytes = [0; 3];
            frame.read(14, &mut bytes).expect("as long as it was");
            return Some((bytes[0], u16::from_be_bytes([bytes[1], bytes[2]])));
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::yield_now();
    }
}

/// Sends frames on one pair, a few at a time, and takes them back there: all, in order, and nobody else's.
fn exchange((receive, transmit): &mut Pair<'_>, mark: u8) {
    for burst in 0..20 {
        let numbers = burst * 16..burst * 16 + 16;
        for number in numbers.clone() {
            let frame = numbered(receive, mark, number);
            transmit.transmit(frame).expect("there is room in the ring");
        }
        for number in numbers {
            assert_eq!(next(receive, LIMIT), Some((mark, number)));
        }
    }
    assert!(next(receive, Duration::ZERO).is_none());
}

fn end(control: Card<'_>, pairs: Vec<Pair<'_>>) {
    let down = control.take_down(patience()).expect("the card lets itself be reset");
    for (receive, transmit) in pairs {
        assert!(receive.reclaim(&down.reset).is_ok() && transmit.reclaim(&down.reset).is_ok());
    }
    assert!(down.control_slots.is_some());
}

#[test]
fn frames_go_through_both_pairs_in_split_and_packed_rings() {
    let testpmd = testpmd();
    let memory = memory();
    let pools = pools(&memory);
    let mut transport = connect(&testpmd, &memory, &polled());

    for is_packed in [false, true, false, true] {
        let (mut control, mut pairs) = start(&mut transport, &memory, &pools, is_packed, false);
        control.set_pairs(PAIRS, patience()).expect("there are two");
        for mark in [1, 2] {
            for pair in &mut pairs {
                exchange(pair, mark);
            }
        }
        control.set_pairs(1, patience()).expect("one is enough");
        exchange(&mut pairs[0], 3);
        control.set_pairs(PAIRS, patience()).expect("there are two");
        for pair in &mut pairs {
            exchange(pair, 4);
        }
        end(control, pairs);
    }
    drop((transport, pools));
    assert_eq!(memory.free_bytes(), memory.bytes());
    assert_eq!(memory.costs().bounced, 0);
    testpmd.stop();
}

#[test]
fn only_the_first_pair_is_used_until_the_card_is_told_otherwise() {
    let testpmd = testpmd();
    let memory = memory();
    let pools = pools(&memory);
    let mut transport = connect(&testpmd, &memory, &polled());
    let (mut control, mut pairs) = start(&mut transport, &memory, &pools, true, false);

    exchange(&mut pairs[0], 1);
    let (receive, transmit) = &mut pairs[1];
    let frame = numbered(receive, 2, 7);
    let refused = transmit.transmit(frame).expect_err("the card does not use it");
    assert_eq!(refused.error, TransmitError::PairNotInUse);
    control.set_pairs(PAIRS, patience()).expect("there are two");
    transmit.transmit(refused.frame).expect("there is room in the ring");

    assert_eq!(next(receive, LIMIT), Some((2, 7)));
    end(control, pairs);
}

#[test]
fn an_answer_to_a_command_interrupts_if_the_driver_wants_interrupts() {
    let testpmd = testpmd();
    let memory = memory();
    let pools = pools(&memory);
    // It says itself that it has 128 pairs, whatever it was started with.
    let settings = virtio_user::Settings { interrupts: true, queues_max: PAIRS, ..polled() };
    let mut transport = connect(&testpmd, &memory, &settings);
    // Behind the configuration's and those of four queues.
    let vector = transport.vector(1 + 2 * PAIRS).expect("one for the control queue");
    assert!(transport.vector(2 + 2 * PAIRS).is_none());
    let (mut control, pairs) = start(&mut transport, &memory, &pools, false, true);
    let was_quiet = !vector.wait(Duration::ZERO).expect("it can be waited for");

    control.set_pairs(PAIRS, patience()).expect("there are two");

    assert!(was_quiet && vector.wait(LIMIT).expect("it can be waited for"));
    end(control, pairs);
}

#[test]
fn a_card_with_one_pair_has_no_commands() {
    let testpmd = testpmd();
    let memory = memory();
    let settings = virtio_user::Settings { queues_max: 1, ..polled() };
    let mut transport = connect(&testpmd, &memory, &settings);
    let wants = Wants::features(PLAIN);

    let card = Starting::<_, SharedHal>::begin(&mut transport, &Settings::default(), wants, patience());

    assert!(!card.expect("a card").features().intersects(NetFeatures::CTRL_VQ | NetFeatures::MQ));
}
