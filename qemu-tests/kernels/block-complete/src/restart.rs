//! Reads and writes that go on, whatever becomes of who serves the disk, until the disk gets another size.
//!
//! There are several places on the disk, and each is written and then read, over and over, with other contents each time. So each always holds what was acknowledged last, or what is being written.
//! When nothing comes back for a while, that is said, and something may be done about it; when something comes back again, that is said, too.
//!
//! ```text
//!   silence=wait    nothing is done. Each queue is asked for one thing at a time
//!   silence=reset   the disk is reset, and what comes back with the reset is sent again. Each place has a request in flight all the time
//! ```

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use example_platform::devices::Interrupts;
use example_platform::interrupts::wait;
use example_platform::{clock, println};
use virtio_guest::device::block::{Completion, Ticket};
use virtio_guest::lifecycle::Condition;
use virtio_guest::ring::Rearmed;

use crate::disk::{Buffer, Disk, Queue, Range, bytes, read, write};
use crate::{Seeds, argument, ensure};

/// Places of each queue.
const PLACES: u64 = 16;
/// From one place to the next.
const SECTORS: u64 = 8;
/// It is said when nothing came back for so long.
const SILENCE: Duration = Duration::from_millis(250);
/// It is the end when nothing came back for so long.
const LIMIT: Duration = Duration::from_secs(20);
/// After so many requests it is said how many there were.
const SAID_AFTER: u64 = 36;

/// See the module's head.
#[derive(Clone, Copy)]
struct Plan {
    seeds: Seeds,
    resets: bool,
}

/// Some sectors that belong together.
struct Place {
    range: Range,
    /// How often it was written, as far as that was acknowledged.
    writes: u64,
    /// What it is asked for next, or is being asked for: to be written, or to be read.
    is_written: bool,
}

impl Place {
    /// The seed of what it holds after so many writes.
    const fn seed(seeds: Seeds, writes: u64) -> u64 {
        if writes == 0 { seeds.old } else { seeds.new.wrapping_add(writes) }
    }

    fn hand_in(&self, queue: &mut Queue, seeds: Seeds) -> Result<Ticket, String> {
        if self.is_written {
            write(queue, self.range, Self::seed(seeds, self.writes + 1))
        } else {
            read(queue, self.range)
        }
    }

    fn judge(&mut self, completion: Completion<Buffer>, seeds: Seeds) -> Result<(), String> {
        let came = bytes(completion).map_err(|error| error.to_string())?;
        if self.is_written {
            self.writes += 1;
        } else {
            let expected = self.range.contents(Self::seed(seeds, self.writes));
            ensure(came == expected, "what is read is what was acknowledged last")?;
        }
        self.is_written = !self.is_written;
        Ok(())
    }
}

/// A queue, and its places.
struct Lane {
    queue: Queue,
    places: Vec<Place>,
    /// Which place each ticket is of.
    in_flight: Vec<Option<(Ticket, usize)>>,
    /// Places that are to be asked for something.
    ready: Vec<usize>,
    requests: u64,
}

impl Lane {
    fn new(queue: Queue, number: u64, plan: Plan) -> Self {
        let place = |index: u64| {
            // Requests are of several lengths.
            let range = Range { first: (number * PLACES + index) * SECTORS, count: SECTORS - index % 2 };
            Place { range, writes: 0, is_written: plan.resets && index.is_multiple_of(3) }
        };
        let places: Vec<Place> = (0..PLACES).map(place).collect();
        let (in_flight, ready) = (vec![None; queue.requests()], (0..places.len()).collect());
        Self { queue, places, in_flight, ready, requests: 0 }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.iter().flatten().count()
    }

    /// Asks for what is next.
    fn hand_in(&mut self, plan: Plan) -> Result<(), String> {
        let most = if plan.resets { self.places.len() } else { 1 };
        let room = most.saturating_sub(self.in_flight()).min(self.ready.len());
        let next: Vec<usize> = self.ready.drain(..room).collect();
        for index in next {
            let place = self.places.get(index).ok_or("there is such a place")?;
            let ticket = place.hand_in(&mut self.queue, plan.seeds)?;
            let entry = self.in_flight.get_mut(ticket.index()).ok_or("a ticket has its entry")?;
            ensure(entry.replace((ticket, index)).is_none(), "no ticket is given twice")?;
        }
        self.queue.publish();
        Ok(())
    }

    /// The place that a request was of which came back.
    fn land(&mut self, ticket: Ticket) -> Result<usize, String> {
        let entry = self.in_flight.get_mut(ticket.index()).and_then(Option::take);
        let (expected, index) = entry.ok_or("a request came back that was not in flight")?;
        ensure(ticket == expected, "each request comes back once")?;
        self.ready.push(index);
        Ok(index)
    }

