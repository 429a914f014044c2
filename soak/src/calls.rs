//! Blocking calls: borrowed slices, of any length, beside what bursts have in flight on the same queue.

use virtio_guest::device::block::RequestError;

use crate::errand::Work;
use crate::life::Life;
use crate::shadow::{SECTOR_BYTES, fill};

/// Most sectors of a call, which takes several requests then.
const CALL_SECTORS_MAX: u64 = 40;

impl Life<'_, '_> {
    /// Makes a call. The disk works while it waits; some calls have no patience for that.
    pub(crate) fn call(&mut self) {
        let Some(errand) = self.set_out(CALL_SECTORS_MAX) else { return };
        let mut bytes = vec![0; usize::try_from(errand.sectors).expect("few") * SECTOR_BYTES];
        fill(&errand, &mut bytes);
        let looks = if self.random.u32(0..10) == 0 { self.random.u32(1..4) } else { u32::MAX };
        let (bench, random) = (self.bench, &mut self.random);
        let mut left = looks;
        let patience = || {
            let requests = random.usize(0..8);
            bench.work(random, requests);
            left -= 1;
            left > 0
        };
        let queue = self.queue.as_mut().expect("it is up");
        let result = match errand.work {
            Work::Read => queue.read_blocking(errand.sector(), &mut bytes, patience),
            Work::Write(_) => queue.write_blocking(errand.sector(), &bytes, patience),
            Work::Flush => queue.flush_blocking(patience),
            Work::Discard => queue.discard_blocking(errand.sector_range(), patience),
            Work::WriteZeroes(unmap) => queue.write_zeroes_blocking(errand.sector_range(), unmap, patience),
            Work::SecureErase => queue.secure_erase_blocking(errand.sector_range(), patience),
        };
        self.tally.blocking += 1;
        match result {
            Ok(()) => self.succeeded(&errand, &bytes),
            // What it sent is still in flight.
            Err(RequestError::TimedOut) if looks < u32::MAX => self.stranded.push(errand),
            // All places are taken by requests whose completions nobody took yet.
            Err(RequestError::Full) => self.lost(&errand),
            Err(error) => self.failed(&errand, error),
        }
    }
}
