//! What a disk's session promises to those who sleep until something is done.

mod support;

use std::time::{Duration, Instant};

use qemu_tests::{DiskDevice, StorageDaemon};
use support::{LIMIT, memory};
use virtio_guest::device::block::HANDLED;
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::block::BlockFeatures;
use virtio_user::memory::SharedBuffer;
use virtio_user::session::{Disk, DiskSettings};

/// Sleeps, and says how long that was.
fn slept(disk: &mut Disk, limit: Duration) -> Duration {
    let start = Instant::now();
    disk.wait(limit);
    start.elapsed()
}

#[test]
fn whoever_waits_is_not_kept_from_what_is_done_already() {
    let daemon = StorageDaemon::of_nothing(64, &DiskDevice::default());
    let wants = Wants::features(HANDLED - BlockFeatures::FLUSH);
    let settings = DiskSettings { wants, ..DiskSettings::default() };
    let mut disk = Disk::<SharedBuffer>::connect(daemon.address(), &memory(), settings).expect("a disk");
    // Some back-ends interrupt once for nothing.
    let quiet = Duration::from_millis(100);
    let start = Instant::now();
    while slept(&mut disk, quiet) < quiet {
        assert!(start.elapsed() < LIMIT, "nothing comes");
    }
    // Without a cache there is nothing to be done, and nothing that interrupts.
    disk.submit_flush(0).expect("there is room");

    assert!(slept(&mut disk, LIMIT / 2) < LIMIT / 4, "it is done");

    assert_eq!(disk.complete_burst(0, 8, |done| assert_eq!(done.sent, 0)).expect("a back-end"), 1);
}
