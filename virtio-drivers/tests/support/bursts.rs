//! A disk, a queue whose requests may go in frames, and what its user knows of them.
//!
//! Every ticket is written down: its place is nobody else's until its completion was taken, and it comes back once, with its own buffer.

use std::collections::BTreeMap;

use virtio_guest::device::block::{
    Access, Block, BurstFailed, Completion, Control, Failed, HANDLED, RequestError, RequestQueue, Sector,
    Settings, Storage, Ticket,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::Broken;
use virtio_model::pci::Builder;

use super::tasks::{Load, Pool, TaskBench};
use super::{Either, TestHal};

const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;

/// What a request carries: up to two segments.
pub type Segments = [Option<Load>; 2];
/// The queue.
pub type Queue = RequestQueue<'static, TestHal, Segments>;

/// What was asked for with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A read of so many sectors.
    Read(u64, usize),
    /// A write of so many sectors with this value.
    Write(u64, usize, u8),
}

/// What was asked for, and what became of it.
pub type Outcome = (Asked, Result<(), RequestError>);

/// The bench.
pub struct BurstBench {
    /// The disk, its function, and memory.
    pub bench: TaskBench,
    /// Pages of 512 bytes.
    pub pool: Pool,
    /// The control half.
    pub control: Control<'static, Either>,
    /// The queue.
    pub queue: Queue,
    /// By their places.
    pub out: BTreeMap<usize, (Ticket, Asked)>,
}

impl BurstBench {
    /// Every kind of ring that has frames, with these features beside. Under miri, which is slow, one of each layout.
    pub fn each(size: u16, features: u128) -> impl Iterator<Item = Self> {
        let rings = [RING_PACKED, EVENT_IDX, 0, EVENT_IDX | RING_PACKED];
        let rings = rings.into_iter().take(if cfg!(miri) { 2 } else { 4 });
        rings.map(move |ring| Self::offering(size, INDIRECT_DESC | ring | features))
    }

    /// A disk of 256 sectors that are filled with their number, and a queue of so many descriptors, with exactly these features.
    pub fn offering(size: u16, features: u128) -> Self {
        Self::on(TaskBench::new(features, move |builder: Builder| builder.queue_sizes(&[size])))
    }

    /// A driver for this one.
    pub fn on(bench: TaskBench) -> Self {
        let storage: &'static mut Storage<32, Segments> = Box::leak(Box::default());
        let settings = Settings {
            request_bytes: 512,
            data_segments: 2,
            notifications: true,
            drop_attempts: Attempts(5),
            ..Settings::default()
        };
        let (transport, wants) = (bench.open(2), Wants::features(HANDLED));
        let started =
            Block::start_with(transport, bench.hal.clone(), storage, &settings, wants, Attempts(10));
        let (control, queue) = started.unwrap().split();
        Self { pool: Pool::new(64, 512), bench, control, queue, out: BTreeMap::new() }
    }

    /// A buffer of so many pages.
    pub fn buffer(&self, pages: usize, fill: u8, direction: Direction) -> Segments {
        let mut segments = [const { None }; 2];
        for place in segments.iter_mut().take(pages) {
            *place = Some(MappedBuffer::map(&self.bench.hal, self.pool.take(fill), direction).unwrap());
        }
        segments
    }

    /// What is to be handed in for it.
    pub fn access(&self, asked: Asked) -> Access<Segments> {
        match asked {
            Asked::Read(from, pages) => {
                Access::Read { from: Sector(from), into: self.buffer(pages, 0xee, Direction::DeviceWritable) }
            }
            Asked::Write(to, pages, fill) => {
                Access::Write { to: Sector(to), from: self.buffer(pages, fill, Direction::DeviceReadable) }
            }
        }
    }

    /// Hands in a burst; says how much of it was accepted, why the next one was not, if there was a next one, and how many were not asked for.
    pub fn submit(&mut self, asked: &[Asked]) -> (usize, Option<RequestError>, usize) {
        let accesses: Vec<_> = asked.iter().map(|asked| self.access(*asked)).collect();
        let (submitted, error, left) = self.submit_accesses(accesses);
        for (ticket, asked) in submitted.iter().zip(asked) {
            self.note(*ticket, *asked);
        }
        (submitted.len(), error, left)
    }

