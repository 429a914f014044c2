//! A card's queues, and the memory between frames and a stack that wants slices.
//!
//! Spec: §5.1.9 Device Operation. Stacks' traits are implemented in modules of their own, each behind a feature: `smoltcp`, `embassy_net_driver`. A frame's bytes are copied once, for a card may write to its
//! buffers at any time; nothing is allocated. Checksums that the card computes are left to it.
//!
//! ```text
//!   stack ◀── slice ── received ◀────── copy ── Frame ◀── ReceiveQueue
//!   stack ─── slice ──▶ transmitted ─── copy ──▶ Frame ──▶ TransmitQueue
//! ```

use core::fmt;

use super::checksums;
use crate::device::net::{
    Checksum, Control, Frame, FrameSupply, NetFeatures, Offload, ReceiveQueue, TransmitQueue,
};
use crate::hal::Hal;
use crate::ring::Rearmed;
use crate::transport::Transport;

/// Bytes of an Ethernet header, which count for a stack's longest frame and not for a card's.
const ETHERNET: usize = 14;
/// As much as IP has of a frame, unless a card says otherwise.
const MTU: u16 = 1500;

/// Memory for one packet that arrived and one that is to go out, lent by the caller. Each as long as the longest frame, Ethernet header and all: 1514 bytes suit most cards. Longer frames that arrive are
/// dropped, and the stack is told to send no longer ones.
#[derive(Debug)]
pub struct PacketMemory<'m> {
    /// For one that arrived.
    pub received: &'m mut [u8],
    /// For one that is to go out.
    pub transmitted: &'m mut [u8],
}

/// A pair of queues for a network stack. See the module's head.
///
/// Frames to go out are from the receive queue's supply, one of which is kept ready: a pool has more buffers than the receive queue's ring, or there is nothing to send with until something arrives.
pub struct Packets<'s, 'm, H: Hal> {
    receive: ReceiveQueue<'s, H>,
    transmit: TransmitQueue<'s, H>,
    memory: PacketMemory<'m>,
    /// For the next packet that goes out.
    spare: Option<Frame<'s, H>>,
    mac: [u8; 6],
    frame_bytes_max: usize,
    /// Buffers of the longest frame.
    buffers_max: u16,
    features: NetFeatures,
    counts: PacketCounts,
    /// What the last packet to go out did not find.
    shortage: Option<Shortage>,
}

/// What is missing for a packet to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// Descriptors.
    Ring,
    /// A frame: all are out.
    Frames,
}

/// What was dropped, since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// Received ones that were longer than the memory for them.
    pub too_long: u64,
    /// Received ones with a wrong checksum, where the card may vouch for checksums and did not for theirs.
    pub wrong_checksum: u64,
    /// Ones to go out that the transmit queue did not take.
    pub not_transmitted: u64,
}

impl<'s, 'm, H: Hal> Packets<'s, 'm, H> {
    /// A pair of the card's queues, which are live. `control` says which checksums are the card's affair, and how long frames are.
    pub fn new<T: Transport>(
        control: &Control<'s, T, H>,
        mut receive: ReceiveQueue<'s, H>,
        transmit: TransmitQueue<'s, H>,
        memory: PacketMemory<'m>,
    ) -> Self {
        let memory_bytes = memory.received.len().min(memory.transmitted.len());
        let frame_bytes = usize::from(control.mtu().unwrap_or(MTU)).saturating_add(ETHERNET);
        // Two of the longest frames fit into the ring.
        let buffer_bytes = receive.supply().buffer_room().max(1);
        let ring_bytes = buffer_bytes.saturating_mul(usize::from(transmit.size() / 2));
        let frame_bytes_max = frame_bytes.min(memory_bytes).min(ring_bytes);
        Self {
            buffers_max: u16::try_from(frame_bytes_max.div_ceil(buffer_bytes)).unwrap_or(u16::MAX).max(1),
            receive,
            transmit,
            memory,
            spare: None,
            mac: control.mac(),
            frame_bytes_max,
            features: control.features(),
            counts: PacketCounts::default(),
            shortage: None,
        }
    }

    /// The card's address.
    pub const fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What was dropped.
    pub const fn counts(&self) -> PacketCounts {
        self.counts
    }

