//! A receive queue: kept full of empty buffers, gives frames.
//!
//! Spec: §5.1.9.3 Setting Up Receive Buffers, §5.1.9.4 Processing of Incoming Packets. Knows no transport and reads no register, so it may be another processor's than the card's
//! [`Control`](super::Control).
//!
//! ```no_run
//! # use virtio_guest::hal::Hal;
//! use virtio_guest::device::net::{Frame, ReceiveQueue};
//! use virtio_guest::ring::{Broken, Rearmed};
//!
//! /// After an interrupt: takes what has come, until nothing is left and the next interrupt is asked for.
//! fn drain<H: Hal>(queue: &mut ReceiveQueue<'_, H>, mut deliver: impl FnMut(Frame<'_, H>)) -> Result<(), Broken> {
//!     loop {
//!         while queue.receive_burst(32, &mut deliver)? > 0 {}
//!         if queue.rearm() == Rearmed::Quiet {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```

use core::fmt;
use core::future::poll_fn;
use core::iter;
use core::task::{Context, Poll};

use super::assembly::Assembly;
use super::format::Format;
use super::frame::{Frame, FrameSupply};
use crate::hal::{Direction, Domain, Hal};
use crate::lifecycle::QueueSignal;
use crate::raw::{Buffers, ConfirmedReset, Leads, Single};
use crate::ring::{
    self, ActivePath, Broken, Chain, QueueStatistics, Rearmed, SingleSource, UsedSink, Virtqueue,
};

/// How often whoever waits looks at once for more, where everything that came was malformed: a ringful each time.
pub(super) const LOOKS: u32 = 16;

/// One receive queue of a card. `Send`, not `Sync`: one owner at a time, without a lock.
///
/// It takes empty buffers from its supply, and fills up its ring whenever frames are taken: a frame that was dropped goes back to the device with the next call. If all frames of the pool are in use, and nothing is in the ring, nothing is received until some are dropped: a pool
/// has more buffers than the ring has descriptors, or frames are not kept. Frames in a transmit ring are in use until that ring is [taken back](super::TransmitQueue::reap).
///
/// Dropping it leaks its memory and the buffers in the ring, for the device may be using them; [`reclaim`](ReceiveQueue::reclaim) takes them back after a reset.
pub struct ReceiveQueue<'s, H: Hal> {
    pub(super) queue: Virtqueue<'s, H, Buffers<'s, H>>,
    pub(super) supply: FrameSupply<'s, H>,
    pub(super) format: Format,
    /// Buffers of a chain: several where a frame has to fit into one chain, and not into one buffer.
    pub(super) chain_buffers: u16,
    /// Chains that the longest frame takes: several where it may be spread over them.
    pub(super) frame_chains: u16,
    /// Buffers over which a frame may be spread: a device that says more is not believed.
    pub(super) merged_max: u16,
    pub(super) counts: ReceiveCounts,
}

/// What a receive queue has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveCounts {
    /// Frames that were handed out.
    pub frames: u64,
    /// Frames that were left out: too short, or with a header that contradicts itself, its frame, or what was agreed on. Their buffers went back to the pool.
    pub malformed: u64,
}

/// What a receive queue was made of.
#[derive(Debug)]
pub struct ReclaimedReceive<'s, H: Hal> {
    /// The storage that was lent, for another queue.
    pub slots: ring::Slots<'s, Buffers<'s, H>>,
    /// The supply.
    pub supply: FrameSupply<'s, H>,
}

impl<'s, H: Hal> ReceiveQueue<'s, H> {
    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// The pair that it belongs to.
    pub const fn pair(&self) -> u16 {
        self.queue.index() / 2
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// Frames until now.
    pub const fn counts(&self) -> ReceiveCounts {
        self.counts
    }

    /// What the ring has done since the card was started.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Which of the ring's features are in use.
    pub fn active_path(&self) -> ActivePath {
        self.queue.active_path()
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Chains of empty buffers that the device has.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// An empty frame from the queue's supply, to be transmitted. `None` if all are out.
    pub fn frame(&mut self) -> Option<Frame<'s, H>> {
        self.supply.frame()
    }

    /// The queue's supply.
    pub const fn supply(&mut self) -> &mut FrameSupply<'s, H> {
        &mut self.supply
    }

