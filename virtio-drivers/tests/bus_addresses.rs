//! Addresses for BARs, and what bridges pass on, where no firmware was.
//!
//! PCI Local Bus Specification 3.0, §6.2.5; PCI-to-PCI Bridge Architecture Specification 1.2, §3.2.5. The model decodes addresses as bridges and functions do, and says what
//! is wrong with them: what overlaps, what does not get through, what gets through beside its place. Not under miri: numbers, and accesses that other tests make there.

#![cfg(not(miri))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

use std::ops::Range;

use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::transport::pci::bus::{Assigned, Bus};
use virtio_guest::transport::{AnyTransport, Interface, Transport};
use virtio_model::Disk;
use virtio_model::pci::{Bar, Bridge, Bus as Model, Capability, PciDevice, Placed, Space};
use virtio_test_hal::{BusAccess, BusMapper, TestHal, apertures, claim_on, message, segment};

const GIB: u64 = 1 << 30;
const MEMORY_32: Range<u64> = 0x1000_0000..0x3eff_0000;
const MEMORY_64: Range<u64> = 0x80_0000_0000..0x100_0000_0000;
const PORTS: Range<u32> = 0..0x1_0000;

fn with_bars(bars: &[(u8, Bar)]) -> PciDevice {
    let builder = PciDevice::builder().vendor_id(0x8086).device_id(0x10d3).without_bar(4);
    bars.iter().fold(builder, |builder, (index, bar)| builder.bar(*index, *bar)).build()
}

/// One BAR of each kind.
fn one_of_each() -> PciDevice {
    with_bars(&[
        (0, Bar::memory64(0x4000, 0)),
        (2, Bar::registers64(0x2000, 0)),
        (4, Bar::memory32(0x1000, 0)),
        (5, Bar::io(0x40, 0)),
    ])
}

/// Assigns, and expects what was assigned to be right.
fn assign_in(model: &Model, memory_32: Range<u64>, memory_64: Range<u64>, ports: Range<u32>) -> Assigned {
    let given = apertures(memory_32.clone(), memory_64.clone(), ports.clone());
    let assigned = Bus::new(segment(model), 0..=255).assign(given);

    assert_eq!(model.faults(), Vec::<String>::new());
    let placed = model.placed();
    for Placed { path, index, space, first, last } in &placed {
        assert!(first.is_multiple_of(last - first + 1), "BAR {index} of {path:?} at {first:#x}");
        let within = |range: &Range<u64>| range.start <= *first && *last < range.end;
        let is_inside = match space {
            Space::Memory => within(&memory_32) || within(&memory_64),
            Space::Ports => within(&(ports.start.into()..ports.end.into())),
        };
        assert!(is_inside, "BAR {index} of {path:?} at {first:#x}");
    }
    assert_eq!(assigned.bars, placed.len());
    assigned
}

fn assign(model: &Model) -> Assigned {
    assign_in(model, MEMORY_32, MEMORY_64, PORTS)
}

/// Where a BAR of the function at `path` is.
fn place_of(model: &Model, path: &[(u8, u8)], index: u8) -> Option<u64> {
    let placed = model.placed();
    placed.iter().find(|bar| bar.path == path && bar.index == index).map(|bar| bar.first)
}

#[test]
fn every_bar_of_every_function_gets_an_address() {
    let several = one_of_each();
    several.poke_config(0x0e, &[0x80]);
    let inner = Bridge::new().with(0, 0, one_of_each()).with(31, 0, one_of_each());
    let outer = Bridge::new().bar(1, Bar::memory32(0x2000, 0)).with(1, 0, inner).with(2, 0, one_of_each());
    let model = Model::new(0)
        .with(1, 0, several)
        .with(1, 5, one_of_each())
        .with(2, 0, outer)
        .with(3, 0, one_of_each())
        .with(4, 0, Bridge::new().with(7, 0, one_of_each()));

    assert_eq!(assign(&model), Assigned { last_bus: 3, bars: 29, left_out: 0 });
}

