//! What the fuzz targets share: lives whose driver and device both do what the fuzzer's bytes say. Here those of one queue; in [`control`] those of registers, in [`disk`], [`net`], [`console`] and [`balloon`](mod@balloon) those of a whole driver; in [`vhost_user`](mod@vhost_user) those of a process at a vhost-user back-end.
//!
//! Spec: §2.6 Virtqueues, §2.6.1 Virtqueue Reset, §2.4 Device Reset. The driver is the library; the device is `virtio-model`'s as long as it is
//! honest, and the fuzzer whenever it is not: before any load of the driver's it may change any shared byte.
//!
//! ```text
//!   bytes  ── from the front ──▶ life      what the driver does next          ── calls ──▶ virtio-guest
//!          ── from the back ───▶ world     what the device does before a load ◀── loads ──┘
//!                                 ├ device   honest steps of the model
//!                                 └ lies     anything else
//! ```
//!
//! What must hold is asserted where it can be seen: `life` (what calls answer), `ledger` (each chain comes back once), `witness` (and only
//! after memory said so), `memory` (nothing is released while the device has it), `world` (calls end).

#[cfg(not(virtio_guest_stand_in))]
compile_error!("the fuzz targets need `--cfg virtio_guest_stand_in`, as `make fuzz` sets it");

mod balloon;
mod console;
mod control;
mod device;
mod disk;
mod ledger;
mod lies;
mod life;
mod memory;
mod net;
mod plan;
mod script;
mod transport;
mod vhost_user;
mod witness;
mod world;

pub use balloon::balloon;
pub use console::console_control;
pub use control::{config_and_status, mmio, pci_capabilities};
pub use disk::block;
pub use life::live;
pub use net::{net_control, net_receive};
pub use vhost_user::vhost_user;

use virtio_guest::ring::Layout;

/// Which of the four kinds of ring a target is about. All else about a queue is in the input.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Split or packed.
    pub layout: Layout,
    /// Whether chains come back in the order in which they were made available.
    pub in_order: bool,
}
