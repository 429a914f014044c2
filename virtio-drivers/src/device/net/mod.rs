//! The network device: cards.
//!
//! Spec: §5.1 Network Device.

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
mod offload;
mod pair;
mod receive;
mod start;
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
pub use start::{ControlFailed, HANDLED, PLAIN, PairFailed, Settings, StartError, Starting};
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
