//! What tests at real back-ends share.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::{Duration, Instant};

use virtio_guest::hal::Patience;
use virtio_user::Settings;
use virtio_user::memory::{MemorySettings, Pages, SharedMemory};

/// Nothing here takes as long, unless something is wrong.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A memory of 16 MiB.
pub fn memory() -> SharedMemory {
    let settings = MemorySettings { bytes: 16 << 20, pages: Pages::Ordinary };
    SharedMemory::new(&settings).expect("16 MiB of memory")
}

/// A memory of 1 MiB.
pub fn small_memory() -> SharedMemory {
    let settings = MemorySettings { bytes: 1 << 20, pages: Pages::Ordinary };
    SharedMemory::new(&settings).expect("1 MiB of memory")
}

/// Waits as long as anything here may take, and lets others run meanwhile.
pub fn patience() -> impl Patience {
    let start = Instant::now();
    move || {
        std::thread::yield_now();
        start.elapsed() < LIMIT
    }
}

/// Settings for back-ends that are looked at, and do not interrupt.
pub fn polled() -> Settings {
    Settings { interrupts: false, answer_limit: LIMIT, ..Settings::default() }
}
