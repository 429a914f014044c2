//! Waiting without the driver: looks at what the device writes into a ring.
//!
//! Spec: §2.7.8 The Virtqueue Used Ring, §2.8.1 Driver and Device Ring Wrap Counters.

use core::hint::spin_loop;

use crate::place::Place;

/// As often as a ring is looked at before the device is given up.
const LOOKS: u32 = 100_000_000;
/// Bytes of a packed descriptor, and where its flags are.
const DESCRIPTOR_BYTES: usize = 16;
const FLAGS: usize = 14;
/// A packed descriptor is used when both bits are what the wrap counter is.
const AVAILABLE_BIT: u32 = 7;
const USED_BIT: u32 = 15;

/// How far the device is in a ring.
#[derive(Clone, Copy, Debug)]
pub enum Watch {
    /// In a used ring.
    Split {
        /// Where its index is.
        index_at: usize,
        /// What it was.
        seen: u16,
    },
    /// In a packed ring.
    Packed {
        /// Where it is.
        ring: usize,
        /// Descriptors in it.
        size: u16,
        /// Descriptors that each chain takes.
        per_chain: u16,
        /// The next that will be used.
        position: u16,
        /// The wrap counter there.
        wrap: bool,
    },
}

impl Watch {
    /// Watches a queue in which nothing is used yet that its driver has not taken; a packed one from the very start.
    pub fn new(place: Place, is_packed: bool, per_chain: u16) -> Self {
        if is_packed {
            Self::Packed { ring: place.descriptor_area, size: place.size, per_chain, position: 0, wrap: true }
        } else {
            let index_at = place.device_area + 2;
            Self::Split { index_at, seen: look(index_at) }
        }
    }

    /// Waits until so many more chains are used.
    ///
    /// # Errors
    /// They are not, for a long time.
    pub fn wait(&mut self, chains: usize) -> Result<(), &'static str> {
        let (at, mask, wanted) = match self {
            Self::Split { index_at, seen } => {
                *seen =
                    seen.wrapping_add(u16::try_from(chains).map_err(|_| "so many chains are in no ring")?);
                (*index_at, u16::MAX, *seen)
            }
            Self::Packed { ring, size, per_chain, position, wrap } => {
                let (mut last, mut last_wrap) = (*position, *wrap);
                for _ in 0..chains {
                    (last, last_wrap) = (*position, *wrap);
                    *position += *per_chain;
                    if *position >= *size {
                        *position -= *size;
                        *wrap = !*wrap;
                    }
                }
                let used = 1 << AVAILABLE_BIT | 1 << USED_BIT;
                let flags_at = *ring + usize::from(last) * DESCRIPTOR_BYTES + FLAGS;
                (flags_at, used, if last_wrap { used } else { 0 })
            }
        };
        for _ in 0..LOOKS {
            if look(at) & mask == wanted {
                return Ok(());
            }
            spin_loop();
        }
        Err("the device does not come to an end")
    }
}

/// Reads a word of a ring.
fn look(at: usize) -> u16 {
    // SAFETY: the device was told that its ring is there, by a driver that still drives it; memory is mapped at its physical addresses.
    unsafe { (at as *const u16).read_volatile() }
}
