//! One virtqueue: the rules that hold whatever its layout. How chains come back is in [`completion`](super::completion).
//!
//! Spec: §2.6 Virtqueues, §2.7.13 and §2.8.21 Supplying Buffers to The Device, §2.7.7 and §2.8.10 (suppression).

use super::active::{ActivePath, QueueStatistics};
use super::books::Books;
use super::broken::Broken;
use super::chain::{Chain, RefusedChain, RefusedReason};
use super::layout::WrittenChain;
use super::prepared::QueueMemory;
use super::returned::Returned;
use super::used::Batch;
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Doorbell, IndirectTables, Lent, OutOfBounds, Payload, QueueReset, Session};
use crate::wire::features::CommonFeatures;

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
    pub(super) memory: Lent<QueueMemory<H>>,
    pub(super) books: Books<'s, T>,
    doorbell: Doorbell,
    index: u16,
    pub(super) features: CommonFeatures,
    /// Chains made available and not published yet.
    pub(super) unpublished: u16,
    /// Under IN_ORDER: chains that are used, of which the device named the last one.
    pub(super) batch: Option<Batch>,
    pub(super) broken: Option<Broken>,
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

    /// Chains that the device was shown and has not returned.
    pub(super) const fn held(&self) -> u16 {
        self.books.chains().saturating_sub(self.unpublished)
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
