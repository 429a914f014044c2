//! A bus full of functions that the fuzzer makes: the walk along it, and addresses for its BARs.
//!
//! PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge Architecture Specification 1.2. Which functions there are is in a table; a place that is not in it may be like the first entry, so
//! that a bus can be full. What was assigned is found out from what was written: an address is inside of an aperture, meets no other, and is in the windows of the bridges before it.

use std::collections::BTreeMap;
use std::ops::Range;

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::raw::{Apertures, PciSegment};
use virtio_guest::transport::pci::bus::{Assigned, Bus};

use super::device::Device;
use super::world::{self, World, within};
use crate::script::Script;

/// Functions of a bus.
const FUNCTIONS: usize = 256;
/// Of each function: id, kind, the bus behind it, class, line.
const WALK_ACCESSES: usize = 5;
/// Whether one of six BARs has an address, beside that.
const LOOK_ACCESSES: usize = WALK_ACCESSES + 6;
/// Id and kind, twice for the first function of a device, and all that for two rounds; the command register twice; each BAR six times (both halves: ones written, read, address written); of a
/// bridge, the bus behind it three times, what its window is like, the windows, the command register twice.
const ASSIGN_ACCESSES: usize = 8 + 2 + 6 * 6 + 3 + 1 + 6 + 2;

const COMMAND: u16 = 0x04;
const KIND: u16 = 0x0c;
const BUSES: u16 = 0x18;
const WINDOWS: Range<u16> = 0x1c..0x34;
const DECODING: u32 = 0b11;

/// Walks along the bus that the script describes, assigns addresses, and walks once more.
pub(crate) fn walk_and_assign(mut script: Script, kind: u8) {
    let buses = 0..=(kind & 7);
    let segment = Segment::read(&mut script, kind);
    let apertures = segment.apertures.clone();
    world::begin(script, Device::default());
    world::with(|world| world.segment = segment);

    let count = (usize::from(*buses.end()) + 1) * FUNCTIONS;
    // SAFETY: the configuration space is made up.
    let mut bus = Bus::new(unsafe { PciSegment::new(Access, 0) }, buses.clone());
    walk(&bus, count);
    within(LOOK_ACCESSES * count, || bus.is_assigned());
    if kind & 8 == 0 {
        let [memory_32, memory_64, ports] = apertures;
        let ports = ports.start as u32..ports.end as u32;
        // SAFETY: nobody uses the functions, or what is at these addresses.
        let apertures = unsafe { Apertures::new(memory_32, memory_64, ports) };
        let assigned = within(ASSIGN_ACCESSES * count, || bus.assign(apertures));
        assert!(buses.contains(&assigned.last_bus), "bus {} is none of ours", assigned.last_bus);
        world::with(|world| world.check_assigned(assigned));
        walk(&bus, count);
    }
    world::end();
}

