//! The blocking core: a transfer as requests that are in flight together.
//!
//! Spec: §5.2.6 Device Operation. Everything a device reads or writes is in the queue's own memory; the caller's bytes are copied.

use core::ops::Range;

use super::command::{APPENDED_BYTES, Command};
use super::limits::{DATA_SEGMENTS_MAX, OTHER_SEGMENTS};
use super::parts::Came;
use super::queue::{RequestQueue, portion};
use super::quick::EitherWay;
use super::request::{InFlight, Owner, RequestError};
use super::slots::RequestSlots;
use crate::hal::{Hal, Patience};
use crate::raw::{Payload, Tag};
use crate::ring::{Chain, Portion, Rearmed, RefusedReason, Used};
use crate::wire::block::SECTOR_BYTES;

/// The caller's bytes, as one sequence in several pieces.
pub(super) enum Data<'d, 'b> {
    /// None at all (flush).
    None,
    /// The device reads them.
    ToDevice(&'d [&'b [u8]]),
    /// The device writes them.
    FromDevice(&'d mut [&'b mut [u8]]),
}

/// One call: what it asks for, and the caller's bytes.
pub(super) struct Call<'d, 'b> {
    pub(super) command: Command,
    pub(super) data: Data<'d, 'b>,
}

/// What a device answered besides data: as it stands after the last request of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    /// Bytes of data that it wrote, as it says; no more than there is room for.
    pub(super) bytes: usize,
    /// Where an append was written.
    pub(super) appended: u64,
}

