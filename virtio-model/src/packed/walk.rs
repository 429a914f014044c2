//! Following one descriptor list, as a device that forgives nothing.
//!
//! Spec: §2.8.6 Next Flag, §2.8.7 Indirect Flag, and the driver's duties in §2.8.16 to §2.8.19.
//! Each rule that the specification puts on the driver is checked; the first one broken ends the
//! walk.

use super::layout::{AVAIL, Areas, DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, Position, USED, WRITE};
use crate::chain::{Chain, Segment, Segments};
use crate::error::ModelError;
use std::sync::atomic::Ordering::Relaxed;

/// What a walk found: the chain, and how many descriptors of the ring it occupies.
pub(super) struct Walked {
    pub(super) chain: Chain,
    pub(super) descriptors: u16,
}

/// What the device knows before it follows a list.
pub(super) struct Start {
    /// Where the list starts.
    pub(super) position: Position,
    /// The flags of its first descriptor, which were read with acquire.
    pub(super) flags: u16,
    /// How many descriptors of the ring are not in flight.
    pub(super) free: u16,
}

/// Follows the list that starts at `start`.
pub(super) fn walk(areas: &Areas, indirect_negotiated: bool, start: &Start) -> Result<Walked, ModelError> {
    let mut walk = Walk { slot: start.position.offset, segments: Segments::new(areas.size) };
    let (mut position, mut flags) = (start.position, start.flags);
    let mut descriptors = 0;
    loop {
        if descriptors == start.free {
            let in_flight = areas.size - start.free;
            return Err(walk.rule(if in_flight == 0 {
                format!("a list longer than the queue size {}", areas.size)
            } else {
                format!("the list overruns descriptors in flight, of which there are {in_flight}")
            }));
        }
        if descriptors > 0 {
            // The first descriptor was made available last: its flags were read with acquire,
            // and vouch for all the others.
            flags = areas.flags(position.offset, Relaxed)?;
            walk.check_availability(position, flags)?;
        }
        descriptors += 1;
        let descriptor = areas.descriptor_after(position.offset, flags)?;
        walk.check_flags(descriptor)?;
        if flags & INDIRECT != 0 {
            if !indirect_negotiated {
                return Err(walk.rule("INDIRECT without INDIRECT_DESC negotiated"));
            }
            if flags & NEXT != 0 {
                return Err(walk.rule("INDIRECT together with NEXT"));
            }
            if descriptors > 1 {
                return Err(walk.rule("INDIRECT in a list linked by NEXT"));
            }
            walk.follow_table(areas, descriptor)?;
        } else {
            walk.take(descriptor)?;
        }
        if flags & NEXT == 0 {
            let indirect = flags & INDIRECT != 0;
            let chain = Chain { head: descriptor.id, segments: walk.segments.into_list(), indirect };
            return Ok(Walked { chain, descriptors });
        }
        position = position.advanced(1, areas.size);
    }
}

struct Walk {
    /// Names the list in complaints.
    slot: u16,
    segments: Segments,
}

impl Walk {
    /// Takes every entry of an indirect table, one after the other.
    fn follow_table(&mut self, areas: &Areas, table: Descriptor) -> Result<(), ModelError> {
        let bytes = u64::from(table.len);
        if bytes == 0 || !bytes.is_multiple_of(DESCRIPTOR_BYTES) {
            return Err(self.rule(format!("an indirect table of {bytes} bytes")));
        }
        for index in 0..bytes / DESCRIPTOR_BYTES {
            let Ok(index) = u16::try_from(index) else {
                return Err(self.rule("an indirect table of more than 65536 entries"));
            };
            let descriptor = Descriptor::load(&areas.memory, table.addr, index, Relaxed)?;
            if descriptor.flags & !WRITE != 0 {
                let flags = descriptor.flags;
                return Err(self.rule(format!("entry {index} of an indirect table has flags {flags:#x}")));
            }
            self.take(descriptor)?;
        }
        Ok(())
    }

    fn take(&mut self, descriptor: Descriptor) -> Result<(), ModelError> {
        let Descriptor { addr, len, flags, .. } = descriptor;
        let segment = Segment { addr, len, writable: flags & WRITE != 0 };
        self.segments.take(segment).map_err(|text| self.rule(text))
    }

    fn check_availability(&self, position: Position, flags: u16) -> Result<(), ModelError> {
        if position.is_available(flags) {
            return Ok(());
        }
        let Position { offset, wrap } = position;
        Err(self.rule(format!("slot {offset} has flags {flags:#x}, not available with wrap counter {wrap}")))
    }

    fn check_flags(&self, descriptor: Descriptor) -> Result<(), ModelError> {
        let unknown = descriptor.flags & !(NEXT | WRITE | INDIRECT | AVAIL | USED);
        if unknown == 0 { Ok(()) } else { Err(self.rule(format!("unknown descriptor flags {unknown:#x}"))) }
    }

    fn rule(&self, text: impl AsRef<str>) -> ModelError {
        ModelError::driver(format!("list at slot {}: {}", self.slot, text.as_ref()))
    }
}