    /// The queue of frames that arrive. A stack is not told when it is [broken](ReceiveQueue::broken): it looks as if nothing arrived.
    pub const fn receive_queue(&mut self) -> &mut ReceiveQueue<'s, H> {
        &mut self.receive
    }

    /// The queue of frames that go out. A stack is not told when it is [broken](TransmitQueue::broken): it looks as if packets were lost.
    pub const fn transmit_queue(&mut self) -> &mut TransmitQueue<'s, H> {
        &mut self.transmit
    }

    /// Both queues, for the way down or for another use.
    pub fn into_queues(self) -> (ReceiveQueue<'s, H>, TransmitQueue<'s, H>) {
        (self.receive, self.transmit)
    }

    /// Asks for an interrupt when a frame arrives, and, if the last packet to go out found no room, when there is some again. [`MoreWaiting`](Rearmed::MoreWaiting): there is something to do already, so the
    /// stack is polled once more before anybody sleeps.
    pub fn rearm(&mut self) -> Rearmed {
        if self.shortage.is_none() && self.is_dry() {
            self.shortage = Some(Shortage::Frames);
        }
        match self.shortage {
            // Nothing is received without room for an answer.
            Some(Shortage::Ring) => self.transmit.rearm(),
            Some(Shortage::Frames) if self.transmit.rearm() == Rearmed::MoreWaiting => Rearmed::MoreWaiting,
            _ => self.receive.rearm(),
        }
    }

    /// Whether nothing can arrive, for all frames are on their way out. Those that were sent are taken back first.
    fn is_dry(&mut self) -> bool {
        self.receive.in_flight() == 0
            && self.receive.refill() == 0
            && self.transmit.reap().is_ok_and(|_| self.receive.refill() == 0)
    }

    /// Bytes of a frame at most, Ethernet header and all.
    pub(super) const fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// How many frames can arrive before anybody looks.
    pub(super) fn burst(&self) -> usize {
        self.receive.size().into()
    }

    /// Whether the card completes checksums of what goes out.
    pub(super) fn completes_checksums(&self) -> bool {
        self.features.contains(NetFeatures::CSUM)
    }

    /// Whether the checksums of what arrives are looked at before the stack has it: by the card, or here.
    pub(super) fn judges_checksums(&self) -> bool {
        self.features.contains(NetFeatures::GUEST_CSUM)
    }

    /// Copies the next packet that is fit for the stack, and says how long it is; nothing, if there is no room for an answer.
    pub(super) fn take_next(&mut self) -> Option<usize> {
        if !self.ring_has_room() {
            return None;
        }
        self.take()
    }

    /// Whether there is room for a packet that is to go out.
    pub(super) fn has_room(&mut self) -> bool {
        self.ring_has_room() && self.keep_spare()
    }

    /// The packet that was taken last, of so many bytes, and the room for an answer.
    pub(super) fn taken(&mut self, len: usize) -> (ReceivedPacket<'_>, PacketRoom<'_, 's, H>) {
        let completes_checksums = self.completes_checksums();
        let Self { receive, transmit, memory, spare, counts, .. } = self;
        let PacketMemory { received, transmitted } = memory;
        let supply = receive.supply();
        let room = PacketRoom { transmit, supply, spare, counts, memory: transmitted, completes_checksums };
        (ReceivedPacket(received.get_mut(..len).unwrap_or_default()), room)
    }

    /// The room that there is.
    pub(super) fn room(&mut self) -> PacketRoom<'_, 's, H> {
        self.taken(0).1
    }

    fn ring_has_room(&mut self) -> bool {
        if self.shortage.is_some() || self.transmit.free_frames() < self.buffers_max {
            // A queue that breaks here has no room either.
            let _ = self.transmit.reap();
        }
        let has_room = self.transmit.free_frames() >= self.buffers_max;
        if has_room && self.shortage.is_some() {
            self.transmit.suppress_notifications();
        }
        self.shortage = (!has_room).then_some(Shortage::Ring);
        has_room
    }

    /// Sees to it that a frame for the longest packet is ready; says whether one is.
    fn keep_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = self.receive.supply().frame_for(self.frame_bytes_max);
        }
        if self.spare.is_none() {
            self.shortage = Some(Shortage::Frames);
        }
        self.spare.is_some()
    }

    /// Copies the next frame that is fit for the stack, and says how long it is.
    fn take(&mut self) -> Option<usize> {
        let judges_checksums = self.judges_checksums();
        // No more at a time than the ring has, or a device that sends nothing but nonsense would keep us here.
        for _ in 0..self.receive.size() {
            let frame = self.receive.receive().ok()??;
            let len = frame.len();
            let Some(bytes) = self.memory.received.get_mut(..len) else {
                self.counts.too_long = self.counts.too_long.saturating_add(1);
                continue;
            };
            frame.read(0, bytes).ok()?;
            let is_vouched_for = frame.offload().checksum() != Checksum::None;
            if !judges_checksums || is_vouched_for || checksums::is_right(bytes) {
                return Some(len);
            }
            self.counts.wrong_checksum = self.counts.wrong_checksum.saturating_add(1);
        }
        None
    }
}

impl<H: Hal> fmt::Debug for Packets<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receive, transmit, counts, .. } = self;
        let mut fields = f.debug_struct("Packets");
        fields.field("receive", receive).field("transmit", transmit).field("counts", counts);
        fields.finish_non_exhaustive()
    }
}

/// A packet that arrived, as a stack has it.
#[derive(Debug)]
pub struct ReceivedPacket<'a>(pub(super) &'a mut [u8]);

/// Room for a packet that is to go out, as a stack has it.
#[derive(Debug)]
pub struct PacketRoom<'a, 's, H: Hal> {
    transmit: &'a mut TransmitQueue<'s, H>,
    supply: &'a mut FrameSupply<'s, H>,
    spare: &'a mut Option<Frame<'s, H>>,
    counts: &'a mut PacketCounts,
    memory: &'a mut [u8],
    completes_checksums: bool,
}

impl<H: Hal> PacketRoom<'_, '_, H> {
    /// Has `fill` write a packet of so many bytes, and transmits it.
    ///
    /// A stack that asks for more than it was told that there is gets less.
    pub(super) fn send<R>(self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let Self { transmit, supply, spare, counts, memory, completes_checksums } = self;
        let len = len.min(memory.len());
        let bytes = memory.get_mut(..len).unwrap_or_default();
        let result = fill(bytes);
        let checksum = if completes_checksums { checksums::begin(bytes) } else { Checksum::None };
        let frame = supply.frame_for(len).or_else(|| spare.take());
        let transmitted = frame.is_some_and(|mut frame| {
            frame.set_offload(Offload::default().with_checksum(checksum));
            frame.append(bytes).is_ok() && transmit.transmit(frame).is_ok()
        });
        if !transmitted {
            counts.not_transmitted = counts.not_transmitted.saturating_add(1);
        }
        result
    }
}
