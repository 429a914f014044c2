//! What the driver was told: a chain may come back only after memory said so, and must stay away if it did not.
//!
//! Spec: §2.7.8, §2.7.14 (used index and elements), §2.8.22 (used descriptors), §2.7.9, §2.8.8 (batches). A witness of the driver's loads, whatever the device answered; lies count, for the
//! driver cannot know them. It has a count of its own of what was taken, and so knows where the driver must look.

use virtio_guest::ring::Used;
use virtio_model::packed::{AVAIL, Position, USED, WRITE};
use virtio_model::setup::Setup;

use crate::ledger::Entry;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Witness {
    queue: Option<Queue>,
    /// The id that the driver stored last: that of the chain that it is making available.
    stored_id: u16,
    /// What says whether there is a used chain, as the driver loaded it last in the call that it is in: the used index, or a descriptor's flags.
    mark: Option<u16>,
    /// The used element that the driver loaded last. In order it stays until the last chain of its batch came back.
    element: Element,
}

/// A used element, or descriptor, as far as it was loaded.
#[derive(Clone, Copy, Default)]
struct Element {
    id: Option<u32>,
    len: Option<u32>,
    /// Whether the length must be right (§2.8.4).
    is_vouched_for: bool,
}

/// Where a queue is, and how far the driver got in it.
struct Queue {
    setup: Setup,
    place: Place,
}

enum Place {
    /// Chains that came back, and up to where a used index has vouched for them.
    Split { taken: u16, covered: u16 },
    /// Where the next used descriptor is.
    Packed { next: Position },
}

impl Witness {
    /// Of a new queue.
    pub(crate) fn new(setup: Setup, packed: bool) -> Self {
        let place = if packed {
            Place::Packed { next: Position::START }
        } else {
            Place::Split { taken: 0, covered: 0 }
        };
        Self { queue: Some(Queue { setup, place }), ..Self::default() }
    }

    /// A call begins.
    pub(crate) fn begin_call(&mut self) {
        self.mark = None;
    }

    /// The id of the chain that was made available last.
    pub(crate) fn stored_id(&self) -> u16 {
        self.stored_id
    }

    /// The driver stores a word.
    pub(crate) fn stored(&mut self, address: u64, word: &[u8]) {
        let (Some(Queue { setup, place }), &[low, high]) = (&self.queue, word) else { return };
        let is_id = match place {
            Place::Split { .. } => {
                let entries = setup.driver_area + 4;
                (entries..entries + 2 * u64::from(setup.size)).contains(&address)
            }
            Place::Packed { .. } => slot_offset(setup, address) == Some(12),
        };
        if is_id {
            self.stored_id = u16::from_le_bytes([low, high]);
        }
    }

    /// The driver loads a word.
    pub(crate) fn loaded(&mut self, address: u64, word: &[u8]) {
        let Some(Queue { setup, place }) = &self.queue else { return };
        let (mark, element) = (&mut self.mark, &mut self.element);
        match place {
            Place::Split { taken, .. } => {
                let used = setup.device_area + 4 + 8 * u64::from(taken % setup.size);
                match *word {
                    [low, high] if address == setup.device_area + 2 => {
                        *mark = Some(u16::from_le_bytes([low, high]))
                    }
                    [a, b, c, d] if address == used => element.id = Some(u32::from_le_bytes([a, b, c, d])),
                    [a, b, c, d] if address == used + 4 => {
                        element.len = Some(u32::from_le_bytes([a, b, c, d]))
                    }
                    _ => {}
                }
                element.is_vouched_for = true;
            }
            Place::Packed { next } => {
                let Some(offset) = slot_offset(setup, address) else { return };
                let slot = (address - setup.descriptor_area) / 16;
                assert_eq!(slot, next.offset.into(), "the driver looks at another descriptor than the next");
                match (offset, word) {
                    (8, &[a, b, c, d]) => element.len = Some(u32::from_le_bytes([a, b, c, d])),
                    (12, &[low, high]) => element.id = Some(u16::from_le_bytes([low, high]).into()),
                    (14, &[low, high]) => *mark = Some(u16::from_le_bytes([low, high])),
                    _ => panic!("the driver reads back what it wrote, at {offset} of a descriptor"),
                }
            }
        }
    }

    /// A chain comes back, one of `held` that the device has.
    pub(crate) fn check_used<T>(&mut self, held: usize, entry: &Entry, used: &Used<T>) {
        let mark = self.mark.take();
        let Queue { setup, place } = self.queue.as_mut().expect("there is a queue");
        match place {
            Place::Split { taken, covered } => {
                if let Some(index) = mark {
                    let moved = usize::from(index.wrapping_sub(*taken));
                    assert!(moved <= held, "the used index moved by {moved}, which is more than {held}");
                    *covered = index;
                }
                assert_ne!(taken, covered, "a chain comes back that no used index covers");
                *taken = taken.wrapping_add(1);
            }
            Place::Packed { next } => {
                if let Some(flags) = mark {
                    assert!(
                        is_used(flags, *next),
                        "a chain comes back whose descriptor's flags do not say that it is used"
                    );
                    self.element.is_vouched_for = flags & WRITE != 0;
                }
                *next = next.advanced(entry.size.descriptors, setup.size);
            }
        }
        let in_order = setup.in_order;
        self.check_element(in_order, entry, used.written_len);
    }

    /// The used element names the chain, and its length; or in order a later chain, with which this one comes back as written completely.
    fn check_element(&mut self, in_order: bool, entry: &Entry, written_len: u32) {
        let Element { id: Some(id), len: Some(len), is_vouched_for } = self.element else {
            panic!("a chain comes back that no used element named");
        };
        let writable_bytes = entry.size.writable_bytes;
        let is_named = id == u32::from(entry.id);
        let is_possible = len <= writable_bytes || writable_bytes == 0;
        let expected = if !is_named {
            assert!(in_order, "chain {} comes back where memory says {id}", entry.id);
            writable_bytes
        } else {
            assert!(is_possible || !is_vouched_for, "{len} bytes written of {writable_bytes}");
            self.element = Element::default();
            if is_possible { len.min(writable_bytes) } else { 0 }
        };
        assert_eq!(written_len, expected, "the written length");
    }

    /// Nothing comes back, and the queue is in service.
    pub(crate) fn check_nothing(&self) {
        let mark = self.mark.expect("the driver has looked");
        let is_nothing = match self.queue.as_ref().expect("there is a queue").place {
            Place::Split { taken, .. } => mark == taken,
            Place::Packed { next } => !is_used(mark, next),
        };
        assert!(is_nothing, "memory says that a chain is used, and the driver says nothing");
    }
}

/// Which byte of a descriptor of a packed ring an address is, if it is in the ring.
fn slot_offset(setup: &Setup, address: u64) -> Option<u64> {
    let offset = address.checked_sub(setup.descriptor_area)?;
    (offset < 16 * u64::from(setup.size)).then_some(offset % 16)
}

/// Both bits are as the wrap counter is (§2.8.1).
fn is_used(flags: u16, place: Position) -> bool {
    flags & (AVAIL | USED) == place.used_flags() & (AVAIL | USED)
}
