//! Following one descriptor chain, as a device that forgives nothing.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table and §2.7.5.3 Indirect Descriptors. Each rule that
//! the specification puts on the driver is checked; the first one broken ends the walk.

use super::layout::{Areas, DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, WRITE};
use crate::chain::{Chain, Segment};
use crate::error::ModelError;

/// What a walk found: the chain, and the table entries that it occupies.
pub(super) struct Walked {
    pub(super) chain: Chain,
    pub(super) entries: Vec<u16>,
}

/// Follows the chain that starts at table entry `head`.
pub(super) fn walk(areas: &Areas, indirect_negotiated: bool, head: u16) -> Result<Walked, ModelError> {
    let mut walk = Walk { size: areas.size, segments: Vec::new(), total_bytes: 0 };
    let mut entries = Vec::new();
    let mut indirect = false;
    let mut index = head;
    loop {
        if index >= areas.size {
            return Err(rule(head, format!("entry {index} is outside a table of {}", areas.size)));
        }
        if entries.contains(&index) {
            return Err(rule(head, format!("the chain loops back to entry {index}")));
        }
        entries.push(index);
        let descriptor = areas.descriptor(index)?;
        check_flags(head, descriptor)?;
        if descriptor.flags & INDIRECT != 0 {
            if !indirect_negotiated {
                return Err(rule(head, "INDIRECT without INDIRECT_DESC negotiated"));
            }
            if descriptor.flags & NEXT != 0 {
                return Err(rule(head, "INDIRECT together with NEXT"));
            }
            walk.follow_table(areas, head, descriptor)?;
            indirect = true;
            break;
        }
        walk.take(head, descriptor)?;
        if descriptor.flags & NEXT == 0 {
            break;
        }
        index = descriptor.next;
    }
    Ok(Walked { chain: Chain { head, segments: walk.segments, indirect }, entries })
}

struct Walk {
    size: u16,
    segments: Vec<Segment>,
    total_bytes: u64,
}

impl Walk {
    /// Follows the chain through an indirect table, which starts at its first entry.
    fn follow_table(&mut self, areas: &Areas, head: u16, table: Descriptor) -> Result<(), ModelError> {
        let bytes = u64::from(table.len);
        if bytes == 0 || !bytes.is_multiple_of(DESCRIPTOR_BYTES) {
            return Err(rule(head, format!("an indirect table of {bytes} bytes")));
        }
        let entries = bytes / DESCRIPTOR_BYTES;
        let mut index = 0;
        loop {
            if u64::from(index) >= entries {
                return Err(rule(head, format!("entry {index} is outside an indirect table of {entries}")));
            }
            let descriptor = Descriptor::load(&areas.memory, table.addr, index)?;
            check_flags(head, descriptor)?;
            if descriptor.flags & INDIRECT != 0 {
                return Err(rule(head, "INDIRECT inside an indirect table"));
            }
            self.take(head, descriptor)?;
            if descriptor.flags & NEXT == 0 {
                return Ok(());
            }
            index = descriptor.next;
        }
    }

    /// Adds one segment. The limit on their number also ends a loop inside an indirect table.
    fn take(&mut self, head: u16, descriptor: Descriptor) -> Result<(), ModelError> {
        let writable = descriptor.flags & WRITE != 0;
        if descriptor.len == 0 {
            return Err(rule(head, "a descriptor of length 0"));
        }
        if !writable && self.segments.last().is_some_and(|last| last.writable) {
            return Err(rule(head, "a device-readable descriptor after a device-writable one"));
        }
        if self.segments.len() >= usize::from(self.size) {
            return Err(rule(head, format!("a chain longer than the queue size {}", self.size)));
        }
        self.total_bytes += u64::from(descriptor.len);
        if self.total_bytes > 1 << 32 {
            return Err(rule(head, "a chain of more than 2^32 bytes"));
        }
        if descriptor.addr.checked_add(u64::from(descriptor.len)).is_none() {
            return Err(rule(head, "a descriptor that wraps round the end of memory"));
        }
        self.segments.push(Segment { addr: descriptor.addr, len: descriptor.len, writable });
        Ok(())
    }
}

fn check_flags(head: u16, descriptor: Descriptor) -> Result<(), ModelError> {
    let unknown = descriptor.flags & !(NEXT | WRITE | INDIRECT);
    if unknown == 0 { Ok(()) } else { Err(rule(head, format!("unknown descriptor flags {unknown:#x}"))) }
}

fn rule(head: u16, text: impl AsRef<str>) -> ModelError {
    ModelError::driver(format!("chain {head}: {}", text.as_ref()))
}
