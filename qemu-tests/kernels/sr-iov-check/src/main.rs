//! A test kernel: virtual functions, enabled, spoken to and disabled.
//!
//! PCI Express Base Specification, chapter 9. On an Intel 82576 network controller, which is QEMU's `igb`: nobody drives it, so there is nothing to its virtual functions but
//! what all of them have. They are told apart by their MSI-X tables, which are written and read back with MSI-X off.
//!
//! Command line: `count=N`, how many virtual functions to enable.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use example_platform::clock::{self, Deadline};
use example_platform::pci::{self, PciAccess};
use example_platform::{MMIO, command_line, println};
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{PhysicalFunction, Registers, VirtualFunction, VirtualFunctionMemory};
use virtio_guest::transport::pci::sr_iov::{Settings, SrIov};

example_platform::entry!(run);

/// Intel's 82576 Gigabit Ethernet Controller.
const PHYSICAL: (u16, u16) = (0x8086, 0x10c9);
/// The BAR of its virtual functions that has their MSI-X table, of entries of 16 bytes; in an entry: data, control, which reads 1 after a reset.
const TABLE_BAR: usize = 3;
const TABLE_BYTES: usize = 0x30;
const ENTRY_DATA: usize = 8;
const ENTRY_CONTROL: usize = 12;
const ENTRY_MASKED: u32 = 1;
/// In a bridge's header: its buses, and the memory that it passes on.
const BUSES: u16 = 0x18;
const MEMORY: u16 = 0x20;
const BRIDGE: u32 = 0x06_0400;
/// The command register, and in it: the function answers memory accesses.
const COMMAND: u16 = 0x04;
const MEMORY_SPACE: u32 = 1 << 1;
/// In every header: cache line, latency, kind.
const KIND: u16 = 0x0c;
/// As many addresses at the end of that memory are for virtual functions. The controller's own BARs, 128 KiB at most, are at its beginning.
const ROOM_BYTES: u64 = 512 << 10;

fn within_millis(millis: u32) -> Deadline {
    clock::within_millis(millis.into())
}

fn read(address: PciAddress, offset: u16) -> u32 {
    // SAFETY: this is the machine's configuration space, and reading a header has no side effect.
    unsafe { PciAccess.read(address, offset) }
}

/// The bridge that a bus is behind: the last bus behind it, and addresses that it passes on.
fn bridge_above(bus: u8) -> Option<(u8, Range<u64>)> {
    let bridges = pci::functions().iter().filter(|found| found.class == BRIDGE);
    bridges.map(|found| found.address).find_map(|bridge| {
        let [_, behind, last, _] = read(bridge, BUSES).to_le_bytes();
        let window = read(bridge, MEMORY);
        let (start, end) = (window << 16 & 0xfff0_0000, u64::from(window & 0xfff0_0000) + (1 << 20));
        (behind == bus).then_some((last, u64::from(start)..end))
    })
}

fn run() -> Result<(), String> {
    let count = command_line().split(' ').find_map(|word| word.strip_prefix("count=")?.parse().ok());
    let count = count.ok_or("no count= on the command line")?;
    let physical = pci::functions().iter().find(|found| (found.vendor_id, found.device_id) == PHYSICAL);
    let address = physical.ok_or("no 82576")?.address;
    let (last_bus, window) = bridge_above(address.bus()).ok_or("it is behind no bridge")?;
    println!("physical function at {address}, window {:#x} to {:#x}", window.start, window.end);
    // SAFETY: the bridge passes these on, and what is behind it has its few BARs at the beginning of the window.
    let memory = unsafe { VirtualFunctionMemory::new(window.end - ROOM_BYTES..window.end, 0..0) };
    let settings = Settings { count, page_bytes: 4096, buses: address.bus()..=last_bus };

    // SAFETY: this program is all there is.
    let function = unsafe { PhysicalFunction::claim(PciAccess, address) };
    let sr_iov = SrIov::find(function).map_err(|error| error.to_string())?;
    println!("virtual functions: {} at most", sr_iov.count_max());

    let enabled =
        sr_iov.enable(&settings, memory, within_millis).map_err(|failed| failed.error.to_string())?;
    let functions: Vec<VirtualFunction> = enabled.virtual_functions().collect();
    functions.iter().for_each(describe);
    let tables = functions.iter().map(table).collect::<Result<Vec<Registers>, String>>()?;
    for (number, table) in (1..).zip(&tables) {
        if table.read(ENTRY_CONTROL, AccessWidth::Long) != ENTRY_MASKED {
            return Err("a table is not as after a reset".into());
        }
        table.write(ENTRY_DATA, AccessWidth::Long, number);
    }
    for (function, table) in functions.iter().zip(&tables) {
        println!("register of {}: {}", function.address(), table.read(ENTRY_DATA, AccessWidth::Long));
    }

    let (sr_iov, memory) = enabled.disable(within_millis);
    for (function, table) in functions.iter().zip(&tables) {
        let (kind, register) = (read(function.address(), KIND), table.read(ENTRY_CONTROL, AccessWidth::Long));
        if kind != u32::MAX || register == ENTRY_MASKED {
            return Err("a virtual function is still there".into());
        }
        println!("gone: {}", function.address());
    }
    let again = sr_iov.enable(&settings, memory, within_millis).map_err(|failed| failed.error.to_string())?;
    println!("enabled again: {}", again.count());
    again.disable(within_millis);
    println!("sr-iov check: done");
    Ok(())
}

/// Where a virtual function is, and what configuration space says of it.
fn describe(function: &VirtualFunction) {
    let ids = read(function.address(), 0);
    println!(
        "virtual function at {}: {:04x}:{:04x}, its own ids {:04x}:{:04x}",
        function.address(),
        function.vendor_id(),
        function.device_id(),
        ids & 0xffff,
        ids >> 16
    );
    for (index, bar) in (0..6).filter_map(|index| Some((index, function.bar(index)?))) {
        println!("BAR {index} at {:#x}, {} bytes", bar.start, bar.end - bar.start);
    }
}

/// A virtual function's MSI-X table, which it answers accesses to from now on. (Hardware does so without being told; QEMU's virtual functions have a command register like others.)
fn table(function: &VirtualFunction) -> Result<Registers, String> {
    // SAFETY: nobody else drives the virtual function, and its BARs have addresses of their own.
    unsafe { PciAccess.write(function.address(), COMMAND, MEMORY_SPACE) };
    let bar = function.bar(TABLE_BAR).ok_or("a virtual function without a table")?;
    // SAFETY: the BAR is the virtual function's, which nobody else drives. With MSI-X off the table has no effect.
    let registers = unsafe { Registers::map(&MMIO, bar.start, TABLE_BYTES) };
    registers.ok_or_else(|| "no way to map a BAR".into())
}
