//! Following one descriptor chain, as a device that forgives nothing.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table and §2.7.5.3 Indirect Descriptors. Each rule that
//! the specification puts on the driver is checked; the first one broken ends the walk.

use super::layout::{Areas, DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, WRITE};
use crate::chain::{Chain, Segment, Segments};
use crate::error::ModelError;

/// What a walk found: the chain, and the table entries that it occupies.
pub(super) struct Walked {
    pub(super) chain: Chain,
    pub(super) entries: Vec<u16>,
}

/// The negotiated features that change the rules of a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) indirect: bool,
    pub(super) in_order: bool,
}

/// Follows the chain that starts at table entry `head`.
pub(super) fn walk(areas: &Areas, rules: Rules, head: u16) -> Result<Walked, ModelError> {
    let mut walk = Walk { head, rules, segments: Segments::new(areas.size) };
    let mut entries = Vec::new();
    let mut indirect = false;
    let mut index = head;
    loop {
        if index >= areas.size {
            return Err(walk.rule(format!("entry {index} is outside a table of {}", areas.size)));
        }
        if entries.contains(&index) {
            return Err(walk.rule(format!("the chain loops back to entry {index}")));
        }
        entries.push(index);
        let descriptor = areas.descriptor(index)?;
        walk.check_flags(descriptor)?;
        if descriptor.flags & INDIRECT != 0 {
            if !rules.indirect {
                return Err(walk.rule("INDIRECT without INDIRECT_DESC negotiated"));
            }
            if descriptor.flags & NEXT != 0 {
                return Err(walk.rule("INDIRECT together with NEXT"));
            }
            walk.follow_table(areas, descriptor)?;
            indirect = true;
            break;
        }
        walk.take(descriptor)?;
        if descriptor.flags & NEXT == 0 {
            break;
        }
        walk.check_link(index, descriptor.next, areas.size)?;
        index = descriptor.next;
    }
    Ok(Walked { chain: Chain { head, segments: walk.segments.into_list(), indirect }, entries })
}

struct Walk {
    head: u16,
    rules: Rules,
    segments: Segments,
}

impl Walk {
    /// Follows the chain through an indirect table, which starts at its first entry.
    fn follow_table(&mut self, areas: &Areas, table: Descriptor) -> Result<(), ModelError> {
        let bytes = u64::from(table.len);
        if bytes == 0 || !bytes.is_multiple_of(DESCRIPTOR_BYTES) {
            return Err(self.rule(format!("an indirect table of {bytes} bytes")));
        }
        let entries = bytes / DESCRIPTOR_BYTES;
        let mut index = 0;
        loop {
            if u64::from(index) >= entries {
                return Err(self.rule(format!("entry {index} is outside an indirect table of {entries}")));
            }
            let descriptor = Descriptor::load(&areas.memory, table.addr, index)?;
            self.check_flags(descriptor)?;
            if descriptor.flags & INDIRECT != 0 {
                return Err(self.rule("INDIRECT inside an indirect table"));
            }
            self.take(descriptor)?;
            if descriptor.flags & NEXT == 0 {
                return Ok(());
            }
            // A chain that runs off the table is outside of it; it does not start over.
            self.check_link(index, descriptor.next, u16::MAX)?;
            index = descriptor.next;
        }
    }

    /// With `IN_ORDER`, each entry of a table of `size` links to the one after it.
    fn check_link(&self, index: u16, next: u16, size: u16) -> Result<(), ModelError> {
        let after = if index + 1 == size { 0 } else { index + 1 };
        if !self.rules.in_order || next == after {
            return Ok(());
        }
        Err(self.rule(format!("entry {index} links to {next}, not to {after}, with IN_ORDER")))
    }

    fn take(&mut self, descriptor: Descriptor) -> Result<(), ModelError> {
        let Descriptor { addr, len, flags, .. } = descriptor;
        let segment = Segment { addr, len, writable: flags & WRITE != 0 };
        self.segments.take(segment).map_err(|text| self.rule(text))
    }

    fn check_flags(&self, descriptor: Descriptor) -> Result<(), ModelError> {
        let unknown = descriptor.flags & !(NEXT | WRITE | INDIRECT);
        if unknown == 0 { Ok(()) } else { Err(self.rule(format!("unknown descriptor flags {unknown:#x}"))) }
    }

    fn rule(&self, text: impl AsRef<str>) -> ModelError {
        ModelError::driver(format!("chain {}: {}", self.head, text.as_ref()))
    }
}
