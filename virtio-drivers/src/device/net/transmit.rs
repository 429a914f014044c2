//! A transmit queue: frames go in, and are taken back when there is need.
//!
//! Spec: §5.1.9.2 Packet Transmission. Knows no transport and reads no register, so it may be another processor's than the card's [`Control`](super::Control).
//!
//! Frames that the device has sent are taken back lazily, when the ring is half full, without interrupts: they go back to the pools that they came from. A full ring is told of, never waited for:
//!
//! ```no_run
//! # use virtio_guest::hal::Hal;
//! use virtio_guest::device::net::{Frame, TransmitError, TransmitQueue};
//!
//! /// Sends a burst, with one notification at most. What does not fit is dropped, as a switch would.
//! fn send_all<'s, H: Hal>(queue: &mut TransmitQueue<'s, H>, frames: impl IntoIterator<Item = Frame<'s, H>>) -> Result<usize, TransmitError> {
//!     match queue.transmit_burst(frames) {
//!         Ok(transmitted) => Ok(transmitted),
//!         Err(burst) if burst.refused.error == TransmitError::Full => Ok(burst.transmitted),
//!         Err(burst) => Err(burst.refused.error),
//!     }
//! }
//! ```

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::finish::{UsualFrames, with_header};
use super::format::Format;
use super::frame::Frame;
use super::in_use::PairsInUse;
use super::offload::{Hash, Offload};
use crate::hal::Hal;
use crate::lifecycle::QueueSignal;
use crate::raw::{Buffers, ConfirmedReset, Homecoming};
use crate::ring::{
    self, ActivePath, Broken, Chain, QueueStatistics, Rearmed, RefusedChain, RefusedReason, Used, UsedSink,
    Virtqueue,
};
use crate::wire::net::NetFeatures;

/// One transmit queue of a card. `Send`, not `Sync`: one owner at a time, without a lock.
///
/// Dropping it leaks its memory and the frames in the ring, for the device may be using them; [`reclaim`](TransmitQueue::reclaim) takes them back after a reset.
pub struct TransmitQueue<'s, H: Hal> {
    pub(super) queue: Virtqueue<'s, H, Buffers<'s, H>>,
    pub(super) format: Format,
    /// By which it finds out whether its pair is in use. `None` for the first, which always is.
    pub(super) pairs_in_use: Option<PairsInUse<'s>>,
}

/// Why a frame was not handed to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransmitError {
    /// The ring is full: later. [`TransmitQueue::room`] waits.
    #[error("the ring is full")]
    Full,
    /// The card does not use the queue's pair. Have it use as many, by [`Control::set_pairs`](super::Control::set_pairs) or [`Control::set_rss`](super::Control::set_rss), or transmit on the first pair.
    #[error("the card does not use this pair: have it use more pairs first (set_pairs, set_rss)")]
    PairNotInUse,
    /// It is shorter than two addresses and a type (14 bytes).
    #[error("the frame is shorter than an Ethernet header")]
    TooShort,
    /// It is longer than the device's MTU allows, and is not to be cut.
    #[error("the frame is longer than {bytes_max} bytes, which is as much as the device takes")]
    TooLong {
        /// Bytes of a frame without a VLAN tag, at most.
        bytes_max: usize,
    },
    /// Something was left to the device that was not agreed on: complete the checksum, or cut the frame.
    #[error("what is left to the device was not agreed on: {0:?}")]
    NotNegotiated(NetFeatures),
    /// What is left to the device contradicts itself or the frame.
    #[error("what is left to the device contradicts itself or the frame")]
    BadOffload,
    /// The ring does not take it for another reason: of a pool of another domain, say, or of more buffers than the ring has descriptors.
    #[error("the ring does not take the frame: {0}")]
    Refused(RefusedReason),
    /// The device broke the protocol, now or earlier. Nothing goes before a reset.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// A frame that was not handed to the device: why, and the frame as it was.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotTransmitted<'s, H: Hal> {
    /// Why.
    pub error: TransmitError,
    /// The frame.
    pub frame: Frame<'s, H>,
}

/// A burst that ended early.
#[derive(Debug, thiserror::Error)]
#[error("after {transmitted} frames: {refused}")]
pub struct BurstNotTransmitted<'s, H: Hal> {
    /// Frames before the refused one: the device has them.
    pub transmitted: usize,
    /// The first that was refused. Those after it were not asked for.
    pub refused: NotTransmitted<'s, H>,
}

impl<'s, H: Hal> TransmitQueue<'s, H> {
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

    /// Frames that were handed to the device and not taken back.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// How many more frames of one buffer fit, before any is taken back.
    pub fn free_frames(&self) -> u16 {
        self.queue.free_descriptors() / self.descriptors(1)
    }