/// Each function is found once, on one of the buses, with a line that there can be.
fn walk(bus: &Bus<Access>, count: usize) {
    let found: Vec<_> = within(WALK_ACCESSES * count, || bus.functions().collect());
    assert!(found.is_sorted_by(|one, other| one.address < other.address), "each once, in order");
    for function in found {
        let is_possible = function.line.is_none_or(|line| line.device < 32 && (1..=4).contains(&line.pin));
        assert!(is_possible, "{:?}", function.line);
        assert!(usize::from(function.address.bus()) < count / FUNCTIONS, "a bus that is none of ours");
    }
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct Segment {
    functions: BTreeMap<PciAddress, Header>,
    /// What is where nothing else is; none if its id is all zeros.
    everywhere: Header,
    /// Memory below 4 GiB, memory, ports.
    apertures: [Range<u64>; 3],
}

/// A function's header.
#[derive(Clone, Default)]
struct Header {
    words: [u32; 16],
    masks: [u32; 6],
    /// What each BAR reads while it is sized, as the driver was told; and what was written to it last.
    sized: [u32; 6],
    written: [Option<u32>; 6],
    /// The driver was told that it is a bridge, or an ordinary function.
    is_bridge: bool,
    command_written: Option<u32>,
}

/// What a BAR may be like: its value without an address, and for both halves which bits can be written.
const BARS: [(u32, u32, u32); 16] = [
    (0, 0, 0),
    (0, 0xffff_fff0, 0),
    (0, 0xffff_f000, 0),
    (0, 0xfff0_0000, 0),
    (0, 0xf000_0000, 0),
    (0xc, 0xffff_c000, u32::MAX),
    (0xc, 0xffe0_0000, u32::MAX),
    (0xc, 0, 0xffff_fffe),
    (0x4, 0xffff_f000, u32::MAX),
    (0x4, 0xfff0_0000, u32::MAX),
    (0x8, 0xfffe_0000, 0),
    (1, 0xffff_fffc, 0),
    (1, 0xffff_ff00, 0),
    (1, 0x0000_ffe0, 0),
    (0, 0x00ff_f000, 0),
    (0xc, 0xff00_0000, 0x0fff_ffff),
];

impl Segment {
    /// Apertures, then functions until their number is reached.
    fn read(script: &mut Script, kind: u8) -> Self {
        let (sizes, starts) = (script.detail(), script.detail());
        let range = |start: u64, size: u64| start..start + size;
        let apertures = [
            range(0x1000_0000 + (u64::from(starts & 3) << 14), (1 << 20) << (sizes & 0xf)),
            range(u64::from(1 + (starts >> 2 & 3)) << 38, u64::from(sizes >> 4 & 7) << 30),
            range(u64::from(starts >> 4) << 10, 0x1000 << (sizes & 7)),
        ];
        let mut functions = BTreeMap::new();
        for _ in 0..script.detail() % 32 {
            let (place, more) = (script.detail(), script.detail());
            // Five bits of a device, three of a bus; a function now and then.
            let address =
                PciAddress::new(0, place >> 5, place & 31, if more & 1 == 0 { 0 } else { more >> 5 });
            functions.insert(address, Header::read(more, script));
        }
        let first = functions.values().next().cloned();
        // Some hundreds of functions take long enough.
        let everywhere = first.filter(|_| kind & 0x16 == 0x10).unwrap_or_default();
        Self { functions, everywhere, apertures }
    }

    /// The function at an address, if one is there.
    fn header(&mut self, address: PciAddress) -> Option<&mut Header> {
        if !self.functions.contains_key(&address) && self.everywhere.words[0] != 0 {
            self.functions.insert(address, self.everywhere.clone());
        }
        self.functions.get_mut(&address)
    }
}

impl Header {
    fn read(kind: u8, script: &mut Script) -> Self {
        let mut header = Self::default();
        let is_bridge = kind & 2 != 0;
        header.words[0] = 0x1042_1af4;
        header.words[1] = if kind & 4 == 0 { 0x10_0003 } else { 0 };
        header.words[3] = u32::from(kind >> 3 & 1) << 23 | u32::from(is_bridge) << 16;
        header.words[15] = 0x10b | u32::from(kind & 3) << 8;
        let count = if is_bridge {
            // The bus behind it, as it was numbered before; and whether its window for prefetchable memory has 64 bits.
            let buses = script.detail();
            header.words[6] = u32::from(buses & 0xf) << 8 | u32::from(buses & 0xf) << 16;
            header.words[9] = u32::from(buses >> 7) * 0x1_0001;
            2
        } else {
            6
        };
        let mut index = 0;
        while index < count {
            let shape = script.detail();
            let (value, low, high) = BARS[usize::from(shape & 0xf)];
            header.words[4 + index] = value;
            header.masks[index] = low;
            index += 1;
            if value & 0b110 == 0b100 && index < count {
                header.masks[index] = high;
                index += 1;
            }
            if shape & 0x80 != 0 {
                break;
            }
        }
        header
    }

    const fn bars(&self) -> usize {
        if self.is_bridge { 2 } else { 6 }
    }

    fn bar(&self, offset: u16) -> Option<usize> {
        let index = usize::from(offset.checked_sub(0x10)? / 4);
        (index < self.bars()).then_some(index)
    }
}

impl World {
    fn read_segment(&mut self, address: PciAddress, offset: u16) -> u32 {
        self.spend();
        assert!(offset.is_multiple_of(4) && offset < 0x40, "a word of a function's header");
        let honest =
            self.segment.header(address).map_or(u32::MAX, |header| header.words[usize::from(offset / 4)]);
        let shown = self.answer(honest, 4);
        if let Some(header) = self.segment.header(address) {
            if offset == KIND {
                header.is_bridge = shown >> 16 & 0x7f == 1;
            }
            if let Some(index) = header.bar(offset) {
                header.sized[index] = shown;
            }
        }
        shown
    }

    fn write_segment(&mut self, address: PciAddress, offset: u16, value: u32) {
        self.spend();
        // A lie made the driver believe in this one.
        let Some(header) = self.segment.header(address) else { return };
        let word = usize::from(offset / 4);
        match (offset, header.bar(offset)) {
            (COMMAND, _) => {
                assert!(value >> 16 == 0, "bits of the status register are cleared");
                header.command_written = Some(value);
                header.words[word] = header.words[word] & 0xffff_0000 | value;
            }
            (_, Some(index)) => {
                let is_decoding = header.command_written.is_none_or(|command| command & DECODING != 0);
                assert!(!is_decoding, "a BAR is written that is being decoded");
                header.written[index] = Some(value);
                let mask = header.masks[index];
                header.words[word] = value & mask | header.words[word] & !mask;
            }
            _ => {
                let is_window = offset == BUSES || WINDOWS.contains(&offset);
                assert!(header.is_bridge && is_window, "{value:#x} is written at {offset:#x}");
                header.words[word] = value;
            }
        }
    }
}

/// The buses that are reached, through the access that is asked for each word.
#[derive(Clone, Copy, Debug)]
struct Access;

impl ConfigRegionAccess for Access {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        world::with(|world| world.read_segment(address, offset))
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        world::with(|world| world.write_segment(address, offset, value));
    }
}

