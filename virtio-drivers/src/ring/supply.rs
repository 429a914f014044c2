//! Supplying chains to the device: one by one, or in bursts.
//!
//! Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device. Everything about a chain is judged while its descriptors are written, in one pass; the device
//! comes by there only when the chain is published.

use super::books::{Progress, sequence};
use super::chain::{Candidate, Chain, RefusedBurst, RefusedChain, RefusedReason};
use super::layout::Ring;
use super::prepared::QueueMemory;
use super::queue::Virtqueue;
use super::service::Service;
use super::slots::{Record, Slot};
use crate::hal::{Domain, Hal};
use crate::raw::{DmaMemory, IndirectTables, Payload, Segment, Table};

impl<H: Hal, T: Payload> Virtqueue<'_, H, T> {
    /// Writes one descriptor chain, which the device sees with the next [`publish`](Virtqueue::publish).
    ///
    /// Ownership: accepted, the queue holds the payload until [`take_used`](Virtqueue::take_used) returns it; refused, it comes back in the error.
    /// Work: bounded by the number of segments; never waits, does not notify.
    ///
    /// # Errors
    /// See [`RefusedReason`]; the queue is unchanged.
    ///
    /// Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device.
    #[inline(always)]
    pub fn make_available(&mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        let (QueueMemory { ring, tables, .. }, supply) = Supply::of(self);
        let tables = tables.as_ref();
        match ring {
            Ring::Split(ring) => supply.onto(ring.supply(), tables).one(chain, payload),
            Ring::Packed(ring) => supply.onto(ring.supply(), tables).one(chain, payload),
        }
    }

    /// Writes a burst of descriptor chains, and says how many: the fast way, for what they have in common is done once. The device sees them, all at once, with the
    /// next [`publish`](Virtqueue::publish).
    ///
    /// It ends where a chain is refused, and asks `chains` for no more: whoever wants the rest passes `&mut chains`, for those that an iterator still has are dropped with it.
    /// Portions are kept somewhere that lives as long as the call; often they are the same for all chains, or an array of them.
    ///
    /// Ownership: as for [`make_available`](Virtqueue::make_available), for each of them. A panic in `chains`, or in a payload, leaves those before it as made available.
    /// Work: at most one chain more than there are free descriptors is asked for; never waits, does not notify.
    ///
    /// # Errors
    /// - [`RefusedBurst`]: the first chain that was refused, and how many before it were made available. [`RefusedReason::Full`] is the ordinary end of a burst that fills a queue.
    #[inline(always)]
    pub fn make_available_burst<'c>(
        &mut self,
        chains: impl IntoIterator<Item = (Chain<'c>, T)>,
    ) -> Result<usize, RefusedBurst<T>> {
        let (QueueMemory { ring, tables, .. }, supply) = Supply::of(self);
        match (ring, tables) {
            (Ring::Split(ring), None) => supply.onto(ring.supply(), NoTables).burst(chains),
            (Ring::Packed(ring), None) => supply.onto(ring.supply(), NoTables).burst(chains),
            (Ring::Split(ring), Some(tables)) => supply.onto(ring.supply(), tables).burst(chains),
            (Ring::Packed(ring), Some(tables)) => supply.onto(ring.supply(), tables).burst(chains),
        }
    }
}

/// Where a ring's layout takes chains, one after the other. What was written stays written when this is dropped.
pub(super) trait AvailablePlaces {
    /// Number of descriptors.
    fn size(&self) -> u16;

    /// Writes a chain into the ring, or into its indirect table and that into the ring.
    ///
    /// # Errors
    /// What is wrong with the chain; nothing of it is left that the device could take for a chain.
    fn write<H: Hal, T: Payload>(
        &mut self,
        slots: &[Slot<T>],
        entry: Entry,
        table: Option<Table<'_>>,
        chain: &Candidate<'_, H, T>,
    ) -> Result<Written, RefusedReason>;

    /// Writes a chain whose descriptors are in an indirect table already.
    fn put_table(&mut self, entry: TableEntry, table: &Segment);

    /// Writes a chain of one segment, which was judged, into the ring: its id, which is less than the number of descriptors, how many chains were made available before, and whether all of those are published.
    fn put(&mut self, id: usize, sequence: usize, begins_burst: bool, segment: &Segment);
}

/// Where an indirect table goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableEntry {
    /// The id of its chain,
    pub(super) id: u16,
    /// how many were made available before,
    pub(super) sequence: usize,
    /// whether all of these are published,
    pub(super) begins_burst: bool,
    /// and whether its descriptor of last time is what it is to be.
    pub(super) is_written: bool,
}

/// What a chain gets in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The first entry of the free list,
    pub(super) id: u16,
    /// and the one after it.
    pub(super) next: u16,
    /// Descriptors that it takes.
    pub(super) descriptors: u16,
    /// How many chains were made available before.
    pub(super) sequence: usize,
    /// Whether all chains before it are published.
    pub(super) begins_burst: bool,
}

