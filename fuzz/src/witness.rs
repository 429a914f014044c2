//! What the driver was told: a chain may come back only after memory said so, and must stay away if it did not.
//!
//! Spec: §2.7.14 (the used index), §2.8.22 (a descriptor's flags). A witness of the loads, whatever the device answered; lies count, for the driver cannot know them. It keeps
//! a count of its own of what was taken, and so knows where the driver must look.

use virtio_model::packed::{AVAIL, Position, USED};
use virtio_model::setup::Setup;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Witness {
    queue: Option<Queue>,
    /// What says whether there is a used chain, as the driver loaded it last in the call that it is in: the used index, or a descriptor's flags.
    mark: Option<u16>,
}

/// Where a queue is, and how far the driver got in it.
enum Queue {
    /// Chains that came back, and up to where a used index has vouched for them.
    Split { index_address: u64, taken: u16, covered: u16 },
    /// Where the next used descriptor is.
    Packed { ring_address: u64, size: u16, next: Position, in_order: bool },
}

impl Witness {
    /// Of a new queue.
    pub(crate) fn new(setup: &Setup, packed: bool) -> Self {
        let queue = if packed {
            let Setup { descriptor_area: ring_address, size, in_order, .. } = *setup;
            Queue::Packed { ring_address, size, next: Position::START, in_order }
        } else {
            Queue::Split { index_address: setup.device_area + 2, taken: 0, covered: 0 }
        };
        Self { queue: Some(queue), mark: None }
    }

    /// A call begins.
    pub(crate) fn begin_call(&mut self) {
        self.mark = None;
    }

    /// The driver loads a word.
    pub(crate) fn loaded(&mut self, address: u64, word: &[u8]) {
        let &[low, high] = word else { return };
        let is_mark = match &self.queue {
            Some(Queue::Split { index_address, .. }) => address == *index_address,
            Some(Queue::Packed { ring_address, next, size, .. }) => {
                let in_ring = (*ring_address..ring_address + 16 * u64::from(*size)).contains(&address);
                let flags_address = ring_address + 16 * u64::from(next.offset) + 14;
                let is_flags = in_ring && address % 16 == 14;
                assert!(
                    !is_flags || address == flags_address,
                    "the driver looks at the flags of another descriptor"
                );
                is_flags
            }
            None => false,
        };
        if is_mark {
            self.mark = Some(u16::from_le_bytes([low, high]));
        }
    }

    /// A chain of `descriptors` comes back, one of `held` that the device has.
    pub(crate) fn check_used(&mut self, held: usize, descriptors: u16) {
        let mark = self.mark.take();
        match self.queue.as_mut().expect("there is a queue") {
            Queue::Split { taken, covered, .. } => {
                if let Some(index) = mark {
                    let moved = usize::from(index.wrapping_sub(*taken));
                    assert!(moved <= held, "the used index moved by {moved}, which is more than {held}");
                    *covered = index;
                }
                assert_ne!(taken, covered, "a chain comes back that no used index covers");
                *taken = taken.wrapping_add(1);
            }
            Queue::Packed { size, next, in_order, .. } => {
                // In order, one used descriptor may stand for several chains.
                let is_used = mark.map_or(*in_order, |flags| is_used(flags, *next));
                assert!(is_used, "a chain comes back that no descriptor's flags say is used");
                *next = next.advanced(descriptors, *size);
            }
        }
    }

    /// Nothing comes back, and the queue is in service.
    pub(crate) fn check_nothing(&self) {
        let mark = self.mark.expect("the driver has looked");
        let is_nothing = match self.queue.as_ref().expect("there is a queue") {
            Queue::Split { taken, .. } => mark == *taken,
            Queue::Packed { next, .. } => !is_used(mark, *next),
        };
        assert!(is_nothing, "memory says that a chain is used, and the driver says nothing");
    }
}

/// Both bits are as the wrap counter is (§2.8.1).
fn is_used(flags: u16, place: Position) -> bool {
    flags & (AVAIL | USED) == place.used_flags() & (AVAIL | USED)
}
