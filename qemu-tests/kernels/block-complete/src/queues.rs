//! A queue for each of four processors, which work at the same time, each with its own handle and no lock.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use example_platform::devices::{self, Interrupts};
use example_platform::interrupts::{Source, wait};
use example_platform::{clock, cpus, println};
use spin::Mutex;
use virtio_guest::device::block::Ticket;

use crate::disk::{Disk, QUEUES_MAX, Queue, Range, bytes, read, take, write};
use crate::{Seeds, ensure};

/// In flight together, of so many sectors each.
const BURST: u64 = 32;
const SECTORS: u64 = 8;
/// How often a processor looks whether there is something for it.
const NAP: Duration = Duration::from_millis(1);

/// What a processor is to do.
struct Share {
    queue: Queue,
    sectors: Range,
    interrupts: Interrupts,
    seeds: Seeds,
}

static SHARES: [Mutex<Option<Share>>; QUEUES_MAX] = [const { Mutex::new(None) }; QUEUES_MAX];
static RESULTS: [Mutex<Option<Result<Queue, String>>>; QUEUES_MAX] = [const { Mutex::new(None) }; QUEUES_MAX];
/// Processors that have what they are to do: they begin together.
static READY: AtomicUsize = AtomicUsize::new(0);

/// Waits until it is there.
fn wait_for<R>(place: &Mutex<Option<R>>) -> R {
    loop {
        if let Some(there) = place.lock().take() {
            return there;
        }
        wait(clock::now() + NAP);
    }
}

impl Share {
    /// Reads each part of the sectors, and looks at what it is.
    fn verify(&mut self, seed: u64) -> Result<(), String> {
        self.in_bursts(read, |read, range| {
            ensure(read == range.contents(seed), "each buffer has its own contents")
        })
    }

    /// Writes each part.
    fn write(&mut self, seed: u64) -> Result<(), String> {
        self.in_bursts(|queue, range| write(queue, range, seed), |_, _| Ok(()))
    }

    fn in_bursts(
        &mut self,
        hand_in: impl Fn(&mut Queue, Range) -> Result<Ticket, String>,
        judge: impl Fn(Vec<u8>, Range) -> Result<(), String>,
    ) -> Result<(), String> {
        let Self { queue, sectors, interrupts, .. } = self;
        let mut asked = vec![None; queue.requests()];
        for burst in (sectors.first..sectors.first + sectors.count).step_by((BURST * SECTORS) as usize) {
            for number in 0..BURST {
                let range = Range { first: burst + number * SECTORS, count: SECTORS };
                let ticket = hand_in(queue, range)?;
                *asked.get_mut(ticket.index()).ok_or("a ticket has a place")? = Some((ticket, range));
            }
            queue.publish();
            for completion in take(queue, BURST as usize, *interrupts)? {
                let place = asked.get_mut(completion.ticket.index()).and_then(Option::take);
                let (ticket, range) = place.ok_or("a request came back that was not in flight")?;
                ensure(ticket == completion.ticket, "each queue has its own tickets")?;
                judge(bytes(completion).map_err(|error| error.to_string())?, range)?;
            }
        }
        Ok(())
    }

    fn work(mut self) -> Result<Queue, String> {
        READY.fetch_add(1, Ordering::Relaxed);
        while READY.load(Ordering::Relaxed) < QUEUES_MAX {
            core::hint::spin_loop();
        }
        let Seeds { old, new } = self.seeds;
        self.verify(old)?;
        self.write(new)?;
        self.verify(new)?;
        Ok(self.queue)
    }
}

/// What a processor runs: it waits for its share, works, and is done for good.
fn processor(index: usize) {
    let (Some(share), Some(result)) = (SHARES.get(index), RESULTS.get(index)) else { return };
    let done = wait_for(share).work();
    *result.lock() = Some(done);
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    ensure(cpus::count() == QUEUES_MAX, "there are four processors")?;
    // Before another processor runs: see `cpus::start`.
    let device = devices::take_disk()?;
    for index in 1..QUEUES_MAX {
        cpus::start(index, processor)?;
    }
    let mut disk = Disk::start_taken(device, &[0, 1, 2, 3])?;
    let (sectors, interrupts) = (disk.control.capacity_sectors() / QUEUES_MAX as u64, disk.interrupts);
    for ((index, share), queue) in (0..).zip(&SHARES).zip(disk.queues.drain(..)) {
        let sectors = Range { first: index * sectors, count: sectors };
        *share.lock() = Some(Share { queue, sectors, interrupts, seeds });
    }
    processor(0);
    let mut queues = Vec::new();
    for result in &RESULTS {
        queues.push(wait_for(result)?);
    }
    // The first source is the configuration's.
    let arrived = disk.wiring.sources.iter().skip(1).map(Source::arrived).chain([0; QUEUES_MAX]);
    for (queue, arrived) in queues.iter().zip(arrived) {
        let chains = queue.statistics().chains;
        println!("processor {}: {chains} requests, {arrived} interrupts", queue.index());
    }
    disk.end(queues)
}
