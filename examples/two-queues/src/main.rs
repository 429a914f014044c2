//! Two processors drive two queues of one virtio disk.
//!
//! Each has its own, so there is no lock, and sleeps until its own queue's interrupt. `make demo EXAMPLE=two-queues` boots it under QEMU. Every byte of the disk is made one more, twice: first by one processor, then by both, half of the disk each.

#![no_std]
#![no_main]

extern crate alloc;

mod work;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Interrupts};
use example_platform::interrupts::Source;
use example_platform::{DMA, Dma, clock, cpus, println};
use virtio_guest::device::block::{HANDLED, RequestQueue, Settings, Starting, Storage};
use virtio_guest::lifecycle::{Signals, VectorRouting, Wants};

use work::{Share, work};

/// A queue's handle: whoever has it uses it, and nobody else.
type Queue = RequestQueue<'static, Dma>;

/// Where interrupt handlers say what happened.
static SIGNALS: Signals<2> = Signals::new();

example_platform::entry!(run);

fn run() -> Result<(), String> {
    if cpus::count() < 2 {
        return Err("this takes two processors: start QEMU with -smp 2".into());
    }
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    cpus::start(1, work::second_processor)?;
    // One message for the configuration, and one for each queue, which goes to the queue's own processor.
    let prepared = device.prepare(Interrupts::asked_for()?, &[0, 1])?;

    // Bring-up, in steps: features and limits, then a queue for each processor, then the disk is live.
    let notifications = prepared.kind != Interrupts::None;
    let settings = Settings { queues_max: 2, notifications, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(1000));
    let disk = Starting::begin(device.transport, &settings, wants, patience);
    let mut disk = disk.map_err(|error| error.to_string())?;
    if disk.queues() < 2 {
        return Err(
            "this takes a disk with two queues: num-queues=2 for QEMU's -device virtio-blk-...".into()
        );
    }
    let mut install = || {
        // As many descriptors as a legacy device of QEMU's has, lent for good.
        let storage: &'static mut Storage<256> = Box::leak(Box::default());
        disk.install_queue(&DMA, storage).map_err(|failed| failed.to_string())
    };
    let (first, second) = (install()?, install()?);
    let mut control = disk.start();
    let (first, second): (Queue, Queue) = (control.activate(first), control.activate(second));

    let wiring = prepared.attach(&mut control, &SIGNALS)?;
    let interrupts = match control.vectors() {
        VectorRouting::PerQueue => wiring.kind,
        _ => Interrupts::None,
    };
    println!("interrupts: {} ({:?})", interrupts.name(), control.vectors());
    if interrupts == Interrupts::None {
        println!("there is no message for each processor: both look again and again");
    }

    let sectors = control.capacity_sectors();
    let middle = sectors / 2;
    let start = clock::now();
    let alone = work(Share { queue: first, sectors: 0..sectors, interrupts })?;
    report("one processor", sectors, clock::since(start));

    let arrived = || wiring.sources.iter().skip(1).map(Source::arrived);
    let before: Vec<u64> = arrived().collect();
    let start = clock::now();
    work::hand_over(Share { queue: second, sectors: middle..sectors, interrupts });
    let lower = work(Share { queue: alone.queue, sectors: 0..middle, interrupts })?;
    let upper = work::take_back()?;
    report("two processors", sectors, clock::since(start));
    let interrupts = arrived().zip(before).map(|(after, before)| after - before).chain([0, 0]);
    for (processor, (share, interrupts)) in [&lower, &upper].into_iter().zip(interrupts).enumerate() {
        let (sleeps, time) = (share.idle.sleeps, share.idle.time.as_millis());
        println!("processor {processor}: {interrupts} interrupts, slept {sleeps} times, {time} ms");
    }

    // The way down: the device is reset; then each queue may give back what it has.
    let down = control.take_down(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    for queue in [lower.queue, upper.queue] {
        queue.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    }
    println!("two-queues example: done");
    Ok(())
}

/// Says how fast that was. Each sector was read, written, and read again.
fn report(who: &str, sectors: u64, time: Duration) {
    let kib = u128::from(sectors) * 3 / 2;
    let rate = kib * 1000 / time.as_millis().max(1);
    println!("{who}: {kib} KiB in {} ms, {rate} KiB/s, verified", time.as_millis());
}