/// Only prefetchable memory of 64 bits can be above 4 GiB, and only if each bridge above passes that on.
#[test]
fn prefetchable_memory_is_above_4_gib_where_all_bridges_allow_it() {
    let high = |at: Option<u64>| at.expect("it has an address") >= 4 * GIB;
    let behind = |outer: Bridge, inner: Bridge| outer.with(1, 0, inner.with(1, 0, one_of_each()));
    let wide = Bridge::new;
    for (bridges, is_high) in [
        (behind(wide(), wide()), true),
        (behind(wide(), wide().narrow()), false),
        (behind(wide().narrow(), wide()), false),
        (behind(wide(), wide().without_prefetchable()), false),
        (behind(wide().without_prefetchable(), wide()), false),
    ] {
        let model = Model::new(0).with(1, 0, bridges).with(2, 0, one_of_each());

        assert_eq!(assign(&model).left_out, 0);

        let path = [(1, 0), (1, 0), (1, 0)];
        assert_eq!(high(place_of(&model, &path, 0)), is_high);
        assert!(high(place_of(&model, &[(2, 0)], 0)));
        for path in [&path[..], &[(2, 0)]] {
            assert!(!high(place_of(&model, path, 2)) && !high(place_of(&model, path, 4)));
        }
    }
    // Without room above, below will do.
    let model = Model::new(0).with(1, 0, behind(wide(), wide()));
    assert_eq!(assign_in(&model, MEMORY_32, 0..0, PORTS).left_out, 0);
}

/// A bridge with nothing behind it passes nothing on, and so does each window that nothing is behind.
#[test]
fn a_window_that_nothing_is_behind_is_empty() {
    let ports_only = with_bars(&[(0, Bar::io(0x20, 0))]);
    let memory_only = with_bars(&[(0, Bar::memory32(0x1000, 0))]);
    let model = Model::new(0)
        .with(1, 0, Bridge::new())
        .with(2, 0, Bridge::new().with(0, 0, Bridge::new()))
        .with(3, 0, Bridge::new().with(0, 0, ports_only))
        .with(4, 0, Bridge::new().with(0, 0, memory_only));

    assign(&model);

    let windows: Vec<_> = [1, 2, 3, 4].map(|device| model.windows(&[(device, 0)])).into();
    let counts: Vec<_> = windows.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 0, 1, 1], "{windows:x?}");
    assert_eq!((windows[2][0].0, windows[3][0].0), (Space::Ports, Space::Memory));
}

/// What does not fit is left out, and what comes after it is not.
#[test]
fn a_bar_that_finds_no_room_is_left_out_and_the_others_are_not() {
    let large = Bar::memory32(0x20_0000, 0);
    let model = Model::new(0)
        .with(1, 0, with_bars(&[(0, Bar::memory32(0x10_0000, 0)), (1, large), (2, Bar::memory32(0x1000, 0))]))
        .with(2, 0, Bridge::new().with(0, 0, with_bars(&[(0, large), (3, Bar::io(0x100, 0))])))
        .with(3, 0, with_bars(&[(0, Bar::memory32(0x2000, 0)), (1, Bar::io(0x1000, 0)), (2, Bar::io(4, 0))]));

    let assigned = assign_in(&model, 0x1000_0000..0x1030_0000, 0..0, 0x1000..0x3000);

    assert_eq!((assigned.bars, assigned.left_out), (5, 3), "{:x?}", model.placed());
    assert_eq!(place_of(&model, &[(1, 0)], 0), Some(0x1000_0000));
    assert_eq!(place_of(&model, &[(1, 0)], 1), None);
    assert_eq!(place_of(&model, &[(3, 0)], 0), Some(0x1020_0000));
    let nothing = assign_in(&model, 0..0, 0..0, 0..0);
    assert_eq!((nothing.bars, nothing.left_out), (0, 8));
}

/// Addresses 0 are none, whatever an aperture says: a BAR with such an address has no address.
#[test]
fn no_bar_is_at_address_zero() {
    let model = Model::new(0).with(1, 0, one_of_each()).with(2, 0, one_of_each());

    assert_eq!(assign_in(&model, 0..0x10_0000, 0..0, 0..0x1_0000).left_out, 0);
}

#[test]
fn apertures_that_begin_and_end_anywhere_are_kept_to() {
    for start in [0x1000_0001, 0x100f_ffff, 0x1010_0000, 0x1fff_fff0] {
        let bridge = || Bridge::new().with(0, 0, one_of_each());
        let model = Model::new(0).with(1, 0, one_of_each()).with(2, 0, bridge()).with(3, 0, bridge());
        let (end, ports) = (start + 0x48_1234, 0x1ffd..0x5003);
        assign_in(&model, start..end, start + 8 * GIB..end + 8 * GIB, ports);
    }
}

