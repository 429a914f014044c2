//! Mode `benchmark`: how many requests the disk does in a second, how long each takes, and what that costs.
//!
//! What the command line can ask for is in `job.rs`, what a processor does with its queue in `lane.rs`.
//! Under an emulator the numbers say more about the emulator than about the disk; what a request costs in notifications and interrupts is the driver's.

mod histogram;
mod job;
mod lane;
mod processors;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Interrupts};
use example_platform::{DMA, clock, println};
use virtio_guest::device::block::{HANDLED, Settings, Starting, Storage};
use virtio_guest::lifecycle::{Signals, VectorRouting, Wants};
use virtio_guest::wire::block::SECTOR_BYTES;

use histogram::Histogram;
use job::Job;
use lane::{Lane, Load, Measured};

/// Most queues.
const QUEUES_MAX: usize = 8;

/// Where interrupt handlers say what happened.
static SIGNALS: Signals<QUEUES_MAX> = Signals::new();

/// Brings the disk up with a queue for each processor, lets them work, and says what was measured.
pub fn run() -> Result<(), String> {
    let (job, queues) = job::asked_for()?;
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    processors::start(queues)?;
    // One message for the configuration, and one for each queue, which goes to the queue's own processor.
    let prepared = device.prepare(Interrupts::asked_for()?, &(0..queues).collect::<Vec<_>>())?;

    // Bring-up, in steps: features and limits, then the queues, then the disk is live. Requests own their buffers, so the least is enough for copies.
    let notifications = prepared.kind != Interrupts::None;
    let queues_max = u16::try_from(queues).map_err(|error| error.to_string())?;
    let settings = Settings { queues_max, notifications, request_bytes: 512, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(1000));
    let disk = Starting::begin(device.transport, &settings, wants, patience);
    let mut disk = disk.map_err(|error| error.to_string())?;
    if disk.queues() < queues_max {
        return Err(alloc::format!(
            "the disk has {} queues: num-queues={queues} for QEMU's -device virtio-blk-...",
            disk.queues()
        ));
    }
    let install = |_| {
        let storage: &'static mut Storage<256, Load> = Box::leak(Box::default());
        disk.install_queue(&DMA, storage).map_err(|failed| failed.to_string())
    };
    let installed = (0..queues).map(install).collect::<Result<Vec<_>, _>>()?;
    let mut control = disk.start();
    let wiring = prepared.attach(&mut control, &SIGNALS)?;
    let interrupts = match control.vectors() {
        VectorRouting::PerQueue => wiring.kind,
        _ if queues == 1 => wiring.kind,
        _ => Interrupts::None,
    };
    println!("interrupts: {} ({:?})", interrupts.name(), control.vectors());

    // A part of the disk for each queue, in pieces of the request's size.
    let pieces = control.capacity_sectors() / (job.size_bytes / SECTOR_BYTES) as u64;
    let share = pieces / queues as u64;
    let mut lanes = Vec::new();
    for (number, installed) in (0..).zip(installed) {
        let queue = control.activate(installed);
        if queue.requests() < job.depth {
            return Err(alloc::format!(
                "depth={}: a queue has room for {} requests",
                job.depth,
                queue.requests()
            ));
        }
        if share == 0 {
            return Err("the disk is smaller than a request for each queue".into());
        }
        lanes.push(Lane { queue, job, pieces: number * share..(number + 1) * share, interrupts });
    }

    println!(
        "benchmark: {:?} {:?}, {} bytes, depth {}, queues {queues}",
        job.pattern, job.work, job.size_bytes, job.depth
    );
    let start = clock::now();
    let measured = processors::run(lanes)?;
    report(job, &measured, clock::since(start), wiring.arrived());

    // The way down: the device is reset; then each queue may give back what it has.
    let down = control.take_down(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    for Measured { queue, .. } in measured {
        let reclaimed = queue.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
        if reclaimed.count() != 0 {
            return Err("requests were left in flight".into());
        }
    }
    Ok(())
}

/// Says what was measured.
fn report(job: Job, measured: &[Measured], time: Duration, interrupts: u64) {
    let mut latency = Histogram::new();
    for queue in measured {
        latency.add(&queue.latency);
    }
    let requests = latency.count();
    let notifications = measured.iter().map(|measured| measured.queue.statistics().notifications_sent).sum();
    let sleeps: u64 = measured.iter().map(|measured| measured.sleeps).sum();
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let in_a_second = |count: u64| count.saturating_mul(1_000_000) / micros;
    println!("requests: {requests} in {} ms", time.as_millis());
    println!("IOPS: {}", in_a_second(requests));
    println!("throughput: {} MiB/s", in_a_second(requests.saturating_mul(job.size_bytes as u64)) >> 20);
    let [half, most, nearly_all, all_but_few] = [500, 900, 990, 999].map(|share| latency.per_mille(share));
    println!(
        "latency in microseconds: p50 {half}, p90 {most}, p99 {nearly_all}, p99.9 {all_but_few}, max {}",
        latency.largest()
    );
    for (what, count) in
        [("notifications", notifications), ("interrupts that arrived", interrupts), ("sleeps", sleeps)]
    {
        let hundredths = count.saturating_mul(100) / requests.max(1);
        println!("{what}: {count}, {}.{:02} for each request", hundredths / 100, hundredths % 100);
    }
}
