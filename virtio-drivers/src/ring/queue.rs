//! One virtqueue: the rules that hold whatever its layout.
//!
//! Spec: §2.6 Virtqueues, §2.7.13 and §2.8.21 Supplying Buffers to The Device, §2.7.14 and §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8
//! (in-order use).

use core::mem::ManuallyDrop;

use super::active::{ActivePath, QueueStatistics};
use super::books::Books;
use super::broken::Broken;
use super::chain::{Chain, RefusedChain, RefusedReason};
use super::layout::WrittenChain;
use super::prepared::QueueMemory;
use super::returned::Returned;
use super::used::{Batch, UsedElement, UsedIndexJumped};
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Doorbell, IndirectTables, Lent, OutOfBounds, Payload, QueueReset, Session};
use crate::wire::features::CommonFeatures;

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
    doorbell: Doorbell,
    index: u16,
    features: CommonFeatures,
    /// Chains made available and not published yet.
    unpublished: u16,
    /// Under IN_ORDER: chains that are used, of which the device named the last one.
    batch: Option<Batch>,
    broken: Option<Broken>,
    statistics: QueueStatistics,
}

impl<'s, H: Hal, T: Payload> Virtqueue<'s, H, T> {
    pub(super) fn new(
        memory: Lent<QueueMemory<H>>,
        books: Books<'s, T>,
        features: CommonFeatures,
        index: u16,
        doorbell: Doorbell,
    ) -> Self {
        let statistics = QueueStatistics::default();
        Self {
            memory,
            books,
            doorbell,
            index,
            features,
            unpublished: 0,
            batch: None,
            broken: None,
            statistics,
        }
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.memory.ring.size()
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

    /// Which of the ring's features are in use.
    pub fn active_path(&self) -> ActivePath {
        ActivePath::new(self.features, self.indirect_segments())
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
    /// Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device.
    pub fn make_available(&mut self, chain: Chain<'_>, payload: T) -> Result<(), RefusedChain<T>> {
        let written = match self.write_chain(chain, &payload) {
            Ok(written) => written,
            Err(reason) => return Err(RefusedChain { reason, payload }),
        };
        if let Err(payload) = self.books.take_chain(written.footprint, payload) {
            return Err(RefusedChain { reason: RefusedReason::Full, payload });
        }
        self.memory.ring.make_available(&written);
        self.unpublished += 1;
        Ok(())
    }

    /// Writes the descriptors of a chain. Their places are the first free ones, and stay free until the books have taken them.
    fn write_chain(&self, chain: Chain<'_>, payload: &T) -> Result<WrittenChain, RefusedReason> {
        if self.broken.is_some() {
            return Err(RefusedReason::Broken);
        }
        let QueueMemory { ring, tables, driver, domain } = &*self.memory;
        let driver = driver.as_ref();
        let measured = chain.measure(driver, payload, ring.size(), *domain)?;
        let tables = tables.as_ref().filter(|tables| (2..=tables.segments()).contains(&measured.segments));
        if !self.books.has_room_for(ring.footprint(measured, tables.is_some())) {
            return Err(RefusedReason::Full);
        }
        let segments = chain.segments(driver, payload);
        ring.write(&self.books, tables, measured, segments).ok_or(RefusedReason::TooLong)
    }

    /// Shows the device every chain made available since the last publish, and notifies it if it wants that. Says whether it did.
    ///
    /// Work: one store that publishes, one full fence, one load, at most one doorbell, however many chains there are; nothing at all if there are none.
    ///
    /// Spec: §2.7.13, §2.7.13.4 and §2.8.21.2 (notifying the device).
    pub fn publish(&mut self) -> bool {
        if self.unpublished == 0 || self.broken.is_some() {
            return false;
        }
        let ring = &self.memory.ring;
        let wanted = ring.publish();
        self.unpublished = 0;
        if wanted {
            self.doorbell.ring(ring.next_available());
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
    /// Spec: §2.7.14, §2.8.22 Receiving Used Buffers From The Device.
    pub fn take_used(&mut self) -> Result<Option<Used<T>>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        self.next_completion().map_err(|why| self.out_of_service(why))
    }

    /// Takes back up to `limit` chains that the device has used, and says how many there were.
    ///
    /// # Errors
    /// - [`Broken`], as for [`take_used`](Virtqueue::take_used); chains before the one that broke the queue have been handed to `take`.
    pub fn take_used_burst(&mut self, limit: usize, mut take: impl FnMut(Used<T>)) -> Result<usize, Broken> {
        for taken in 0..limit {
            match self.take_used()? {
                Some(used) => take(used),
                None => return Ok(taken),
            }
        }
        Ok(limit)
    }

    /// Chains that the device was shown and has not returned.
    const fn held(&self) -> u16 {
        self.books.chains().saturating_sub(self.unpublished)
    }

    /// The next used chain, judged by the books. `Err` is for good.
    fn next_completion(&mut self) -> Result<Option<Used<T>>, Broken> {
        let Some((id, element)) = self.next_element()? else { return Ok(None) };
        let unknown = Broken::UnknownChain { id: element.id };
        let (_, chain) = self.books.in_flight(u32::from(id)).ok_or(unknown)?;
        let written_len = judge_length(element, chain.writable_bytes)?;
        let chain = self.books.end_chain(id).ok_or(unknown)?;
        self.memory.ring.advance_used(chain.descriptors);
        Ok(Some(Used { payload: ManuallyDrop::into_inner(chain.payload), written_len }))
    }

    /// The next chain that the device says is used, and what it says of it: one that the device holds.
    fn next_element(&mut self) -> Result<Option<(u16, UsedElement)>, Broken> {
        if let Some(batch) = self.batch {
            return self.next_of_batch(batch).map(Some);
        }
        let held = self.held();
        let element = match self.memory.ring.next_used(held) {
            Ok(Some(element)) => element,
            Ok(None) => return Ok(None),
            Err(UsedIndexJumped { by }) => return Err(Broken::UsedIndexJumped { by, held }),
        };
        let published = self.books.made_available().saturating_sub(u64::from(self.unpublished));
        let known = self.books.in_flight(element.id).filter(|(_, chain)| chain.sequence < published);
        let (id, chain) = known.ok_or(Broken::UnknownChain { id: element.id })?;
        if !self.features.contains(CommonFeatures::IN_ORDER) {
            return Ok(Some((id, element)));
        }

        let (_, oldest) = self.books.oldest().ok_or(Broken::UnknownChain { id: element.id })?;
        let chains = (chain.sequence - oldest.sequence) + 1;
        let covered = self.memory.ring.batch_max(held);
        if chains > u64::from(covered) {
            return Err(Broken::BatchTooLong { id: element.id, chains, covered });
        }
        self.next_of_batch(Batch { last: id, element }).map(Some)
    }

    /// The oldest chain, which is used together with all up to the batch's last one. Those before it count as written completely (§2.7.9, §2.8.8).
    fn next_of_batch(&mut self, batch: Batch) -> Result<(u16, UsedElement), Broken> {
        let (id, chain) = self.books.oldest().ok_or(Broken::UnknownChain { id: batch.element.id })?;
        if id == batch.last {
            self.batch = None;
            return Ok((id, batch.element));
        }
        let written_len = chain.writable_bytes;
        self.batch = Some(batch);
        Ok((id, UsedElement { id: u32::from(id), written_len, length_is_vouched_for: true }))
    }

    /// Tells the device that used-buffer notifications are not needed: for drivers that look on their own. A hint; some may still come.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression.
    pub fn suppress_notifications(&mut self) {
        if self.broken.is_none() {
            self.memory.ring.suppress();
        }
    }

    /// Asks for used-buffer notifications again, and looks once more, so that no chain slips in between unnoticed. A queue that is out of service is quiet:
    /// [`take_used`](Virtqueue::take_used) says why.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression.
    pub fn rearm(&mut self) -> Rearmed {
        self.rearm_delayed(1)
    }

    /// Asks for a used-buffer notification only when `chains` more chains are used, and looks once more. For drivers that need no single completion soon: a transmit
    /// queue that only wants its buffers back.
    ///
    /// At most as many are waited for as the device holds, so the notification comes at the latest with the last of them. It may come earlier: without `EVENT_IDX`
    /// with the first one, in a packed queue by as much as chains have several descriptors.
    ///
    /// Spec: §2.7.7.1, §2.8.10.
    pub fn rearm_delayed(&mut self, chains: u16) -> Rearmed {
        if self.broken.is_some() {
            return Rearmed::Quiet;
        }
        let chains = chains.clamp(1, self.held().max(1));
        let is_waiting = self.memory.ring.rearm(chains);
        if is_waiting || self.batch.is_some() { Rearmed::MoreWaiting } else { Rearmed::Quiet }
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
                Ok(Returned::new(self.books.into_slots()))
            }
            Err(memory) => Err(Self { memory, ..self }),
        }
    }

    /// As [`reclaim`](Virtqueue::reclaim), after the reset of this queue alone.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub(crate) fn reclaim_alone(self, reset: QueueReset) -> Result<Returned<'s, T>, Self> {
        match self.memory.take_back_queue(self.index, reset) {
            Ok(memory) => {
                drop(memory);
                Ok(Returned::new(self.books.into_slots()))
            }
            Err(memory) => Err(Self { memory, ..self }),
        }
    }

    pub(crate) fn belongs_to(&self, session: Session) -> bool {
        self.memory.belongs_to(session)
    }

    /// Takes the queue out of service while its reset is under way, which is nobody's fault.
    pub(crate) const fn retire(&mut self) {
        self.broken = Some(Broken::ResetPending);
    }

    pub(super) fn out_of_service(&mut self, why: Broken) -> Broken {
        log::error!("virtqueue {}: {why}; out of service until the device is reset", self.index);
        self.broken = Some(why);
        why
    }
}

/// How many bytes count as written, of a chain that has `writable_bytes`.
///
/// Devices exist that claim a length for chains that they cannot write to: it means nothing. Others leave out the flag that makes a packed descriptor's length mean
/// something, though it does; then a length that is possible counts, and any other is the garbage that the specification allows.
fn judge_length(element: UsedElement, writable_bytes: u32) -> Result<u32, Broken> {
    let UsedElement { id, written_len, length_is_vouched_for } = element;
    if writable_bytes == 0 {
        Ok(0)
    } else if written_len <= writable_bytes {
        Ok(written_len)
    } else if length_is_vouched_for {
        Err(Broken::WrittenTooMuch { id, written_len, writable_bytes })
    } else {
        Ok(0)
    }
}