/// BARs that claim to be huge, or are none at all, get no address.
#[test]
fn bars_that_cannot_be_are_left_out() {
    let huge = with_bars(&[
        (0, Bar::memory64(1 << 63, 0)),
        (2, Bar::memory32(1 << 31, 0)),
        (3, Bar::io(0x1_0000, 0)),
        (4, Bar::memory64(1 << 40, 0)),
    ]);
    let model = Model::new(0).with(1, 0, huge).with(2, 0, one_of_each());
    let assigned = assign(&model);
    assert_eq!((assigned.bars, assigned.left_out), (4, 4));

    // Registers that keep their value, whatever is written: no size, a size with holes, a 64-bit BAR without an upper half; and two that look like small BARs.
    for (stuck, left_out) in [
        (0x0000_0004_u32, 2),
        (0x0000_0001, 2),
        (0x0000_5001, 2),
        (0x0f0f_0000, 2),
        (0xffff_5000, 2),
        (0xffff_fff4, 1),
        (0xffff_fff9, 0),
    ] {
        let device = with_bars(&[(2, Bar::memory32(0x1000, 0))]);
        device.poke_config(0x10, &stuck.to_le_bytes());
        let last = with_bars(&[]);
        last.poke_config(0x24, &stuck.to_le_bytes());
        let model = Model::new(0).with(1, 0, device).with(2, 0, last).with(3, 0, one_of_each());
        let assigned = assign_in_part(&model);
        assert_eq!((model.placed().len(), assigned.left_out), (5, left_out), "{stuck:#x}: {assigned:?}");
    }
}

/// As `assign`, for buses with BARs that only say that they took an address.
fn assign_in_part(model: &Model) -> Assigned {
    let assigned = Bus::new(segment(model), 0..=255).assign(apertures(MEMORY_32, MEMORY_64, PORTS));
    assert_eq!(model.faults(), Vec::<String>::new());
    assigned
}

/// Bridges behind bridges without end are numbered as far as there are numbers, or reason.
#[test]
fn bridges_without_end_come_to_an_end() {
    for last in [0, 1, 20, 255] {
        let model = Model::new(0)
            .with(1, 0, Bridge::new().endless())
            .with(2, 0, Bridge::new().endless())
            .with(3, 0, one_of_each());

        let assigned = Bus::new(segment(&model), 0..=last).assign(apertures(MEMORY_32, MEMORY_64, PORTS));

        assert_eq!((assigned.bars, assigned.left_out), (4, 0));
        assert!(assigned.last_bus <= last.min(80), "{assigned:?}");
        assert_eq!(model.faults(), Vec::<String>::new());
        let found = Bus::new(segment(&model), 0..=last).functions().count();
        assert!(found <= 4 + usize::from(assigned.last_bus), "{found} functions");
    }
}

/// Numbers from before do not count: a bridge that still leads to a bus would answer beside the one that leads there now.
#[test]
fn bridges_are_numbered_anew() {
    let first =
        Bridge::new().numbered(3, 9).with(0, 0, Bridge::new().numbered(1, 1).with(1, 0, one_of_each()));
    let second = Bridge::new().numbered(1, 2).with(0, 0, one_of_each());
    let model = Model::new(0).with(1, 0, first).with(2, 0, second);

    assert_eq!(assign(&model), Assigned { last_bus: 3, bars: 8, left_out: 0 });

    assert_eq!(Bus::new(segment(&model), 0..=255).functions().count(), 5);
}

/// PCI Local Bus Specification 3.0, §6.2.5.1 — a function that decodes addresses does not decode those that its BARs have while they are being sized.
#[test]
fn functions_do_not_decode_while_they_are_given_addresses() {
    let device = one_of_each();
    device.config_write(0x04, 0b111);

    assign(&Model::new(0).with(1, 0, Bridge::new().with(0, 0, device.clone())));

    assert_eq!((device.command(), device.bar_writes_while_decoding()), (0b100, 0));
}

#[test]
fn where_firmware_was_is_seen_by_the_addresses_of_functions() {
    let disk =
        |address| PciDevice::builder().device_id(0x1042).bar(4, Bar::memory64(0x4000, address)).build();
    for (address, expected) in [(0, false), (0x8000_0000, true), (0x80_0000_0000, true)] {
        let behind = Bridge::new().numbered(1, 1).with(0, 0, disk(address));
        let model = Model::new(0).with(2, 0, disk(0)).with(3, 0, behind);

        assert_eq!(Bus::new(segment(&model), 0..=255).is_assigned(), expected, "{address:#x}");
    }
    let other = with_bars(&[(0, Bar::memory32(0x1000, 0x1000_0000))]);
    let model = Model::new(0).with(1, 0, other).with(2, 0, disk(0));
    assert!(
        Bus::new(segment(&model), 0..=255).is_assigned(),
        "firmware's addresses for others are not to be moved"
    );
}