    /// Descriptors that a frame of so many buffers takes, at least one.
    fn descriptors(&self, buffers: u16) -> u16 {
        self.format.descriptors(buffers, self.queue.indirect_segments())
    }

    /// Hands a frame to the device, and notifies it if it wants that.
    ///
    /// Ownership: the device has the frame until the ring is taken back; refused, it comes back in the error.
    /// Work: bounded; never waits.
    ///
    /// # Errors
    /// - [`NotTransmitted`]: see [`TransmitError`].
    pub fn transmit(&mut self, frame: Frame<'s, H>) -> Result<(), NotTransmitted<'s, H>> {
        self.transmit_burst([frame]).map(drop).map_err(|burst| burst.refused)
    }

    /// Hands frames to the device, all with one notification at most, and says how many.
    ///
    /// It ends where a frame is refused, and asks `frames` for no more: whoever wants the rest passes `&mut frames`.
    ///
    /// Ownership and work: as for [`transmit`](TransmitQueue::transmit), for each.
    ///
    /// # Errors
    /// - [`BurstNotTransmitted`]: the first frame that was refused, and how many before it were not. [`TransmitError::Full`] is the ordinary end of a burst that fills the ring.
    ///
    /// Spec: §5.1.9.2 Packet Transmission.
    #[inline]
    pub fn transmit_burst(
        &mut self,
        frames: impl IntoIterator<Item = Frame<'s, H>>,
    ) -> Result<usize, BurstNotTransmitted<'s, H>> {
        if self.queue.free_descriptors() < self.queue.size() / 2 {
            // If the queue breaks here, that is told of with the next frame.
            let _ = self.reap();
        }
        if !self.is_in_use() {
            return self.refused_without_pair(frames.into_iter().next());
        }
        let mut frames = UsualFrames::of(frames.into_iter(), &self.format);
        let mut transmitted = self.queue.make_singles_available(&mut frames);
        let mut refused = None;
        if frames.is_other_next(self.queue.free_descriptors()) {
            refused = self.make_others_available(&mut frames, &mut transmitted);
        }
        self.queue.publish();
        refused.map_or(Ok(transmitted), |refused| Err(BurstNotTransmitted { transmitted, refused }))
    }

    /// Whether the card uses the pair that the queue belongs to. One that is not used takes no frames; what is in its ring is taken back as ever.
    #[inline]
    pub fn is_in_use(&self) -> bool {
        self.pairs_in_use.is_none_or(|pairs| pairs.contains(self.pair()))
    }

    /// A burst on a pair that is not in use: nothing is wrong with it if it is empty.
    #[cold]
    #[inline(never)]
    fn refused_without_pair(&self, frame: Option<Frame<'s, H>>) -> Result<usize, BurstNotTransmitted<'s, H>> {
        let Some(frame) = frame else { return Ok(0) };
        let error = self.broken().map_or(TransmitError::PairNotInUse, TransmitError::Broken);
        Err(BurstNotTransmitted { transmitted: 0, refused: NotTransmitted { error, frame } })
    }

    /// The rest of a burst, from a frame on that is not usual, or has no room.
    #[cold]
    #[inline(never)]
    fn make_others_available(
        &mut self,
        frames: &mut UsualFrames<'s, H, impl Iterator<Item = Frame<'s, H>>>,
        transmitted: &mut usize,
    ) -> Option<NotTransmitted<'s, H>> {
        while frames.is_other_next(self.queue.free_descriptors()) {
            if let Err(refused) = self.make_other_available(frames.other()?) {
                return Some(refused);
            }
            *transmitted += 1 + self.queue.make_singles_available(frames);
        }
        None
    }

    /// The slow way, for any frame; where the ring is full, what was sent is taken back first.
    #[cold]
    #[inline(never)]
    fn make_other_available(&mut self, mut frame: Frame<'s, H>) -> Result<(), NotTransmitted<'s, H>> {
        loop {
            let (offload, hash) = (frame.offload(), frame.hash());
            let buffers = with_header(&self.format, frame)?;
            let made_available = self.queue.make_available(Chain::default(), buffers);
            match made_available.map_err(|refused| self.refused(refused, offload, hash)) {
                Err(refused) if refused.error == TransmitError::Full => {
                    if !self.reap().is_ok_and(|count| count > 0) {
                        return Err(refused);
                    }
                    frame = refused.frame;
                }
                outcome => return outcome,
            }
        }
    }

    /// A frame with a header before it, and what went with it, that the ring does not take.
    #[cold]
    #[inline(never)]
    fn refused(
        &self,
        refused: RefusedChain<Buffers<'s, H>>,
        offload: Offload,
        hash: Option<Hash>,
    ) -> NotTransmitted<'s, H> {
        let RefusedChain { reason, payload: mut buffers } = refused;
        // It was put there before.
        let _ = buffers.trim_front(self.format.bytes());
        let frame = Frame::new(buffers, offload, hash);
        let error = match (self.queue.broken(), reason) {
            (Some(broken), _) => broken.into(),
            (None, RefusedReason::Full) => TransmitError::Full,
            (None, reason) => TransmitError::Refused(reason),
        };
        NotTransmitted { error, frame }
    }

