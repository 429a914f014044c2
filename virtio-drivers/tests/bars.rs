//! What is promised about base address registers, on a bus with one function that answers as a test says.
//!
//! PCI Local Bus Specification 3.0, §6.2.5. The modelled function of the other tests has sound BARs only.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{MapMmio, RegisterWindow};
use virtio_guest::raw::{Apertures, PciFunction, PciSegment};
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::transport::pci::bus::{Assigned, Bus};

const ID: u16 = 0x00;
const FIRST_BAR: u16 = 0x10;
const BARS_END: u16 = 0x28;
const MODERN_BLOCK: u32 = 0x1042_1af4;

/// An access to configuration space: where to, and what was written.
type Access = (u16, Option<u32>);

/// A function with the same value and the same writable bits in all BARs, and a diary.
#[derive(Clone)]
struct Space {
    value: u32,
    mask: u32,
    bars: Rc<RefCell<[u32; 6]>>,
    diary: Rc<RefCell<Vec<Access>>>,
}

impl Space {
    fn new(value: u32, mask: u32) -> Self {
        Self { value, mask, bars: Rc::new(RefCell::new([value; 6])), diary: Rc::default() }
    }

    fn bar(offset: u16) -> Option<usize> {
        (FIRST_BAR..BARS_END).contains(&offset).then(|| usize::from((offset - FIRST_BAR) / 4))
    }
}

impl ConfigRegionAccess for Space {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        if (address.device(), address.function()) != (0, 0) {
            return u32::MAX;
        }
        self.diary.borrow_mut().push((offset, None));
        match Self::bar(offset) {
            Some(index) => self.bars.borrow()[index],
            None if offset == ID => MODERN_BLOCK,
            None => 0,
        }
    }

    unsafe fn write(&self, _: PciAddress, offset: u16, value: u32) {
        self.diary.borrow_mut().push((offset, Some(value)));
        if let Some(index) = Self::bar(offset) {
            self.bars.borrow_mut()[index] = value & self.mask | self.value & !self.mask;
        }
    }
}

struct NoRoom;

// SAFETY: it maps nothing.
unsafe impl MapMmio for NoRoom {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        None
    }
}

/// A function could show a BAR of 64 bits at one look, and of 32 at the next: the upper half would be a BAR of its own then, too.
#[test]
fn the_value_of_a_bar_is_read_once() {
    let space = Space::new(0xfe00_0000, 0xffff_f000);
    // SAFETY: the function is made up.
    let function = unsafe { PciFunction::claim(space.clone(), PciAddress::new(0, 0, 0, 0)) };

    PciTransport::open(function, &NoRoom).unwrap_err();

    for offset in (FIRST_BAR..BARS_END).step_by(4) {
        let diary = space.diary.borrow();
        let accesses: Vec<_> =
            diary.iter().filter(|access| access.0 == offset).map(|access| access.1).collect();
        assert_eq!(accesses, [None, Some(u32::MAX), None, Some(0xfe00_0000)], "the BAR at {offset:#x}");
    }
}

fn assign(space: &Space) -> Assigned {
    assign_ports(space, 0x1000..0x1_0000)
}

fn assign_ports(space: &Space, ports: Range<u32>) -> Assigned {
    // SAFETY: the functions are made up.
    let segment = unsafe { PciSegment::new(space.clone(), 0) };
    // SAFETY: and so are the addresses.
    let apertures = unsafe { Apertures::new(0x1000_0000..0x2000_0000, 0..0, ports) };
    Bus::new(segment, 0..=0).assign(apertures)
}

#[test]
fn a_bar_of_ports_gets_as_many_as_it_decodes() {
    let space = Space::new(1, 0xffff_ffe0);

    assert_eq!(assign(&space), Assigned { last_bus: 0, bars: 6, left_out: 0 });

    let ports = [0x1000, 0x1020, 0x1040, 0x1060, 0x1080, 0x10a0].map(|port| port | 1);
    assert_eq!(*space.bars.borrow(), ports);
}

/// Addresses of ports have 16 bits, however many a host bridge passes on: a BAR that was given more would decode what is left of them.
#[test]
fn ports_beyond_16_bits_are_given_to_nobody() {
    let space = Space::new(1, 0xffe1);

    assert_eq!(assign_ports(&space, 0xff80..0x2_0000), Assigned { last_bus: 0, bars: 4, left_out: 2 });
}

/// Such a BAR would decode other ports than those that it was given.
#[test]
fn a_bar_of_ports_with_an_impossible_size_gets_no_address() {
    for mask in [0xffff_0000, 0, 0xffff_5ff0] {
        let space = Space::new(1, mask);

        assert_eq!(assign(&space), Assigned { last_bus: 0, bars: 0, left_out: 6 }, "{mask:#x}");
    }
}

/// Below 0x1000 are the machine's own ports: a device whose BAR names the configuration mechanism's would have its driver write to other devices' configuration space.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[test]
fn the_machines_own_ports_are_no_devices() {
    // SAFETY: what is handed out is not used.
    let is_mapped = |port, bytes| unsafe { NoRoom.map_ports(port, bytes) }.is_some();

    for port in [0, 0x60, 0xcf4, 0xcf8, 0xfff] {
        assert!(!is_mapped(port, 0x20), "{port:#x}");
    }
    assert!(is_mapped(0x1000, 0x20) && is_mapped(0xffe0, 0x20));
    assert!(!is_mapped(0xffe0, 0x21) && !is_mapped(0x1_0000, 0x20));
}
