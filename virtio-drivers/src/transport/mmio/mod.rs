//! virtio over MMIO: a window of registers, found by the platform's word alone.
//!
//! Spec: §4.2 Virtio Over MMIO. Where the windows are is said by a device tree (`virtio,mmio`: `adapter::device_tree`), by ACPI (`LNRO0005`: [`acpi`]), or on a kernel's
//! command line ([`command_line`]).
//!
//! ```text
//!   0x000 ┌─────────────────────────────────────┐
//!         │ magic, version, device type         │
//!         │ features, status, queue set-up      │  control path
//!         │ interrupt status and acknowledgement│
//!   0x050 │ doorbell of all queues ─────────────┼──▶ data path
//!   0x100 ├─────────────────────────────────────┤
//!         │ device configuration                │
//!         └─────────────────────────────────────┘
//! ```
//!
//! [`MmioTransport::open`] takes both versions: 2, the specification's, and 1, the legacy interface of before. QEMU has version 1 unless it is told
//! `-global virtio-mmio.force-legacy=false`.
//!
//! ```no_run
//! # use virtio_guest::hal::MapMmio;
//! use virtio_guest::raw::Registers;
//! use virtio_guest::transport::mmio::MmioTransport;
//!
//! # fn probe(platform: &impl MapMmio) -> Result<(), Box<dyn core::error::Error>> {
//! // SAFETY: the device tree has a `virtio,mmio` node here, and nobody else drives it.
//! let registers = unsafe { Registers::map(platform, 0x0a00_0000, 0x200) }.ok_or("not mapped")?;
//! match MmioTransport::open(registers)? {
//!     Some(transport) => drop(transport), // to the driver of transport.device_type()
//!     None => {}                          // an empty slot
//! }
//! # Ok(()) }
//! ```

pub mod acpi;
pub mod command_line;
mod legacy;
mod open;
mod registers;

pub use open::OpenError;
pub use registers::MmioTransport;
