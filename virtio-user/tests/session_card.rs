//! What a card's session promises.
//!
//! Between ports of DPDK's testpmd and of Open vSwitch, which are killed meanwhile.
//!
//! Two cards, each a thread's: one sends numbered frames, the other takes them and looks at each byte.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use qemu_tests::backend::{OpenVSwitch, Testpmd, TestpmdSettings};
use virtio_guest::device::net::{
    Frame, FramePool, FrameSupply, MacAddress, PLAIN, PoolSettings, TransmitError,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::ring::Layout;
use virtio_guest::wire::features::CommonFeatures;
use virtio_user::memory::{MemorySettings, Pages, SharedHal, SharedMemory};
use virtio_user::session::{BackEnd, Card, CardSettings, Wait};
use virtio_user::{Listener, Settings};

/// Nothing here takes as long, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);
/// Descriptors of a queue.
const DESCRIPTORS: u16 = 256;
const BURST: usize = 32;
/// Frames that are on their way together: all rings have room for them.
const WINDOW: u64 = 128;
/// Frames that a back-end may have taken and not handed on.
const TAKEN: u64 = 64;
/// What has not come for so long does not come.
const SILENCE: Duration = Duration::from_millis(500);
const MACS: [MacAddress; 2] = [[0x52, 0x54, 0, 0, 0, 1], [0x52, 0x54, 0, 0, 0, 2]];

fn memory() -> SharedMemory {
    SharedMemory::new(&MemorySettings { bytes: 16 << 20, pages: Pages::Ordinary }).expect("16 MiB of memory")
}

fn pool<'p>(memory: &SharedMemory) -> FramePool<'p, SharedHal> {
    FramePool::new(&memory.hal(), PoolEntries::allocate(1024), PoolSettings::default())
        .expect("room for frames")
}

fn settings(mac: MacAddress, packed: bool) -> CardSettings {
    let wants = Wants::features(PLAIN);
    CardSettings {
        front_end: Settings { interrupts: false, mac: Some(mac), answer_limit: LIMIT, ..Settings::default() },
        descriptors: DESCRIPTORS,
        wants: if packed { wants } else { wants.without(CommonFeatures::RING_PACKED) },
        wait: Wait { connect_within: LIMIT, return_within: LIMIT },
    }
}

/// The length and the bytes of the frame with this number.
fn contents(number: u64) -> Vec<u8> {
    let mut bytes = [&MACS[1][..], &MACS[0], &[0x88, 0xb5], &number.to_be_bytes()].concat();
    let length = 60 + (number * 37 % 1000) as usize;
    bytes.extend((bytes.len()..length).map(|at| (number as usize * 31 + at) as u8));
    bytes
}

fn make<'p>(number: u64, supply: &mut FrameSupply<'p, SharedHal>) -> Option<Frame<'p, SharedHal>> {
    let mut frame = supply.frame()?;
    frame.append(&contents(number)).expect("it fits");
    Some(frame)
}

/// The frame that says that a way is open.
fn way_frame(way: u64) -> Vec<u8> {
    let mut bytes = [&MACS[1][..], &MACS[0], &[0x88, 0xb6], &way.to_be_bytes()].concat();
    bytes.resize(60, 0);
    bytes
}

/// What a frame says.
enum Said {
    Number(u64),
    Way(u64),
}

/// What a frame says, which is as it was made; `None` if it is somebody else's.
fn read(frame: &Frame<'_, SharedHal>) -> Option<Said> {
    let mut bytes = vec![0; frame.len()];
    frame.read(0, &mut bytes).expect("as long");
    let number = u64::from_be_bytes(bytes.get(14..22)?.try_into().expect("8 bytes"));
    match bytes.get(12..14)? {
        [0x88, 0xb5] => {
            assert_eq!(bytes, contents(number), "frame {number}");
            Some(Said::Number(number))
        }
        [0x88, 0xb6] => Some(Said::Way(number)),
        _ => None,
    }
}

/// What the threads say to each other.
#[derive(Default)]
struct Shared {
    /// How often the way from one card to the other one was found open, by a frame that says so.
    opened: AtomicU64,
    /// Frames that were given to the sender's card, and that came to the other one.
    sent: AtomicU64,
    came: AtomicU64,
    /// No more are to be sent; and none will be.
    is_over: AtomicBool,
    is_done: AtomicBool,
}

/// What became of a card.
#[derive(Clone, Copy, Debug)]
struct Ended {
    lost: u64,
    restarts: u64,
}

/// Ends a card: what it was made of comes back, every frame once.
fn end(card: Card<'_>, own: &[FramePool<'_, SharedHal>]) -> Ended {
    let restarts = card.restarts();
    let closed = card.close(LIMIT).expect("it stops");
    let lost = closed.lost;
    for (supply, own) in closed.supplies.into_iter().zip(own) {
        let mut supply = supply.expect("it comes back");
        let all: Vec<_> = iter::from_fn(|| supply.frame()).collect();
        assert_eq!(all.len(), own.count(), "each frame comes back");
    }
    Ended { lost, restarts }
}

