//! Where virtual functions are on the bus.
//!
//! PCI Express Base Specification, §9.2.1.2 (VF discovery). A function's routing id is its bus, device and function number in 16 bits; that of the first virtual function is at
//! an offset from the physical function's, and each further one at a stride from the one before. They may well be on the next bus.

use core::ops::RangeInclusive;

use pci_types::PciAddress;

use super::EnableError;

/// The routing ids of virtual functions: `count` of them, `stride` apart, all of them there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Routing {
    segment: u16,
    first: u16,
    stride: u16,
    count: u16,
}

impl Routing {
    /// Checks what a physical function says of its virtual ones: no two at one place, none of them the physical function itself, all on these buses.
    pub(super) fn new(
        physical: PciAddress,
        (offset, stride): (u16, u16),
        count: u16,
        buses: &RangeInclusive<u8>,
    ) -> Result<Self, EnableError> {
        if offset == 0 || stride == 0 && count > 1 {
            return Err(EnableError::Routing { offset, stride });
        }
        let physical_id = u16::from(physical.bus()) << 8
            | u16::from(physical.device()) << 3
            | u16::from(physical.function());
        let span = count.saturating_sub(1).checked_mul(stride);
        let first = physical_id.checked_add(offset);
        let last = first.zip(span).and_then(|(first, span)| first.checked_add(span));
        let (Some(first), Some(last)) = (first, last) else {
            return Err(EnableError::BeyondBuses { offset, stride });
        };
        if !buses.contains(&bus(first)) || !buses.contains(&bus(last)) {
            return Err(EnableError::BeyondBuses { offset, stride });
        }
        Ok(Self { segment: physical.segment(), first, stride, count })
    }

    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    /// The address of virtual function `index`, counted from 0 and below the count.
    pub(super) fn address(&self, index: u16) -> PciAddress {
        let id = self.first.wrapping_add(index.wrapping_mul(self.stride));
        PciAddress::new(self.segment, bus(id), (id >> 3 & 0x1f) as u8, (id & 7) as u8)
    }

    /// The addresses of all of them.
    pub(super) fn addresses(self) -> impl Iterator<Item = PciAddress> {
        (0..self.count).map(move |index| self.address(index))
    }
}

const fn bus(id: u16) -> u8 {
    (id >> 8) as u8
}