impl Data<'_, '_> {
    /// Length in bytes; saturating, so that no sum of borrowed slices looks small.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::ToDevice(pieces) => pieces.iter().map(|piece| piece.len()).fold(0, usize::saturating_add),
            Self::FromDevice(pieces) => pieces.iter().map(|piece| piece.len()).fold(0, usize::saturating_add),
        }
    }
}

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Runs a call to its end: every request done, the first failure, or the end of patience.
    ///
    /// After a failure no more requests go out, and those in flight are waited for.
    pub(super) fn run(
        &mut self,
        mut call: Call<'_, '_>,
        patience: &mut dyn Patience,
    ) -> Result<Answered, RequestError> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken.into());
        }
        self.calls += 1;
        let serial = self.calls;
        let bytes = call.data.bytes();
        let (mut sent, mut outstanding, mut all_sent) = (0usize, 0usize, false);
        let mut result = Ok(Answered::default());
        let goes_alone = self.shape.goes_alone(call.command);
        // A device that shows a completion and takes it back is looked at once more before the call waits, and not for ever. What it lets the call take is progress: after that the queue is
        // armed anew, for the device has passed what it was armed for.
        let mut looked_again = false;
        let mut out_of_patience = false;
        loop {
            while !all_sent && result.is_ok() && !out_of_patience && (outstanding == 0 || !goes_alone) {
                let Some(slot) = self.take_slot() else {
                    // All may be in the hands of those who have not looked after their completions yet.
                    if self.queue.in_flight() == 0 {
                        result = Err(RequestError::Full);
                    }
                    break;
                };
                let len =
                    (bytes - sent).min(self.limits.request_bytes).min(self.bytes_in_zone(call.command, sent));
                if let Err(refused) = self.send_portion(slot, serial, &call, sent, len) {
                    self.put_slot(slot);
                    if refused != RefusedReason::Full || self.queue.in_flight() == 0 {
                        result = Err(RequestError::Refused(refused));
                    }
                    break;
                }
                outstanding += 1;
                self.calls_out += 1;
                sent += len;
                all_sent = sent == bytes;
            }
            self.queue.publish();
            if outstanding == 0 && (all_sent || result.is_err()) {
                return result;
            }
            let used = self.take_either()?;
            looked_again &= used.is_none();
            match used {
                Some(EitherWay::Long(Used { payload: (Tag(request), _), written_len })) if matches!(request.owner, Owner::Call { serial: its, .. } if its == serial) =>
                {
                    outstanding -= 1;
                    self.calls_out = self.calls_out.saturating_sub(1);
                    result = result.and_then(|_| self.finish(&request, written_len, &mut call.data));
                    self.put_slot(request.slot);
                }
                // What of it goes on is published with the next round.
                Some(EitherWay::Short(completion)) => self.park(completion),
                Some(EitherWay::Long(other)) => {
                    if let Came::Done(completion) = self.complete(other) {
                        self.park(completion);
                    }
                }
                None if self.notified
                    && !looked_again
                    && !out_of_patience
                    && self.queue.rearm() == Rearmed::MoreWaiting =>
                {
                    looked_again = true;
                }
                None if out_of_patience => return Err(RequestError::TimedOut),
                // After the last wait there is one more look: a sleep may have ended with what was waited for.
                None => (out_of_patience, looked_again) = (!patience.keep_waiting(), false),
            }
        }
    }

    fn bytes_in_zone(&self, command: Command, sent: usize) -> usize {
        let command = command.further((sent / SECTOR_BYTES) as u64);
        usize::try_from(self.shape.bytes_in_zone(command)).unwrap_or(usize::MAX)
    }

    /// Writes one request and makes it available. If it is refused, its slot is still the caller's.
    fn send_portion(
        &mut self,
        slot: u16,
        serial: u64,
        call: &Call<'_, '_>,
        offset: usize,
        len: usize,
    ) -> Result<(), RefusedReason> {
        let command = call.command.further((offset / SECTOR_BYTES) as u64);
        let (header, status, expected_bytes) = self.fill(slot, command, call, offset, len)?;
        let (header, status) = ([header], [status]);
        let is_read = matches!(call.data, Data::FromDevice(_));
        let mut portions = Portions::default();
        self.describe(&mut portions, slot, len, header[0], status[0], is_read)?;
        let chain = if is_read {
            Chain { readable: &header, writable: portions.as_slice() }
        } else {
            Chain { readable: portions.as_slice(), writable: &status }
        };
        let request = InFlight { slot, command, expected_bytes, owner: Owner::Call { serial, offset, len } };
        self.make_available(chain, request, None).map_err(|(reason, _)| reason)
    }

    /// Writes a request's header and status, and copies what is to be written to the disk.
    fn fill(
        &mut self,
        slot: u16,
        command: Command,
        call: &Call<'_, '_>,
        offset: usize,
        len: usize,
    ) -> Result<(Portion, Portion, u32), RefusedReason> {
        let (header, status) = self.prepare(slot, command)?;
        let room = u32::try_from(len).map_err(|_| RefusedReason::TooLong)?;
        let expected_bytes = self.expected_bytes(command, room)?;
        if let Data::ToDevice(pieces) = &call.data {
            let (mut at, mut excerpt) = (self.slots.data(slot), Excerpt { skip: offset, left: len });
            for piece in pieces.iter().filter_map(|piece| piece.get(excerpt.within(piece.len()))) {
                self.write(at, piece)?;
                at += piece.len();
            }
        }
        Ok((header, status, expected_bytes))
    }

    /// The portions of a request that are its data and what is on the same side of it.
    fn describe(
        &self,
        portions: &mut Portions,
        slot: u16,
        len: usize,
        header: Portion,
        status: Portion,
        is_read: bool,
    ) -> Result<(), RefusedReason> {
        if !is_read {
            portions.push(header)?;
        }
        let data = self.slots.data(slot);
        for at in (0..len).step_by(self.limits.segment_bytes.max(1)) {
            portions.push(portion(data + at, (len - at).min(self.limits.segment_bytes))?)?;
        }
        if is_read { portions.push(status) } else { Ok(()) }
    }

    /// Looks at the status of a request that came back; copies what was read into the caller's pieces.
    fn finish(
        &self,
        request: &InFlight,
        written_len: u32,
        data: &mut Data<'_, '_>,
    ) -> Result<Answered, RequestError> {
        self.judge(request, written_len)?;
        let Owner::Call { offset, len, .. } = request.owner else { return Ok(Answered::default()) };
        if let Data::FromDevice(pieces) = data {
            let (mut at, mut excerpt) = (self.slots.data(request.slot), Excerpt { skip: offset, left: len });
            for piece in pieces.iter_mut().filter_map(|piece| piece.get_mut(excerpt.within(piece.len()))) {
                self.read(at, piece)?;
                at += piece.len();
            }
        }
        // The status counts only where it is next to the data: a device that fills less than there is room for does not count it (§2.7.8.2).
        let written = usize::try_from(written_len).unwrap_or(usize::MAX);
        Ok(Answered { bytes: written.min(len), appended: self.appended(request)? })
    }

    /// Where an append was written, as the device says; 0 for every other request.
    pub(super) fn appended(&self, request: &InFlight) -> Result<u64, RequestError> {
        let mut sector = [0; APPENDED_BYTES];
        if matches!(request.command, Command::Append(_)) {
            self.read(RequestSlots::<P>::appended(request.slot), &mut sector)?;
        }
        Ok(u64::from_le_bytes(sector))
    }
}

/// A range of a sequence that is in several pieces, while walking along them.
struct Excerpt {
    skip: usize,
    left: usize,
}

impl Excerpt {
    /// The part of the next piece, of `len` bytes, that is in the range.
    fn within(&mut self, len: usize) -> Range<usize> {
        let start = self.skip.min(len);
        let end = start + (len - start).min(self.left);
        self.skip -= start;
        self.left -= end - start;
        start..end
    }
}

/// A short list of portions: the longest request's.
#[derive(Default)]
struct Portions {
    portions: [Portion; (DATA_SEGMENTS_MAX + OTHER_SEGMENTS) as usize],
    count: usize,
}

impl Portions {
    fn push(&mut self, portion: Portion) -> Result<(), RefusedReason> {
        *self.portions.get_mut(self.count).ok_or(RefusedReason::TooLong)? = portion;
        self.count += 1;
        Ok(())
    }

    fn as_slice(&self) -> &[Portion] {
        self.portions.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Excerpt;

    #[test]
    fn an_excerpt_of_pieces_covers_its_range_once() {
        let mut excerpt = Excerpt { skip: 5, left: 7 };

        let ranges = [3, 4, 0, 4, 10].map(|len| excerpt.within(len));

        assert_eq!(ranges, [3..3, 2..4, 0..0, 0..4, 0..1]);
    }
}
