//! Shared memory regions of a device, as its capabilities place them.
//!
//! Spec: §4.1.4.7 Shared memory capability. Offset and length have 64 bits there; a region that is not wholly inside of its BAR is none.

use super::capability::Location;
use crate::raw::MemoryBar;
use crate::transport::SharedMemory;

/// As many regions as are kept. No device type has more than one.
const REGIONS_MAX: usize = 4;

/// The regions of a device, by number.
#[derive(Debug, Default)]
pub(super) struct Regions([Option<(u8, SharedMemory)>; REGIONS_MAX]);

impl Regions {
    /// Adds a region, unless it is not inside of its BAR, or there is one of that number already, or there are too many.
    pub(super) fn add(&mut self, location: &Location, bar: Option<&MemoryBar>) {
        let Location { id, offset, length, .. } = *location;
        if let Some(bar) = bar
            && bar.contains(offset, length)
            && self.get(id).is_none()
            && let Some(region) = SharedMemory::new(bar.physical_address(offset), length)
            && let Some(free) = self.0.iter_mut().find(|place| place.is_none())
        {
            *free = Some((id, region));
        }
    }

    /// The region with this number.
    pub(super) fn get(&self, id: u8) -> Option<SharedMemory> {
        self.0.iter().flatten().find(|(number, _)| *number == id).map(|(_, region)| *region)
    }
}
