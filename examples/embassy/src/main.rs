//! Embassy's tasks share a virtio disk, without an operating system.
//!
//! The driver asks for no executor in particular, so it takes this one as it is. `make demo EXAMPLE=embassy` boots it under QEMU. It inverts every bit of the disk, as the example `tasks` does. What Embassy needs of a platform is in `executor.rs`.

#![no_std]
#![no_main]

extern crate alloc;

mod executor;
mod work;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::cell::RefCell;

use example_platform::devices::{self, Interrupts};
use example_platform::interrupts::idle;
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::block::{Block, HANDLED, Requests, Settings, Shared, Storage, Waiters};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::raw::MappedBuffer;

/// What a request carries: memory of the program's own, which goes to the disk and comes back.
type Page = Box<[u8]>;
type Load = MappedBuffer<Dma, Page>;
/// The disk, for all tasks. They run on one processor, one after the other, so a cell is lock enough.
type Disk = Shared<Dma, RefCell<Requests<'static, Dma, Load>>>;

/// Where interrupt handlers wake tasks.
static SIGNALS: Signals = Signals::new();

example_platform::entry!(run);

fn run() -> Result<(), String> {
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    let prepared = device.prepare(Interrupts::asked_for()?, &[0])?;

    // As many descriptors as a legacy device of QEMU's has, lent for good. Pages go to the disk as they are, so a request needs no memory for copies.
    let storage: &'static mut Storage<256, Load> = Box::leak(Box::default());
    let notifications = prepared.kind != Interrupts::None;
    let settings = Settings { notifications, request_bytes: 512, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(1000));
    let disk = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
    let disk = disk.map_err(|failed| failed.to_string())?;
    println!("capacity: {} sectors, paths: {:?}", disk.capacity_sectors(), disk.active_paths());

    // From here on the control half and the queue are apart. The queue is shared; its signal is what an interrupt wakes.
    let (mut control, queue) = disk.split();
    let wiring = prepared.attach(&mut control, &SIGNALS)?;
    println!("interrupts: {} ({:?})", wiring.kind.name(), control.vectors());
    let waiters: &'static mut Waiters<64, Load> = Box::leak(Box::default());
    let requests =
        Requests::new(queue, waiters, control.interrupts()).map_err(|in_use| in_use.to_string())?;
    // Tasks of Embassy's may live for ever, so what they use does.
    let disk: &'static Disk = Box::leak(Box::new(Disk::new(RefCell::new(requests), DMA)));

    let (start, idle_before) = (clock::now(), idle());
    let control = work::run(disk, control)?;
    let (elapsed, halted) = (clock::since(start), idle().time.saturating_sub(idle_before.time));
    let (requests, sent) = (disk.statistics().chains, disk.statistics().notifications_sent);
    println!("requests: {requests}, notifications: {sent}, interrupts: {}", wiring.arrived());
    let sleeps = idle().sleeps - idle_before.sleeps;
    println!("the processor slept {sleeps} times, {} of {} ms", halted.as_millis(), elapsed.as_millis());

    // The way down: the device is reset; then the queue may give back what it has.
    let down = control.take_down(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    disk.take_down(&down.reset).ok_or("the queue is of another bring-up")?;
    println!("embassy example: done");
    Ok(())
}
