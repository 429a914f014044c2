//! How many accesses each call may make: the bounds that the library's documentation gives, added up here.
//!
//! Spec: none; a driver that waits for ever is the reason. All other loops are as long as a number that the driver chose.

use virtio_guest::hal::Attempts;

/// Looks at a reset that is not done, before a call gives up.
pub(crate) const PATIENCE: Attempts = Attempts(3);
/// The same, when a driver is dropped.
pub(crate) const DROP_PATIENCE: Attempts = Attempts(4);

/// Accesses that one verb of a transport takes: for the features two for each of four words, for a field of 8 bytes of legacy configuration one each, and for setting a queue up
/// over PCI 14: its largest size (3), whether it is enabled, its doorbell (2), its size, six halves of addresses, enabling it.
const VERB: usize = 14;
/// How often a configuration that changes is read, and its generation before and after.
const CONFIG_ATTEMPTS: usize = 16;
const GENERATIONS: usize = 2;

/// Reading the status; where it reads 0 over PCI, also whether the function is still there.
pub(crate) const STATUS: usize = 2;
/// Asking for a reset, and looking whether it is done.
const RESET: usize = 1 + STATUS * PATIENCE.0 as usize;
/// A step on the way up, or FAILED: the status is read, for the bit in it that is the device's, and written.
pub(crate) const STEP: usize = STATUS + 1;
/// A reset when dropped, with FAILED before it.
const DROP_RESET: usize = STEP + 1 + STATUS * DROP_PATIENCE.0 as usize;

/// A reset, ACKNOWLEDGE, DRIVER, the offered features.
pub(crate) const BEGIN: usize = RESET + 2 * STEP + VERB;
/// The accepted features, FEATURES_OK, the status; or the way down.
pub(crate) const NEGOTIATE: usize = VERB + STEP + STATUS + DROP_RESET;
/// Any end: a reset, and the one of the drop.
pub(crate) const END: usize = RESET + DROP_RESET;
/// A word of the interrupt status, and its acknowledgement.
pub(crate) const ACKNOWLEDGE: usize = 2;

/// Reading so many fields as of one moment.
pub(crate) const fn config(fields: usize) -> usize {
    CONFIG_ATTEMPTS * (GENERATIONS + 8 * fields)
}

/// Three ways to deal out vectors, each for the configuration (a write, a read, and a write that undoes it) and all queues (one that is selected before); then MSI-X off.
pub(crate) const fn route(queues: usize) -> usize {
    3 * (3 + 4 * queues) + 2
}

/// A queue's limits (3 at most), vector (4), and place.
pub(crate) const INSTALL: usize = 3 + 4 + VERB;

/// Asking for the reset of a queue (2), and looking whether it is done (3 each, and whether the function is still there).
pub(crate) const RESET_QUEUE: usize = 2 + 4 * PATIENCE.0 as usize;

/// Fields of a disk's configuration that are read when it comes up, if it has all features: capacity, sizes and numbers (5), geometry (3), topology (4), ranges (9), zones (6); and before features are agreed on whether it has zones.
const DISK_FIELDS: usize = 5 + 3 + 4 + 9 + 6 + 1;

/// A disk comes up, or down again: limits of the queue are asked for before it is installed, one queue has a vector.
pub(crate) const START_DISK: usize =
    BEGIN + NEGOTIATE + config(DISK_FIELDS) + 3 + route(1) + INSTALL + STEP + DROP_RESET;

/// So many requests of a disk, beside as many as its storage has room for that were left behind: a notification for each look at the ring, and the status
/// when patience is over. It looks for each chain that comes back, once more for each after asking for a notification, and while there is patience.
pub(crate) const fn requests(count: usize, slots: usize) -> usize {
    2 * (count + slots) + 2 * PATIENCE.0 as usize + 2 + 2 * STATUS
}
