//! One virtqueue: the rules that hold whatever its layout. How chains come back is in [`completion`](super::completion).
//!
//! Spec: §2.6 Virtqueues, §2.7.13 and §2.8.21 Supplying Buffers to The Device, §2.7.7 and §2.8.10 (suppression).

use super::active::{ActivePath, QueueStatistics};
use super::books::{Books, index};
use super::broken::Broken;
use super::in_order::InOrder;
use super::prepared::QueueMemory;
use super::returned::Returned;
use super::service::Service;
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
/// A driver that lets its device fill buffers: each is the queue's from `make_available` to `take_used`, and its bytes can be looked at when it is unmapped.
///
/// ```
/// use std::iter;
///
/// use virtio_guest::hal::{Direction, Hal};
/// use virtio_guest::raw::MappedBuffer;
/// use virtio_guest::ring::{Broken, Chain, Rearmed, Virtqueue};
///
/// type Incoming<H> = Virtqueue<'static, H, MappedBuffer<H, Vec<u8>>>;
///
/// /// Hands the device as many empty buffers as it can take, and shows them all at once.
/// fn fill<H: Hal>(queue: &mut Incoming<H>, hal: &H) {
///     let free = queue.free_descriptors().into(); // each buffer takes one
///     let buffers = iter::from_fn(|| MappedBuffer::map(hal, vec![0; 2048], Direction::DeviceWritable).ok());
///     let chains = buffers.take(free).map(|buffer| (Chain::default(), buffer));
///     if let Err(burst) = queue.make_available_burst(chains) {
///         drop(burst.refused.payload); // the queue is out of service, say
///     }
///     queue.publish();
/// }
///
/// /// After a notification: takes what has come, until nothing is left and the next one is asked for.
/// fn take<H: Hal>(queue: &mut Incoming<H>, mut deliver: impl FnMut(&[u8])) -> Result<(), Broken> {
///     loop {
///         while let Some(used) = queue.take_used()? {
///             let bytes = used.payload.unmap();
///             deliver(&bytes[..used.written_len as usize]); // at most what the buffer has
///         }
///         if queue.rearm() == Rearmed::Quiet {
///             return Ok(());
///         }
///     }
/// }
/// ```
///
/// It may be sent to another thread, and not be shared:
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
    /// Only if chains come back in the order in which they were made available.
    pub(super) in_order: Option<InOrder>,
    pub(super) service: Service,
    features: CommonFeatures,
}

impl<'s, H: Hal, T: Payload> Virtqueue<'s, H, T> {
    pub(super) fn new(
        memory: Lent<QueueMemory<H>>,
        books: Books<'s, T>,
        features: CommonFeatures,
        index: u16,
        doorbell: Doorbell,
    ) -> Self {
        let in_order = features.contains(CommonFeatures::IN_ORDER).then(InOrder::default);
        Self { memory, books, in_order, service: Service::new(index, doorbell), features }
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.service.index
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.memory.ring.size()
    }

    /// Most segments that one chain can have.
    pub fn segments_max(&self) -> u16 {
        self.size()
    }

    /// Whether chains of several segments go into indirect tables, and of how many segments at most.
    ///
    /// A chain goes into an indirect table if it has more than one segment and fits in there, else into the ring itself.
    pub fn indirect_segments(&self) -> Option<u16> {
        self.memory.tables.as_ref().map(IndirectTables::segments)
    }

    /// Descriptors that are free: none, once the queue is out of service.
    pub fn free_descriptors(&self) -> u16 {
        self.books.progress.free
    }

    /// Chains that were made available and have not come back.
    pub fn in_flight(&self) -> u16 {
        self.books.progress.chains()
    }

    /// What the queue has done since it was installed.
    pub fn statistics(&self) -> QueueStatistics {
        let statistics = self.service.statistics;
        let chains = statistics.chains.wrapping_add(self.books.progress.unpublished().into());
        QueueStatistics { chains, ..statistics }
    }

    /// Which of the ring's features are in use.
    pub fn active_path(&self) -> ActivePath {
        ActivePath::new(self.features, self.indirect_segments())
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.service.broken
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

    /// Shows the device every chain made available since the last publish, and notifies it if it wants that. Says whether it did.
    ///
    /// Work: one store that publishes, one full fence, one load, at most one doorbell, however many chains there are; nothing at all if there are none.
    ///
    /// Spec: §2.7.13, §2.7.13.4 and §2.8.21.2 (notifying the device).
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.service.publish(&self.memory.ring, &mut self.books.progress)
    }

    /// Tells the device that used-buffer notifications are not needed: for drivers that look on their own. A hint; some may still come.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression.
    pub fn suppress_notifications(&mut self) {
        if self.service.broken.is_none() {
            self.memory.ring.suppress(index(self.books.progress.taken));
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
        if self.service.broken.is_some() {
            return Rearmed::Quiet;
        }
        let progress = &self.books.progress;
        let chains = chains.clamp(1, progress.held().max(1));
        let is_waiting = self.memory.ring.rearm(index(progress.taken), chains);
        let in_batch = self.in_order.is_some_and(|in_order| in_order.batch > 0);
        if is_waiting || in_batch { Rearmed::MoreWaiting } else { Rearmed::Quiet }
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
                Ok(Returned::new(self.books.slots))
            }
            Err(memory) => Err(Self { memory, ..self }),
        }
    }

    /// As [`reclaim`](Virtqueue::reclaim), after the reset of this queue alone.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub(crate) fn reclaim_alone(self, reset: QueueReset) -> Result<Returned<'s, T>, Self> {
        match self.memory.take_back_queue(self.service.index, reset) {
            Ok(memory) => {
                drop(memory);
                Ok(Returned::new(self.books.slots))
            }
            Err(memory) => Err(Self { memory, ..self }),
        }
    }

    pub(crate) fn belongs_to(&self, session: Session) -> bool {
        self.memory.belongs_to(session)
    }

    /// Whether [`reclaim`](Virtqueue::reclaim) with this reset succeeds.
    pub(crate) fn is_ended_by(&self, reset: &ConfirmedReset) -> bool {
        self.memory.is_ended_by(reset)
    }

    /// Takes the queue out of service while its reset is under way, which is nobody's fault.
    pub(crate) const fn retire(&mut self) {
        self.books.progress.free = 0;
        self.service.broken = Some(Broken::ResetPending);
    }

    /// Takes the queue out of service for good.
    pub(super) fn out_of_service(&mut self, why: Broken) {
        self.books.progress.free = 0;
        self.service.end(why);
    }
}
