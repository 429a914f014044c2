//! One virtqueue: the rules that hold whatever its layout.
//!
//! Spec: §2.6 Virtqueues, §2.7.13 Supplying Buffers to The Device, §2.7.14 Receiving Used Buffers From The Device.

use super::chain::{Chain, RefusedChain, RefusedReason};
use super::prepared::QueueMemory;
use super::slots::Books;
use super::split::{SplitRing, UsedIndexJumped};
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Doorbell, IndirectTables, Lent, OutOfBounds, Payload, Session};

/// The device broke the protocol. The queue refuses further work until the device is reset; buffers stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The used index moved by more than the chains that the device holds.
    #[error("the device moved the used index by {by}, but holds only {held} chains")]
    UsedIndexJumped {
        /// How far it moved.
        by: u16,
        /// Chains in the device's hands.
        held: u16,
    },
    /// A used element names a chain that the device does not hold: never made available, not published yet, returned before, or not the head of a chain.
    #[error("the device returned chain {id}, which it does not hold")]
    UnknownChain {
        /// What it wrote.
        id: u32,
    },
    /// A used element claims more bytes than the device was allowed to write.
    #[error("the device claims {written_len} bytes written to chain {id}, which has {writable_bytes}")]
    WrittenTooMuch {
        /// The chain.
        id: u32,
        /// What the device claims, in bytes.
        written_len: u32,
        /// What it was allowed, in bytes.
        writable_bytes: u32,
    },
    /// The queue was activated with another device than its own, or with another bring-up of it. The device did nothing wrong.
    #[error("the queue was activated with another device than its own")]
    OtherDevice,
}

/// A chain that the device is done with.
#[derive(Debug, PartialEq, Eq)]
pub struct Used<T> {
    /// What was handed in with the chain.
    pub payload: T,
    /// Bytes that the device wrote, from the first device-writable byte on: at most what the chain had. 0 for a chain without writable bytes.
    pub written_len: u32,
}

/// What asking for notifications again found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "used chains that are waiting already bring no notification"]
pub enum Rearmed {
    /// Nothing is waiting; the next used chain brings a notification.
    Quiet,
    /// Used chains are waiting already: take them.
    MoreWaiting,
}

/// What a queue has done since bring-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Notifications sent to the device.
    pub notifications_sent: u64,
    /// Publishes after which the device wanted none.
    pub notifications_suppressed: u64,
    /// Chains made available.
    pub chains: u64,
}

/// A virtqueue whose chains carry payloads of type `T`. `Send`, not `Sync`: one owner at a time.
///
/// Dropping it leaks its memory and whatever is in flight, for the device may be using both; [`reclaim`](Virtqueue::reclaim)
/// takes them back after a reset.
///
/// ```
/// # use virtio_guest::{hal::Hal, raw::Tag, ring::Virtqueue};
/// fn may_move_to_another_processor<T: Send>() {}
/// # #[allow(dead_code)]
/// fn queue<H: Hal + Send + 'static>() {
///     may_move_to_another_processor::<Virtqueue<'static, H, Tag<u32>>>();
/// }
/// ```
/// ```compile_fail,E0277
/// # use virtio_guest::{hal::Hal, raw::Tag, ring::Virtqueue};
/// fn may_be_shared<T: Sync>() {}
/// fn queue<H: Hal + Send + Sync + 'static>() {
///     may_be_shared::<Virtqueue<'static, H, Tag<u32>>>();
/// }
/// ```
#[derive(Debug)]
pub struct Virtqueue<'s, H: Hal, T> {
    memory: Lent<QueueMemory<H>>,
    books: Books<'s, T>,
    ring: SplitRing,
    doorbell: Doorbell,
    index: u16,
    broken: Option<Broken>,
    statistics: QueueStatistics,
}

impl<'s, H: Hal, T: Payload> Virtqueue<'s, H, T> {
    pub(super) fn new(
        memory: Lent<QueueMemory<H>>,
        books: Books<'s, T>,
        ring: SplitRing,
        index: u16,
        doorbell: Doorbell,
    ) -> Self {
        Self { memory, books, ring, doorbell, index, broken: None, statistics: QueueStatistics::default() }
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.memory.areas.size()
    }

