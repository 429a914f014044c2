//! Supplying chains to the device: one by one, or in bursts.
//!
//! Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device. Everything about a chain is judged while its descriptors are written, in one pass; the device
//! comes by there only when the chain is published.

use super::books::{self, Progress, index};
use super::chain::{Chain, Count, RefusedChain, RefusedReason};
use super::layout::Ring;
use super::packed::Laying;
use super::position::Position;
use super::prepared::QueueMemory;
use super::queue::Virtqueue;
use super::service::Service;
use super::slots::{Record, Slot};
use super::split::Linking;
use crate::hal::{Domain, Hal};
use crate::raw::{DmaMemory, IndirectTables, PackedWords, Payload, Segment, SplitWords, Table};

/// Chains on their way into a queue, which the device sees all at once.
///
/// What [`Virtqueue::make_available`] does for one chain, for many: what they have in common is done once. Without [`publish`](Burst::publish), whether it is dropped or forgotten,
/// the chains are left for a later [`Virtqueue::publish`].
#[derive(Debug)]
#[must_use = "a burst does nothing by itself"]
pub struct Burst<'q, H: Hal, T> {
    memory: &'q QueueMemory<H>,
    words: Words<'q>,
    slots: &'q mut [Slot<T>],
    /// The queue's, to which `progress` is written back after each chain.
    books: &'q mut Progress,
    /// The burst's own, which stays in registers.
    progress: Progress,
    service: &'q mut Service,
    driver: Option<&'q DmaMemory<H>>,
    domain: Domain,
    tables: Option<&'q IndirectTables<H>>,
}

/// Where descriptors go.
#[derive(Debug)]
enum Words<'q> {
    Split(SplitWords<'q>),
    Packed(PackedWords<'q>, Position),
}

impl<'q, H: Hal, T: Payload> Burst<'q, H, T> {
    #[inline(always)]
    pub(super) fn of(queue: &'q mut Virtqueue<'_, H, T>) -> Self {
        let Virtqueue { memory, books, service, .. } = queue;
        let memory: &QueueMemory<H> = memory;
        let words = match &memory.ring {
            Ring::Split(ring) => Words::Split(ring.areas().words()),
            Ring::Packed(ring) => Words::Packed(ring.areas().words(), ring.available.get()),
        };
        Self {
            memory,
            words,
            slots: books.slots.as_mut_slice(),
            progress: books.progress,
            books: &mut books.progress,
            service,
            driver: memory.driver.as_ref(),
            domain: memory.domain,
            tables: memory.tables.as_ref(),
        }
    }

    /// Writes one descriptor chain, as [`Virtqueue::make_available`] does.
    ///
    /// # Errors
    /// See [`RefusedReason`]; the queue is unchanged, and so is what is in the burst already.
    #[inline(always)]
    pub fn make_available(&mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        let count = chain.count(&payload);
        let id = self.progress.first_free;
        let table = match self.tables {
            Some(tables) if count.all > 1 => tables.table(id, count.all),
            _ => None,
        };
        let descriptors = match u16::try_from(if table.is_some() { 1 } else { count.all }) {
            // A queue that is out of service has no free descriptor.
            Ok(needed @ 1..) if needed <= self.progress.free && usize::from(id) < self.slots.len() => needed,
            _ => {
                let reason = why_refused(self.service, count.all, self.memory.ring.size());
                return Err(RefusedChain { reason, payload });
            }
        };
        let chain = Supplied { chain, count, driver: self.driver, payload: &payload, domain: self.domain };

        let sequence = index(self.progress.made_available);
        let written = match &mut self.words {
            Words::Split(words) => {
                let written = link(*words, self.slots, id, table, &chain);
                words.set_available_element(sequence, id);
                written
            }
            Words::Packed(words, position) => match lay(*words, *position, id, table, &chain) {
                Ok((writable_bytes, head_flags, next)) => {
                    match &self.memory.ring {
                        // The flags of a burst's first descriptor publish it.
                        Ring::Packed(ring) if self.progress.published == self.progress.made_available => {
                            ring.withheld.set(head_flags);
                        }
                        _ => words.descriptor(position.slot).set_flags(head_flags),
                    }
                    *position = next;
                    Ok(Written { writable_bytes, last: id, after: books::next(self.slots, id) })
                }
                Err(reason) => Err(reason),
            },
        };
        let Written { writable_bytes, last, after } = match written {
            Ok(written) => written,
            Err(reason) => return Err(RefusedChain { reason, payload }),
        };
        let record = Record { writable_bytes, last, descriptors, sequence };
        if let Err(payload) = self.progress.take_chain(self.slots, record, after, payload) {
            return Err(RefusedChain { reason: RefusedReason::Full, payload });
        }
        self.keep();
        Ok(())
    }

    /// Shows the device all chains of the burst, and any that were made available before it, and notifies it if it wants that. Says whether it did.
    ///
    /// Work: as for [`Virtqueue::publish`].
    #[inline]
    pub fn publish(self) -> bool {
        self.service.publish(&self.memory.ring, self.books)
    }
}

impl<H: Hal, T> Burst<'_, H, T> {
    /// Writes back what a chain has changed: a burst that is forgotten, and never dropped, must not leave the queue behind its ring.
    #[inline(always)]
    fn keep(&mut self) {
        let Progress { first_free, free, made_available, .. } = self.progress;
        self.books.first_free = first_free;
        self.books.free = free;
        self.books.made_available = made_available;
        if let (Words::Packed(_, position), Ring::Packed(ring)) = (&self.words, &self.memory.ring) {
            ring.available.set(*position);
        }
    }
}

