//! What the driver's user knows of its requests: each that was accepted comes back once, with its own buffer.
//!
//! Spec: §5.2.6 Device Operation. And what a request may come to, if the disk kept to the specification.

use std::collections::HashMap;

use virtio_guest::device::block::{Completion, RequestError, Ticket};

use super::device::SECTOR_BYTES;
use super::memory::{Buffer, Load};
use super::world;

/// The requests of one queue that have tickets.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<Ticket, Entry>);

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its buffer, if it has one.
    pub(crate) buffer: Option<usize>,
    /// The first sector of what is read to it, if it is a read.
    pub(crate) read_from: Option<u64>,
}

impl Ledger {
    /// A request was accepted.
    pub(crate) fn accept(&mut self, ticket: Ticket, entry: Entry, requests: usize) {
        assert!(ticket.index() < requests, "a ticket's place is below the number of requests");
        let shares = self.0.keys().any(|other| other.index() == ticket.index());
        assert!(!shares, "no two requests have the same place");
        self.0.insert(ticket, entry);
    }

    /// A request came back.
    pub(crate) fn check(&mut self, completion: Completion<Load>) {
        let Completion { ticket, payload, result, .. } = completion;
        let entry = self.0.remove(&ticket).expect("a request comes back that the queue has");
        let buffer = payload.map(Load::unmap);
        assert_eq!(buffer.as_ref().map(Buffer::id), entry.buffer, "a request comes back with its own buffer");
        judge(result.as_ref());
        if let (Ok(()), Some(buffer)) = (&result, &buffer) {
            check_done(buffer);
        }
        if let (Ok(()), Some(first), Some(buffer)) = (result, entry.read_from, buffer) {
            check_sectors(first, buffer.bytes());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a disk that kept to the specification can have to do with.
pub(crate) fn judge<R>(result: Result<R, &RequestError>) {
    let Err(error) = result else { return };
    // Zones that are not those of the configuration make no sense.
    let is_sensible = world::with(|world| world.device.config_is_sensible && world.device.config_is_fixed);
    let blames_the_device = matches!(
        error,
        RequestError::UnknownStatus { .. }
            | RequestError::NoStatus
            | RequestError::Short { .. }
            | RequestError::NeedsReset
            | RequestError::Removed
            | RequestError::Broken(_)
    ) || is_sensible && matches!(error, RequestError::BadAnswer);
    assert!(!blames_the_device || !world::is_honest(), "a disk that never lied: {error}");
}

/// A request that succeeded is one that the device said to have done.
pub(crate) fn check_done(buffer: &Buffer) {
    let may_be_done = world::with(|world| world.memory.may_be_done(buffer.id()));
    assert!(may_be_done, "a success that the device did not tell of");
}

/// Each sector begins with its own number, as long as the disk is honest.
pub(crate) fn check_sectors(first: u64, bytes: &[u8]) {
    if world::is_honest() {
        for (number, sector) in (first..).zip(bytes.chunks(SECTOR_BYTES)) {
            assert_eq!(sector[..8], number.to_le_bytes(), "the bytes of another sector");
        }
    }
}