/// How a card's rings are.
#[derive(Clone, Copy, Debug)]
struct Rings {
    packed: bool,
    pairs: usize,
}

const SPLIT: Rings = Rings { packed: false, pairs: 1 };
const PACKED: Rings = Rings { packed: true, pairs: 1 };

fn connect<'p>(
    back_end: BackEnd,
    memory: &SharedMemory,
    own: &'p [FramePool<'p, SharedHal>],
    mac: MacAddress,
    rings: Rings,
) -> Card<'p> {
    let supplies = own.iter().map(|pool| pool.supply().expect("nobody has it"));
    let mut card = Card::connect(back_end, memory, supplies, settings(mac, rings.packed)).expect("a card");
    for pair in 0..rings.pairs {
        let layout = card.queues(pair).map(|(receive, _)| receive.active_path().layout);
        assert_eq!(layout, Some(if rings.packed { Layout::Packed } else { Layout::Split }));
    }
    card
}

/// Sends until it is over, on each pair in its turn, never more than a window ahead of what came.
fn send(back_end: BackEnd, shared: &Shared, rings: Rings) -> Ended {
    let memory = memory();
    let own: Vec<_> = (0..rings.pairs).map(|_| pool(&memory)).collect();
    let frames = pool(&memory);
    let mut card = connect(back_end, &memory, &own, MACS[0], rings);
    let mut supply = frames.supply().expect("nobody has it");
    let (start, mut next, mut written_off) = (Instant::now(), 0, 0);
    let (mut opened, mut pair) = (0, 0);
    while !shared.is_over.load(Ordering::Relaxed) {
        assert!(start.elapsed() < LIMIT, "{next} frames were sent");
        card.receive_burst(0, BURST, drop).expect("a back-end");
        let came = shared.came.load(Ordering::Relaxed);
        // A switch that was just started drops what it has no port for yet, so it is asked first.
        if opened <= card.restarts() {
            let way = card.restarts() + 1;
            if shared.opened.load(Ordering::Relaxed) == way {
                // What has not come by now was lost with the back-end before.
                (opened, written_off) = (way, next - came);
            } else if let Some(mut frame) = supply.frame() {
                frame.append(&way_frame(way)).expect("it fits");
                drop(card.transmit_burst(0, [frame]));
                card.reap(0);
                thread::sleep(Duration::from_millis(2));
            }
            continue;
        }
        let end = came + written_off + WINDOW;
        if next >= end {
            thread::yield_now();
            continue;
        }
        let mut burst = (next..end).take(BURST).map_while(|number| make(number, &mut supply));
        pair = (pair + 1) % rings.pairs;
        let transmitted = card.transmit_burst(pair, &mut burst);
        next += transmitted.unwrap_or_else(|burst| {
            assert_eq!(burst.refused.error, TransmitError::Full);
            burst.transmitted
        }) as u64;
        shared.sent.store(next, Ordering::Relaxed);
    }
    shared.is_done.store(true, Ordering::Release);
    drop(supply);
    let ended = end(card, &own);
    let mut supply = frames.supply().expect("nobody has it");
    let all: Vec<_> = iter::from_fn(|| supply.frame()).collect();
    assert_eq!(all.len(), frames.count(), "each frame comes back");
    ended
}

/// Takes what comes, until it is over and no more comes.
fn receive(back_end: BackEnd, shared: &Shared, rings: Rings) -> Ended {
    let memory = memory();
    let own: Vec<_> = (0..rings.pairs).map(|_| pool(&memory)).collect();
    let mut card = connect(back_end, &memory, &own, MACS[1], rings);
    let (start, mut last, mut heard) = (Instant::now(), vec![None; rings.pairs], Instant::now());
    for pair in (0..rings.pairs).cycle() {
        let last = &mut last[pair];
        // In this order: then all that is sent is known.
        let is_done = shared.is_done.load(Ordering::Acquire);
        let sent = shared.sent.load(Ordering::Relaxed);
        let mut came = 0;
        let taken = card.receive_burst(pair, BURST, |frame| {
            let number = match read(&frame) {
                Some(Said::Number(number)) => number,
                Some(Said::Way(way)) => return shared.opened.store(way, Ordering::Relaxed),
                None => return,
            };
            assert!(last.is_none_or(|last| last < number), "frame {number} after {last:?}");
            *last = Some(number);
            came += 1;
        });
        let all = shared.came.fetch_add(came, Ordering::Relaxed) + came;
        if taken.expect("a back-end") > 0 {
            heard = Instant::now();
        } else {
            thread::yield_now();
        }
        let is_silent = all == sent || heard.elapsed() > SILENCE;
        if is_done && is_silent {
            return end(card, &own);
        }
        assert!(start.elapsed() < LIMIT, "{all} frames came");
    }
    panic!("a card has a pair of queues")
}

