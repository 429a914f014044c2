//! Something that stands in for shared memory: a model checker, in tests.
//!
//! Compiled with `--cfg virtio_guest_stand_in` only. The driver has a hook of its own of the same kind; a checker
//! installs itself in both, and then sees every access of both sides.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// What a test puts under the device's view of memory. A word is as many bytes as one access has, in the order in which they
/// are in memory.
pub trait StandIn: Sync {
    /// Loads the word at `place`; false leaves the load to the processor.
    fn load(&self, place: *mut u8, word: &mut [u8], order: Ordering) -> bool;

    /// Stores a word at `place`; false leaves the store to the processor.
    fn store(&self, place: *mut u8, word: &[u8], order: Ordering) -> bool;

    /// A fence; false leaves it to the processor.
    fn fence(&self, order: Ordering) -> bool;
}

static INSTALLED: OnceLock<&'static dyn StandIn> = OnceLock::new();

/// Puts `stand_in` under every device of this process, for good. The first one stays.
pub fn install(stand_in: &'static dyn StandIn) {
    INSTALLED.get_or_init(|| stand_in);
}

pub(super) fn load(place: *mut u8, word: &mut [u8], order: Ordering) -> bool {
    INSTALLED.get().is_some_and(|stand_in| stand_in.load(place, word, order))
}

pub(super) fn store(place: *mut u8, word: &[u8], order: Ordering) -> bool {
    INSTALLED.get().is_some_and(|stand_in| stand_in.store(place, word, order))
}

/// In place of the processor's fence.
pub(crate) fn fence(order: Ordering) {
    if !INSTALLED.get().is_some_and(|stand_in| stand_in.fence(order)) {
        std::sync::atomic::fence(order);
    }
}
