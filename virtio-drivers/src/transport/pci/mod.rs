//! Modern virtio over PCI.
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

mod capability;
mod open;
mod registers;

pub use capability::CapabilityError;
pub use open::OpenError;
pub use registers::PciTransport;
