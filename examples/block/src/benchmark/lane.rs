//! What one processor does with one queue: it keeps as many requests in flight as it was told, and sleeps while nothing comes back.
//!
//! Requests own their buffers, which move into the queue and come back with the completion. A round hands in what is free, shows it to the disk with one notification at most, takes what is
//! done, and when that is nothing asks for an interrupt and sleeps.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use example_platform::devices::Interrupts;
use example_platform::interrupts::{idle, wait};
use example_platform::{DMA, Dma, clock};
use fastrand::Rng;
use virtio_guest::device::block::{RequestQueue, Sector};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::Rearmed;
use virtio_guest::wire::block::SECTOR_BYTES;

use super::histogram::Histogram;
use super::job::{Job, Pattern, Work};

/// What a request carries: memory of the program's own, mapped for the disk.
pub type Load = MappedBuffer<Dma, Box<[u8]>>;
/// A queue of such requests.
pub type Queue = RequestQueue<'static, Dma, Load>;

/// How long the disk may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A queue, and its part of the work.
pub struct Lane {
    pub queue: Queue,
    pub job: Job,
    /// Its part of the disk, in pieces of the request's size.
    pub pieces: Range<u64>,
    /// What wakes its processor.
    pub interrupts: Interrupts,
}

/// What came of it.
pub struct Measured {
    pub queue: Queue,
    /// In microseconds, from being handed in to being taken.
    pub latency: Histogram,
    pub sleeps: u64,
}

/// What there is while a lane runs.
struct Flight {
    lane: Lane,
    /// Buffers that are not in flight.
    free: Vec<Box<[u8]>>,
    /// When each request was handed in. `Ticket::index` is a place among those that can be in flight together, so this needs no map.
    handed_in: Vec<Duration>,
    random: Rng,
    next: u64,
    latency: Histogram,
}

impl Lane {
    /// Does the work.
    pub fn run(self) -> Result<Measured, String> {
        let Job { depth, size_bytes, requests, time, .. } = self.job;
        let mut flight = Flight {
            free: (0..depth).map(|_| alloc::vec![0xa5; size_bytes].into()).collect(),
            handed_in: alloc::vec![Duration::ZERO; self.queue.requests()],
            random: Rng::with_seed(self.pieces.start),
            next: self.pieces.start,
            latency: Histogram::new(),
            lane: self,
        };
        let (mut sent, sleeps, start) = (0, idle().sleeps, clock::now());
        let mut last_answer = start;
        if flight.lane.interrupts == Interrupts::None {
            flight.lane.queue.suppress_notifications();
        }
        loop {
            while sent < requests && clock::since(start) < time {
                let Some(buffer) = flight.free.pop() else { break };
                flight.hand_in(buffer)?;
                sent += 1;
            }
            flight.lane.queue.publish();
            if flight.take_what_is_done()? {
                last_answer = clock::now();
            } else if flight.free.len() == depth {
                let Flight { lane: Self { queue, .. }, latency, .. } = flight;
                return Ok(Measured { queue, latency, sleeps: idle().sleeps - sleeps });
            } else if clock::since(last_answer) > SILENCE_MAX {
                return Err("the disk does not answer".into());
            } else {
                flight.rest(last_answer + SILENCE_MAX);
            }
        }
    }
}

impl Flight {
    /// Hands in a request for the next piece.
    fn hand_in(&mut self, buffer: Box<[u8]>) -> Result<(), String> {
        let Lane { queue, job, pieces, .. } = &mut self.lane;
        let piece = match job.pattern {
            Pattern::Random => self.random.u64(pieces.clone()),
            Pattern::Sequential => self.next,
        };
        self.next = if piece + 1 < pieces.end { piece + 1 } else { pieces.start };
        let sector = Sector(piece * (job.size_bytes / SECTOR_BYTES) as u64);
        let direction = match job.work {
            Work::Read => Direction::DeviceWritable,
            Work::Write => Direction::DeviceReadable,
        };
        let load = MappedBuffer::map(&DMA, buffer, direction).map_err(|refused| refused.to_string())?;
        let moment = clock::now();
        let ticket = match job.work {
            Work::Read => queue.submit_read(sector, load),
            Work::Write => queue.submit_write(sector, load),
        };
        let ticket = ticket.map_err(|failed| alloc::format!("a request was not sent: {failed}"))?;
        if let Some(handed_in) = self.handed_in.get_mut(ticket.index()) {
            *handed_in = moment;
        }
        Ok(())
    }

    /// Takes back what the disk is done with; says whether there was anything.
    fn take_what_is_done(&mut self) -> Result<bool, String> {
        let mut found = false;
        while let Some(done) = self.lane.queue.next_completion().map_err(|broken| broken.to_string())? {
            done.result.map_err(|error| alloc::format!("the disk failed: {error}"))?;
            let handed_in = self.handed_in.get(done.ticket.index()).copied().unwrap_or_default();
            let micros = u64::try_from(clock::since(handed_in).as_micros()).unwrap_or(u64::MAX);
            self.latency.record(micros);
            self.free.extend(done.payload.map(MappedBuffer::unmap));
            found = true;
        }
        Ok(found)
    }

    /// Asks for an interrupt, and sleeps until it comes. Asking ends with one more look: what is done already brings none.
    fn rest(&mut self, until: Duration) {
        let Lane { queue, interrupts, .. } = &mut self.lane;
        if *interrupts == Interrupts::None {
            core::hint::spin_loop();
        } else if queue.rearm() == Rearmed::Quiet {
            wait(until);
            queue.suppress_notifications();
        }
    }
}
