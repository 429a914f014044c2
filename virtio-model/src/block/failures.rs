//! Requests that fail because a test says so.
//!
//! Spec: §5.2.6 Device Operation, the status byte. Such a request does nothing, and moves no data.

use super::request::Request;

/// Which requests fail, and with which status.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Requests taken so far.
    taken: u64,
    by_number: Vec<(u64, u8)>,
    by_sector: Vec<(u64, u8)>,
}

impl Failures {
    /// Counts a request, and tells its number.
    pub(super) fn count(&mut self) -> u64 {
        self.taken += 1;
        self.taken
    }

    /// Has the `nth` request from now on fail; 1 is the next one.
    pub(super) fn add_nth(&mut self, nth: u64, status: u8) {
        self.by_number.push((self.taken.saturating_add(nth), status));
    }

    pub(super) fn add_sector(&mut self, sector: u64, status: u8) {
        self.by_sector.push((sector, status));
    }

    pub(super) fn clear(&mut self) {
        self.by_number.clear();
        self.by_sector.clear();
    }

    /// The status that the request of this number fails with, if it does.
    pub(super) fn of(&self, number: u64, request: &Request) -> Option<u8> {
        let by_number = self.by_number.iter().find(|(which, _)| *which == number);
        let spans = request.spans();
        let is_hit = |sector: &u64| spans.iter().any(|span| span.contains(sector));
        let by_sector = || self.by_sector.iter().find(|(sector, _)| is_hit(sector));
        by_number.or_else(by_sector).map(|(_, status)| *status)
    }
}
