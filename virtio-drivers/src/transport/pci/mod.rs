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
//! [`PciTransport::open`] walks the capabilities once, checks every structure against its BAR, and has the kernel map them. After that configuration
//! space is used for interrupts, for the right to access memory, and to ask whether a function whose status reads 0 is still there: registers of one that was taken out read all
//! ones, or zeros behind some host bridges. Where BARs cannot be mapped, a [`ConfigWindow`] reaches the same structures through configuration space alone.

pub mod bus;
mod capability;
mod config_window;
mod endpoint;
mod extended;
mod legacy;
mod msi_x;
mod open;
mod registers;
mod shared_memory;
mod space;
pub mod sr_iov;

pub use capability::CapabilityError;
pub use config_window::ConfigWindow;
pub use legacy::LegacyPciTransport;
pub use msi_x::MsiXError;
pub use open::OpenError;
pub(super) use open::has_modern_interface;
pub use registers::PciTransport;