/// An address that a BAR was given.
#[derive(Clone, Debug)]
struct Placed {
    bus: u8,
    is_port: bool,
    range: Range<u64>,
    /// The BAR has it, and not some other one.
    is_kept: bool,
}

impl World {
    fn check_assigned(&self, assigned: Assigned) {
        let [memory_32, memory_64, ports] = &self.segment.apertures;
        let is_in = |aperture: &Range<u64>, range: &Range<u64>| {
            aperture.start <= range.start && range.end <= aperture.end
        };
        let placed = self.segment.placed();
        for (index, one) in placed.iter().enumerate() {
            let Placed { is_port, range, .. } = one;
            let is_inside = if *is_port {
                is_in(ports, range)
            } else {
                is_in(memory_32, range) || is_in(memory_64, range)
            };
            assert!(is_inside, "{one:x?} is in no aperture");
            let other = placed[..index].iter().find(|other| {
                other.is_port == *is_port && other.range.start < range.end && range.start < other.range.end
            });
            assert!(other.is_none(), "{one:x?} meets {other:x?}");
        }
        if !self.has_lied {
            assert_eq!(placed.len(), assigned.bars, "as many as it says");
            assert!(placed.iter().all(|one| one.is_kept), "{placed:x?}");
            self.segment.check_windows(&placed);
        }
    }
}

impl Segment {
    /// The addresses that were given, as long as they are some.
    fn placed(&self) -> Vec<Placed> {
        let mut placed = Vec::new();
        for (address, header) in &self.functions {
            let mut index = 0;
            while index < header.bars() {
                let (at, mask) = (index, header.sized[index]);
                index += 1;
                let Some(low) = header.written[at] else { continue };
                let is_port = mask & 1 != 0;
                let (mut start, mut bits) = (u64::from(low), u64::from(mask & !0xf) | 0xffff_ffff << 32);
                if is_port {
                    bits = u64::from(mask & 0xfffc) | !0xffff;
                } else if mask & 0b110 == 0b100 && index < header.bars() {
                    start |= u64::from(header.written[index].unwrap_or(0)) << 32;
                    bits = bits & 0xffff_ffff | u64::from(header.sized[index]) << 32;
                    index += 1;
                }
                if start != 0 && mask != 0 && mask != u32::MAX {
                    let end = start.checked_add(bits.wrapping_neg()).expect("a BAR ends");
                    let is_kept = header.words[4 + at] & !0xf == low & !0xf;
                    placed.push(Placed { bus: address.bus(), is_port, range: start..end, is_kept });
                }
            }
        }
        placed
    }

    /// Each bridge passes on what is behind it.
    fn check_windows(&self, placed: &[Placed]) {
        for (address, header) in self.functions.iter().filter(|(_, header)| header.is_bridge) {
            let [_, behind, last, _] = header.words[6].to_le_bytes();
            let word = |at: usize| u64::from(header.words[at]);
            let memory = (word(8) & 0xfff0) << 16..=(word(8) & 0xfff0_0000 | 0xf_ffff);
            let prefetchable =
                word(10) << 32 | (word(9) & 0xfff0) << 16..=word(11) << 32 | word(9) & 0xfff0_0000 | 0xf_ffff;
            let ports = (word(7) & 0xf0) << 8..=(word(7) & 0xf000 | 0xfff);
            for Placed { bus, is_port, range, .. } in placed {
                if behind <= address.bus() || !(behind..=last).contains(bus) {
                    continue;
                }
                let is_passed_on = |window: &std::ops::RangeInclusive<u64>| {
                    window.contains(&range.start) && window.contains(&(range.end - 1))
                };
                let is_reached = if *is_port {
                    is_passed_on(&ports)
                } else {
                    is_passed_on(&memory) || is_passed_on(&prefetchable)
                };
                assert!(is_reached, "{range:x?} is not passed on by the bridge at {address}");
            }
        }
    }
}