/// A chain, and all that is needed to see its segments.
struct Supplied<'c, H: Hal, T> {
    chain: Chain<'c>,
    count: Count,
    driver: Option<&'c DmaMemory<H>>,
    payload: &'c T,
    domain: Domain,
}

impl<H: Hal, T: Payload> Supplied<'_, H, T> {
    #[inline(always)]
    fn visit(&self, each: impl FnMut(&Segment, usize)) -> Result<u32, RefusedReason> {
        self.chain.visit(self.driver, self.payload, self.count, self.domain, each)
    }
}

/// A chain whose descriptors are written.
struct Written {
    writable_bytes: u32,
    /// The last entry of the free list that it takes, and the one after it.
    last: u16,
    after: u16,
}

/// Writes a chain into the descriptor table, or into its indirect table.
#[inline(always)]
fn link<H: Hal, T: Payload>(
    words: SplitWords<'_>,
    slots: &[Slot<T>],
    id: u16,
    table: Option<Table<'_>>,
    chain: &Supplied<'_, H, T>,
) -> Result<Written, RefusedReason> {
    let mut linking = Linking::at(words, slots, id);
    let writable_bytes = match table {
        None => chain.visit(|segment, left| linking.put(segment, left))?,
        Some(mut table) => {
            let writable_bytes = chain.visit(|segment, _| table.put_linked(segment))?;
            linking.put_table(&table.segment);
            writable_bytes
        }
    };
    Ok(Written { writable_bytes, last: linking.last, after: linking.next })
}

/// Writes a chain into the ring, or into its indirect table: says how many bytes are writable, what the flags of its first descriptor are, and where the next chain
/// goes.
#[inline(always)]
fn lay<H: Hal, T: Payload>(
    words: PackedWords<'_>,
    position: Position,
    id: u16,
    table: Option<Table<'_>>,
    chain: &Supplied<'_, H, T>,
) -> Result<(u32, u16, Position), RefusedReason> {
    let mut laying = Laying::at(words, position, id);
    let writable_bytes = match table {
        None => chain.visit(|segment, left| laying.put(segment, left))?,
        Some(mut table) => {
            let writable_bytes = chain.visit(|segment, _| table.put_consecutive(segment))?;
            laying.put_table(&table.segment);
            writable_bytes
        }
    };
    let (head_flags, next) = laying.finish();
    Ok((writable_bytes, head_flags, next))
}

/// Why a chain of `count` segments does not fit.
#[cold]
#[inline(never)]
fn why_refused(service: &Service, count: usize, size: u16) -> RefusedReason {
    if service.broken.is_some() {
        RefusedReason::Broken
    } else if count == 0 {
        RefusedReason::Empty
    } else if count > usize::from(size) {
        RefusedReason::TooLong
    } else {
        RefusedReason::Full
    }
}
