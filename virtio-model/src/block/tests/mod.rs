//! Promises of the disk, against a driver made of bare register and memory stores.

mod cache;
mod changes;
mod layouts;
mod ranges;
mod zone_states;
mod zone_writes;

use super::{Disk, Order, Request, SECTOR_BYTES, WrittenLen, request_type, status};
use crate::memory::AddressSpace;
use crate::pci::{PciDevice, STANDARD_BAR};
use crate::split::{Descriptor, NEXT, WRITE};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const TABLE: u64 = 0x1000;
const AVAIL: u64 = 0x1100;
const USED: u64 = 0x1200;
/// Each slot has its header, its status and its data here.
const SLOTS: u64 = 0x1400;
const SLOT_BYTES: u64 = 0x400;
const STATUS_IN_SLOT: u64 = 0x20;
const DATA_IN_SLOT: u64 = 0x100;
const UNTOUCHED: u8 = 0xee;
const MEMORY_BYTES: usize = 0x1400;

struct Bench {
    memory: AddressSpace,
    disk: Disk,
    device: PciDevice,
    made_available: u16,
    _backing: Vec<u64>,
}

impl Bench {
    /// A disk brought up with `VERSION_1` and `FLUSH` and a queue of 16.
    fn new(disk: Disk) -> Self {
        Self::with_features(disk, 0)
    }

    /// A disk brought up with these features besides.
    fn with_features(disk: Disk, features: u128) -> Self {
        let mut backing = vec![0u64; MEMORY_BYTES / 8];
        let memory = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the bench keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { memory.map(TABLE, pointer, MEMORY_BYTES, true, true) };
        let device = disk.builder().with_features(features).build();
        device.config_write(0x04, 0b110);
        let write = |offset, width, value| device.bar_write(STANDARD_BAR, offset, width, value);
        write(0x14, 1, 0);
        assert_eq!(device.bar_read(STANDARD_BAR, 0x14, 1), 0);
        write(0x14, 1, 1);
        write(0x14, 1, 3);
        write(0x0c, 4, 1 << 9 | u32::try_from(features & u128::from(u32::MAX)).unwrap());
        write(0x08, 4, 1);
        write(0x0c, 4, 1 | u32::try_from(features >> 32).unwrap());
        write(0x14, 1, 0x0b);
        for (offset, address) in [(0x20, TABLE), (0x28, AVAIL), (0x30, USED)] {
            write(offset, 4, u32::try_from(address).unwrap());
        }
        write(0x1c, 2, 1);
        write(0x14, 1, 0x0f);
        device.assert_driver_was_correct();
        Self { memory, disk, device, made_available: 0, _backing: backing }
    }

    /// Makes a request available from `slot`, with one data segment unless `data_len` is 0.
    fn submit(&mut self, slot: u16, kind: u32, sector: u64, data_len: u32) {
        let base = SLOTS + SLOT_BYTES * u64::from(slot);
        self.memory.store_u32(base, kind, Relaxed).unwrap();
        self.memory.store_u32(base + 4, 0, Relaxed).unwrap();
        self.memory.store_u64(base + 8, sector, Relaxed).unwrap();
        self.memory.write(base + STATUS_IN_SLOT, &[UNTOUCHED]).unwrap();
        let head = 3 * slot;
        let put = |index: u16, addr, len, flags, next| {
            Descriptor { addr, len, flags, next }.store(&self.memory, TABLE, index).unwrap();
        };
        let is_out = matches!(kind, request_type::OUT | 11..=15);
        let data_flags = if is_out { NEXT } else { NEXT | WRITE };
        // An append brings its sector in front of its status.
        let status_len = if kind == request_type::ZONE_APPEND { 9 } else { 1 };
        put(head, base, 16, NEXT, if data_len == 0 { head + 2 } else { head + 1 });
        put(head + 1, base + DATA_IN_SLOT, data_len, data_flags, head + 2);
        put(head + 2, base + STATUS_IN_SLOT + 1 - status_len, status_len.try_into().unwrap(), WRITE, 0);
        let entry = AVAIL + 4 + 2 * u64::from(self.made_available % 16);
        self.memory.store_u16(entry, head, Relaxed).unwrap();
        self.made_available += 1;
        self.memory.store_u16(AVAIL + 2, self.made_available, Release).unwrap();
    }