    /// Takes back the frames that the device has sent, and says how many: they go back to their pools. Done anyway, whenever the ring is half full.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    #[inline]
    pub fn reap(&mut self) -> Result<usize, Broken> {
        self.queue.take_used_into(self.queue.size().into(), &mut Sent(Homecoming::new()))
    }

    /// Asks for an interrupt when a frame was sent, and looks once more: frames that were sent already bring none.
    pub fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// Asks for an interrupt only when so many more frames were sent; it may come earlier. See [`Virtqueue::rearm_delayed`].
    pub fn rearm_delayed(&mut self, frames: u16) -> Rearmed {
        self.queue.rearm_delayed(frames)
    }

    /// Tells the device that interrupts are not needed, as it was told at the start. A hint; some may still come.
    pub fn suppress_notifications(&mut self) {
        self.queue.suppress_notifications();
    }

    /// Waits until a frame fits.
    ///
    /// *Cancellation*: nothing is lost.
    /// *Wakes*: by the queue's interrupt, when a quarter of the ring was sent.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub async fn room(&mut self, signal: &QueueSignal) -> Result<(), Broken> {
        poll_fn(|context| self.poll_room(signal, context)).await
    }

    /// The same, for executors of other kinds: there is room, or whoever polls is woken.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub fn poll_room(&mut self, signal: &QueueSignal, context: &Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_descriptors(self.descriptors(1), signal, context)
    }

    fn poll_descriptors(
        &mut self,
        needed: u16,
        signal: &QueueSignal,
        context: &Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if self.queue.free_descriptors() < needed {
                self.reap()?;
            }
            if self.queue.free_descriptors() >= needed {
                self.queue.suppress_notifications();
                return Poll::Ready(Ok(()));
            }
            // Before the last look, so that nothing comes in between unnoticed.
            drop(signal.replace(Some(context.waker())));
            if self.queue.rearm_delayed(self.queue.size() / 4) == Rearmed::Quiet {
                return self.broken().map_or(Poll::Pending, |broken| Poll::Ready(Err(broken)));
            }
        }
    }

    /// Hands a frame to the device, and waits for room before that if there is need.
    ///
    /// *Cancellation*: the frame goes back to its pool, unless it was handed to the device.
    /// *Wakes*: as [`room`](TransmitQueue::room).
    ///
    /// # Errors
    /// - [`NotTransmitted`]: never [`Full`](TransmitError::Full).
    pub async fn transmitted(
        &mut self,
        signal: &QueueSignal,
        mut frame: Frame<'s, H>,
    ) -> Result<(), NotTransmitted<'s, H>> {
        loop {
            match self.transmit(frame) {
                Err(NotTransmitted { error: TransmitError::Full, frame: again }) => frame = again,
                outcome => return outcome,
            }
            // The ring takes it when it is empty, or it would not have been full.
            let needed = self.descriptors(frame.buffers()).min(self.queue.size());
            if let Err(broken) = poll_fn(|context| self.poll_descriptors(needed, signal, context)).await {
                return Err(NotTransmitted { error: broken.into(), frame });
            }
        }
    }

    /// Takes the queue out of service after a confirmed reset of its card: its memory is freed, the frames in its ring go back to their pools. What comes out is the storage that was lent.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<ring::Slots<'s, Buffers<'s, H>>, Self> {
        let Self { queue, format, pairs_in_use } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(returned.into_slots()),
            Err(queue) => Err(Self { queue, format, pairs_in_use }),
        }
    }
}

/// Frames that were sent, on their way back to their pools.
struct Sent<'s, H: Hal>(Homecoming<'s, H>);

impl<'s, H: Hal> UsedSink<Buffers<'s, H>> for Sent<'s, H> {
    #[inline(always)]
    fn take(&mut self, used: Used<Buffers<'s, H>>) {
        self.0.add(used.payload);
    }

    #[inline(always)]
    fn take_unusual(&mut self, used: Used<Buffers<'s, H>>) {
        self.0.add(used.payload);
    }
}

impl<H: Hal> fmt::Debug for TransmitQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransmitQueue").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}
