//! PCI in the device tree: the host, its windows, and where its interrupts go.
//!
//! IEEE Std 1275 PCI Bus Binding 2.1, §2.2.1 (addresses), §4 (interrupt mapping); Linux's binding `pci-host-ecam-generic`.
//!
//! ```text
//!   ranges          what kind of window, PCI address ─▶ processor's address, bytes
//!   interrupt-map   device and pin on the root bus   ─▶ interrupt controller, specifier
//!   msi-map         requester                        ─▶ interrupt controller, its number for that device
//! ```

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use virtio_guest::raw::Apertures;

use super::{Range, TreeNode, cells, compatible, number, registers, specifier, with_handle};
use crate::pci::PciHost;

/// Cells of an address on a PCI bus, and of the number of a pin.
const ADDRESS_CELLS: usize = 3;
const PIN_CELLS: usize = 1;

/// What the first cell of an address says about its space.
const SPACE: u32 = 0b11 << 24;
const SPACE_PORTS: u32 = 0b01 << 24;
const SPACE_MEMORY_32: u32 = 0b10 << 24;
const SPACE_MEMORY_64: u32 = 0b11 << 24;

/// A PCI host whose configuration space is memory.
#[derive(Clone, Copy)]
pub(crate) struct PciHostNode {
    node: TreeNode,
    /// Configuration space of all its buses.
    pub(crate) ecam: Range,
}

/// A window through which the processor reaches addresses on the bus.
#[derive(Clone, Copy, Debug)]
struct Window {
    space: u32,
    bus_address: u64,
    range: Range,
}

/// The machine's PCI host, if it has one.
pub(crate) fn pci_host() -> Option<PciHostNode> {
    let node = compatible("pci-host-ecam-generic")?;
    Some(PciHostNode { node, ecam: registers(node)? })
}

/// Its buses, and the addresses that it has for BARs.
pub(crate) fn pci_buses() -> Option<PciHost> {
    let host = pci_host()?;
    let [memory_32, memory_64] = [SPACE_MEMORY_32, SPACE_MEMORY_64].map(|space| {
        let range = host.memory(space);
        range.map_or(0..0, |range| range.address..range.end())
    });
    let ports =
        host.ports().and_then(|ports| Some(u32::try_from(ports.first).ok()?..u32::try_from(ports.end).ok()?));
    // SAFETY: the device tree says that these addresses are for what is on the buses; no driver is there before the machine is up.
    let apertures = unsafe { Apertures::new(memory_32, memory_64, ports.unwrap_or(0..0)) };
    Some(PciHost { buses: host.buses(), apertures: Some(apertures) })
}

impl PciHostNode {
    /// The numbers that its buses can have.
    pub(crate) fn buses(self) -> RangeInclusive<u8> {
        let mut range = cells(self.node, "bus-range").into_iter().flatten();
        let mut next = |default| range.next().and_then(|bus| u8::try_from(bus).ok()).unwrap_or(default);
        next(0)..=next(u8::MAX)
    }

    /// The window for I/O ports: where the port that is 0 on the bus would be, and how many there are from which on.
    pub(crate) fn ports(self) -> Option<Ports> {
        let window = self.windows().find(|window| window.space == SPACE_PORTS)?;
        let end = window.bus_address.checked_add(window.range.bytes)?;
        Some(Ports { first: window.bus_address, end, memory_address: window.range.address })
    }

    /// The largest window of a kind whose addresses are the same on both sides, so that BARs hold the processor's addresses.
    fn memory(self, space: u32) -> Option<Range> {
        let windows = self.windows();
        let same =
            windows.filter(|window| window.space == space && window.bus_address == window.range.address);
        same.map(|window| window.range).max_by_key(|range| range.bytes)
    }

    fn windows(self) -> impl Iterator<Item = Window> {
        let ranges = self.node.ranges().ok().flatten().into_iter().flatten();
        ranges.filter_map(|range| {
            let [space, high, low] = range.child_bus_address.as_ref() else { return None };
            Some(Window {
                space: space.get() & SPACE,
                bus_address: u64::from(high.get()) << 32 | u64::from(low.get()),
                range: Range { address: range.parent_bus_address().ok()?, bytes: range.length().ok()? },
            })
        })
    }

    /// Where a pin (1 to 4) of a device on the root bus leads: the specifier for the interrupt controller.
    pub(crate) fn line(self, root_device: u8, root_pin: u8) -> Option<[u32; 3]> {
        let mask: Vec<u32> = cells(self.node, "interrupt-map-mask")?.collect();
        let map: Vec<u32> = cells(self.node, "interrupt-map")?.collect();
        let wanted = [u32::from(root_device) << 11, 0, 0, u32::from(root_pin)];
        let mut rest = map.as_slice();
        loop {
            let (from, behind) = rest.split_at_checked(ADDRESS_CELLS + PIN_CELLS)?;
            let (handle, behind) = behind.split_first()?;
            let controller = with_handle(*handle)?;
            let count =
                |property| usize::try_from(number(controller, property).unwrap_or(0)).unwrap_or(usize::MAX);
            // Controllers without children need not say how many cells an address has: none.
            let (_, behind) = behind.split_at_checked(count("#address-cells"))?;
            let (line, behind) = behind.split_at_checked(count("#interrupt-cells"))?;
            if matches_masked(from, &wanted, &mask) {
                return specifier(line.iter().copied());
            }
            rest = behind;
        }
    }

    /// The number by which the controller of message-signalled interrupts knows the function with this requester number (bus, device, function).
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn message_requester(self, requester: u16) -> Option<u32> {
        let map: Vec<u32> = cells(self.node, "msi-map")?.collect();
        map.chunks_exact(4).find_map(|entry| {
            let [first, _, number, length] = *entry else { return None };
            let index = u32::from(requester).checked_sub(first).filter(|index| *index < length)?;
            number.checked_add(index)
        })
    }
}

/// I/O ports, as the processor reaches them: through memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    first: u64,
    end: u64,
    memory_address: u64,
}

impl Ports {
    /// Where ports from `first` on, `count` of them, are in memory.
    pub(crate) fn memory_address(self, first: u64, count: u64) -> Option<u64> {
        let is_inside = first >= self.first && first.checked_add(count)? <= self.end;
        is_inside.then(|| self.memory_address + (first - self.first))
    }
}

/// Whether two addresses are the same where the mask has ones.
fn matches_masked(one: &[u32], other: &[u32], mask: &[u32]) -> bool {
    mask.len() == one.len()
        && one.iter().zip(other).zip(mask).all(|((one, other), mask)| (one ^ other) & mask == 0)
}
