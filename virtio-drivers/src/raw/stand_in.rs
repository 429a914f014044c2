//! Something that stands in for shared memory.
//!
//! A model checker, or a fuzzer that plays the device between any two loads.
//!
//! Compiled with `--cfg virtio_guest_stand_in` only, for tests; no kernel has it. Without an installed stand-in, and where it declines, the processor's
//! own memory answers. A stand-in sees every load, store and fence that the driver makes on memory it shares with a device, and nothing else.

use core::ptr::NonNull;
use std::sync::OnceLock;

use crate::sync::Ordering;

/// What a test puts under the driver's shared memory. A word is as many bytes as one access has, in the order in which they are in memory.
pub trait StandIn: Sync {
    /// `len` bytes at `place`, zeroed, are shared with a device from now on.
    fn share(&self, place: NonNull<u8>, len: usize);

    /// Loads the word at `place`; `false` leaves the load to the processor. May change the memory first, as a device would.
    fn load(&self, place: NonNull<u8>, word: &mut [u8]) -> bool;

    /// Stores a word at `place`; `false` leaves the store to the processor.
    fn store(&self, place: NonNull<u8>, word: &[u8]) -> bool;

    /// A fence; `false` leaves it to the processor.
    fn fence(&self, ordering: Ordering) -> bool;

    /// A barrier for real hardware (`ORDER_PLATFORM`), at least as strong as a fence of `ordering`; `false` leaves it to the processor.
    fn platform_barrier(&self, ordering: Ordering) -> bool;
}

static INSTALLED: OnceLock<&'static dyn StandIn> = OnceLock::new();

/// Puts `stand_in` under all shared memory of this process, for good. The first one stays.
pub fn install(stand_in: &'static dyn StandIn) {
    INSTALLED.get_or_init(|| stand_in);
}

pub(super) fn share(place: NonNull<u8>, len: usize) {
    if let Some(stand_in) = INSTALLED.get() {
        stand_in.share(place, len);
    }
}

pub(super) fn load(place: NonNull<u8>, word: &mut [u8]) -> bool {
    INSTALLED.get().is_some_and(|stand_in| stand_in.load(place, word))
}

pub(super) fn store(place: NonNull<u8>, word: &[u8]) -> bool {
    INSTALLED.get().is_some_and(|stand_in| stand_in.store(place, word))
}

/// Under [`order`](super::order) in place of the processor's fence.
pub(crate) fn fence(ordering: Ordering) {
    if !INSTALLED.get().is_some_and(|stand_in| stand_in.fence(ordering)) {
        core::sync::atomic::fence(ordering);
    }
}

/// In place of a barrier instruction.
pub(super) fn platform_barrier(ordering: Ordering) -> bool {
    INSTALLED.get().is_some_and(|stand_in| stand_in.platform_barrier(ordering))
}
