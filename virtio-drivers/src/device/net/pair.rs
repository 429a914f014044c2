//! A pair of queues, from storage to DRIVER_OK.
//!
//! Spec: §5.1.2 Virtqueues, §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers. Pair `n` is queue 2n, which receives, and 2n + 1, which transmits.

use super::control::Control;
use super::format::Format;
use super::frame::{FrameSupply, HEADROOM};
use super::receive::{ReceiveCounts, ReceiveQueue};
use super::transmit::TransmitQueue;
use crate::hal::Hal;
use crate::raw::{Buffers, ConfirmedReset};
use crate::ring::{self, InstalledQueue, Returned};
use crate::transport::Transport;
use crate::wire::net::NetFeatures;

/// Bytes of the longest frame that a device puts together: 14 of Ethernet, 40 of IPv6, 65535 of payload.
const LARGE_FRAME_BYTES: u32 = 65589;
/// Bytes of a frame of the usual length without a VLAN tag.
const USUAL_FRAME_BYTES: u32 = 1514;
/// Bytes of a frame besides its network packet: Ethernet header, and one VLAN tag.
const LINK_BYTES: u32 = 18;

/// What a driver keeps in memory of its own for a pair of queues of up to `N` descriptors each: lent by the caller for as long as the queues live.
#[derive(Debug)]
pub struct PairStorage<'s, H: Hal, const N: usize> {
    receive: ring::Storage<Buffers<'s, H>, N>,
    transmit: ring::Storage<Buffers<'s, H>, N>,
}

impl<H: Hal, const N: usize> PairStorage<'_, H, N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { receive: ring::Storage::new(), transmit: ring::Storage::new() }
    }
}

impl<H: Hal, const N: usize> Default for PairStorage<'_, H, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a pair keeps what the driver knows: a lent [`PairStorage`], or (with the `alloc` feature) allocated once.
#[derive(Debug)]
pub struct PairSlots<'s, H: Hal> {
    /// For the receive queue.
    pub receive: ring::Slots<'s, Buffers<'s, H>>,
    /// For the transmit queue.
    pub transmit: ring::Slots<'s, Buffers<'s, H>>,
}

impl<'s, H: Hal, const N: usize> From<&'s mut PairStorage<'s, H, N>> for PairSlots<'s, H> {
    fn from(storage: &'s mut PairStorage<'s, H, N>) -> Self {
        let PairStorage { receive, transmit } = storage;
        Self { receive: receive.into(), transmit: transmit.into() }
    }
}

#[cfg(feature = "alloc")]
impl<H: Hal> PairSlots<'_, H> {
    /// For queues of up to so many descriptors each, from the heap.
    pub fn allocate(descriptors: u16) -> Self {
        Self { receive: ring::Slots::allocate(descriptors), transmit: ring::Slots::allocate(descriptors) }
    }
}

impl<H: Hal> PairSlots<'_, H> {
    /// Room for nothing.
    pub(super) const fn none() -> Self {
        Self { receive: ring::Slots::none(), transmit: ring::Slots::none() }
    }
}

/// A pair of queues that its card knows of, and that may not be used yet: [`Control::activate`](super::Control::activate) makes it usable.
#[derive(Debug)]
#[must_use = "dropping it leaks its memory"]
pub struct IdlePair<'s, H: Hal> {
    pub(super) receive: InstalledQueue<'s, H, Buffers<'s, H>>,
    pub(super) transmit: InstalledQueue<'s, H, Buffers<'s, H>>,
    pub(super) supply: FrameSupply<'s, H>,
    pub(super) format: Format,
    pub(super) chain_buffers: u16,
    pub(super) frame_chains: u16,
    pub(super) notified: bool,
}

/// What a pair was made of.
#[derive(Debug)]
pub struct ReclaimedPair<'s, H: Hal> {
    /// The storage that was lent.
    pub slots: PairSlots<'s, H>,
    /// The receive queue's supply.
    pub supply: FrameSupply<'s, H>,
}

