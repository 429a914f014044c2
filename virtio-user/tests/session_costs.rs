//! What sessions cost while all is well: no allocation.
//!
//! Each thread counts its own, so tests may run together.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use qemu_tests::backend::{Forwarding, Testpmd, TestpmdSettings};
use qemu_tests::{DiskDevice, StorageDaemon};
use virtio_guest::device::block::Sector;
use virtio_guest::device::net::{FramePool, PoolSettings};
use virtio_guest::hal::Patience;
use virtio_guest::raw::PoolEntries;
use virtio_user::memory::{MemorySettings, Pages, SharedMemory};
use virtio_user::session::{Card, CardSettings, Disk, DiskSettings};
use virtio_user::{Settings, within};

/// Nothing here takes as long, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's, and counts.
struct Counting;

// SAFETY: the system's allocator promises what is asked for; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocated meanwhile.
fn allocations(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

fn memory() -> SharedMemory {
    SharedMemory::new(&MemorySettings { bytes: 16 << 20, pages: Pages::Ordinary }).expect("16 MiB of memory")
}

fn front_end() -> Settings {
    Settings { interrupts: false, answer_limit: LIMIT, ..Settings::default() }
}

#[test]
fn a_disk_allocates_nothing_while_requests_come_and_go() {
    let daemon = StorageDaemon::of_nothing(8192, &DiskDevice::default());
    let memory = memory();
    let settings = DiskSettings { front_end: front_end(), ..DiskSettings::default() };
    let mut disk = Disk::connect(daemon.address(), &memory, settings).expect("a disk");
    let pool = memory.pool(32, 4096).expect("there is memory");
    let mut run = |requests: usize| {
        let (mut came, mut patience) = (0, within(LIMIT));
        while came < requests && patience.keep_waiting() {
            while let Some(buffer) = pool.take() {
                let sector = Sector((came as u64 * 8) % 8192);
                let is_write = came % 3 == 0;
                let submitted = if is_write {
                    disk.submit_write(0, sector, buffer)
                } else {
                    disk.submit_read(0, sector, buffer)
                };
                submitted.expect("there is room");
            }
            disk.publish(0);
            came += disk.complete_burst(0, 64, |done| assert!(done.result.is_ok())).expect("a back-end");
        }
        assert!(came >= requests);
    };
    run(1000);

    assert_eq!(allocations(|| run(5000)), 0);
    let costs = memory.costs();
    assert_eq!((costs.bounced, costs.copied_bytes), (0, 0), "buffers of the memory are mapped for free");
}

#[test]
fn a_card_allocates_nothing_while_frames_come_and_go() {
    let testpmd =
        Testpmd::start(TestpmdSettings { forwarding: Forwarding::Back, ..TestpmdSettings::default() });
    let memory = memory();
    let pools = [0, 1].map(|_| {
        FramePool::new(&memory.hal(), PoolEntries::allocate(512), PoolSettings::default()).expect("room")
    });
    let [own, frames] = &pools;
    let settings = CardSettings { front_end: front_end(), ..CardSettings::default() };
    let mut card = Card::connect(&*testpmd.socket(0), &memory, own.supply(), settings).expect("a card");
    let mut supply = frames.supply().expect("nobody has it");
    let mut run = |count: usize| {
        let (mut came, start) = (0, Instant::now());
        while came < count {
            assert!(start.elapsed() < LIMIT, "{came} frames came back");
            let burst = std::iter::from_fn(|| {
                let mut frame = supply.frame()?;
                frame.append(&[2; 64]).ok()?;
                Some(frame)
            });
            // A full ring is as good.
            drop(card.transmit_burst(0, burst.take(32)));
            card.receive_burst(0, 32, |_| came += 1).expect("a back-end");
            std::thread::yield_now();
        }
    };
    run(1000);

    assert_eq!(allocations(|| run(5000)), 0);
}
