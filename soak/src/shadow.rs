//! What the disk must hold: a mark for each sector, and which sectors somebody is at.
//!
//! A sector is filled with words that follow from its number and a mark; a few marks are for zeros, and for what was discarded or erased. So the copy of a whole disk is one number for each sector, and a sector that was read says by itself where
//! it belongs. Whoever writes has its sectors alone, and whoever reads keeps writers away, for requests in flight are done in any order. What a write left behind whose end nobody saw is
//! one of two marks; the next read says which.

use std::collections::BTreeMap;

use virtio_model::block;

use crate::errand::{Errand, Work};

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;

/// The mark of a sector of zeros.
const ZEROS: u64 = 0;
/// The marks of sectors that were discarded and erased. What they read as means nothing to a driver; the model fills them with bytes of its own, which say that it was asked.
const DISCARDED: u64 = u64::MAX;
const ERASED: u64 = u64::MAX - 1;

/// What a sector may hold: one of these.
type Marks = Vec<u64>;

/// The copy of a disk.
pub struct Shadow {
    known: Vec<u64>,
    /// Where it is not known what a sector holds: what it may be, instead.
    unsure: BTreeMap<u64, Marks>,
    /// Who is at each sector.
    guests: Vec<Guests>,
    next_mark: u64,
}

/// Who is at a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guests {
    Readers(u32),
    Writer,
}

