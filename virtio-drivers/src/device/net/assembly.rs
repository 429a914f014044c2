//! From used buffers to frames: header taken off, parts put together, nonsense left out.
//!
//! Spec: §5.1.9.4 Processing of Incoming Packets.

use super::format::{FRAME_BYTES_MIN, Format, HeaderBytes, LONGEST_HEADER_BYTES, Malformed};
use super::frame::Frame;
use super::receive::ReceiveCounts;
use crate::hal::Hal;
use crate::raw::{Buffers, Homecoming, Least};
use crate::ring::{Used, UsedSink};

/// On the way through a burst of used buffers.
pub(super) struct Assembly<'a, 's, H: Hal, D> {
    pub(super) format: &'a Format,
    /// No frame has more buffers.
    pub(super) buffers_max: u16,
    pub(super) counts: &'a mut ReceiveCounts,
    pub(super) deliver: D,
    /// A frame of which not all buffers came by yet.
    partial: Option<Partial<'s, H>>,
    /// Buffers of a malformed frame that are still to come by.
    skip: u16,
    /// Bytes that the next buffer has to have if it is to be a usual frame: more than it can have, while others are expected.
    least: Least,
    /// Usual frames, which are counted in the end.
    usual: u64,
    /// Where buffers of malformed frames go.
    home: Homecoming<'s, H>,
}

struct Partial<'s, H: Hal> {
    buffers: Buffers<'s, H>,
    header: HeaderBytes,
    /// Buffers that are still to come.
    left: u16,
}

impl<'a, 's, H: Hal, D: FnMut(Frame<'s, H>)> Assembly<'a, 's, H, D> {
    pub(super) const fn new(
        format: &'a Format,
        buffers_max: u16,
        counts: &'a mut ReceiveCounts,
        deliver: D,
    ) -> Self {
        let least = format.least();
        let home = Homecoming::new();
        Self { format, buffers_max, counts, deliver, partial: None, skip: 0, least, usual: 0, home }
    }

    /// Whether a frame has begun whose other buffers the device has used, too, as it says.
    pub(super) const fn wants_more(&self) -> bool {
        self.partial.is_some() || self.skip > 0
    }

    /// The slow way, for any buffer.
    #[cold]
    #[inline(never)]
    fn add_any(&mut self, buffers: Buffers<'s, H>, written_len: u32) {
        self.add(buffers, written_len);
        self.least = if self.wants_more() { Least::NEVER } else { self.format.least() };
    }

    fn add(&mut self, mut buffers: Buffers<'s, H>, written_len: u32) {
        if self.skip > 0 {
            self.skip -= 1;
            self.home.add(buffers);
            return;
        }
        let written = usize::try_from(written_len).unwrap_or(usize::MAX);
        let room = buffers.len();
        buffers.truncate(written);
        let is_full = written >= room;
        match self.partial.take() {
            None => self.first(buffers, is_full),
            Some(partial) => self.next(partial, buffers, is_full),
        }
    }

    fn first(&mut self, mut buffers: Buffers<'s, H>, is_full: bool) {
        let mut header: HeaderBytes = [0; LONGEST_HEADER_BYTES];
        let bytes = self.format.bytes();
        let read = header.get_mut(..usize::from(bytes)).is_some_and(|header| buffers.read(0, header).is_ok());
        if !read || buffers.trim_front(bytes).is_err() {
            return self.refuse(buffers, 0);
        }
        match self.format.buffers(&header) {
            Ok(1) => self.finish(buffers, &header),
            // The device fills all buffers of a frame but the last.
            Ok(count) if is_full && count <= self.buffers_max => {
                self.partial = Some(Partial { buffers, header, left: count - 1 });
            }
            Ok(count) if count <= self.buffers_max => self.refuse(buffers, count - 1),
            Ok(_) | Err(Malformed) => self.refuse(buffers, 0),
        }
    }

    fn next(&mut self, partial: Partial<'s, H>, more: Buffers<'s, H>, is_full: bool) {
        let Partial { mut buffers, header, left } = partial;
        let left = left.saturating_sub(1);
        if more.is_empty() || left > 0 && !is_full {
            self.home.add(more);
            return self.refuse(buffers, left);
        }
        if let Err(more) = buffers.extend(more) {
            self.home.add(more);
            return self.refuse(buffers, left);
        }
        if left == 0 {
            self.finish(buffers, &header);
        } else {
            self.partial = Some(Partial { buffers, header, left });
        }
    }

    fn finish(&mut self, buffers: Buffers<'s, H>, header: &HeaderBytes) {
        let len = buffers.len();
        match self.format.judge(header, len) {
            Ok(received) if len >= usize::from(FRAME_BYTES_MIN) => {
                self.counts.frames = self.counts.frames.wrapping_add(1);
                (self.deliver)(Frame::new(buffers, received.offload, received.hash));
            }
            _ => self.refuse(buffers, 0),
        }
    }

    /// Leaves a frame out, of which so many buffers are still to come by.
    #[cold]
    fn refuse(&mut self, buffers: Buffers<'s, H>, skip: u16) {
        self.counts.malformed = self.counts.malformed.wrapping_add(1);
        self.home.add(buffers);
        self.skip = skip;
    }

    /// The device has used no more buffers: a frame that is not complete will never be.
    pub(super) fn end(&mut self) {
        if let Some(Partial { buffers, .. }) = self.partial.take() {
            self.refuse(buffers, 0);
        }
    }
}

impl<H: Hal, D> Drop for Assembly<'_, '_, H, D> {
    fn drop(&mut self) {
        self.counts.frames = self.counts.frames.wrapping_add(self.usual);
    }
}

impl<'s, H: Hal, D: FnMut(Frame<'s, H>)> UsedSink<Buffers<'s, H>> for Assembly<'_, 's, H, D> {
    /// The next used buffer.
    #[inline(always)]
    fn take(&mut self, used: Used<Buffers<'s, H>>) {
        let Used { payload: buffers, written_len } = used;
        let format = self.format;
        let says_nothing = |kind, buffers| format.says_nothing(kind, buffers);
        match buffers.without_lead(written_len, self.least, says_nothing) {
            Ok(buffers) => {
                self.usual += 1;
                (self.deliver)(Frame::around(buffers));
            }
            Err(buffers) => self.add_any(buffers.moved(), written_len),
        }
    }

    fn take_unusual(&mut self, used: Used<Buffers<'s, H>>) {
        self.add_any(used.payload, used.written_len);
    }
}