    /// Takes what came back. Says how many requests that were.
    fn take(&mut self, plan: Plan) -> Result<u64, String> {
        let before = self.requests;
        while let Some(completion) = self.queue.next_completion().map_err(|broken| broken.to_string())? {
            let index = self.land(completion.ticket)?;
            self.places.get_mut(index).ok_or("there is such a place")?.judge(completion, plan.seeds)?;
            self.requests += 1;
        }
        Ok(self.requests - before)
    }
}

/// The disk, and when something came back last.
struct Traffic {
    disk: Disk,
    lanes: Vec<Lane>,
    plan: Plan,
    requests: u64,
    heard: Duration,
    is_silent: bool,
    is_over: bool,
}

impl Traffic {
    fn in_flight(&self) -> usize {
        self.lanes.iter().map(Lane::in_flight).sum()
    }

    /// Says how many requests came back, or that none does.
    fn note(mut self, came: u64) -> Result<Self, String> {
        let silence = clock::since(self.heard);
        ensure(silence < LIMIT, "requests come back")?;
        if came > 0 {
            self.heard = clock::now();
            if mem::take(&mut self.is_silent) {
                println!("goes on");
            }
        } else if silence > SILENCE && !mem::replace(&mut self.is_silent, true) {
            println!("silence: {} requests in flight", self.in_flight());
            if self.plan.resets {
                self = self.reset()?;
            }
        }
        let before = self.requests / SAID_AFTER;
        self.requests += came;
        if self.requests / SAID_AFTER > before {
            println!("came back: {}", self.requests);
        }
        Ok(self)
    }

    /// Takes the disk down, and up again. What comes back with the reset is to be sent again.
    fn reset(self) -> Result<Self, String> {
        let (queues, lanes): (Vec<Queue>, Vec<_>) = self
            .lanes
            .into_iter()
            .map(|Lane { queue, places, in_flight, ready, requests }| {
                (queue, move |queue| Lane { queue, places, in_flight, ready, requests })
            })
            .unzip();
        let (mut disk, returned) = self.disk.reset(queues, &vec![0; lanes.len()])?;
        let lanes = lanes.into_iter().zip(disk.queues.drain(..)).map(|(lane, queue)| lane(queue));
        let mut lanes: Vec<Lane> = lanes.collect();
        for (lane, returned) in lanes.iter_mut().zip(returned) {
            println!("reset: {} requests came back", returned.len());
            for completion in returned {
                lane.land(completion.ticket)?;
            }
            ensure(lane.in_flight() == 0, "everything in flight comes back with a reset")?;
            lane.hand_in(self.plan)?;
        }
        println!("up again");
        Ok(Self { disk, lanes, ..self })
    }

    /// It is over once the disk has another size.
    fn look_at_configuration(&mut self) -> Result<(), String> {
        let Some(condition) = self.disk.control.take_configuration_change() else { return Ok(()) };
        ensure(condition == Condition::Live, "a disk of another size is alive")?;
        let before = self.disk.control.capacity_sectors();
        let shape = self.disk.control.refresh_shape().map_err(|error| error.to_string())?;
        println!("configuration: {} sectors", shape.capacity_sectors);
        self.is_over |= shape.capacity_sectors != before;
        Ok(())
    }

    /// Sleeps until something may have come.
    fn rest(&mut self) {
        if self.disk.interrupts == Interrupts::None {
            core::hint::spin_loop();
        } else if self.lanes.iter_mut().all(|lane| lane.queue.rearm() == Rearmed::Quiet) {
            wait(self.heard + if self.is_silent { LIMIT } else { SILENCE });
        }
    }

    fn run(mut self) -> Result<Self, String> {
        while !self.is_over || self.in_flight() > 0 {
            let mut came = 0;
            for lane in &mut self.lanes {
                if !self.is_over {
                    lane.hand_in(self.plan)?;
                }
                came += lane.take(self.plan)?;
            }
            self = self.note(came)?;
            self.look_at_configuration()?;
            if came == 0 {
                self.rest();
            }
        }
        Ok(self)
    }
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    let queues: usize = argument("queues")?.parse().map_err(|_| "queues= is no number")?;
    let plan = Plan { seeds, resets: argument("silence")? == "reset" };
    let mut disk = Disk::start(&vec![0; queues])?;
    let lanes = disk.queues.drain(..).zip(0..).map(|(queue, number)| Lane::new(queue, number, plan));
    let lanes = lanes.collect();
    let heard = clock::now();
    let traffic = Traffic { disk, lanes, plan, requests: 0, heard, is_silent: false, is_over: false };
    let Traffic { disk, lanes, .. } = traffic.run()?;
    for lane in &lanes {
        println!("queue {}: {} requests came back, each once", lane.queue.index(), lane.requests);
        for Place { range, writes, .. } in &lane.places {
            println!("place {} {}: written {writes} times", range.first, range.count);
        }
    }
    disk.end(lanes.into_iter().map(|lane| lane.queue))
}