    /// Sends a request from slot 0, has it served, and tells its status and what is wrong with it.
    fn ask(&mut self, kind: u32, sector: u64, data: &[u8], data_len: u32) -> (u8, Option<String>) {
        self.memory.write(SLOTS + DATA_IN_SLOT, data).unwrap();
        self.submit(0, kind, sector, data_len);
        assert_eq!(self.serve(), 1);
        (self.status(0), self.disk.requests().pop().unwrap().complaint)
    }

    /// The same, of a request that is in order.
    fn ask_well(&mut self, kind: u32, sector: u64, data: &[u8], data_len: u32) -> u8 {
        let (status, complaint) = self.ask(kind, sector, data, data_len);
        assert_eq!(complaint, None);
        status
    }

    fn serve(&self) -> usize {
        self.disk.serve(&self.device, &self.memory)
    }

    fn data(&self, slot: u16, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        let base = SLOTS + SLOT_BYTES * u64::from(slot);
        self.memory.read(base + DATA_IN_SLOT, &mut data).unwrap();
        data
    }

    fn status(&self, slot: u16) -> u8 {
        let mut byte = [0];
        let base = SLOTS + SLOT_BYTES * u64::from(slot);
        self.memory.read(base + STATUS_IN_SLOT, &mut byte).unwrap();
        byte[0]
    }

    /// The used elements published so far, as id and length.
    fn used(&self) -> Vec<(u32, u32)> {
        let idx = self.memory.load_u16(USED + 2, Acquire).unwrap();
        (0..u64::from(idx))
            .map(|index| {
                let at = USED + 4 + 8 * index;
                let [id, len] = [at, at + 4].map(|at| self.memory.load_u32(at, Relaxed).unwrap());
                (id, len)
            })
            .collect()
    }
}

#[test]
fn a_read_brings_the_sector_and_an_honest_length() {
    let disk = Disk::with_sectors(4);
    disk.fill(2, &[7; SECTOR_BYTES]);
    let mut bench = Bench::new(disk);
    bench.submit(0, request_type::IN, 2, 512);

    assert_eq!(bench.serve(), 1);

    assert_eq!(bench.data(0, 512), [7; SECTOR_BYTES]);
    assert_eq!((bench.status(0), bench.used()), (status::OK, vec![(0, 513)]));
    assert_eq!((bench.device.used_interrupts(), bench.device.isr()), (1, 1));
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_write_reaches_the_disk() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.memory.write(SLOTS + DATA_IN_SLOT, &[5; SECTOR_BYTES]).unwrap();
    bench.submit(0, request_type::OUT, 3, 512);

    bench.serve();

    assert_eq!(bench.disk.sector(3), [5; SECTOR_BYTES]);
    assert_eq!((bench.status(0), bench.used()), (status::OK, vec![(0, 1)]));
}

#[test]
fn a_read_only_disk_fails_a_write() {
    let mut bench = Bench::new(Disk::with_sectors(4).read_only());
    bench.submit(0, request_type::OUT, 3, 512);

    bench.serve();

    assert_eq!(bench.status(0), status::IOERR);
}

