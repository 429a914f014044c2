//! Virtio over PCI: modern devices, and legacy ones.
//!
//! Spec: §4.1 Virtio Over PCI Bus.
//!
//! ```text
//!   configuration space            BAR (memory)
//!   ┌──────────────────────┐       ┌───────────────────────────────┐
//!   │ capability: common   ├──────▶│ features, status, queue set-up│  control path
//!   │ capability: isr      ├──────▶│ interrupt cause               │
//!   │ capability: device   ├──────▶│ device configuration          │
//!   │ capability: notify   ├──────▶│ doorbells, one per queue ─────┼──▶ data path
//!   └──────────────────────┘       └───────────────────────────────┘
//! ```
//!
//! [`PciTransport::open`] walks the capabilities once, checks every structure against its BAR, and has the kernel map them. Nothing in configuration
//! space is used after that.

pub mod bus;
mod capability;
mod endpoint;
mod legacy;
mod msi_x;
mod open;
mod registers;
mod shared_memory;

pub use capability::CapabilityError;
pub use legacy::LegacyPciTransport;
pub use msi_x::MsiXError;
pub use open::OpenError;
pub(super) use open::has_modern_interface;
pub use registers::PciTransport;
