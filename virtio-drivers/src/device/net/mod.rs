//! The network device: interfaces that send and receive frames.
//!
//! Spec: §5.1 Network Device.

mod coalescing;
mod commands;
mod control;
mod description;
mod filters;
mod statistics;
mod steering;

pub use coalescing::Coalescing;
pub use commands::{ControlError, ControlSlots, ControlStorage};
pub use control::{Control, Down, DownFailed};
pub use description::{Duplex, HashLimits, Link, MacAddress};
pub use statistics::{
    CommandCounters, DeviceStatistics, ReceiveChecksumCounters, ReceiveCounters, ReceiveSegmentationCounters,
    ReceiveSpeedCounters, TransmitChecksumCounters, TransmitCounters, TransmitSegmentationCounters,
    TransmitSpeedCounters,
};
pub use steering::RssConfig;

pub use crate::wire::net::control::GuestOffloads;
pub use crate::wire::net::statistics::StatisticsTypes;
pub use crate::wire::net::{HashTypes, TunnelTypes};
