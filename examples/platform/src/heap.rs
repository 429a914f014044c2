//! A heap for the program, and a pool of physical memory for devices and page tables.
//!
//! The machine finds memory that nothing else lies in; here it is handed out: the heap is at its start, the pool is the rest.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, Ordering};

use linked_list_allocator::LockedHeap;

use crate::println;

const HEAP_BYTES: usize = 8 << 20;

#[global_allocator]
static PROGRAMS: Counting = Counting;

static HEAP: LockedHeap = LockedHeap::empty();
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The heap, and how often something was allocated there.
struct Counting;

// SAFETY: all is passed on to the heap as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { HEAP.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { HEAP.dealloc(pointer, layout) };
    }
}

/// Contiguous physical memory for devices and page tables.
pub(crate) static DMA_POOL: LockedHeap = LockedHeap::empty();

/// How much of some memory is in use.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes in use.
    pub used_bytes: usize,
    /// Bytes in all.
    pub bytes: usize,
}

/// What is in use of the program's heap, and of the devices' pool.
pub fn usage() -> [(&'static str, Usage); 2] {
    let of = |heap: &LockedHeap| {
        let heap = heap.lock();
        Usage { used_bytes: heap.used(), bytes: heap.size() }
    };
    [("heap", of(&HEAP)), ("device memory", of(&DMA_POOL))]
}

/// How often the program has allocated something from its heap.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Gives so many bytes from `start` on to the heap and the pool.
///
/// # Panics
/// If that is too little.
///
/// # Safety
/// They are usable memory that nothing else lies in, at pointers that are its physical addresses. Called once.
pub(crate) unsafe fn hand_out(start: u64, bytes: usize) {
    assert!(
        bytes >= 2 * HEAP_BYTES,
        "the machine has too little memory: {} MiB behind the kernel, {} are the least",
        bytes >> 20,
        (2 * HEAP_BYTES) >> 20
    );
    let start = start as *mut u8;
    // SAFETY: the caller's promise.
    unsafe { HEAP.lock().init(start, HEAP_BYTES) };
    // SAFETY: the heap's bytes are inside of the range.
    let pool = unsafe { start.add(HEAP_BYTES) };
    // SAFETY: the rest of the range.
    unsafe { DMA_POOL.lock().init(pool, bytes - HEAP_BYTES) };
    println!("memory: {} MiB for programs and devices", bytes >> 20);
}