/// A chain whose descriptors are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Bytes that the device may write.
    pub(super) writable_bytes: u32,
    /// The last entry of the free list that it takes,
    pub(super) last: u16,
    /// and the one after it.
    pub(super) after: u16,
}

/// Where chains of several segments may go instead of the ring.
trait ChainTables {
    /// The table for a chain of `count` segments, if it goes into one.
    fn table(&self, id: u16, count: usize) -> Option<Table<'_>>;
}

/// All chains go into the ring.
struct NoTables;

impl ChainTables for NoTables {
    #[inline(always)]
    fn table(&self, _: u16, _: usize) -> Option<Table<'_>> {
        None
    }
}

impl<H: Hal> ChainTables for &IndirectTables<H> {
    #[inline(always)]
    fn table(&self, id: u16, count: usize) -> Option<Table<'_>> {
        if count > 1 { IndirectTables::table(self, id, count) } else { None }
    }
}

impl<C: ChainTables> ChainTables for Option<C> {
    #[inline(always)]
    fn table(&self, id: u16, count: usize) -> Option<Table<'_>> {
        self.as_ref().and_then(|tables| tables.table(id, count))
    }
}

/// What chains need of their queue, but for its ring.
struct Supply<'q, H: Hal, T> {
    slots: &'q mut [Slot<T>],
    progress: &'q mut Progress,
    service: &'q Service,
    memory: Option<&'q DmaMemory<H>>,
    domain: Domain,
}

impl<'q, H: Hal, T: Payload> Supply<'q, H, T> {
    #[inline(always)]
    fn of(queue: &'q mut Virtqueue<'_, H, T>) -> (&'q QueueMemory<H>, Self) {
        let Virtqueue { memory, books, service, .. } = queue;
        let queue_memory: &QueueMemory<H> = memory;
        let (slots, progress) = (books.slots.as_mut_slice(), &mut books.progress);
        let (memory, domain) = (queue_memory.driver.as_ref(), queue_memory.domain);
        (queue_memory, Self { slots, progress, service, memory, domain })
    }

    #[inline(always)]
    const fn onto<D: AvailablePlaces, C: ChainTables>(
        self,
        places: D,
        tables: C,
    ) -> Supplying<'q, H, T, D, C> {
        Supplying { progress: *self.progress, supply: self, places, tables }
    }
}

/// Chains on their way into a ring, one after the other.
struct Supplying<'q, H: Hal, T, D, C> {
    supply: Supply<'q, H, T>,
    places: D,
    tables: C,
    /// A copy, which stays in registers.
    progress: Progress,
}

impl<H: Hal, T: Payload, D: AvailablePlaces, C: ChainTables> Supplying<'_, H, T, D, C> {
    #[inline(always)]
    fn burst<'c>(
        mut self,
        chains: impl IntoIterator<Item = (Chain<'c>, T)>,
    ) -> Result<usize, RefusedBurst<T>> {
        for (chain, payload) in chains {
            if let Err(refused) = self.next(chain, payload) {
                return Err(RefusedBurst { made_available: self.made_available(), refused });
            }
        }
        Ok(self.made_available())
    }

    /// How many until now.
    #[inline(always)]
    fn made_available(&self) -> usize {
        self.progress.made_available.wrapping_sub(self.supply.progress.made_available)
    }

    #[inline(always)]
    fn one(mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        self.next(chain, payload)
    }

    #[inline(always)]
    fn next(&mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        let Supply { slots, service, memory, domain, .. } = &mut self.supply;
        let count = chain.count(&payload);
        let Progress { first_free: id, free, made_available, published, .. } = self.progress;
        let table = self.tables.table(id, count);
        let needed = u16::try_from(if table.is_some() { 1 } else { count });
        let (descriptors, next) = match (needed, slots.get(usize::from(id))) {
            // A queue that is out of service has no free descriptor.
            (Ok(needed @ 1..), Some(slot)) if needed <= free => (needed, slot.next),
            _ => {
                let reason = why_refused(service, count, self.places.size());
                return Err(RefusedChain { reason, payload });
            }
        };
        let entry = Entry {
            id,
            next,
            descriptors,
            sequence: made_available,
            begins_burst: made_available == published,
        };
        let candidate = Candidate { chain, payload: &payload, count, memory: *memory, domain: *domain };
        let Written { writable_bytes, last, after } = match self.places.write(slots, entry, table, &candidate)
        {
            Ok(written) => written,
            Err(reason) => return Err(RefusedChain { reason, payload }),
        };
        let record = Record { writable_bytes, last, descriptors, sequence: sequence(made_available) };
        self.progress
            .take_chain(slots, record, after, payload)
            .map_err(|payload| RefusedChain { reason: RefusedReason::Full, payload })
    }
}

impl<H: Hal, T, D, C> Drop for Supplying<'_, H, T, D, C> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        let Progress { first_free, free, made_available, .. } = self.progress;
        *self.supply.progress = Progress { first_free, free, made_available, ..*self.supply.progress };
    }
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
