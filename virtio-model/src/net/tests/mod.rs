//! Promises of the network device, against a driver of bare stores.

mod commands;
mod hashes;
mod judgements;
mod layouts;
mod receive;
mod steering;
mod transmit;

use super::{Header, Nic, Packet, feature, header_bytes};
use crate::memory::AddressSpace;
use crate::pci::{PciDevice, STANDARD_BAR};
use crate::split::{Descriptor, NEXT, WRITE};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
/// Each queue has its three areas here.
const QUEUES: u64 = 0x1_0000;
const QUEUE_BYTES: u64 = 0x400;
const AVAIL: u64 = 0x100;
const USED: u64 = 0x200;
/// Buffers are here, one after the other.
const BUFFERS: u64 = QUEUES + 0x2000;
const MEMORY_BYTES: usize = 0x8_0000;

const fn bit(feature: u32) -> u128 {
    1 << feature
}

/// A frame of `len` bytes to the device, of no protocol.
fn frame(len: usize) -> Vec<u8> {
    let mut frame = MAC.to_vec();
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.extend((frame.len()..len).map(|at| at.to_le_bytes()[0]));
    frame
}

/// What a queue of the bench has done so far.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    made_available: u16,
    next_descriptor: u16,
    seen: u16,
}

struct Bench {
    memory: AddressSpace,
    nic: Nic,
    device: PciDevice,
    queues: [Progress; 8],
    next_buffer: u64,
    features: u128,
    _backing: Vec<u64>,
}

impl Bench {
    /// A device brought up with all its features but rings of other kinds, and all its queues.
    fn new(nic: Nic) -> Self {
        Self::with_features(nic, 0)
    }

    fn with_features(nic: Nic, more: u128) -> Self {
        let mut backing = vec![0u64; MEMORY_BYTES / 8];
        let memory = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the bench keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { memory.map(QUEUES, pointer, MEMORY_BYTES, true, true) };
        let device = nic.builder().with_features(more).build();
        device.config_write(0x04, 0b110);
        let write = |offset, width, value| device.bar_write(STANDARD_BAR, offset, width, value);
        write(0x14, 1, 0);
        assert_eq!(device.bar_read(STANDARD_BAR, 0x14, 1), 0);
        write(0x14, 1, 1);
        write(0x14, 1, 3);
        let features = device.offered_features() & !(1 << 29);
        for select in 0..4u32 {
            write(0x08, 4, select);
            write(0x0c, 4, u32::try_from(features >> (32 * select) & u128::from(u32::MAX)).unwrap());
        }
        write(0x14, 1, 0x0b);
        for queue in 0..device.queue_count() {
            write(0x16, 2, queue.into());
            let base = u32::try_from(QUEUES + QUEUE_BYTES * u64::from(queue)).unwrap();
            for (offset, area) in [(0x20, 0), (0x28, AVAIL), (0x30, USED)] {
                write(offset, 4, base + u32::try_from(area).unwrap());
            }
            write(0x1c, 2, 1);
        }
        write(0x14, 1, 0x0f);
        device.assert_driver_was_correct();
        Self {
            memory,
            nic,
            device,
            queues: [Progress::default(); 8],
            next_buffer: BUFFERS,
            features,
            _backing: backing,
        }
    }

    fn header_bytes(&self) -> usize {
        header_bytes(self.features)
    }

    /// Memory for `len` bytes.
    fn buffer(&mut self, len: usize) -> u64 {
        let at = self.next_buffer;
        self.next_buffer += len.next_multiple_of(8) as u64;
        at
    }

    /// Makes a chain available: readable segments of these bytes, then writable ones of these lengths; tells where the latter are.
    fn submit(&mut self, queue: u16, readable: &[&[u8]], writable: &[usize]) -> Vec<u64> {
        let base = QUEUES + QUEUE_BYTES * u64::from(queue);
        let mut segments = Vec::new();
        for bytes in readable {
            let at = self.buffer(bytes.len());
            self.memory.write(at, bytes).unwrap();
            segments.push((at, bytes.len(), 0));
        }
        for len in writable {
            segments.push((self.buffer(*len), *len, WRITE));
        }
        let progress = &mut self.queues[usize::from(queue)];
        let head = progress.next_descriptor;
        let count = segments.len();
        for (place, (addr, len, flags)) in segments.iter().enumerate() {
            let index = progress.next_descriptor;
            progress.next_descriptor = (index + 1) % 16;
            let more = if place + 1 < count { NEXT } else { 0 };
            let len = u32::try_from(*len).unwrap();
            let next = progress.next_descriptor;
            let descriptor = Descriptor { addr: *addr, len, flags: flags | more, next };
            descriptor.store(&self.memory, base, index).unwrap();
        }
        let entry = base + AVAIL + 4 + 2 * u64::from(progress.made_available % 16);
        self.memory.store_u16(entry, head, Relaxed).unwrap();
        progress.made_available = progress.made_available.wrapping_add(1);
        self.memory.store_u16(base + AVAIL + 2, progress.made_available, Release).unwrap();
        segments.iter().filter(|segment| segment.2 == WRITE).map(|segment| segment.0).collect()
    }