impl<'s, T: Transport, H: Hal> Control<'s, T, H> {
    /// Makes a pair usable that was installed while the card came up: its receive ring is filled. One of another card comes out of service.
    ///
    /// A card uses one pair until it is told to use more ([`set_pairs`](Control::set_pairs), [`set_rss`](Control::set_rss)): until then the transmit queues of others refuse frames. The transmit queue interrupts only when somebody waits for it.
    pub fn activate(&self, pair: IdlePair<'s, H>) -> (ReceiveQueue<'s, H>, TransmitQueue<'s, H>) {
        let IdlePair { receive, transmit, supply, format, chain_buffers, frame_chains, notified } = pair;
        let (mut queue, mut transmit) = (self.half.activate(receive), self.half.activate(transmit));
        transmit.suppress_notifications();
        if !notified {
            queue.suppress_notifications();
        }
        let counts = ReceiveCounts::default();
        let merged_max = merged_max(&format, supply.buffer_room()).min(queue.size());
        let mut receive =
            ReceiveQueue { queue, supply, format, chain_buffers, frame_chains, merged_max, counts };
        receive.refill();
        // The first is always in use.
        let pairs_in_use = self.pairs_in_use.filter(|_| transmit.index() > 1);
        (receive, TransmitQueue { queue: transmit, format, pairs_in_use })
    }
}

impl<'s, H: Hal> IdlePair<'s, H> {
    /// Which pair of the card it is.
    pub const fn pair(&self) -> u16 {
        self.receive.index() / 2
    }

    /// Takes the pair back after a reset of its card.
    ///
    /// # Errors
    /// The pair itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the pair itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<ReclaimedPair<'s, H>, Self> {
        let Self { receive, transmit, supply, format, chain_buffers, frame_chains, notified } = self;
        let receive = match receive.reclaim(reset) {
            Ok(returned) => returned.into_slots(),
            Err(receive) => {
                return Err(Self {
                    receive,
                    transmit,
                    supply,
                    format,
                    chain_buffers,
                    frame_chains,
                    notified,
                });
            }
        };
        // Of the same bring-up as the other one, always.
        let transmit = transmit.reclaim(reset).map_or_else(|_| ring::Slots::none(), Returned::into_slots);
        Ok(ReclaimedPair { slots: PairSlots { receive, transmit }, supply })
    }
}

/// Over how many buffers, each with room for `buffer_room` bytes, a frame can be spread: as many as the longest takes that anybody puts together.
fn merged_max(format: &Format, buffer_room: usize) -> u16 {
    let buffers = (LARGE_FRAME_BYTES as usize).div_ceil(buffer_room.max(1) + usize::from(format.bytes()));
    u16::try_from(buffers.saturating_add(1)).unwrap_or(u16::MAX)
}

/// Of how many buffers, each with room for `buffer_room` bytes of a frame, a receive chain is made, and how many chains the longest frame takes, which is `mtu` bytes of payload, or what the device may put together.
/// One of both is 1: a frame is spread over chains with mergeable buffers, and over the buffers of a chain without.
///
/// Spec: §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers.
pub(super) fn frame_buffers(
    format: &Format,
    features: NetFeatures,
    mtu: Option<u16>,
    buffer_room: usize,
) -> (u16, u16) {
    let puts_together = NetFeatures::GUEST_TSO4
        .union(NetFeatures::GUEST_TSO6)
        .union(NetFeatures::GUEST_UFO)
        .union(NetFeatures::GUEST_USO4)
        .union(NetFeatures::GUEST_USO6);
    let frame = if features.intersects(puts_together) {
        LARGE_FRAME_BYTES
    } else {
        USUAL_FRAME_BYTES.max(mtu.map_or(0, |mtu| u32::from(mtu) + LINK_BYTES))
    };
    // The first buffer has room for a header before the frame. The others have as many bytes more as are before a frame; where they are chains of their own, as many as a header has.
    let is_mergeable = format.is_mergeable();
    let more = if is_mergeable { format.bytes().into() } else { usize::from(HEADROOM) };
    let others = (frame as usize).saturating_sub(buffer_room).div_ceil(buffer_room + more);
    let buffers = u16::try_from(others + 1).unwrap_or(u16::MAX);
    if is_mergeable { (1, buffers) } else { (buffers, 1) }
}
