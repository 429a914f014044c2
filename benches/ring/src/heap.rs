//! A global allocator that counts for a thread that asks for it: an operation on a ring should allocate nothing.
//!
//! Each thread counts its own allocations, for a test harness allocates in another thread whenever it likes. When a
//! thread does not count it costs one load and a branch, so that it does not spoil the times of a peer that allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// See the module's head.
#[derive(Debug)]
pub struct Counting;

// Constants at first and nothing to drop: neither allocates, so that an allocator may use them.
thread_local! {
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    if IS_COUNTING.get() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
}

/// How often this thread allocated while it did `work`.
pub fn allocations_during(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    IS_COUNTING.set(true);
    work();
    IS_COUNTING.set(false);
    ALLOCATIONS.get() - before
}
