//! Frames with numbers, and what has come of them.
//!
//! ```text
//!   0            6       12     14         22       30
//!   │ destination │ source │ 88b5 │ virtio-u │ number │ filled with what the number and the place say │
//! ```

use virtio_guest::device::net::{Frame, FrameSupply, MacAddress};
use virtio_user::memory::SharedHal;

/// For experiments (IEEE 802).
const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];
const MARK: &[u8; 8] = b"virtio-u";
/// Bytes before the filling: the shortest frame.
pub const HEAD_BYTES: usize = 30;
/// The longest frame.
pub const BYTES_MAX: usize = 1514;

/// What stands where, behind the number.
#[allow(clippy::cast_possible_truncation, reason = "its lowest byte")]
const fn filling(number: u64, place: usize) -> u8 {
    (number as u8).wrapping_add(place as u8)
}

/// Makes such frames, all of one length.
#[derive(Debug)]
pub struct Maker {
    bytes: Vec<u8>,
}

impl Maker {
    pub fn new(from: MacAddress, to: MacAddress, bytes: usize) -> Self {
        let mut frame = [&to[..], &from, &ETHER_TYPE, MARK].concat();
        frame.resize(bytes.clamp(HEAD_BYTES, BYTES_MAX), 0);
        Self { bytes: frame }
    }

    /// The frame with this number, unless all are out.
    pub fn make<'p>(
        &mut self,
        number: u64,
        supply: &mut FrameSupply<'p, SharedHal>,
    ) -> Option<Frame<'p, SharedHal>> {
        let mut frame = supply.frame()?;
        let (head, rest) = self.bytes.split_at_mut_checked(HEAD_BYTES)?;
        head.get_mut(HEAD_BYTES - 8..)?.copy_from_slice(&number.to_be_bytes());
        for (place, byte) in rest.iter_mut().enumerate() {
            *byte = filling(number, place);
        }
        frame.append(&self.bytes).ok()?;
        Some(frame)
    }
}

/// What has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames, of whatever kind.
    pub frames: u64,
    /// Those with numbers.
    pub numbered: u64,
    /// Numbers that were left out, from the first one on.
    pub missing: u64,
    /// Numbers that came when a later one, or the same, was there before.
    pub late: u64,
    /// Frames with a number that are not what was made.
    pub wrong: u64,
    next: u64,
}

impl Tally {
    /// Another one. `room` is for its bytes.
    pub fn add(&mut self, frame: &Frame<'_, SharedHal>, room: &mut [u8; BYTES_MAX]) {
        self.frames += 1;
        let Some(bytes) = room.get_mut(..frame.len()) else { return };
        if frame.read(0, bytes).is_ok() {
            self.look(bytes);
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else { return };
        let (Some(mark), Some(number)) = (head.get(12..22), head.last_chunk::<8>()) else { return };
        if mark.split_at(2) != (&ETHER_TYPE, MARK) {
            return;
        }
        let number = u64::from_be_bytes(*number);
        self.numbered += 1;
        self.wrong += u64::from(rest.iter().enumerate().any(|(place, byte)| *byte != filling(number, place)));
        match number.checked_sub(self.next) {
            Some(missing) => {
                // What came before the first one that is seen here is not missing.
                self.missing += if self.numbered > 1 { missing } else { 0 };
                self.next = number + 1;
            }
            None => self.late += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Vec<u8> {
        let mut frame = [&[0; 12][..], &ETHER_TYPE, MARK, &number.to_be_bytes()].concat();
        frame.extend((0..34).map(|place| filling(number, place)));
        frame
    }

    #[test]
    fn what_is_missing_late_or_wrong_is_counted() {
        let mut tally = Tally::default();
        for number in [5, 6, 9, 10, 9] {
            tally.look(&frame(number));
        }
        let mut wrong = frame(11);
        wrong[40] ^= 1;
        tally.look(&wrong);
        tally.look(&[0; 64]);

        let Tally { numbered, missing, late, wrong, .. } = tally;
        assert_eq!((numbered, missing, late, wrong), (6, 2, 1, 1));
    }
}
