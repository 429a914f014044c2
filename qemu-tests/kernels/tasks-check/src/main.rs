//! A test kernel: tasks that share a disk's request queue, asleep while they wait.
//!
//! For each number of tasks: so many reads in all, half of which are dropped before they are done; what came back is compared with what the host wrote, and at the end nothing is left anywhere.
//! Command line: `seed=N`, the seed of what is on the disk; `reads=N`, how many reads for each number of tasks; `tasks=N,N,…`, the numbers of tasks; `interrupts=msi-x|line`.

#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../executor.rs"]
mod executor;
mod pages;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod reads;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::interrupts::idle;
use example_platform::{DMA, clock, command_line, println};
use executor::Executor;
use fastrand::Rng;
use reads::{Disk, Load, Plan, Tally, read_all};
use virtio_guest::device::block::{
    ActivePaths, Block, Control, HANDLED, Requests, Settings, Shared, Storage, Waiters,
};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::ring::QueueStatistics;
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

/// Requests that can be in flight, and tasks that can wait for a place besides.
const REQUESTS: usize = 64;
/// As many pages as can be out: one for each request in flight, dropped or not, and one for each task.
const PAGES: usize = 2 * REQUESTS;

static SIGNALS: Signals = Signals::new();

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken promise: {promise}")) }
}

/// A word of the command line.
fn argument(name: &str) -> Result<&'static str, String> {
    let mut words = command_line().split_ascii_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.ok_or_else(|| format!("no {name}= on the command line"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// A disk that is up.
struct Live {
    control: Control<'static, Way>,
    disk: Disk,
    wiring: Wiring,
}

impl Live {
    /// Starts the disk, with interrupts of the kind that the command line asks for.
    fn start(mut device: devices::Device) -> Result<Self, String> {
        let kind = Interrupts::asked_for()?.ok_or("no interrupts= on the command line")?;
        let prepared = device.prepare(Some(kind), &[0])?;
        let storage: &'static mut Storage<REQUESTS, Load> = Box::leak(Box::default());
        let waiters: &'static mut Waiters<REQUESTS, Load> = Box::leak(Box::default());
        let settings = Settings { notifications: true, ..Settings::default() };
        let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(1000));
        let block = Block::start_with(device.transport, DMA, storage, &settings, wants, patience)
            .map_err(|failed| failed.error.to_string())?;
        let ActivePaths { ring, vectors, .. } = block.active_paths();
        println!("paths: layout={:?} event_index={} vectors={vectors:?}", ring.layout, ring.event_index);
        let (mut control, queue) = block.split();
        let wiring = prepared.attach(&mut control, &SIGNALS)?;
        let requests =
            Requests::new(queue, waiters, control.interrupts()).map_err(|in_use| in_use.to_string())?;
        Ok(Self { control, disk: Shared::new(spin::Mutex::new(requests), DMA), wiring })
    }

    /// Has so many tasks do so many reads in all, and says what it took.
    fn measure(&self, tasks: u64, reads: u64, seed: u64) -> Result<(), String> {
        let (tally, mut executor) = (Tally::default(), Executor::new());
        // The shares of task `task`, so that they add up.
        let share = |whole: u64, task: u64| whole * (task + 1) / tasks - whole * task / tasks;
        let mut random = Rng::with_seed(seed ^ tasks);
        for task in 0..tasks {
            let (reads, drops) = (share(reads, task), share(reads / 2, task));
            let plan = Plan { reads, drops, seed, sectors: self.control.capacity_sectors() };
            executor.spawn(format!("task {task}"), read_all(&self.disk, plan, random.fork(), &tally));
        }
        let (before, arrived, idle_before, start) =
            (self.disk.statistics(), self.wiring.arrived(), idle(), clock::now());

        let polls = executor.run().map_err(|error| {
            let (in_flight, left) = (self.disk.in_flight(), self.disk.service());
            format!("{error}; {in_flight} requests in flight, {left} after another look")
        })?;

        let (time, idle_after, statistics) = (clock::since(start), idle(), self.disk.statistics());
        let QueueStatistics { chains, notifications_sent, .. } = statistics;
        println!(
            "tasks={tasks} done={} dropped={} requests={} interrupts={} notifications={} polls={polls} sleeps={} halted_us={} time_us={}",
            tally.done.get(),
            tally.dropped.get(),
            chains - before.chains,
            self.wiring.arrived() - arrived,
            notifications_sent - before.notifications_sent,
            idle_after.sleeps - idle_before.sleeps,
            idle_after.time.saturating_sub(idle_before.time).as_micros(),
            time.as_micros(),
        );
        self.drain()
    }

    /// Waits for what nobody wants any more: then nothing is left.
    fn drain(&self) -> Result<(), String> {
        let mut executor = Executor::new();
        executor.spawn("drain".into(), async {
            self.disk.drain().await;
            Ok(())
        });
        executor.run()?;
        ensure(self.disk.in_flight() == 0, "a queue that was drained has nothing in flight")?;
        ensure(pages::count() == PAGES, "all pages are back in the pool")?;
        self.disk.resume();
        Ok(())
    }

    fn close(self) -> Result<(), String> {
        let down = self.control.take_down(clock::within_millis(1000));
        let down = down.map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        ensure(self.disk.take_down(&down.reset).is_some(), "a queue comes down after its own reset")?;
        ensure(pages::count() == PAGES, "all pages are in the pool at the end")
    }
}

fn run() -> Result<(), String> {
    let (seed, reads) = (number(argument("seed")?)?, number(argument("reads")?)?);
    pages::add(PAGES);
    // SAFETY: this program is all there is, and it opens the disk once.
    let device = unsafe { devices::open_first(DeviceType::BLOCK) }?.ok_or("no virtio block device")?;
    let live = Live::start(device)?;
    for tasks in argument("tasks")?.split(',') {
        live.measure(number(tasks)?, reads, seed)?;
    }
    live.close()?;
    println!("pages: {} of {PAGES}", pages::count());
    println!("tasks check: done");
    Ok(())
}