/// Buses of any shape: a few hundred, each from numbers of its own.
#[test]
fn buses_of_any_shape_are_assigned_without_a_fault() {
    for seed in 1..=300 {
        let mut shape = Shape(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut model = Model::new(0);
        for device in 0..=shape.below(6) as u8 {
            model = match shape.bridge(0) {
                Some(bridge) => model.with(device, 0, bridge),
                None => model.with(device, 0, shape.device()),
            };
        }
        let room = 1 << (20 + shape.below(9));
        assign_in(&model, 0x1000_0000..0x1000_0000 + room, 0x80_0000_0000..0x80_0000_0000 + room, PORTS);
    }
}

/// xorshift64, and what is made of its numbers.
struct Shape(u64);

impl Shape {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn device(&mut self) -> PciDevice {
        let (mut bars, mut index) = (Vec::new(), 0);
        while index < 5 {
            let bytes = 1 << (12 + self.below(10));
            let (bar, registers) = match self.below(6) {
                0 => (Bar::memory64(bytes, 0), 2),
                1 => (Bar::registers64(bytes, 0), 2),
                2 => (Bar::memory32(bytes, 0), 1),
                3 => (Bar::io(bytes >> 9, 0), 1),
                _ => {
                    index += 1;
                    continue;
                }
            };
            bars.push((index, bar));
            index += registers;
        }
        with_bars(&bars)
    }

    fn bridge(&mut self, depth: u64) -> Option<Bridge> {
        if self.below(2 + depth) > 0 {
            return None;
        }
        let mut bridge = match self.below(4) {
            0 => Bridge::new().narrow(),
            1 => Bridge::new().without_prefetchable(),
            _ => Bridge::new(),
        };
        for device in 0..self.below(4) as u8 {
            bridge = match self.bridge(depth + 1) {
                Some(inner) => bridge.with(device, 0, inner),
                None => bridge.with(device, 0, self.device()),
            };
        }
        Some(bridge)
    }
}

/// What all of it is for: a disk behind two bridges, found, opened and used, through either interface.
#[test]
fn a_disk_that_was_given_addresses_works() {
    for interface in [Interface::Modern, Interface::Legacy] {
        let disk = Disk::with_sectors(8);
        let builder = disk.builder().bar(4, Bar::memory64(0x4000, 0)).bar(1, Bar::memory32(0x1000, 0));
        let builder = match interface {
            Interface::Modern => builder.edit_capabilities(|list| list.push(Capability::msi_x(2, 1, 0))),
            Interface::Legacy => builder.device_id(0x1001).bar(0, Bar::io(0x80, 0)).legacy(),
        };
        let device = builder.build();
        let inner = Bridge::new().with(3, 0, device.clone()).with(4, 0, one_of_each());
        let model = Model::new(0).with(1, 0, one_of_each()).with(2, 0, Bridge::new().with(5, 0, inner));
        assign(&model);
        let bus = Bus::new(segment(&model), 0..=255);
        let found = bus.functions().find(|found| found.device_type().is_some()).expect("there is one");
        assert_eq!((found.address.bus(), found.line.unwrap().device), (2, 2));

        let function = claim_on(&model, found.address);
        let mut transport = AnyTransport::<BusAccess>::open_pci(function, &BusMapper(model.clone())).unwrap();
        assert_eq!(transport.interface(), interface);
        if interface == Interface::Modern {
            transport.enable_msi_x(&[message(0), message(1)]).unwrap();
        }
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let serving = || disk.serve(&device, &hal.space) > 0;
        let mut storage = Storage::<16>::new();
        let mut block = Block::start(transport, hal.clone(), &mut storage, Attempts(10)).unwrap();
        block.write_blocking(Sector(3), &[0xa5; 512], serving).unwrap();
        let mut sector = [0; 512];
        block.read_blocking(Sector(3), &mut sector, serving).unwrap();

        assert_eq!(sector, [0xa5; 512]);
        drop(block);
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}