    /// Most segments that one chain can have.
    ///
    /// A chain goes into an indirect table if it has more than one segment and fits in there, else into the ring itself.
    pub fn segments_max(&self) -> u16 {
        self.size()
    }

    /// Whether chains of several segments go into indirect tables, and of how many segments at most.
    pub fn indirect_segments(&self) -> Option<u16> {
        self.memory.tables.as_ref().map(IndirectTables::segments)
    }

    /// Descriptors that are free.
    pub fn free_descriptors(&self) -> u16 {
        self.books.free()
    }

    /// Chains that were made available and have not come back.
    pub fn in_flight(&self) -> u16 {
        self.books.chains()
    }

    /// What the queue has done since bring-up.
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics { chains: self.books.made_available(), ..self.statistics }
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Copies bytes out of the memory that the queue holds for its driver, from `offset` bytes on.
    ///
    /// The device may be writing there, so only a private copy means anything.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of the range is in that memory; nothing was copied.
    pub fn read_memory(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.memory.driver.as_ref().ok_or(OutOfBounds)?.read(offset, into)
    }

    /// Copies bytes into the memory that the queue holds for its driver, from `offset` bytes on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of the range is in that memory; nothing was copied.
    pub fn write_memory(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        self.memory.driver.as_ref().ok_or(OutOfBounds)?.write(offset, from)
    }

    /// Writes one descriptor chain, which the device sees with the next [`publish`](Virtqueue::publish).
    ///
    /// Ownership: accepted, the queue holds the payload until [`take_used`](Virtqueue::take_used) returns it; refused, it comes back in the error.
    /// Work: bounded by the number of segments; never waits, does not notify.
    ///
    /// # Errors
    /// See [`RefusedReason`]; the queue is unchanged.
    ///
    /// Spec: §2.7.13 Supplying Buffers to The Device.
    pub fn make_available(&mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        match self.write_chain(chain, &payload) {
            Ok(written) => self.commit_chain(written, payload),
            Err(reason) => Err(RefusedChain { reason, payload }),
        }
    }

    /// Writes the descriptors of a chain. They are the first free ones, and stay free until the chain is committed.
    fn write_chain(&self, chain: Chain<'_>, payload: &T) -> Result<WrittenChain, RefusedReason> {
        if self.broken.is_some() {
            return Err(RefusedReason::Broken);
        }
        let QueueMemory { areas, tables, driver } = &*self.memory;
        let driver = driver.as_ref();
        let measured = chain.measure(driver, payload, areas.size())?;
        let tables = tables.as_ref().filter(|tables| (2..=tables.segments()).contains(&measured.segments));
        let descriptors = if tables.is_some() { 1 } else { measured.segments };
        if descriptors > self.books.free() {
            return Err(RefusedReason::Full);
        }
        let segments = chain.segments(driver, payload);
        match tables {
            None => SplitRing::write_direct(areas, &self.books, measured, segments),
            Some(tables) => {
                let head = self.books.next_head();
                if !SplitRing::write_indirect(areas, tables, head, measured, segments) {
                    return Err(RefusedReason::TooLong);
                }
            }
        }
        Ok(WrittenChain { descriptors, writable_bytes: measured.writable_bytes })
    }

    fn commit_chain(&mut self, written: WrittenChain, payload: T) -> Result<(), RefusedChain<T>> {
        let head = self.books.next_head();
        self.books
            .take_chain(written.descriptors, written.writable_bytes, payload)
            .map_err(|payload| RefusedChain { reason: RefusedReason::Full, payload })?;
        self.ring.make_available(&self.memory.areas, head);
        Ok(())
    }

