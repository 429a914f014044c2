//! Virtual functions that are there.

use core::fmt;

use pci_types::ConfigRegionAccess;

use super::bars::{Places, places_of};
use super::routing::Routing;
use super::{SrIov, register};
use crate::hal::Patience;
use crate::raw::{VirtualFunction, VirtualFunctionMemory};

/// A physical function whose virtual functions are enabled. Dropping it leaves them enabled.
pub struct Enabled<A> {
    sr_iov: SrIov<A>,
    routing: Routing,
    places: Places,
    ids: (u16, u16),
    /// What they may answer at: nobody else's meanwhile.
    memory: VirtualFunctionMemory,
}

impl<A> fmt::Debug for Enabled<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enabled")
            .field("sr_iov", &self.sr_iov)
            .field("routing", &self.routing)
            .finish_non_exhaustive()
    }
}

impl<A: ConfigRegionAccess> Enabled<A> {
    pub(super) fn new(
        sr_iov: SrIov<A>,
        routing: Routing,
        places: Places,
        memory: VirtualFunctionMemory,
    ) -> Self {
        let vendor_id = (sr_iov.function.read(0) & 0xffff) as u16;
        let device_id = (sr_iov.read(register::DEVICE_ID) >> 16) as u16;
        Self { sr_iov, routing, places, ids: (vendor_id, device_id), memory }
    }

    /// How many there are.
    pub const fn count(&self) -> u16 {
        self.routing.count()
    }

    /// All of them, in the order of their numbers.
    pub fn virtual_functions(&self) -> impl Iterator<Item = VirtualFunction> + '_ {
        (0..self.count()).map(|index| {
            let bars = places_of(&self.places, index);
            VirtualFunction::new(self.routing.address(index), self.ids, bars)
        })
    }

    /// Disables them all, waits for a second, as the specification has it, and gives back what they answered at. Whoever drives one has given that up before
    /// ([`PciFunction::claim_virtual`](crate::raw::PciFunction::claim_virtual)). `within_millis` as for [`SrIov::enable`].
    pub fn disable<P: Patience>(
        mut self,
        mut within_millis: impl FnMut(u32) -> P,
    ) -> (SrIov<A>, VirtualFunctionMemory) {
        self.sr_iov.switch_off(&mut within_millis);
        (self.sr_iov, self.memory)
    }
}