/// Runs both cards, and meanwhile what is to happen; then says how many frames were sent and came, and what became of both.
fn traffic(back_ends: [BackEnd; 2], rings: Rings, meanwhile: impl FnOnce(&Shared)) -> (u64, u64, [Ended; 2]) {
    let shared = Shared::default();
    let [one, other] = back_ends;
    let ended = thread::scope(|scope| {
        let other = scope.spawn(|| receive(other, &shared, rings));
        let one = scope.spawn(|| send(one, &shared, rings));
        meanwhile(&shared);
        shared.is_over.store(true, Ordering::Relaxed);
        [one, other].map(|card| card.join().expect("no failure"))
    });
    (shared.sent.into_inner(), shared.came.into_inner(), ended)
}

/// Waits until so many frames more have come.
fn wait_for(shared: &Shared, frames: u64) {
    let (start, before) = (Instant::now(), shared.came.load(Ordering::Relaxed));
    while shared.came.load(Ordering::Relaxed) < before + frames {
        assert!(start.elapsed() < LIMIT, "{} frames came", shared.came.load(Ordering::Relaxed));
        thread::sleep(Duration::from_millis(1));
    }
}

fn of_testpmd(testpmd: &Testpmd) -> [BackEnd; 2] {
    [0, 1].map(|port| BackEnd::Path(testpmd.socket(port)))
}

fn of_switch(switch: &OpenVSwitch) -> [BackEnd; 2] {
    [0, 1].map(|port| BackEnd::Listener(Listener::bind(switch.socket(port)).expect("a socket")))
}

#[test]
fn every_frame_goes_through_testpmd_in_order_and_as_it_was_made() {
    let testpmd = Testpmd::start(TestpmdSettings::default());
    for rings in [SPLIT, PACKED] {
        let (sent, came, ended) = traffic(of_testpmd(&testpmd), rings, |shared| wait_for(shared, 20_000));

        println!("{rings:?}: {sent} frames");
        assert_eq!(came, sent);
        assert!(ended.iter().all(|card| (card.lost, card.restarts) == (0, 0)), "{ended:?}");
    }
    testpmd.stop();
}

#[test]
fn two_pairs_of_queues_carry_frames_both() {
    let testpmd = Testpmd::start(TestpmdSettings { pairs: 2, ..TestpmdSettings::default() });
    for packed in [false, true] {
        let rings = Rings { packed, pairs: 2 };

        let (sent, came, ended) = traffic(of_testpmd(&testpmd), rings, |shared| wait_for(shared, 5000));

        assert_eq!(came, sent, "{ended:?}");
    }
    testpmd.stop();
}

#[test]
fn every_frame_goes_through_open_vswitch_in_order_and_as_it_was_made() {
    let switch = OpenVSwitch::start(2);
    for rings in [SPLIT, PACKED] {
        let (sent, came, ended) = traffic(of_switch(&switch), rings, |shared| wait_for(shared, 10_000));

        println!("{rings:?}: {sent} frames");
        assert_eq!(came, sent);
        assert!(ended.iter().all(|card| (card.lost, card.restarts) == (0, 0)), "{ended:?}");
    }
    switch.stop();
}

/// What a kill may lose: what was in the sender's ring, and behind it.
fn judge(kills: u64, sent: u64, came: u64, ended: [Ended; 2]) {
    println!("{sent} frames, {came} came, {ended:?}");
    let [one, other] = ended;
    assert_eq!((one.restarts, other.restarts), (kills, kills));
    // And a frame that asks for the way, each time.
    let most = kills * (WINDOW + 1);
    assert!(sent - came <= most, "{} frames did not come", sent - came);
    assert!(one.lost <= most && other.lost == 0, "{ended:?}");
    // The rest had been taken, by a back-end that could not hand it on any more.
    assert!(sent - came <= one.lost + kills * TAKEN, "{ended:?}");
}

#[test]
fn cards_go_on_when_testpmd_is_killed_in_mid_traffic_and_lose_a_queues_worth_at_most() {
    for (rings, kills) in [(SPLIT, 2), (PACKED, 1)] {
        let mut testpmd = Testpmd::start(TestpmdSettings::default());

        let (sent, came, ended) = traffic(of_testpmd(&testpmd), rings, |shared| {
            for _ in 0..kills {
                wait_for(shared, 2000);
                testpmd.kill();
                testpmd.start_again();
            }
            wait_for(shared, 2000);
        });

        judge(kills, sent, came, ended);
        testpmd.stop();
    }
}

#[test]
fn cards_go_on_when_open_vswitch_is_killed_in_mid_traffic_and_lose_a_queues_worth_at_most() {
    let mut switch = OpenVSwitch::start(2);

    let (sent, came, ended) = traffic(of_switch(&switch), SPLIT, |shared| {
        wait_for(shared, 2000);
        switch.kill();
        switch.start_again();
        wait_for(shared, 2000);
    });

    judge(1, sent, came, ended);
    switch.stop();
}