    /// Shows the device every chain made available since the last publish, and notifies it if it wants that. Says whether it did.
    ///
    /// Work: one index store, one full fence, one load, at most one doorbell, however many chains there are; nothing at all if there are none.
    ///
    /// Spec: §2.7.13, §2.7.13.4 Notifying The Device.
    pub fn publish(&mut self) -> bool {
        if self.ring.unpublished() == 0 || self.broken.is_some() {
            return false;
        }
        let wanted = self.ring.publish(&self.memory.areas);
        if wanted {
            self.doorbell.ring(u32::from(self.index));
            self.statistics.notifications_sent += 1;
        } else {
            self.statistics.notifications_suppressed += 1;
        }
        wanted
    }

    /// Takes back the next chain that the device has used, if there is one.
    ///
    /// Ownership: the payload is the caller's again, and the device no longer uses its buffers.
    /// Work: bounded; never waits. Does not ask for notifications again if they are suppressed.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes back before a reset.
    ///
    /// Spec: §2.7.14 Receiving Used Buffers From The Device.
    pub fn take_used(&mut self) -> Result<Option<Used<T>>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let outstanding = self.books.chains().wrapping_sub(self.ring.unpublished());
        let (id, written_len) = match self.ring.next_used(&self.memory.areas, outstanding) {
            Ok(Some(element)) => element,
            Ok(None) => return Ok(None),
            Err(UsedIndexJumped { by }) => {
                return Err(self.out_of_service(Broken::UsedIndexJumped { by, held: outstanding }));
            }
        };

        let published = self.books.made_available() - u64::from(self.ring.unpublished());
        let known = self.books.in_flight(id).filter(|(_, chain)| chain.sequence < published);
        let Some((head, chain)) = known else {
            return Err(self.out_of_service(Broken::UnknownChain { id }));
        };
        let writable_bytes = chain.writable_bytes;
        // Devices exist that claim a length for chains they cannot write to; it means nothing there.
        let written_len = if writable_bytes == 0 { 0 } else { written_len };
        if written_len > writable_bytes {
            return Err(self.out_of_service(Broken::WrittenTooMuch { id, written_len, writable_bytes }));
        }
        let Some(payload) = self.books.end_chain(head) else {
            return Err(self.out_of_service(Broken::UnknownChain { id }));
        };
        self.ring.advance_used();
        Ok(Some(Used { payload, written_len }))
    }

    /// Tells the device that used-buffer notifications are not needed: for drivers that look on their own. A hint; some may still come.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression.
    pub fn suppress_notifications(&mut self) {
        self.ring.suppress(&self.memory.areas);
    }

    /// Asks for used-buffer notifications again, and looks once more, so that no chain slips in between unnoticed.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression.
    pub fn rearm(&mut self) -> Rearmed {
        if self.ring.rearm(&self.memory.areas) { Rearmed::MoreWaiting } else { Rearmed::Quiet }
    }

    /// Takes the queue out of service for good after a confirmed reset of its device: frees its memory, and hands back every payload that was still in
    /// flight, once.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that the queue belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Returned<'s, T>, Self> {
        match self.memory.take_back(reset) {
            Ok(memory) => {
                drop(memory);
                Ok(Returned { books: self.books, from: 0 })
            }
            Err(memory) => Err(Self { memory, ..self }),
        }
    }

    pub(super) fn belongs_to(&self, session: Session) -> bool {
        self.memory.belongs_to(session)
    }

    pub(super) fn out_of_service(&mut self, why: Broken) -> Broken {
        log::error!("virtqueue {}: {why}; out of service until the device is reset", self.index);
        self.broken = Some(why);
        why
    }
}

/// A chain whose descriptors are written and not yet taken from the free list.
#[derive(Clone, Copy)]
struct WrittenChain {
    descriptors: u16,
    writable_bytes: u32,
}

/// The payloads that were in flight when their device was reset. What is not taken from here is dropped with it.
#[derive(Debug)]
pub struct Returned<'s, T> {
    books: Books<'s, T>,
    from: usize,
}

impl<T> Iterator for Returned<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let (payload, from) = self.books.take_payload(self.from)?;
        self.from = from;
        Some(payload)
    }
}

impl<T> Drop for Returned<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