    /// The same with buffers of the caller's; what is refused is dropped.
    pub fn submit_accesses(
        &mut self,
        accesses: Vec<Access<Segments>>,
    ) -> (Vec<Ticket>, Option<RequestError>, usize) {
        let (mut accesses, mut tickets) = (accesses.into_iter(), Vec::new());
        let outcome = self.queue.submit_burst(&mut accesses, |ticket| tickets.push(ticket));
        let (submitted, error) = match outcome {
            Ok(submitted) => (submitted, None),
            Err(BurstFailed { submitted, failed: Failed { error, payload } }) => {
                assert!(payload.is_some(), "what is refused comes back");
                (submitted, Some(error))
            }
        };
        assert_eq!(submitted, tickets.len());
        (tickets, error, accesses.len())
    }

    /// Writes a ticket down.
    pub fn note(&mut self, ticket: Ticket, asked: Asked) {
        assert!(ticket.index() < self.queue.requests(), "{ticket:?}");
        let other = self.out.insert(ticket.index(), (ticket, asked));
        assert_eq!(other, None, "{ticket:?} has the place of one whose completion was not taken");
    }

    /// Shows the disk what there is, and lets it work; says how much it did.
    pub fn serve(&mut self) -> usize {
        self.queue.publish();
        self.bench.disk.serve(&self.bench.device, &self.bench.hal.space)
    }

    /// Patience in which the disk works.
    pub fn working(&self) -> impl FnMut() -> bool + use<> {
        let (disk, device, memory) =
            (self.bench.disk.clone(), self.bench.device.clone(), self.bench.hal.space.clone());
        let mut times = 0;
        move || {
            disk.serve(&device, &memory);
            times += 1;
            times < 100
        }
    }

    /// Takes up to `limit` completions, each with what became of it.
    pub fn complete(&mut self, limit: usize) -> Result<Vec<Outcome>, Broken> {
        let mut all = Vec::new();
        let count = self.queue.complete_burst(limit, |done| all.push(done));
        assert!(all.len() <= limit);
        assert!(count.is_err() || count == Ok(all.len()));
        let all = all.into_iter().map(|done| self.take_note(done)).collect();
        count.map(|_| all)
    }

    /// Takes a completion for that of a ticket that is out.
    pub fn take_note(&mut self, done: Completion<Segments>) -> Outcome {
        let (ticket, asked) = self.out.remove(&done.ticket.index()).expect("each comes back once");
        assert_eq!((ticket, done.answer), (done.ticket, None));
        let segments = done.payload.expect("what was handed in").into_iter().flatten();
        let pages: Vec<_> = segments.map(MappedBuffer::unmap).collect();
        match asked {
            Asked::Read(from, sectors) => {
                assert_eq!(pages.len(), sectors);
                for (sector, page) in (from..).zip(&pages) {
                    let is_read = page.bytes() == self.bench.disk.sector(sector as usize);
                    assert!(is_read || done.result.is_err(), "sector {sector}");
                }
            }
            Asked::Write(_, sectors, fill) => {
                assert!(pages.len() == sectors && pages.iter().all(|page| page.bytes() == [fill; 512]));
            }
        }
        (asked, done.result)
    }

    /// Takes the driver down; says how much came back with that, each once.
    pub fn take_down(self) -> usize {
        let Self { bench, pool, control, queue, mut out } = self;
        let down = control.take_down(Attempts(10)).unwrap();
        let mut back = 0;
        for done in queue.reclaim(&down.reset).unwrap() {
            let (ticket, _) = out.remove(&done.ticket.index()).expect("each comes back once");
            assert_eq!(ticket, done.ticket);
            back += 1;
        }
        assert!(out.is_empty(), "lost: {out:?}");
        assert_eq!(pool.pages(), 64);
        bench.hal.assert_all_returned();
        back
    }

    /// The same where nothing is in flight, and nothing was wrong.
    pub fn finish(self) {
        let device = self.bench.device.clone();
        assert_eq!(self.queue.free_requests(), self.queue.requests());
        assert_eq!(self.take_down(), 0);
        device.assert_driver_was_correct();
    }
}
