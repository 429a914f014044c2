//! A plain virtio device side for tests, able to misbehave on purpose.
//!
//! Written from the virtio specification, version 1.4, with its own layouts and constants: it
//! shares nothing with the driver, so that one misreading does not hide another. Tests step it,
//! from the driver's thread or from a second one; nothing happens between calls.
//!
//! ```text
//!   block::Disk    requests           --serve--> queue::DeviceQueue --> memory::AddressSpace
//!   net::Nic       packets, commands  --serve-->     |                       |
//!   console::Console bytes, messages  --serve-->     |                       |
//!   balloon::Balloon pages, entropy::Entropy         |                       |
//!   pci::PciDevice registers, notifications, interrupts   split|packed    (what the test mapped)
//! ```
//!
//! - [`AddressSpace`]: `map` (unsafe), `unmap`, `mapped_count`, `read`, `write`, `load_u16`,
//!   `store_u16` and wider; `faults` lists every access that was refused.
//! - [`PciDevice`]: `builder` or `block`; the driver's side is `config_read`, `config_write`,
//!   `bar_read`, `bar_write`; the test's side is `driver_errors`, `assert_driver_was_correct`,
//!   `notifications`, `last_notification`, `queue`, `device_queue`, `set_config`, `raise_used`, `raise_config`, `set_needs_reset` and
//!   `misbehave(|lies| ...)`. With `Builder::msi_x` it sends messages (`take_messages`), else it pulls its line (`line_is_raised`); with
//!   `Builder::legacy` or `transitional` it has the ports of before version 1. Capability lists are scripted with [`pci::Capability`] and
//!   `edit_capabilities`, BARs with [`pci::Bar`].
//! - [`pci::Bus`]: several functions, behind [`pci::Bridge`]s too, with configuration accesses and addresses going where bridges send them; `faults` says what is
//!   wrong with the addresses that software gave.
//! - [`MmioDevice`]: a device behind MMIO registers, of version 2 or 1: `new`, `legacy`, `read`, `write`; its test's side is the
//!   [`PciDevice`] that it is made of.
//! - [`Disk`]: `with_sectors`, `serve`, `hold`, `release`, `complete_in`, `requests`,
//!   `misbehave`, and `with_queue` for lies about the ring. It can have more than sectors: `with_discard`, `with_write_zeroes`,
//!   `with_secure_erase`, `with_lifetime`, `with_cache_switch`, `with_zones`; `stable_contents` is what a power failure would leave,
//!   `fail_nth` and `fail_sector` have requests fail, `resize` and `change_zone` change it while it works.
//! - [`Nic`]: a network device. `inject` and `inject_raw` have packets arrive, `take_transmitted` tells what was transmitted, header and all; `settings`
//!   is what its driver set by commands, `take_commands` what it sent. `with_pairs`, `with_features`, `with_config` and `with_filters` say what it is,
//!   `set_link`, `ask_for_announcement` and `change_config` change it while it works, `misbehave` and `with_queue` have it lie.
//! - [`Balloon`]: a memory balloon. `set_target` asks for pages, `held` are those that it has; `ask_for_statistics`, `start_hinting`, `stop_hinting`,
//!   `end_hinting` ask for more, `statistics`, `hinted` and `reported` are what came. `with_compacted_queues` numbers its queues as QEMU does.
//! - [`Console`]: a console. `send` has bytes arrive at a port, `take_sent` tells what was transmitted; with `with_ports`, `add_port`, `remove_port`,
//!   `make_console`, `name_port`, `open_port`, `close_port` and `resize_port` are said in control messages, `take_control` are the driver's, and `send_control`
//!   sends any bytes. `resize` changes the size in the configuration, `emergency_output` is what was written there.
//! - [`Entropy`]: a source of random bytes: `given` is what it wrote; `fill_at_most`, `ration` and `supply` say how much, `hold` and `release` when.
//! - [`DeviceQueue`]: a [`SplitQueue`] or a [`PackedQueue`], as negotiated. `pop` gives a checked
//!   [`Chain`]; `push_used`, `publish_used` and `needs_interrupt`, or `complete`, return it, and
//!   `complete_batch` several at once with `IN_ORDER`.
//! - Lies about a split ring: `put_used_element`, `set_used_idx`, `set_avail_event`. About a
//!   packed ring: `put_used`, `set_device_event`. About both: `overwrite_descriptor`,
//!   `overwrite_indirect`.
//!
//! ```
//! use virtio_model::{AddressSpace, Disk, PciDevice};
//!
//! let memory = AddressSpace::new();
//! let disk = Disk::with_sectors(8);
//! let device = PciDevice::block(&disk);
//! assert_eq!(device.config_read(0), 0x1042_1af4);
//! assert_eq!(disk.serve(&device, &memory), 0); // no driver yet
//!
//! let other = PciDevice::builder()
//!     .device_id(0x1042)
//!     .features(1 << 32)
//!     .queue_sizes(&[4])
//!     .config([0; 96])
//!     .edit_capabilities(|list| list[0] = list[0].clone().with_bar(7))
//!     .build();
//! other.misbehave(|lies| lies.drops_features_ok = true);
//! ```

pub mod balloon;
#[cfg(test)]
mod bare;
pub mod block;
pub mod chain;
pub mod console;
pub mod entropy;
pub mod error;
mod in_order;
pub mod memory;
pub mod mmio;
pub mod net;
pub mod packed;
pub mod pci;
pub mod queue;
mod rings;
pub mod setup;
pub mod split;

pub use balloon::Balloon;
pub use block::Disk;
pub use chain::{Chain, Segment};
pub use console::Console;
pub use entropy::Entropy;
pub use error::ModelError;
pub use memory::AddressSpace;
pub use mmio::MmioDevice;
pub use net::Nic;
pub use packed::PackedQueue;
pub use pci::PciDevice;
pub use queue::DeviceQueue;
pub use split::SplitQueue;
