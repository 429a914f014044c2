//! Bursts: requests that own their buffers, many with one notification, each told by its ticket.

use virtio_guest::device::block::{Completion, RangeLimits, RequestError, Ticket};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;

use crate::bench::{Load, RANGES_MAX};
use crate::errand::{Errand, Work, range_limits};
use crate::life::Life;
use crate::shadow::{SECTOR_BYTES, fill};

/// A request in flight.
struct Sent {
    ticket: Ticket,
    /// The how manieth it was.
    number: u64,
    /// What it does, if it has no page that says so.
    plain: Option<Errand>,
}

/// What is known of the requests in flight.
#[derive(Default)]
pub struct Bursts {
    /// How many are to be in flight.
    pub depth: usize,
    /// How many are.
    pub in_flight: usize,
    /// Each at its ticket's index.
    sent: Vec<Option<Sent>>,
    count: u64,
    /// The latest of those that came back.
    latest_back: u64,
}

impl Life<'_, '_> {
    /// Sends a few requests, up to as many as are to be in flight.
    pub(crate) fn send_burst(&mut self) {
        for _ in 0..self.random.usize(1..=16) {
            if self.bursts.in_flight >= self.bursts.depth {
                break;
            }
            let Some(errand) = self.set_out_with_a_page() else { continue };
            self.send(errand);
        }
        self.queue.as_mut().expect("it is up").publish();
    }

    fn send(&mut self, errand: Errand) {
        let queue = self.queue.as_mut().expect("it is up");
        let bytes = usize::try_from(errand.sectors).expect("few") * SECTOR_BYTES;
        let sent = match errand.work {
            Work::Read | Work::Write(_) => {
                let mut page = self.pages.take(errand, bytes);
                fill(&errand, page.bytes());
                let direction =
                    if errand.writes() { Direction::DeviceReadable } else { Direction::DeviceWritable };
                let load = MappedBuffer::map(&self.bench.hal, page, direction);
                let load = load.unwrap_or_else(|refused| panic!("{refused}"));
                if errand.writes() {
                    queue.submit_write(errand.sector(), load)
                } else {
                    queue.submit_read(errand.sector(), load)
                }
                .map(Some)
                .map_err(|failed| (failed.error, failed.payload))
            }
            Work::Flush => queue.submit_flush().map_err(|error| (error, None)),
            Work::Discard | Work::WriteZeroes(_) | Work::SecureErase => {
                let limits = range_limits(errand.work, &self.shape).expect("the disk can do it");
                let ranges_max = limits.ranges_max.min(RANGES_MAX);
                let pieces = errand.pieces(&mut self.random, RangeLimits { ranges_max, ..limits });
                let Some(pieces) = pieces else { return self.shadow.not_done(&errand) };
                match errand.work {
                    Work::Discard => queue.submit_discard(&pieces),
                    Work::WriteZeroes(unmap) => queue.submit_write_zeroes(&pieces, unmap),
                    _ => queue.submit_secure_erase(&pieces),
                }
                .map(Some)
                .map_err(|error| (error, None))
            }
        };
        match sent {
            Ok(Some(ticket)) => self.note(ticket, errand),
            // A disk without a cache is not asked.
            Ok(None) => self.succeeded(&errand, &[]),
            Err((RequestError::Full, load)) => {
                if let Some(load) = load {
                    load.unmap().end_errand();
                }
                self.shadow.not_done(&errand);
            }
            Err((error, _)) => panic!("{errand:?} was refused: {error}"),
        }
    }

    fn note(&mut self, ticket: Ticket, errand: Errand) {
        let Bursts { in_flight, sent, count, .. } = &mut self.bursts;
        *in_flight += 1;
        *count += 1;
        if sent.len() <= ticket.index() {
            sent.resize_with(ticket.index() + 1, || None);
        }
        let plain = (!errand.has_buffer()).then_some(errand);
        let before = sent[ticket.index()].replace(Sent { ticket, number: *count, plain });
        assert!(before.is_none(), "two requests in flight have one index");
    }

    /// Takes what the disk is done with; now and then asks for an interrupt as well.
    pub(crate) fn take_bursts(&mut self) {
        while let Some(done) =
            self.queue.as_mut().expect("it is up").next_completion().expect("an honest disk")
        {
            self.end_of_burst(done);
        }
        if self.random.u32(0..4) == 0 {
            let _ = self.queue.as_mut().expect("it is up").rearm();
        }
    }

    /// A request came back: as the one that it is, once, with its own page.
    pub(crate) fn end_of_burst(&mut self, done: Completion<Load>) {
        let Bursts { in_flight, sent, latest_back, .. } = &mut self.bursts;
        let found = sent.get_mut(done.ticket.index()).and_then(Option::take);
        let Sent { ticket, number, plain } = found.expect("a request in flight");
        assert_eq!(ticket, done.ticket, "its own ticket");
        *in_flight -= 1;
        self.tally.overtaken += u64::from(number < *latest_back);
        *latest_back = number.max(*latest_back);
        self.tally.bursts += 1;
        let mut page = done.payload.map(MappedBuffer::unmap);
        assert_ne!(page.is_some(), plain.is_some(), "a page, or none");
        let errand = page.as_mut().map(crate::page::Page::end_errand).or(plain).expect("one of both");
        let bytes = page.as_mut().map_or(&mut [][..], |page| page.bytes());
        match done.result {
            Ok(()) => self.succeeded(&errand, bytes),
            Err(error) => self.failed(&errand, error),
        }
    }

    /// An operation succeeded, and what it read is right.
    pub(crate) fn succeeded(&mut self, errand: &Errand, bytes: &[u8]) {
        self.shadow.succeeded(errand, bytes);
        match errand.work {
            Work::Read => self.tally.reads += 1,
            Work::Write(_) => self.tally.writes += 1,
            Work::Flush => self.tally.flushes += 1,
            Work::Discard | Work::WriteZeroes(_) | Work::SecureErase => self.tally.ranges += 1,
        }
    }

    /// An operation failed, for a reason that there is.
    pub(crate) fn failed(&mut self, errand: &Errand, error: RequestError) {
        match error {
            RequestError::Reset => self.lost(errand),
            RequestError::Device if self.failures > 0 => {
                self.failures -= 1;
                // Parts of it may have succeeded.
                self.shadow.lost(errand);
                self.tally.failed += 1;
            }
            error => panic!("{errand:?} failed: {error}"),
        }
    }

    /// An operation is over, and nobody knows whether it succeeded.
    pub(crate) fn lost(&mut self, errand: &Errand) {
        self.shadow.lost(errand);
        self.tally.given_up += 1;
    }
}
