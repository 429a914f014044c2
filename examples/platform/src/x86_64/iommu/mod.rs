//! An IOMMU: devices see addresses of their own, and reach what was mapped for them and nothing else.
//!
//! Intel Virtualization Technology for Directed I/O, Architecture Specification (VT-d), legacy mode. [`find`] switches translation on for all devices behind the machine's unit.
//! After that a device that was put into no domain reaches nothing; one that was put into a [`Domain`] reaches what drivers map there,
//! for the domain is their [`Hal`](virtio_guest::hal::Hal):
//!
//! ```ignore
//! let unit = iommu::find().ok_or("no IOMMU")?;
//! let domain = unit.new_domain().ok_or("no memory for a domain")?;
//! unsafe { unit.attach(function.address(), domain) };
//! let disk = Block::start(transport, domain, ...)?;
//! ```
//!
//! ```text
//!   device ── its bus ──▶ root table ── its device and function ──▶ context table ──▶ domain: page table ── its address ──▶ memory
//! ```

mod domain;
mod registers;
mod table;
mod unit;

pub use domain::Domain;
pub use unit::{Fault, Unit};

use spin::Once;

use super::acpi;

/// The machine's unit, with translation on; `None` if it does not have exactly one, or this driver cannot use it.
pub fn find() -> Option<&'static Unit> {
    static UNIT: Once<Option<Unit>> = Once::new();
    UNIT.call_once(|| Unit::start(acpi::remapping_unit()?)).as_ref()
}