/// The words of a sector with a mark.
fn words(mark: u64, sector: u64) -> impl Iterator<Item = u64> {
    let start = (mark ^ sector.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = move |index: u64| match mark {
        ZEROS => 0,
        DISCARDED => u64::from_le_bytes([block::DISCARDED; 8]),
        ERASED => u64::from_le_bytes([block::ERASED; 8]),
        _ => start.wrapping_add(index.wrapping_mul(mark | 1)),
    };
    (0..SECTOR_BYTES as u64 / 8).map(word)
}

fn holds(bytes: &[u8], mark: u64, sector: u64) -> bool {
    let (chunks, rest) = bytes.as_chunks::<8>();
    rest.is_empty()
        && chunks.iter().zip(words(mark, sector)).all(|(chunk, word)| *chunk == word.to_le_bytes())
}

/// What sectors hold after this was done with them, if it changes them.
const fn mark_of(work: Work) -> Option<u64> {
    match work {
        Work::Read | Work::Flush => None,
        Work::Write(mark) => Some(mark),
        Work::WriteZeroes(_) => Some(ZEROS),
        Work::Discard => Some(DISCARDED),
        Work::SecureErase => Some(ERASED),
    }
}

impl Shadow {
    /// Of a disk of zeros.
    pub fn new(sectors: u64) -> Self {
        let count = usize::try_from(sectors).expect("a disk that fits into memory");
        Self {
            known: vec![ZEROS; count],
            unsure: BTreeMap::new(),
            guests: vec![Guests::Readers(0); count],
            next_mark: 1,
        }
    }

    /// The disk has so many sectors from now on. New ones are zeros; nobody is at those that go.
    pub fn resize(&mut self, sectors: u64) {
        let count = usize::try_from(sectors).expect("a disk that fits into memory");
        self.known.resize(count, ZEROS);
        self.guests.resize(count, Guests::Readers(0));
        self.unsure.retain(|sector, _| *sector < sectors);
    }

    /// A mark that nothing was written with before.
    pub fn new_mark(&mut self) -> u64 {
        self.next_mark += 1;
        self.next_mark
    }

    /// Sets out on an errand; false if somebody is at one of its sectors who would mind.
    pub fn set_out(&mut self, errand: &Errand) -> bool {
        let writes = errand.writes();
        let Some(guests) = self.guests.get_mut(errand.range()) else { return false };
        let is_free = |guests: &Guests| match guests {
            Guests::Readers(readers) => !writes || *readers == 0,
            Guests::Writer => false,
        };
        if !guests.iter().all(is_free) {
            return false;
        }
        for guests in guests {
            *guests = match *guests {
                Guests::Readers(readers) if !writes => Guests::Readers(readers + 1),
                _ => Guests::Writer,
            };
        }
        true
    }

    fn leave(&mut self, errand: &Errand) {
        for guests in &mut self.guests[errand.range()] {
            *guests = match *guests {
                Guests::Readers(readers) => Guests::Readers(readers - 1),
                Guests::Writer => Guests::Readers(0),
            };
        }
    }

    /// An errand that succeeded. `bytes` is what was read.
    ///
    /// # Panics
    /// If a sector is not what it must be.
    pub fn succeeded(&mut self, errand: &Errand, bytes: &[u8]) {
        self.leave(errand);
        for (index, sector) in errand.sectors_of().enumerate() {
            match mark_of(errand.work) {
                Some(mark) => self.set(sector, mark),
                None => self.compare(sector, &bytes[index * SECTOR_BYTES..][..SECTOR_BYTES]),
            }
        }
    }

    /// An errand that was not even tried.
    pub fn not_done(&mut self, errand: &Errand) {
        self.leave(errand);
    }

    /// An errand that is over, and nobody knows whether it succeeded.
    pub fn lost(&mut self, errand: &Errand) {
        self.leave(errand);
        let Some(mark) = mark_of(errand.work) else { return };
        for sector in errand.sectors_of() {
            self.may_be(sector, mark);
        }
    }

    fn set(&mut self, sector: u64, mark: u64) {
        self.unsure.remove(&sector);
        self.known[usize::try_from(sector).expect("a sector of the disk")] = mark;
    }

    /// A sector is what it was, or this.
    fn may_be(&mut self, sector: u64, mark: u64) {
        let known = self.known[usize::try_from(sector).expect("a sector of the disk")];
        let marks = self.unsure.entry(sector).or_insert_with(|| vec![known]);
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }

    fn compare(&mut self, sector: u64, bytes: &[u8]) {
        let known = [self.known[usize::try_from(sector).expect("a sector of the disk")]];
        let marks = self.unsure.get(&sector).map_or(&known[..], Vec::as_slice);
        let found = marks.iter().copied().find(|mark| holds(bytes, *mark, sector));
        let found = found.unwrap_or_else(|| {
            panic!(
                "sector {sector} is to hold one of the marks {marks:?}, and begins with {:02x?}",
                &bytes[..32]
            )
        });
        self.set(sector, found);
    }

    /// Nobody is at any sector.
    ///
    /// # Panics
    /// If somebody is.
    pub fn assert_nobody_is_out(&self) {
        let somebody = self.guests.iter().position(|guests| *guests != Guests::Readers(0));
        assert_eq!(somebody, None, "the first sector that somebody is still at");
    }

    /// The whole disk is what it must be.
    ///
    /// # Panics
    /// If a sector is not.
    pub fn compare_all(&mut self, contents: &[u8]) {
        for (sector, bytes) in (0..).zip(contents.chunks_exact(SECTOR_BYTES)) {
            self.compare(sector, bytes);
        }
    }
}

/// Fills a buffer with what is to be written.
pub fn fill(errand: &Errand, bytes: &mut [u8]) {
    let Work::Write(mark) = errand.work else { return };
    for (sector, bytes) in errand.sectors_of().zip(bytes.chunks_exact_mut(SECTOR_BYTES)) {
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words(mark, sector)) {
            *chunk = word.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(work: Work) -> Errand {
        Errand { work, first: 3, sectors: 2 }
    }

    fn bytes(work: Work) -> Vec<u8> {
        let mut bytes = vec![0; 2 * SECTOR_BYTES];
        fill(&errand(work), &mut bytes);
        bytes
    }

    fn read(shadow: &mut Shadow, bytes: &[u8]) {
        assert!(shadow.set_out(&errand(Work::Read)));
        shadow.succeeded(&errand(Work::Read), bytes);
    }

    fn is_refused(shadow: &mut Shadow, bytes: &[u8]) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(shadow, bytes))).is_err()
    }

    #[test]
    fn a_read_that_brings_something_else_than_what_was_written_is_noticed() {
        let mut shadow = Shadow::new(8);
        let written = errand(Work::Write(7));
        assert!(shadow.set_out(&written));
        shadow.succeeded(&written, &[]);

        read(&mut shadow, &bytes(Work::Write(7)));

        let mut one_bit_wrong = bytes(Work::Write(7));
        one_bit_wrong[SECTOR_BYTES + 300] ^= 4;
        for wrong in [bytes(Work::Write(8)), vec![0; 2 * SECTOR_BYTES], one_bit_wrong] {
            assert!(is_refused(&mut shadow, &wrong));
        }
    }

    #[test]
    fn what_a_lost_write_left_behind_is_old_or_new_and_stays_what_it_was_found_to_be() {
        for found in [Work::Write(7), Work::Write(9)] {
            let mut shadow = Shadow::new(8);
            for (mark, is_seen) in [(7, true), (9, false)] {
                let written = errand(Work::Write(mark));
                assert!(shadow.set_out(&written));
                if is_seen { shadow.succeeded(&written, &[]) } else { shadow.lost(&written) }
            }

            read(&mut shadow, &bytes(found));

            for other in [Work::Write(7), Work::Write(9)] {
                assert_eq!(is_refused(&mut shadow, &bytes(other)), bytes(other) != bytes(found));
            }
        }
    }

    #[test]
    fn writers_are_alone_and_readers_are_not() {
        let mut shadow = Shadow::new(8);
        assert!(shadow.set_out(&errand(Work::Read)) && shadow.set_out(&errand(Work::Read)));
        assert!(!shadow.set_out(&errand(Work::Write(2))));
        shadow.not_done(&errand(Work::Read));
        shadow.not_done(&errand(Work::Read));

        assert!(shadow.set_out(&errand(Work::Write(2))));

        assert!(!shadow.set_out(&errand(Work::Read)) && !shadow.set_out(&errand(Work::Write(3))));
        shadow.lost(&errand(Work::Write(2)));
        shadow.assert_nobody_is_out();
    }
}
