//! What a driver tells a device about one queue.
//!
//! Spec: §2.6 Virtqueues, §4.1.5.1.3 Virtqueue Configuration. The same for every ring layout:
//! made from queue registers by [`PciDevice::device_queue`](crate::pci::PciDevice::device_queue),
//! or by a test; read by [`split`](crate::split) and [`packed`](crate::packed).

use crate::error::ModelError;

/// Size and addresses from the registers of a queue, and the features that change its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The number of descriptors: at most 32768, and in a split queue a power of 2.
    pub size: u16,
    /// The device address of the descriptor table or ring, a multiple of 16.
    pub descriptor_area: u64,
    /// The device address of the available ring (a multiple of 2) or of the driver's event
    /// suppression (a multiple of 4).
    pub driver_area: u64,
    /// The device address of the used ring or of the device's event suppression, a multiple of 4.
    pub device_area: u64,
    /// Whether `EVENT_IDX` was negotiated.
    pub event_idx: bool,
    /// Whether `INDIRECT_DESC` was negotiated.
    pub indirect: bool,
    /// Whether `IN_ORDER` was negotiated.
    pub in_order: bool,
}

/// What one area must be like.
pub(crate) struct Shape {
    /// The alignment of its address.
    pub(crate) alignment: u64,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

impl Setup {
    /// Complains about an area that is misaligned or wraps round the end of memory; the shapes
    /// are those of descriptor, driver and device area.
    pub(crate) fn check_areas(&self, shapes: [Shape; 3]) -> Result<(), ModelError> {
        let places = [
            ("descriptor", self.descriptor_area),
            ("driver", self.driver_area),
            ("device", self.device_area),
        ];
        for ((name, address), shape) in places.into_iter().zip(shapes) {
            if !address.is_multiple_of(shape.alignment) {
                return Err(ModelError::driver(format!("{name} area at {address:#x} is misaligned")));
            }
            if address.checked_add(shape.bytes).is_none() {
                return Err(ModelError::driver(format!("{name} area at {address:#x} wraps")));
            }
        }
        Ok(())
    }
}
