//! A test kernel: a virtio disk that is taken out while it works.
//!
//! One of its disks is in a slot that can be switched off, the other is not. The first one is read again and again, until somebody outside presses the slot's button; then the kernel switches
//! the slot off in the middle of a call, without a word to the driver. What the driver says from then on is printed, it is closed and dropped, and the other disk is used.
//!
//! Command line: `interrupts=msi-x|line|polling` (polling, unless it says otherwise); `registers=config-space`, to reach the disks through configuration space alone; `by=tasks`, to have tasks read, and not
//! blocking calls.

#![no_std]
#![no_main]

extern crate alloc;

mod blocking;
#[path = "../../executor.rs"]
mod executor;
mod registers;
mod slot;
mod tasks;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use example_platform::devices::{Device, Interrupts, Wiring};
use example_platform::hot_plug::Slot;
use example_platform::interrupts::Sleep;
use example_platform::pci::PciAccess;
use example_platform::{DMA, Dma, command_line, devices, println};
use virtio_guest::device::block::{Block, HANDLED, RequestError, Sector, Settings, Storage};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::Wants;
use virtio_guest::transport::AnyTransport;
use virtio_guest::wire::device_type::DeviceType;

use registers::FunctionRegisters;
use slot::Watched;

example_platform::entry!(run);

/// Bytes of a sector, and of a request at most: small ones, so that a long read is many.
const SECTOR: usize = 512;
const REQUEST_BYTES: u32 = 4096;
/// How long a call may take, and how long once the disk is gone.
const PATIENCE_MILLIS: u64 = 10_000;
const GONE_PATIENCE_MILLIS: u64 = 100;
/// How long the processor rests afterwards: an emulator may not get on with taking the disk apart before.
const REST_MILLIS: u64 = 500;
/// Sectors that are copied on the disk that stays, each to the next one.
const ROUNDS: u64 = 4;
/// Memory that is asked for and written afterwards, piece by piece.
const PIECES: usize = 16;
const PIECE_BYTES: usize = 256 << 10;

/// A live disk.
struct Disk {
    driver: Block<'static, AnyTransport<PciAccess>, Dma>,
    wiring: Wiring,
}

impl Disk {
    fn start(mut device: Device) -> Result<Self, String> {
        let wiring = device.connect(Some(Interrupts::asked_for()?.unwrap_or(Interrupts::None)))?;
        let notifications = wiring.kind != Interrupts::None;
        let settings = Settings { request_bytes: REQUEST_BYTES, notifications, ..Settings::default() };
        let storage: &'static mut Storage<256> = Box::leak(Box::default());
        let (wants, patience) = (Wants::features(HANDLED), wiring.patience(PATIENCE_MILLIS));
        let driver = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
        let driver = driver.map_err(|error| alloc::format!("{}: {error}", device.place))?;
        let layout = driver.active_paths().ring.layout;
        println!("disk at {}: layout={layout:?} interrupts={}", device.place, wiring.kind.name());
        Ok(Self { driver, wiring })
    }
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

/// Opens the disks: one that can be taken out, with its slot, and another one.
fn disks() -> Result<(Device, Slot, Device), String> {
    // SAFETY: this program is all there is, and it opens the disks once.
    let devices = unsafe { devices::open_all(DeviceType::BLOCK) }?;
    let slot = |device: &Device| device.address().and_then(Slot::of);
    let (removable, others): (Vec<_>, Vec<_>) =
        devices.into_iter().partition(|device| slot(device).is_some());
    let removable = removable.into_iter().next().ok_or("no disk in a slot that can be switched off")?;
    let other = others.into_iter().next().ok_or("no other disk")?;
    let slot = slot(&removable).ok_or("the slot is not there any more")?;
    Ok((removable, slot, other))
}

fn run() -> Result<(), String> {
    let (device, slot, other) = disks()?;
    let registers = device.address().and_then(FunctionRegisters::find);
    let slot = Watched::new(slot);
    let mut other = Disk::start(other)?;
    if command_line().split(' ').any(|word| word == "by=tasks") {
        tasks::read_until_removed(device, &slot)?;
        registers.iter().for_each(FunctionRegisters::describe);
    } else {
        let mut disk = Disk::start(device)?;
        blocking::read_until_removed(&mut disk, &slot)?;
        registers.iter().for_each(FunctionRegisters::describe);
        blocking::ask_in_vain(&mut disk)?;
        close(disk)?;
    }
    go_on(&mut other)?;
    println!("removal check: done");
    Ok(())
}

/// Closes the driver of a disk that is gone, which cannot be, and drops it.
fn close(disk: Disk) -> Result<(), String> {
    let Err(failed) = disk.driver.close(disk.wiring.patience(GONE_PATIENCE_MILLIS)) else {
        return Err("a disk that is gone says that it was reset".into());
    };
    println!("close: {}", failed.error);
    drop(failed);
    println!("dropped");
    Ok(())
}

/// The kernel is as well as it was: it sleeps, there is memory, and the other disk answers.
fn go_on(disk: &mut Disk) -> Result<(), String> {
    let mut rest = Sleep::within_millis(REST_MILLIS);
    while rest.keep_waiting() {}
    let pieces: Vec<Vec<u8>> = (1..).take(PIECES).map(|byte| vec![byte; PIECE_BYTES]).collect();
    let are_whole = pieces.iter().zip(1..).all(|(piece, byte)| piece.iter().all(|found| *found == byte));
    ensure(are_whole, "memory keeps what is written to it")?;
    copy(disk).map_err(|error| alloc::format!("the other disk: {error}"))?;
    println!("the other disk: {ROUNDS} sectors copied");
    Ok(())
}

fn copy(disk: &mut Disk) -> Result<(), RequestError> {
    let Disk { driver, wiring } = disk;
    for round in 0..ROUNDS {
        let mut sector = [0; SECTOR];
        driver.read_blocking(Sector(round), &mut sector, wiring.patience(PATIENCE_MILLIS))?;
        driver.write_blocking(Sector(round + 1), &sector, wiring.patience(PATIENCE_MILLIS))?;
    }
    driver.flush_blocking(wiring.patience(PATIENCE_MILLIS))
}