    /// Supplies a receive buffer of one piece.
    fn supply(&mut self, pair: u16, len: usize) -> u64 {
        self.submit(2 * pair, &[], &[len])[0]
    }

    /// Transmits header and frame in one piece, has it taken, and tells what the device says of it.
    fn transmit(&mut self, header: Header, frame: &[u8]) -> Option<String> {
        let mut bytes = header.bytes(self.header_bytes());
        bytes.extend(frame);
        self.submit(1, &[&bytes], &[]);
        self.serve();
        self.nic.take_transmitted().pop().unwrap().complaint
    }

    /// Sends a command with room for such a result, has it answered, and tells the answer.
    fn ask(&mut self, queue: u16, command: [u8; 2], data: &[u8], result: usize) -> (u8, Vec<u8>) {
        let writable = [1, result];
        let lens = if result == 0 { &writable[..1] } else { &writable };
        let parts: [&[u8]; 2] = [&command, data];
        let count = if data.is_empty() { 1 } else { 2 };
        let places = self.submit(queue, &parts[..count], lens);
        self.memory.write(places[0], &[0xee]).unwrap();
        self.serve();
        let used = self.used(queue);
        assert_eq!(used.len(), 1, "one command, one answer");
        let ack = self.read(places[0], 1)[0];
        let result = places.get(1).map(|at| self.read(*at, (used[0].1 - 1).try_into().unwrap()));
        (ack, result.unwrap_or_default())
    }

    fn serve(&self) -> usize {
        self.nic.serve(&self.device, &self.memory)
    }

    fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read(at, &mut bytes).unwrap();
        bytes
    }

    /// The used elements of a queue since the last call, as id and length.
    fn used(&mut self, queue: u16) -> Vec<(u32, u32)> {
        let base = QUEUES + QUEUE_BYTES * u64::from(queue) + USED;
        let idx = self.memory.load_u16(base + 2, Acquire).unwrap();
        let seen = std::mem::replace(&mut self.queues[usize::from(queue)].seen, idx);
        (seen..idx)
            .map(|index| {
                let at = base + 4 + 8 * u64::from(index % 16);
                let [id, len] = [at, at + 4].map(|at| self.memory.load_u32(at, Relaxed).unwrap());
                (id, len)
            })
            .collect()
    }

    /// Has a packet arrive that `supply`d buffers are there for.
    fn arrive(&self, packet: Packet) {
        self.nic.inject(packet);
        self.serve();
    }
}

#[test]
fn a_driver_of_a_plain_device_hears_of_packets_both_ways() {
    let mut bench = Bench::new(Nic::new(MAC));
    let buffer = bench.supply(0, 2048);

    bench.arrive(Packet::new(frame(60)));
    let complaint = bench.transmit(Header::default(), &frame(99));

    assert_eq!(bench.used(0), [(0, 72)]);
    assert_eq!(bench.read(buffer, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(bench.read(buffer + 12, 60), frame(60));
    assert_eq!((complaint, bench.used(1)), (None, vec![(0, 0)]));
    assert_eq!(bench.device.used_interrupts(), 2);
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_reset_forgets_what_the_driver_set() {
    let mut bench = Bench::new(Nic::new(MAC).with_features(bit(feature::CTRL_VQ) | bit(feature::CTRL_RX)));
    assert_eq!(bench.ask(2, [0, 0], &[1], 0).0, 0);
    assert!(bench.nic.settings().modes.promiscuous);

    bench.device.bar_write(STANDARD_BAR, 0x14, 1, 0);
    bench.serve();

    assert!(!bench.nic.settings().modes.promiscuous);
    assert!(bench.nic.with_queue(&bench.device, &bench.memory, 0, |_| ()).is_none());
}