#[test]
fn flush_and_id_are_served() {
    let mut bench = Bench::new(Disk::with_sectors(4).with_id("disk seven"));
    bench.submit(0, request_type::FLUSH, 0, 0);
    bench.submit(1, request_type::GET_ID, 0, 20);

    assert_eq!(bench.serve(), 2);

    assert_eq!(bench.disk.flushes(), 1);
    assert_eq!(bench.data(1, 20), b"disk seven\0\0\0\0\0\0\0\0\0\0");
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_malformed_request_is_a_driver_error_and_fails() {
    for (kind, sector, data_len, text) in [
        (request_type::IN, 4, 512, "beyond the end"),
        (request_type::IN, u64::MAX, 512, "beyond the end"),
        (request_type::IN, 0, 511, "no whole number"),
        (request_type::OUT, 0, 0, "no whole number"),
        (request_type::FLUSH, 1, 0, "a flush of sector 1"),
        (request_type::FLUSH, 0, 512, "does not have"),
        (request_type::GET_ID, 0, 19, "19 bytes"),
        (99, 0, 0, "request type 99"),
    ] {
        let mut bench = Bench::new(Disk::with_sectors(4));
        bench.submit(0, kind, sector, data_len);

        assert_eq!(bench.serve(), 1);

        let errors = bench.device.driver_errors();
        assert!(errors[0].contains(text), "{errors:?} should say {text:?}");
        let expected = if kind == 99 { status::UNSUPP } else { status::IOERR };
        assert_eq!(bench.status(0), expected);
    }
}

#[test]
fn a_broken_ring_makes_the_device_need_a_reset() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.submit(0, request_type::IN, 0, 512);
    let looping = Descriptor { addr: SLOTS, len: 16, flags: NEXT, next: 0 };
    looping.store(&bench.memory, TABLE, 0).unwrap();

    assert_eq!(bench.serve(), 0);

    assert!(bench.device.driver_errors()[0].contains("loops"));
    assert!(!bench.device.is_live());
    assert_eq!(bench.device.config_interrupts(), 1);
}

#[test]
fn requests_are_held_back_and_completed_in_the_order_asked_for() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.hold();
    bench.disk.complete_in(Order::Reverse);
    for slot in 0..3 {
        bench.submit(slot, request_type::IN, slot.into(), 512);
    }

    assert_eq!((bench.serve(), bench.disk.waiting()), (0, 3));
    bench.disk.release(2);
    assert_eq!(bench.serve(), 2);
    bench.disk.release_all();
    assert_eq!(bench.serve(), 1);

    let ids: Vec<u32> = bench.used().iter().map(|used| used.0).collect();
    assert_eq!(ids, [6, 3, 0]);
    assert_eq!(bench.device.used_interrupts(), 2);
}

#[test]
fn requests_are_logged_as_they_came() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.submit(2, request_type::IN, 1, 1024 - 512);
    bench.serve();

    let expected = Request {
        queue: 0,
        head: 6,
        request_type: request_type::IN,
        sector: 1,
        data_bytes: 512,
        ranges: Vec::new(),
        readable_lens: vec![16],
        writable_lens: vec![512, 1],
        indirect: false,
        complaint: None,
    };
    assert_eq!(bench.disk.requests(), [expected]);
    assert_eq!(bench.disk.requests()[0].data_segments(), [512]);
}

#[test]
fn lies_about_requests_are_told() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.misbehave(|lies| {
        lies.skips_status = true;
        lies.written = WrittenLen::More(1000);
        lies.used_id = Some(0x1_0000);
    });
    bench.submit(0, request_type::IN, 0, 512);
    bench.serve();
    bench.disk.misbehave(|lies| *lies = super::DiskMisbehaviour::default());
    bench.disk.misbehave(|lies| lies.status = Some(200));
    bench.submit(1, request_type::IN, 0, 512);
    bench.serve();

    assert_eq!(bench.used(), [(0x1_0000, 1512), (3, 513)]);
    assert_eq!((bench.status(0), bench.status(1)), (UNTOUCHED, 200));
}

#[test]
fn a_reset_takes_the_ring_away() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.hold();
    bench.submit(0, request_type::IN, 0, 512);
    bench.serve();

    bench.device.bar_write(STANDARD_BAR, 0x14, 1, 0);
    bench.disk.release_all();

    assert_eq!((bench.serve(), bench.disk.waiting()), (0, 0));
    assert!(bench.disk.with_queue(&bench.device, &bench.memory, 0, |_| ()).is_none());
}

#[test]
fn the_disk_can_be_served_from_a_second_thread() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    let (disk, device, memory) = (bench.disk.clone(), bench.device.clone(), bench.memory.clone());
    let server = std::thread::spawn(move || {
        let mut completed = 0;
        while completed < 2 {
            completed += disk.serve(&device, &memory);
            std::thread::yield_now();
        }
    });

    bench.submit(0, request_type::IN, 0, 512);
    bench.submit(1, request_type::IN, 1, 512);

    server.join().unwrap();
    assert_eq!(bench.used(), [(0, 513), (3, 513)]);
}
