//! A frame's header is written where another one is, and nowhere else: a line of memory that is only read stays in the device's cache.
//!
//! Spec: §5.1.9.2 Packet Transmission. Runs with `--cfg virtio_guest_stand_in` (`make test-races`), for it counts stores.

#![cfg(virtio_guest_stand_in)]

mod support;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use support::card::{CardBench, Make, incoming};
use virtio_guest::device::net::{Checksum, Offload};
use virtio_guest::raw::stand_in::{self, StandIn};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::{Packet, Transmitted, header_flag};

/// All but one are with the receive queue.
const BUFFERS: u32 = 17;
/// An odd number of cache lines, which it stays.
const BUFFER_BYTES: u32 = 2112;
/// All of them: the pool's memory is at least as large, and no other.
const POOL_BYTES: usize = (BUFFERS * BUFFER_BYTES) as usize;
/// Where a header is in a buffer: its two words.
const HEADER: [(usize, usize); 2] = [(52, 4), (56, 8)];

const MAKE: Make = Make {
    features: NetFeatures::CSUM.bits(),
    ring: 0,
    legacy: false,
    buffers: BUFFERS,
    buffer_bytes: BUFFER_BYTES,
    notified: false,
    mtu: 1500,
};

thread_local! {
    /// Where the pool's memory is: nothing else is as large.
    static POOL: Cell<Option<usize>> = const { Cell::new(None) };
    /// Stores to it: where in a buffer, and of how many bytes.
    static STORES: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Notes each store to the pool.
struct Watcher;

impl StandIn for Watcher {
    fn share(&self, place: NonNull<u8>, len: usize) {
        if len >= POOL_BYTES {
            POOL.set(Some(place.addr().get()));
        }
    }

    fn load(&self, _: NonNull<u8>, _: &mut [u8]) -> bool {
        false
    }

    fn store(&self, place: NonNull<u8>, word: &[u8]) -> bool {
        let offset = POOL.get().and_then(|pool| place.addr().get().checked_sub(pool));
        if let Some(offset) = offset.filter(|offset| *offset < POOL_BYTES) {
            STORES.with_borrow_mut(|stores| stores.push((offset % BUFFER_BYTES as usize, word.len())));
        }
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

/// Transmits a frame in the one buffer that is free; says which header arrived, and what was stored in buffers for that.
fn transmit(bench: &mut CardBench, offload: Offload) -> (Transmitted, Vec<(usize, usize)>) {
    let mut frame = bench.frame(&incoming(100, 1));
    frame.set_offload(offload);
    STORES.take();
    bench.card.transmit(frame).expect("there is room");
    let stores = STORES.take();
    bench.serve();
    assert_eq!(bench.card.transmit_queue().reap(), Ok(1), "the buffer is free again");
    let packet = bench.nic.take_transmitted().pop().expect("it arrived");
    assert_eq!((&packet.complaint, &packet.frame), (&None, &incoming(100, 1)));
    (packet, stores)
}

/// The same of a frame that leaves nothing to the device: its header is all zeros, and these stores are made for it.
fn expect_plain(bench: &mut CardBench, expected: &[(usize, usize)], what: &str) {
    let (packet, stores) = transmit(bench, Offload::default());
    assert_eq!(stores, expected, "{what}");
    assert_eq!(packet.header, Packet::default().header, "{what}");
}

#[test]
fn a_header_is_written_where_another_one_is_and_nowhere_else() {
    stand_in::install(&Watcher);
    let partial = Offload::default().with_checksum(Checksum::Partial { start: 34, offset: 16 });
    for make in MAKE.each_ring() {
        let mut bench = make.start();
        expect_plain(&mut bench, &[], "new memory is zeros, and so is the header");
        expect_plain(&mut bench, &[], "it is there from the last time");

        let (packet, stores) = transmit(&mut bench, partial);

        assert_eq!(packet.header.flags, header_flag::NEEDS_CSUM);
        assert!(!stores.is_empty(), "stores are seen");
        expect_plain(&mut bench, &HEADER, "another frame's is there");
        expect_plain(&mut bench, &[], "it is there from the last time");
        let [pool] = bench.hal.dma_addresses(POOL_BYTES)[..] else { panic!("one pool") };
        for byte in 52..64 {
            for buffer in 0..BUFFERS {
                let address = pool + u64::from(buffer * BUFFER_BYTES + byte);
                bench.hal.space.write(address, &[0xa5]).expect("the device reaches it");
            }
            expect_plain(&mut bench, &HEADER, "the device changed a byte");
            expect_plain(&mut bench, &[], "it is there from the last time");
        }
        bench.end();
    }
}