    /// Takes the next frame, if one has come.
    ///
    /// Ownership: the frame is the caller's; dropped, wherever, its buffers come back.
    /// Work: bounded; never waits. Does not ask for an interrupt: [`rearm`](ReceiveQueue::rearm) does.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes before a reset.
    #[inline]
    pub fn receive(&mut self) -> Result<Option<Frame<'s, H>>, Broken> {
        let mut one = None;
        while one.is_none() {
            if self.take(1, |frame| one = Some(frame))? == 0 {
                break;
            }
        }
        self.refill();
        Ok(one)
    }

    /// Takes the frames that have come, from up to `limit` buffers (one more frame, if the last one is spread over several), and says from how many. Then the ring is filled up again, with one notification at most.
    ///
    /// A malformed frame counts, and is not delivered.
    ///
    /// Ownership and work: as for [`receive`](ReceiveQueue::receive).
    ///
    /// # Errors
    /// - [`Broken`]: as for [`receive`](ReceiveQueue::receive); frames before that have been delivered.
    ///
    /// Spec: §5.1.9.4 Processing of Incoming Packets.
    #[inline]
    pub fn receive_burst(
        &mut self,
        limit: usize,
        deliver: impl FnMut(Frame<'s, H>),
    ) -> Result<usize, Broken> {
        let taken = self.take(limit, deliver)?;
        self.refill();
        Ok(taken)
    }

    #[inline]
    fn take(&mut self, limit: usize, deliver: impl FnMut(Frame<'s, H>)) -> Result<usize, Broken> {
        let Self { queue, format, merged_max, counts, .. } = self;
        let mut assembly = Assembly::new(format, *merged_max, counts, deliver);
        let mut taken = queue.take_used_into(limit, &mut assembly)?;
        if assembly.wants_more() {
            taken += complete(queue, &mut assembly)?;
        }
        assembly.end();
        Ok(taken)
    }

    /// Gives the device as many empty buffers as its ring and the supply allow, and says how many chains that were. Called by those that take frames, so of use only after frames were dropped.
    pub fn refill(&mut self) -> usize {
        let count = if self.format.is_usual() && self.chain_buffers == 1 {
            self.queue.make_singles_available(&mut EmptyBuffers(self.supply.leads()))
        } else {
            self.refill_chains()
        };
        if count > 0 {
            self.queue.publish();
        }
        count
    }

    /// The slow way, for any chains.
    #[cold]
    #[inline(never)]
    fn refill_chains(&mut self) -> usize {
        let room = self.free_chains();
        let Self { queue, supply, format, chain_buffers, .. } = self;
        let (format, chain_buffers) = (*format, *chain_buffers);
        let chains = iter::from_fn(|| empty_chain(supply, format, chain_buffers));
        let chains = chains.map(|buffers| (Chain::default(), buffers));
        let result = queue.make_available_burst(chains.take(room.into()));
        result.unwrap_or_else(|burst| burst.made_available)
    }

    /// For how many more chains there are descriptors.
    fn free_chains(&self) -> u16 {
        let descriptors = self.format.descriptors(self.chain_buffers, self.queue.indirect_segments());
        self.queue.free_descriptors() / descriptors
    }

    /// Asks for an interrupt when frames come, and looks once more: what has come already brings none.
    pub fn rearm(&mut self) -> Rearmed {
        self.refill();
        self.queue.rearm()
    }

    /// Asks for an interrupt only when so many more buffers are used; it may come earlier. See [`Virtqueue::rearm_delayed`].
    pub fn rearm_delayed(&mut self, buffers: u16) -> Rearmed {
        self.refill();
        self.queue.rearm_delayed(buffers)
    }

    /// Tells the device that interrupts are not needed. A hint; some may still come.
    pub fn suppress_notifications(&mut self) {
        self.queue.suppress_notifications();
    }

    /// Waits for the next frame.
    ///
    /// *Cancellation*: nothing is lost; the next call gives the frame.
    /// *Wakes*: by the queue's interrupt ([`Interrupts::queue_signal`](crate::lifecycle::Interrupts::queue_signal)); if so many frames are out that the ring has no room for the longest one, by those that are dropped.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`receive`](ReceiveQueue::receive).
    ///
    /// ```
    /// # use virtio_guest::{hal::Hal, lifecycle::QueueSignal};
    /// use virtio_guest::device::net::{ReceiveQueue, TransmitQueue};
    ///
    /// /// Sends back what comes, to where it comes from.
    /// # #[allow(dead_code)]
    /// async fn echo<'s, H: Hal>(
    ///     receive: (&mut ReceiveQueue<'s, H>, &QueueSignal), transmit: (&mut TransmitQueue<'s, H>, &QueueSignal),
    /// ) -> Result<(), Box<dyn core::error::Error>> {
    ///     loop {
    ///         let mut frame = receive.0.received(receive.1).await?;
    ///         let mut addresses = [0; 12];
    ///         frame.read(0, &mut addresses)?;
    ///         addresses.rotate_left(6);
    ///         frame.write(0, &addresses)?;
    ///         transmit.0.transmitted(transmit.1, frame).await.map_err(|refused| refused.error)?;
    ///     }
    /// }
    /// ```
    pub async fn received(&mut self, signal: &QueueSignal) -> Result<Frame<'s, H>, Broken> {
        poll_fn(|context| self.poll_received(signal, context)).await
    }

    /// The same, for executors of other kinds: the frame, or whoever polls is woken.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`receive`](ReceiveQueue::receive).
    pub fn poll_received(
        &mut self,
        signal: &QueueSignal,
        context: &Context<'_>,
    ) -> Poll<Result<Frame<'s, H>, Broken>> {
        for _ in 0..LOOKS {
            if let Some(frame) = self.receive()? {
                return Poll::Ready(Ok(frame));
            }
            // Before the last look, so that nothing comes in between unnoticed.
            drop(signal.replace(Some(context.waker())));
            if self.rearm() == Rearmed::Quiet && !self.may_be_filled(context) {
                return self.broken().map_or(Poll::Pending, |broken| Poll::Ready(Err(broken)));
            }
        }
        // There is always more, and all of it is nonsense: others are to have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the ring has too few chains for the longest frame, and one more could be put there by now; if not, whoever waits is woken when it can: a device without room does not interrupt.
    fn may_be_filled(&mut self, context: &Context<'_>) -> bool {
        let is_short = self.queue.in_flight() < self.frame_chains && self.free_chains() > 0;
        is_short && self.broken().is_none() && self.supply.is_ready(self.chain_buffers, context.waker())
    }

    /// Takes the queue out of service after a confirmed reset of its card: its memory is freed, the buffers in its ring go back to their pool.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<ReclaimedReceive<'s, H>, Self> {
        let Self { queue, supply, format, chain_buffers, frame_chains, merged_max, counts } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(ReclaimedReceive { slots: returned.into_slots(), supply }),
            Err(queue) => {
                Err(Self { queue, supply, format, chain_buffers, frame_chains, merged_max, counts })
            }
        }
    }
}

