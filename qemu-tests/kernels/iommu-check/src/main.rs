//! A test kernel: the block driver where an IOMMU stands between devices and memory.
//!
//! The first virtio disk is in a domain, does everything that it does elsewhere, and writes only to what is mapped to be written to. The second one is told physical addresses, and
//! reads nothing.
//! Command line: see `block_promises.rs`. Needs an x86_64 machine.

#![no_std]
#![no_main]
#![allow(clippy::cast_possible_truncation, reason = "the ranges are short")]

extern crate alloc;

#[path = "../../block_promises.rs"]
mod block_promises;
mod buffers;

use alloc::string::{String, ToString};
use core::alloc::Layout;

use block_promises::{argument, ensure};
use example_platform::devices::{self, Device};
use example_platform::iommu::{self, Domain, Unit};
use example_platform::{DMA, clock, println};
use pci_types::PciAddress;
use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Hal;
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

fn run() -> Result<(), String> {
    let unit = iommu::find().ok_or("no IOMMU")?;
    let domain = unit.new_domain().ok_or("no domain")?;
    // SAFETY: this program is all there is, and it opens the disks once.
    let mut disks = unsafe { devices::open_all(DeviceType::BLOCK) }?.into_iter();
    let (mapped, unmapped) = (disks.next().ok_or("no virtio block device")?, disks.next());

    addresses(domain)?;
    let function = mapped.address().ok_or("the disk is no PCI function")?;
    // SAFETY: opening the disk reset nothing, but nobody has told it an address since the machine's reset.
    unsafe { unit.attach(function, domain) }.ok_or("no memory for a table")?;
    let transport = block_promises::check(mapped, &domain)?;
    ensure(unit.next_fault().is_none(), "a device gets at everything that its driver maps")?;
    buffers::check(unit, domain, function, transport, argument("seed").ok_or("no seed=")?)?;
    if let Some(unmapped) = unmapped {
        reaches_nothing(unit, unmapped)?;
    }
    println!("iommu check: done");
    Ok(())
}

/// A domain's addresses are not physical ones, and none is used twice.
fn addresses(domain: Domain) -> Result<(), String> {
    let layout = Layout::from_size_align(0x2345, 0x4000).map_err(|error| error.to_string())?;
    let region = domain.allocate_dma(layout).map_err(|error| error.to_string())?;
    let (physical, address) = (region.pointer.addr().get() as u64, region.device_address.0);
    println!("memory at {physical:#x} is {address:#x} to the device");
    ensure(address != physical && address >= 1 << 32, "a domain has addresses of its own")?;
    ensure(address.is_multiple_of(layout.align() as u64), "addresses are aligned")?;
    Ok(())
}

/// A disk that is told physical addresses reads nothing, neither in no domain nor in one where nothing is mapped: requests fail, and the unit says what was tried.
fn reaches_nothing(unit: &'static Unit, disk: Device) -> Result<(), String> {
    let patience = || clock::within_millis(500);
    let function = disk.address().ok_or("the disk is no PCI function")?;
    let mut storage = Storage::<16>::new();
    let started = Block::start(disk.transport, DMA, &mut storage, patience());
    let mut disk = started.map_err(|error| error.to_string())?;
    let read = disk.read_blocking(Sector(0), &mut [0; 512], patience());
    println!("a disk in no domain: {read:?}");
    ensure(read.is_err(), "a device in no domain does nothing")?;
    expect_fault(unit, function, false, NO_DOMAIN)?;

    let closed = disk.close(patience()).map_err(|failed| failed.error.to_string())?;
    let empty = unit.new_domain().ok_or("no second domain")?;
    // SAFETY: the disk is reset.
    unsafe { unit.attach(function, empty) }.ok_or("no memory for a table")?;
    let started = Block::start(closed.transport, DMA, closed.storage, patience());
    let mut disk = started.map_err(|error| error.to_string())?;
    let read = disk.read_blocking(Sector(0), &mut [0; 512], patience());
    println!("a disk in an empty domain: {read:?}");
    ensure(read.is_err(), "a device reaches nothing that is not mapped in its domain")?;
    expect_fault(unit, function, false, NOT_READABLE)
}

/// The specification's numbers for why an access is not let through.
const NO_DOMAIN: u8 = 2;
const NOT_READABLE: u8 = 6;

fn expect_fault(unit: &Unit, function: PciAddress, is_write: bool, reason: u8) -> Result<(), String> {
    let fault = unit.next_fault().ok_or("the unit recorded nothing")?;
    println!("fault: {fault}");
    let is_expected = fault.function == function && fault.is_write == is_write && fault.reason == reason;
    ensure(is_expected, "the unit says who tried what, and why it was not let through")
}
