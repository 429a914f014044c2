//! The network device: cards.
//!
//! Spec: §5.1 Network Device.
//!
//! A [`Frame`] is in buffers of a [`FramePool`] from where it is made, or received, to where it was sent: queues take it and give it without copying a byte, and dropped it goes back to its pool. Bytes are copied in and out by whoever
//! wants them. Three levels: blocking calls on slices, here; bursts ([`ReceiveQueue`], [`TransmitQueue`]), and tasks ([`ReceiveQueue::received`], [`TransmitQueue::transmitted`]).
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use virtio_guest::device::net::{FramePool, Net, PoolSettings, Storage};
//! use virtio_guest::raw::PoolStorage;
//! # fn example(transport: impl Transport, hal: impl Hal, within_a_second: impl Fn() -> virtio_guest::hal::Attempts)
//! #     -> Result<(), Box<dyn core::error::Error>> {
//!
//! let mut notes = PoolStorage::<192>::new(); // or in a static, as all of these
//! let pool = FramePool::new(&hal, &mut notes, PoolSettings::default())?;
//! let mut storage = Storage::<_, 64>::new();
//! let supply = pool.supply().ok_or("somebody else has it")?;
//! let card = Net::start(transport, hal, &mut storage, supply, within_a_second());
//! let mut card = card.map_err(|failed| failed.error)?;
//!
//! let mut frame = [0xff; 64]; // to everybody
//! frame[6..12].copy_from_slice(&card.mac());
//! frame[12..14].copy_from_slice(&[0x88, 0xb5]);
//! card.transmit_blocking(&frame, within_a_second())?;
//!
//! let mut answer = [0; 1514];
//! let len = card.receive_blocking(&mut answer, within_a_second())?;
//! # assert!(len > 0);
//! card.close(within_a_second()).map_err(|failed| failed.error)?;
//! # Ok(()) }
//! ```

#![allow(
    clippy::inline_always,
    reason = "what a usual frame goes through is one loop, in which what is known of it is not asked again"
)]

mod assembly;
mod blocking;
mod coalescing;
mod commands;
mod control;
mod description;
mod driver;
mod end;
mod filters;
mod finish;
mod format;
mod frame;
mod in_use;
mod offload;
mod pair;
mod receive;
mod start;
mod start_error;
mod statistics;
mod steering;
mod transmit;

pub use blocking::BlockingError;
pub use coalescing::Coalescing;
pub use commands::{ControlError, ControlSlots, ControlStorage};
pub use control::{Control, Down, DownFailed};
pub use description::{Duplex, HashLimits, Link, MacAddress};
pub use driver::{ActivePaths, Net, Slots, StartFailed, Storage};
pub use end::{CloseFailed, Closed};
pub use frame::{Frame, FramePool, FrameSupply, PoolSettings};
pub use offload::{
    Checksum, Coalesced, Hash, HashReport, Offload, Segmentation, SegmentationKind, Tunnel, TunnelKind,
};
pub use pair::{IdlePair, PairSlots, PairStorage, ReclaimedPair};
pub use receive::{ReceiveCounts, ReceiveQueue, ReclaimedReceive};
pub use start::{HANDLED, PLAIN, Settings, Starting};
pub use start_error::{ControlFailed, PairFailed, StartError};
pub use statistics::{
    CommandCounters, DeviceStatistics, ReceiveChecksumCounters, ReceiveCounters, ReceiveSegmentationCounters,
    ReceiveSpeedCounters, TransmitChecksumCounters, TransmitCounters, TransmitSegmentationCounters,
    TransmitSpeedCounters,
};
pub use steering::RssConfig;
pub use transmit::{BurstNotTransmitted, NotTransmitted, TransmitError, TransmitQueue};

pub use crate::wire::net::control::GuestOffloads;
pub use crate::wire::net::statistics::StatisticsTypes;
pub use crate::wire::net::{HashTypes, NetFeatures, TunnelTypes};
