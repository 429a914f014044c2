//! The block device: disks.
//!
//! Spec: §5.2 Block Device.
//!
//! Blocking calls on borrowed slices: bytes are copied through memory that the driver owns, so a call may give up at its deadline without leaving the
//! device a pointer into the caller's memory. Long transfers are cut to what the device takes and go out together, with one notification.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Hal, Patience}, transport::Transport};
//! use virtio_guest::device::block::{Block, Sector, Storage};
//! # fn example(transport: impl Transport, hal: impl Hal, within_a_second: impl Fn() -> virtio_guest::hal::Attempts)
//! #     -> Result<(), Box<dyn core::error::Error>> {
//!
//! let mut storage = Storage::<16>::new(); // or in a static
//! let disk = Block::start(transport, hal, &mut storage, within_a_second());
//! let mut disk = disk.map_err(|failed| failed.error)?;
//!
//! let mut boot_sector = [0; 512];
//! disk.read_blocking(Sector(0), &mut boot_sector, within_a_second())?;
//! disk.write_blocking(Sector(1), b"hello".repeat(512).get(..512).unwrap_or(&[]), within_a_second())?;
//! disk.flush_blocking(within_a_second())?;
//! disk.close(within_a_second()).map_err(|failed| failed.error)?;
//! # Ok(()) }
//! ```

mod blocking;
mod bursts;
mod characteristics;
mod command;
mod completion;
mod control;
mod disk;
mod driver;
mod end;
mod limits;
mod parking;
mod parts;
mod queue;
mod quick;
mod range_limits;
mod ranges;
mod report;
mod request;
mod shape;
mod shared;
mod slots;
mod start;
mod suspend;
mod transfer;
mod zoned;
mod zones;

pub use characteristics::{CacheMode, Geometry, Topology};
pub use command::{SectorRange, Unmap, ZoneAction};
pub use completion::{Answer, Completion, Failed, Ticket};
pub use control::{Control, DownFailed};
pub use disk::BlockingDisk;
pub use driver::Block;
pub use end::{CloseFailed, Closed};
pub use limits::Settings;
pub use parking::ParkedRequestQueue;
pub use queue::{IdleQueue, Reclaimed, RequestQueue};
pub use quick::{Access, BurstFailed};
pub use range_limits::RangeLimits;
pub use report::{ActivePaths, DeviceId, Lifetime, ReservedBlocks};
pub use request::{RequestError, Sector};
pub use shape::Shape;
pub use shared::{Drain, QueueInUse, Requests, Run, Shared, Transfer, Waiters, WaitersRef};
pub use slots::{Slots, Storage};
pub use start::{HANDLED, StartError, StartFailed, Starting};
pub use suspend::{Asleep, NotConfirmed, SuspendFailed, Suspended, Suspending};
pub use zones::{Zone, ZoneReport, ZoneState, ZoneType, ZonedCharacteristics};

pub use crate::lifecycle::Down;
pub use crate::wire::block::SECTOR_BYTES;
