//! The glue between driver and device model.
//!
//! Device addresses are unlike the pointers they stand for, every mapping of a buffer is a bounce buffer, and everything is
//! counted, so that a test can say that nothing is left mapped or allocated.

#![allow(dead_code, unused_imports, reason = "each test file uses its part of the platform")]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod altered;
pub mod balloon;
mod bench;
pub mod bursts;
pub mod card;
pub mod commands;
pub mod console;
mod disk;
mod either;
pub mod entropy;
pub mod frames;
mod kernel;
pub mod levels;
mod meddler;
#[cfg(any(feature = "embassy-net-driver", feature = "smoltcp"))]
mod packets;
pub mod record;
mod sleeper;
pub mod tasks;

pub use altered::Altered;
pub use bench::{Bench, DEVICE_TYPE, Device, Queue, RING_SETTINGS, Ring, RingBench};
pub use disk::{Config, Disk, DiskBench};
pub use either::{CHAIN, Either, EitherBench, SETTINGS, TagQueue};
pub use meddler::Meddler;
#[cfg(any(feature = "embassy-net-driver", feature = "smoltcp"))]
pub use packets::{CardConfig, DESCRIPTORS, PacketBench};
pub use sleeper::{Live, Sleeper, read_sector, sectors_read};
pub use virtio_test_hal::{ConfigSpace, MESSAGE_ADDRESS, Mapper, TestHal, claim, message};

/// The transport of a modelled function.
pub type Pci = virtio_guest::transport::pci::PciTransport<ConfigSpace>;
