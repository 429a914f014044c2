//! Requests that own their buffers: sent, part by part where one request is too small for the buffer, and judged when they are back.
//!
//! Spec: §5.2.6 Device Operation, §5.2.4 (`size_max`, `seg_max`). A part is sent when the one before is done, in the same slot and with the same ticket; the buffer stays in the queue.

use super::command::Command;
use super::completion::{Answer, Completion, Ticket};
use super::queue::{RequestQueue, portion};
use super::report::{DeviceId, Lifetime};
use super::request::{InFlight, Owner, RequestError, Sector};
use super::slots::LongLoad;
use crate::hal::Hal;
use crate::raw::{Fit, Payload, Tag, Window};
use crate::ring::{Chain, Portion, RefusedReason, Used};
use crate::wire::block::{DEVICE_ID_BYTES, LIFETIME_BYTES, RANGE_BYTES, SECTOR_BYTES};

/// What a request is that came back.
pub(super) enum Came<P> {
    /// Somebody's, and done.
    Done(Completion<P>),
    /// Somebody's, and its next part was made available.
    GoesOn,
    /// Nobody's: what a blocking call left behind. Its slot is free again.
    Left,
}

/// A request on its way into the queue.
pub(super) struct Outgoing<P> {
    pub(super) slot: u16,
    pub(super) serial: u32,
    pub(super) command: Command,
    /// Ranges that were written into its slot.
    pub(super) ranges: usize,
    pub(super) window: Option<Window<P>>,
}

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Shows the next part of a request's buffer; says how many bytes that is, none if there is none.
    pub(super) fn next_part(&self, command: Command, window: &mut Window<P>) -> u64 {
        let done = window.end();
        let command = command.further(done / SECTOR_BYTES as u64);
        let fit = self.limits.fit();
        let granule = self.shape.granule(command, fit.granule);
        let bytes_max = fit.bytes_max.min(self.shape.bytes_in_zone(command));
        window.advance(Fit { granule, bytes_max, ..fit })
    }

    /// Makes a request available, as far as its window shows its buffer.
    pub(super) fn send_part(
        &mut self,
        outgoing: Outgoing<P>,
        part_bytes: u64,
    ) -> Result<(), (RefusedReason, Option<Window<P>>)> {
        let Outgoing { slot, serial, command, ranges, window } = outgoing;
        let start = window.as_ref().map_or(0, Window::start);
        let described =
            self.describe_part(slot, command.further(start / SECTOR_BYTES as u64), ranges, part_bytes);
        let (readable, writable, expected_bytes) = match described {
            Ok(described) => described,
            Err(reason) => return Err((reason, window)),
        };
        let request = InFlight { slot, command, expected_bytes, owner: Owner::Ticket { serial } };
        let chain = Chain { readable: readable.as_slice(), writable: writable.as_slice() };
        self.make_available(chain, request, window)
    }

    /// The portions of a request that are in its slot, and how many bytes the device is to write.
    fn describe_part(
        &mut self,
        slot: u16,
        command: Command,
        ranges: usize,
        part_bytes: u64,
    ) -> Result<(Pair, Pair, u32), RefusedReason> {
        let (header, status) = self.prepare(slot, command)?;
        let room = u32::try_from(part_bytes).map_err(|_| RefusedReason::TooLong)?;
        let expected_bytes = self.expected_bytes(command, room)?;
        let data = |bytes| (bytes > 0).then(|| portion(self.slots.data(slot), bytes)).transpose();
        let (ranges, answer) = (data(ranges * RANGE_BYTES)?, data(command.own_answer_bytes())?);
        let readable = ranges.map_or(Pair::One([header]), |ranges| Pair::Two([header, ranges]));
        let writable = answer.map_or(Pair::One([status]), |answer| Pair::Two([answer, status]));
        Ok((readable, writable, expected_bytes))
    }

    /// A request that came back.
    pub(super) fn complete(&mut self, used: Used<LongLoad<P>>) -> Came<P> {
        let Used { payload: (Tag(request), mut window), written_len } = used;
        let InFlight { slot, command, .. } = request;
        let Owner::Ticket { serial } = request.owner else {
            self.put_slot(slot);
            self.calls_out = self.calls_out.saturating_sub(1);
            return Came::Left;
        };
        let room = window.as_ref().map_or(0, Window::end);
        let mut result = self
            .judge(&request, written_len)
            .and_then(|()| self.answer(&request, room.min(written_len.into())));
        if result.is_ok()
            && command.can_be_split()
            && let Some(rest) = window.take()
        {
            match self.send_next_part(slot, serial, command, rest) {
                Ok(()) => return Came::GoesOn,
                Err((why, rest)) => {
                    window = rest;
                    result = why.map_or(result, Err);
                }
            }
        }
        Came::Done(Completion {
            ticket: Ticket { slot, serial },
            payload: window.map(Window::into_payload),
            answer: result.unwrap_or(None),
            result: result.map(|_| ()),
        })
    }

    /// Makes the next part of a request available. If there is none, what it carries comes back; and the reason, unless everything is transferred.
    fn send_next_part(
        &mut self,
        slot: u16,
        serial: u32,
        command: Command,
        mut window: Window<P>,
    ) -> Result<(), (Option<RequestError>, Option<Window<P>>)> {
        let bytes = self.next_part(command, &mut window);
        if bytes == 0 {
            return Err(((window.left() > 0).then(|| self.too_large()), Some(window)));
        }
        // The disk may have become smaller meanwhile.
        let part = command.further(window.start() / SECTOR_BYTES as u64);
        if let Err(error) = self.shape.check(part, bytes) {
            return Err((Some(error), Some(window)));
        }
        let next = Outgoing { slot, serial, command, ranges: 0, window: Some(window) };
        self.send_part(next, bytes).map_err(|(reason, window)| (Some(RequestError::Refused(reason)), window))
    }

    /// What a device answered besides what it wrote into the buffer, so many bytes.
    fn answer(&self, request: &InFlight, bytes: u64) -> Result<Option<Answer>, RequestError> {
        let data = self.slots.data(request.slot);
        Ok(Some(match request.command {
            Command::DeviceId => {
                let mut id = [0; DEVICE_ID_BYTES];
                self.read(data, &mut id)?;
                Answer::DeviceId(DeviceId::new(id))
            }
            Command::Lifetime => {
                let mut lifetime = [0; LIFETIME_BYTES];
                self.read(data, &mut lifetime)?;
                Answer::Lifetime(Lifetime::new(&zerocopy::transmute!(lifetime)))
            }
            Command::Append(zone) => {
                let sector = Sector(self.appended(request)?);
                Answer::Appended(self.shape.check_appended(zone, sector)?)
            }
            Command::ReportZones(_) => Answer::Report(usize::try_from(bytes).unwrap_or(usize::MAX)),
            _ => return Ok(None),
        }))
    }
}

/// One portion, or two.
enum Pair {
    One([Portion; 1]),
    Two([Portion; 2]),
}

impl Pair {
    const fn as_slice(&self) -> &[Portion] {
        match self {
            Self::One(portions) => portions,
            Self::Two(portions) => portions,
        }
    }
}
