//! What the driver's user knows of its chains: each that was accepted comes back once, as the one that it was, when it may.
//!
//! Spec: §2.7.14, §2.8.22 Receiving Used Buffers From The Device, §2.7.9, §2.8.8 (in-order use). This is what a lying device must not be able to change.

use std::collections::BTreeMap;

use virtio_guest::hal::DeviceAddress;
use virtio_guest::raw::{Payload, Segment, Tag};
use virtio_guest::ring::Used;

use crate::device::Return;
use crate::memory::Mapped;
use crate::world;

/// Most buffers of one chain.
pub(crate) const BUFFERS_MAX: usize = 2;

/// What travels with a chain: which one it is, and its buffers.
pub(crate) type Cargo = (Tag<u32>, [Option<Mapped>; BUFFERS_MAX]);

/// What a chain asks of the queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// In the ring itself.
    pub(crate) descriptors: u16,
    pub(crate) writable_bytes: u32,
}

/// A chain that the queue has.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) size: Size,
    /// By which the device knows it.
    pub(crate) id: u16,
    is_published: bool,
    buffers: [Option<u64>; BUFFERS_MAX],
}

/// The chains that the queue has, by context: in the order in which they were made available.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<u32, Entry>,
    next_context: u32,
}

/// Where the device finds a buffer, which is one segment.
fn address(mapped: &Mapped) -> DeviceAddress {
    let mut address = None;
    mapped.visit_segments(&mut |segment: &Segment| address = Some(segment.address));
    address.expect("a buffer is one segment")
}

/// Where the device finds the buffers of a chain.
fn buffers(cargo: &Cargo) -> [Option<u64>; BUFFERS_MAX] {
    cargo.1.each_ref().map(|mapped| mapped.as_ref().map(|mapped| address(mapped).0))
}

impl Ledger {
    /// A context that no chain has had.
    pub(crate) fn next_context(&mut self) -> u32 {
        self.next_context += 1;
        self.next_context
    }

    /// A chain is about to be made available.
    pub(crate) fn lend(&mut self, cargo: &Cargo, size: Size) {
        let entry = Entry { size, id: 0, is_published: false, buffers: buffers(cargo) };
        for mapped in cargo.1.iter().flatten() {
            world::with(|world| world.memory.lend_buffer(address(mapped)));
        }
        self.entries.insert(cargo.0.0, entry);
    }

    /// The chain that was lent last was made available.
    pub(crate) fn accept(&mut self) {
        let id = world::with(|world| world.witness.stored_id());
        if let Some(mut entry) = self.entries.last_entry() {
            entry.get_mut().id = id;
        }
    }

    /// The chains made available until now are about to be published.
    pub(crate) fn publish(&mut self) -> usize {
        let unpublished = self.entries.iter_mut().filter(|(_, entry)| !entry.is_published);
        world::with(|world| {
            unpublished.fold(0, |count, (context, entry)| {
                entry.is_published = true;
                world.device.shown.push_back(*context);
                count + 1
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Descriptors that the chains have in the ring.
    pub(crate) fn descriptors(&self) -> usize {
        self.entries.values().map(|entry| usize::from(entry.size.descriptors)).sum()
    }

    /// A chain came back from the device, which says (if it never lied) what it must be.
    pub(crate) fn check_used(&mut self, used: Used<Cargo>, in_order: bool, honest: Option<Return>) {
        let context = used.payload.0.0;
        if in_order {
            let oldest = self.entries.keys().next();
            assert_eq!(
                oldest,
                Some(&context),
                "chains come back in the order in which they were made available"
            );
        }
        let held = self.entries.values().filter(|entry| entry.is_published).count();
        let entry = self.take(&used.payload);
        world::with(|world| world.witness.check_used(held, &entry, &used));
        assert!(entry.is_published, "chain {context} comes back, but was never published");
        let (written_len, writable_bytes) = (used.written_len, entry.size.writable_bytes);
        assert!(written_len <= writable_bytes, "{written_len} bytes written of {writable_bytes}");
        if let Some(Return { context: expected, written }) = honest {
            assert_eq!(expected, Some(context), "the chain that the device returned");
            assert_eq!(written_len, written.unwrap_or(writable_bytes), "the bytes that the device wrote");
        }
    }

    /// A chain came back, as refused or after a reset.
    pub(crate) fn check_returned(&mut self, cargo: Cargo) {
        self.take(&cargo);
    }

    fn take(&mut self, cargo: &Cargo) -> Entry {
        let context = cargo.0.0;
        let entry = self.entries.remove(&context);
        let entry =
            entry.unwrap_or_else(|| panic!("chain {context} comes back, but the queue did not have it"));
        assert_eq!(buffers(cargo), entry.buffers, "chain {context} comes back with the buffers of another");
        for mapped in cargo.1.iter().flatten() {
            world::with(|world| world.memory.return_buffer(address(mapped)));
        }
        entry
    }
}
