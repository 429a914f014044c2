//! The blocking core: a transfer as requests that are in flight together.
//!
//! Spec: §5.2.6 Device Operation. Everything a device reads or writes is in the queue's own memory; the caller's bytes are copied.

use core::ops::Range;

use zerocopy::IntoBytes;

use super::driver::Live;
use super::limits::{DATA_SEGMENTS_MAX, OTHER_SEGMENTS};
use super::request::{Request, RequestError, outcome};
use super::slots::RequestSlots;
use crate::hal::{Hal, Patience};
use crate::raw::{OutOfBounds, Tag};
use crate::ring::{Chain, Portion, Rearmed, RefusedReason, Used};
use crate::transport::Transport;
use crate::wire::block::{REQUEST_HEADER_BYTES, RequestHeader, SECTOR_BYTES, request_status};
use crate::wire::features::CommonFeatures;

/// The caller's bytes, as one sequence in several pieces.
pub(super) enum Data<'d, 'b> {
    /// None at all (flush).
    None,
    /// The device reads them.
    ToDevice(&'d [&'b [u8]]),
    /// The device writes them.
    FromDevice(&'d mut [&'b mut [u8]]),
}

/// One call: a request type, a position, the caller's bytes.
pub(super) struct Call<'d, 'b> {
    pub(super) request_type: u32,
    pub(super) sector: u64,
    pub(super) data: Data<'d, 'b>,
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

impl<T: Transport, H: Hal> Live<'_, T, H> {
    /// Runs a call to its end: every request done, the first failure, or the end of patience.
    ///
    /// After a failure no more requests go out, and those in flight are waited for.
    pub(super) fn run(
        &mut self,
        mut call: Call<'_, '_>,
        patience: &mut dyn Patience,
    ) -> Result<(), RequestError> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken.into());
        }
        self.calls += 1;
        let serial = self.calls;
        let bytes = call.data.bytes();
        let (mut sent, mut outstanding, mut all_sent) = (0usize, 0usize, false);
        let mut result = Ok(());
        // A device that shows a completion and takes it back is looked at once more before the call waits, and not for ever.
        let mut looked_again = false;
        let mut out_of_patience = false;
        loop {
            while !all_sent && result.is_ok() && !out_of_patience {
                let Some(slot) = self.slots.take() else { break };
                let len = (bytes - sent).min(self.limits.request_bytes);
                if let Err(refused) = self.submit(slot, serial, &call, sent, len) {
                    self.slots.put(slot);
                    if refused != RefusedReason::Full || self.queue.in_flight() == 0 {
                        result = Err(RequestError::Refused(refused));
                    }
                    break;
                }
                outstanding += 1;
                sent += len;
                all_sent = sent == bytes;
            }
            self.queue.publish();
            if outstanding == 0 && (all_sent || result.is_err()) {
                return result;
            }
            match self.queue.take_used()? {
                Some(used) if used.payload.0.call == serial => {
                    outstanding -= 1;
                    result = result.and(self.finish(&used, &mut call.data));
                    self.slots.put(used.payload.0.slot);
                }
                Some(left_behind) => self.slots.put(left_behind.payload.0.slot),
                None if self.notified
                    && !looked_again
                    && !out_of_patience
                    && self.queue.rearm() == Rearmed::MoreWaiting =>
                {
                    looked_again = true;
                }
                None if out_of_patience => return Err(self.out_of_patience()),
                // After the last wait there is one more look: a sleep may have ended with what was waited for.
                None => (out_of_patience, looked_again) = (!patience.keep_waiting(), false),
            }
        }
    }

    /// Writes one request and makes it available.
    fn submit(
        &mut self,
        slot: u16,
        serial: u64,
        call: &Call<'_, '_>,
        offset: usize,
        len: usize,
    ) -> Result<(), RefusedReason> {
        let sector = call.sector + (offset / SECTOR_BYTES) as u64;
        let header = RequestHeader {
            request_type: call.request_type.into(),
            reserved: 0.into(),
            sector: sector.into(),
        };
        self.write(RequestSlots::header(slot), header.as_bytes())?;
        self.write(RequestSlots::status(slot), &[request_status::NOT_WRITTEN])?;
        if let Data::ToDevice(pieces) = &call.data {
            let (mut at, mut window) = (self.slots.data(slot), Window { skip: offset, left: len });
            for piece in pieces.iter().filter_map(|piece| piece.get(window.within(piece.len()))) {
                self.write(at, piece)?;
                at += piece.len();
            }
        }

        let is_read = matches!(call.data, Data::FromDevice(_));
        let header = [portion(RequestSlots::header(slot), REQUEST_HEADER_BYTES)?];
        let status = [portion(RequestSlots::status(slot), 1)?];
        let mut portions = Portions::default();
        if !is_read {
            portions.push(header[0])?;
        }
        let data = self.slots.data(slot);
        for at in (0..len).step_by(self.limits.segment_bytes.max(1)) {
            portions.push(portion(data + at, (len - at).min(self.limits.segment_bytes))?)?;
        }
        let chain = if is_read {
            portions.push(status[0])?;
            Chain { readable: &header, writable: portions.as_slice() }
        } else {
            Chain { readable: portions.as_slice(), writable: &status }
        };
        // What devices of before version 1 say that they wrote is often wrong, and better ignored (§2.7.8.1). The status tells.
        let length_counts = self.device.features().common.contains(CommonFeatures::VERSION_1);
        let expected_bytes = if is_read && length_counts {
            u32::try_from(len + 1).map_err(|_| RefusedReason::TooLong)?
        } else {
            0
        };
        let request = Request { slot, call: serial, offset, len, expected_bytes };
        self.queue.make_available(chain, Tag(request)).map_err(|refused| refused.reason)
    }

    /// Looks at the status of a request that came back; copies what was read into the caller's pieces.
    fn finish(&self, used: &Used<Tag<Request>>, data: &mut Data<'_, '_>) -> Result<(), RequestError> {
        let Used { payload: Tag(request), written_len } = used;
        let mut status = [request_status::NOT_WRITTEN];
        self.read(RequestSlots::status(request.slot), &mut status)?;
        outcome(status[0], *written_len, request.expected_bytes)?;
        if let Data::FromDevice(pieces) = data {
            let (mut at, mut window) =
                (self.slots.data(request.slot), Window { skip: request.offset, left: request.len });
            for piece in pieces.iter_mut().filter_map(|piece| piece.get_mut(window.within(piece.len()))) {
                self.read(at, piece)?;
                at += piece.len();
            }
        }
        Ok(())
    }

    /// What a wait that got nowhere comes to: the device may have said why.
    fn out_of_patience(&self) -> RequestError {
        if self.device.is_removed() {
            RequestError::Removed
        } else if self.device.needs_reset() {
            RequestError::NeedsReset
        } else {
            RequestError::TimedOut
        }
    }

    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), RefusedReason> {
        self.queue.write_memory(offset, from).map_err(|OutOfBounds| RefusedReason::BadPortion)
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), RequestError> {
        self.queue
            .read_memory(offset, into)
            .map_err(|OutOfBounds| RequestError::Refused(RefusedReason::BadPortion))
    }
}

/// A range of a sequence that is in several pieces, while walking along them.
struct Window {
    skip: usize,
    left: usize,
}

impl Window {
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

fn portion(offset: usize, len: usize) -> Result<Portion, RefusedReason> {
    match (u32::try_from(offset), u32::try_from(len)) {
        (Ok(offset), Ok(len)) => Ok(Portion { offset, len }),
        _ => Err(RefusedReason::BadPortion),
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn a_window_over_pieces_covers_its_range_once() {
        let mut window = Window { skip: 5, left: 7 };

        let ranges = [3, 4, 0, 4, 10].map(|len| window.within(len));

        assert_eq!(ranges, [3..3, 2..4, 0..0, 0..4, 0..1]);
    }
}
