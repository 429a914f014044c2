//! A test kernel: all disks of a machine at once.
//!
//! Each is started, then a sector of each is read, and written to the next sector, round and round, so that all of them are live at the same time and interrupt
//! through whatever lines they share.
//!
//! Command line: `rounds=N`; `interrupts=msi-x|line|polling` (the best there is, unless it says otherwise).

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::devices::{Interrupts, Wiring};
use example_platform::pci::PciAccess;
use example_platform::{DMA, Dma, command_line, devices, println};
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::device::block::{Block, HANDLED, RequestError, Sector, Settings, Storage};
use virtio_guest::lifecycle::Wants;
use virtio_guest::transport::AnyTransport;
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

/// How long one call may take.
const PATIENCE_MILLIS: u64 = 10_000;
/// Descriptors of each disk; legacy devices of QEMU's do not do with fewer.
const DESCRIPTORS: usize = 256;

/// Says where the BAR is that QEMU puts a modern device's registers into.
fn describe(function: PciAddress) {
    // SAFETY: there is a function there; reading a BAR has no side effect.
    let [low, high] = [0x20, 0x24].map(|offset| unsafe { PciAccess.read(function, offset) });
    println!("registers at {:#x}", u64::from(high) << 32 | u64::from(low & !0xf));
}

/// A live disk.
struct Disk {
    block: Block<'static, AnyTransport<PciAccess>, Dma>,
    wiring: Wiring,
    place: String,
}

impl Disk {
    fn start(mut device: devices::Device) -> Result<Self, String> {
        device.address().into_iter().for_each(describe);
        let wiring = device.connect(Interrupts::asked_for()?)?;
        let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
        let (wants, patience) = (Wants::features(HANDLED), wiring.patience(PATIENCE_MILLIS));
        let storage: &'static mut Storage<DESCRIPTORS> = Box::leak(Box::default());
        let block = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
        let block = block.map_err(|error| alloc::format!("{}: {error}", device.place))?;
        Ok(Self { block, wiring, place: device.place })
    }

    /// Copies a sector to the next one.
    fn copy(&mut self, from: u64) -> Result<(), RequestError> {
        let mut sector = [0; 512];
        self.block.read_blocking(Sector(from), &mut sector, self.wiring.patience(PATIENCE_MILLIS))?;
        self.block.write_blocking(Sector(from + 1), &sector, self.wiring.patience(PATIENCE_MILLIS))
    }
}

fn run() -> Result<(), String> {
    let rounds =
        command_line().split(' ').find_map(|word| word.strip_prefix("rounds=")?.parse().ok()).unwrap_or(1);
    // SAFETY: this program is all there is, and it opens the disks once.
    let devices = unsafe { devices::open_all(DeviceType::BLOCK) }?;
    let mut disks = devices.into_iter().map(Disk::start).collect::<Result<Vec<Disk>, String>>()?;
    for round in 0..rounds {
        for disk in &mut disks {
            disk.copy(round).map_err(|error| alloc::format!("{}: {error}", disk.place))?;
        }
    }
    for mut disk in disks {
        disk.block
            .flush_blocking(disk.wiring.patience(PATIENCE_MILLIS))
            .map_err(|error| error.to_string())?;
        println!("disk at {}: {} interrupts={}", disk.place, disk.wiring.kind.name(), disk.wiring.arrived());
        disk.block.close(disk.wiring.patience(PATIENCE_MILLIS)).map_err(|failed| failed.error.to_string())?;
    }
    println!("many disks: done");
    Ok(())
}