impl<H: Hal> fmt::Debug for ReceiveQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, counts, .. } = self;
        let mut fields = f.debug_struct("ReceiveQueue");
        fields.field("index", &queue.index()).field("counts", counts).finish_non_exhaustive()
    }
}

/// Takes what is left of the frame that has begun, of so many buffers.
#[cold]
#[inline(never)]
fn complete<'s, H: Hal, D: FnMut(Frame<'s, H>)>(
    queue: &mut Virtqueue<'s, H, Buffers<'s, H>>,
    assembly: &mut Assembly<'_, 's, H, D>,
) -> Result<usize, Broken> {
    let mut taken = 0;
    while assembly.wants_more() {
        let Some(used) = queue.take_used()? else { break };
        assembly.take_unusual(used);
        taken += 1;
    }
    Ok(taken)
}

/// Empty buffers for usual frames.
struct EmptyBuffers<'u, 's, H: Hal>(Leads<'u, 's, H>);

impl<'s, H: Hal> SingleSource<Buffers<'s, H>> for EmptyBuffers<'_, 's, H> {
    #[inline(always)]
    fn next(&mut self, domain: Domain) -> Option<Single<Buffers<'s, H>>> {
        self.0.next(domain)
    }
}

/// Empty buffers, as the device is to have them. `None` if there are not as many.
#[inline]
fn empty_chain<'s, H: Hal>(
    supply: &mut FrameSupply<'s, H>,
    format: Format,
    count: u16,
) -> Option<Buffers<'s, H>> {
    // Those that are too few stay where they are: given back, they would wake whoever waits for them.
    if count > 1 && !supply.has(count) {
        return None;
    }
    let mut buffers = supply.buffer()?;
    for _ in 1..count {
        buffers.extend(supply.whole_buffer()?).ok()?;
    }
    buffers.extend_front(format.bytes()).ok()?;
    buffers.fill();
    buffers.set_apart(format.apart());
    buffers.set_direction(Direction::DeviceWritable);
    Some(buffers)
}
