//! Other people's formats and traits, each behind a feature of its own.
//!
//! | module | feature | what it is |
//! |---|---|---|
//! | `device_tree` | `device-tree` | finds virtio over MMIO in a flattened device tree |
//! | `console_io` | `embedded-io` | a console's port as a stream of bytes: `Read`, `Write`, `ReadReady`, `WriteReady` of `embedded-io` 0.7 |
//! | `console_tasks` | `embedded-io-async` | the same for tasks: `Read`, `Write`, `ReadReady`, `WriteReady` of `embedded-io-async` 0.7 |
//! | `embedded_io` | `embedded-io` | a disk as a stream of bytes: `Read`, `Write`, `Seek` of `embedded-io` 0.7 |
//! | `embedded_sdmmc` | `embedded-sdmmc` | a disk for FAT file systems: `BlockDevice` of `embedded-sdmmc` 0.10 |
//! | `embassy_net_driver` | `embassy-net-driver` | a card for `embassy-net`: `Driver` of `embassy-net-driver` 0.2 |
//! | `gpt_disk_io` | `gpt-disk-io` | a disk for partition tables: `BlockIo` of `gpt_disk_io` 0.17 |
//! | [`LogSink`] | | a console's port for messages: `Log` of `log` 0.4 |
//! | `rand_core` | `rand_core` | an entropy device for generators of random numbers: `TryRng`, `TryCryptoRng` of `rand_core` 0.10 |
//! | `smoltcp` | `smoltcp` | a card for a network stack: `phy::Device` of `smoltcp` 0.14 |
//!
//! Formats are read by other crates, whose types are in nothing that is offered here, so that their versions are not ours. Where a trait is another crate's, its version is part of what the feature promises.

#![forbid(unsafe_code)]

#[cfg(any(feature = "embedded-sdmmc", feature = "gpt-disk-io"))]
mod blocks;
#[cfg(any(feature = "embassy-net-driver", feature = "smoltcp"))]
mod checksums;
#[cfg(feature = "embedded-io")]
pub mod console_io;
#[cfg(feature = "embedded-io-async")]
pub mod console_tasks;
#[cfg(feature = "device-tree")]
pub mod device_tree;
#[cfg(feature = "embassy-net-driver")]
pub mod embassy_net_driver;
#[cfg(feature = "embedded-io")]
pub mod embedded_io;
#[cfg(feature = "embedded-sdmmc")]
pub mod embedded_sdmmc;
#[cfg(feature = "gpt-disk-io")]
pub mod gpt_disk_io;
mod log_sink;
#[cfg(any(feature = "embassy-net-driver", feature = "smoltcp"))]
mod packets;
#[cfg(feature = "rand_core")]
mod rand_core;
#[cfg(feature = "smoltcp")]
mod smoltcp;

#[cfg(feature = "rand_core")]
pub use self::rand_core::Randomness;
#[cfg(any(feature = "embedded-sdmmc", feature = "gpt-disk-io"))]
pub use blocks::{Blocks, BlocksError};
pub use log_sink::LogSink;
#[cfg(any(feature = "embassy-net-driver", feature = "smoltcp"))]
pub use packets::{PacketCounts, PacketMemory, PacketRoom, Packets, ReceivedPacket};
