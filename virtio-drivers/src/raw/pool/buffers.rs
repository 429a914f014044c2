//! Buffers of a pool, owned: one, or several that follow each other.
//!
//! Bytes are copied in and out, for a device may write to a pool's memory at any time. What of the buffers counts is a window in each: queues make chains of those.

use core::mem::ManuallyDrop;

use super::super::mapped::{Payload, Segment, SegmentVisitor};
use super::super::memory::OutOfBounds;
use super::BufferPool;
use super::shape::Shape;
use crate::hal::{DeviceAddress, Direction, Hal};

/// See the module's head. Dropping it gives the buffers back to their pool, from wherever that is done.
#[derive(Debug)]
pub struct Buffers<'p, H: Hal> {
    pub(super) pool: &'p BufferPool<'p, H>,
    /// The first buffer, and how many bytes of it count; what counts of the others is in their entries.
    pub(super) first: u32,
    pub(super) len: u32,
    pub(super) shape: Shape,
}

impl<'p, H: Hal> Buffers<'p, H> {
    pub(super) const fn one(pool: &'p BufferPool<'p, H>, first: u32) -> Self {
        Self { pool, first, len: 0, shape: Shape::EMPTY }
    }

    /// Has the processor fetch the first cache line that [`append`](Buffers::append) will write to an empty first buffer, so that it need not wait for it then: who had it last was a device, on another processor maybe.
    #[inline]
    pub fn fetch_for_writing(&self) {
        self.pool.memory.fetch_for_writing(self.pool.offset(self.first) + usize::from(self.shape.start()));
    }

    /// How many buffers there are.
    pub const fn count(&self) -> u16 {
        self.shape.count()
    }

    /// The same, in a place of its own: who hands them to a function that is rarely called has them in registers otherwise.
    #[inline(always)]
    pub(crate) const fn moved(self) -> Self {
        let Self { pool, first, len, shape } = self;
        core::mem::forget(self);
        Self { pool, first, len, shape }
    }

    /// How many bytes count, in all buffers.
    #[inline]
    pub fn len(&self) -> usize {
        if self.shape.is_single() { self.len as usize } else { self.len_of_several() }
    }

    fn len_of_several(&self) -> usize {
        self.windows().map(|window| window.len as usize).sum()
    }

    /// Whether no byte counts.
    pub const fn is_empty(&self) -> bool {
        self.shape.shown() == 0
    }

    /// How many bytes more can be [appended](Buffers::append).
    pub fn room(&self) -> usize {
        let bytes = self.pool.buffer_bytes;
        let behind = |window: Window| bytes.saturating_sub(window.start).saturating_sub(window.len) as usize;
        self.all_windows().skip(usize::from(self.shape.shown().saturating_sub(1))).map(behind).sum()
    }

    /// Begins anew: nothing counts, and in each buffer there will be nothing before `start`.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: buffers are not longer than that; nothing changed.
    pub fn clear(&mut self, start: u16) -> Result<(), OutOfBounds> {
        if u32::from(start) >= self.pool.buffer_bytes {
            return Err(OutOfBounds);
        }
        self.len = 0;
        self.shape = self.shape.with_start(start).with_shown(0).with_apart(0);
        for buffer in self.others() {
            self.pool.entry(buffer).show(start.into(), 0);
        }
        Ok(())
    }

    /// All bytes count that are there, as they are: for a device that is to write them.
    pub fn fill(&mut self) {
        let bytes = self.pool.buffer_bytes;
        // All windows begin inside of their buffers.
        self.each_window(|window| bytes.saturating_sub(window.start));
        self.shape = self.shape.with_shown(self.count());
    }

    /// No more than the first `len` bytes count.
    pub fn truncate(&mut self, len: usize) {
        if self.shape.is_single() {
            self.len = self.len.min(u32::try_from(len).unwrap_or(u32::MAX));
            self.shape = self.shape.with_shown(u16::from(self.len > 0));
            return;
        }
        let (mut left, mut shown) = (len, 0);
        self.each_window(|window| {
            let kept = left.min(window.len as usize);
            left -= kept;
            shown += u16::from(kept > 0);
            u32::try_from(kept).unwrap_or(window.len)
        });
        self.shape = self.shape.with_shown(shown);
    }

    /// `bytes` more count, just before the first one.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many; nothing changed.
    pub fn extend_front(&mut self, bytes: u8) -> Result<(), OutOfBounds> {
        let start = self.shape.start().checked_sub(bytes.into()).ok_or(OutOfBounds)?;
        // No more than there is of a buffer.
        self.len += u32::from(bytes);
        let shown = self.shape.shown().max(u16::from(bytes > 0));
        self.shape = self.shape.with_start(start).with_shown(shown);
        Ok(())
    }

    /// The first `bytes` do not count any more.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many in the first buffer, or none would be left there, but in others, or the buffer would be at its end; nothing changed.
    pub fn trim_front(&mut self, bytes: u8) -> Result<(), OutOfBounds> {
        let len = self.len.checked_sub(bytes.into()).ok_or(OutOfBounds)?;
        let start = self.shape.start().checked_add(bytes.into()).ok_or(OutOfBounds)?;
        // Something may follow in the buffer, always: so the first segment never is an empty one.
        if len == 0 && self.shape.shown() > 1 || u32::from(start) >= self.pool.buffer_bytes {
            return Err(OutOfBounds);
        }
        self.len = len;
        let shown = if len == 0 { 0 } else { self.shape.shown() };
        self.shape = self.shape.with_start(start).with_shown(shown);
        Ok(())
    }

    /// The first `bytes` are to be a segment of their own: for devices that want a header by itself. 0: they are not.
    pub fn set_apart(&mut self, bytes: u8) {
        self.shape = self.shape.with_apart(bytes);
    }

    /// Which side is to write, while they are with a device.
    pub fn set_direction(&mut self, direction: Direction) {
        self.shape = self.shape.with_direction(direction);
    }

    /// Copies bytes out, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of them count; nothing sensible was copied.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        let mut rest = into;
        self.pieces(offset, rest.len(), |place, len| {
            let (piece, others) = core::mem::take(&mut rest).split_at_mut_checked(len).ok_or(OutOfBounds)?;
            rest = others;
            self.pool.memory.read(place, piece)
        })
    }

    /// Copies bytes in, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of them count; some may have been copied.
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        let mut rest = from;
        self.pieces(offset, rest.len(), |place, len| {
            let (piece, others) = rest.split_at_checked(len).ok_or(OutOfBounds)?;
            rest = others;
            self.pool.memory.write(place, piece)
        })
    }

    /// Copies bytes in after the last one; they count from now on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there is no [room](Buffers::room) for all of them; nothing changed.
    #[inline]
    pub fn append(&mut self, from: &[u8]) -> Result<(), OutOfBounds> {
        let Self { pool, first, len, shape } = *self;
        if !shape.is_single() {
            (self.len, self.shape) = Self::append_to_several(pool, first, len, shape, from)?;
            return Ok(());
        }
        let begin = u32::from(shape.start()).saturating_add(len);
        let room = pool.buffer_bytes.saturating_sub(begin);
        let more = u32::try_from(from.len()).ok().filter(|more| *more <= room).ok_or(OutOfBounds)?;
        pool.memory.write(pool.offset(first) + begin as usize, from)?;
        self.len = len + more;
        self.shape = shape.with_shown(u16::from(self.len > 0));
        Ok(())
    }

    /// The same, of a string of buffers: gives the new words for the first.
    #[cold]
    #[inline(never)]
    fn append_to_several(
        pool: &'p BufferPool<'p, H>,
        first: u32,
        len: u32,
        shape: Shape,
        from: &[u8],
    ) -> Result<(u32, Shape), OutOfBounds> {
        // The caller still is their owner.
        let mut same = ManuallyDrop::new(Self { pool, first, len, shape });
        same.append_in_turn(from)?;
        Ok((same.len, same.shape))
    }

    fn append_in_turn(&mut self, from: &[u8]) -> Result<(), OutOfBounds> {
        if from.len() > self.room() {
            return Err(OutOfBounds);
        }
        let pool = self.pool;
        let (mut rest, mut outcome) = (from, Ok(()));
        let (mut index, mut shown) = (0, self.shape.shown());
        let last = shown.saturating_sub(1);
        self.each_window(|Window { buffer, start, len }| {
            index += 1;
            if index <= last {
                return len;
            }
            let room = pool.buffer_bytes.saturating_sub(start).saturating_sub(len);
            let (piece, others) = rest.split_at(rest.len().min(room as usize));
            rest = others;
            let place = pool.offset(buffer) + start as usize + len as usize;
            outcome = outcome.and(pool.memory.write(place, piece));
            let len = len + u32::try_from(piece.len()).unwrap_or(0);
            shown = if len > 0 { shown.max(index) } else { shown };
            len
        });
        self.shape = self.shape.with_shown(shown);
        outcome
    }

    /// More buffers, at the end. What counts of them counts from now on, so nothing must be left out before: all bytes of the present ones are in use, or none of the new ones.
    ///
    /// # Errors
    /// The buffers, if they are another pool's, too many, or would leave a gap.
    pub fn extend(&mut self, more: Self) -> Result<(), Self> {
        let Some(count) = self.count().checked_add(more.count()) else { return Err(more) };
        let (shown, more_shown) = (self.shape.shown(), more.shape.shown());
        if !core::ptr::eq(self.pool, more.pool) || shown != self.count() && more_shown != 0 {
            return Err(more);
        }
        self.pool.entry(more.first).show(more.shape.start().into(), more.len);
        self.pool.entry(self.last()).follow(more.first);
        self.shape = self.shape.with_count(count).with_shown(shown + more_shown);
        core::mem::forget(more);
        Ok(())
    }

    /// Shows `act` the pieces of memory that bytes are in: where from the pool's start, and how many.
    fn pieces(
        &self,
        offset: usize,
        len: usize,
        mut act: impl FnMut(usize, usize) -> Result<(), OutOfBounds>,
    ) -> Result<(), OutOfBounds> {
        let (mut skip, mut left) = (offset, len);
        for Window { buffer, start, len } in self.windows() {
            let bytes = len as usize;
            if skip < bytes && left > 0 {
                let piece = left.min(bytes - skip);
                act(self.pool.offset(buffer) + start as usize + skip, piece)?;
                left -= piece;
            }
            skip = skip.saturating_sub(bytes);
        }
        if left == 0 && skip == 0 { Ok(()) } else { Err(OutOfBounds) }
    }

    /// The buffers after the first.
    fn others(&self) -> impl Iterator<Item = u32> + use<'p, H> {
        self.pool.after(self.first, self.count())
    }

    /// The last buffer.
    #[inline]
    pub(super) fn last(&self) -> u32 {
        if self.shape.is_one() { self.first } else { self.pool.last_of(self.first, self.count()) }
    }

    /// What counts of each buffer.
    fn all_windows(&self) -> impl Iterator<Item = Window> + use<'p, H> {
        let pool = self.pool;
        let first = Window { buffer: self.first, start: self.shape.start().into(), len: self.len };
        core::iter::once(first).chain(self.others().map(move |buffer| {
            let (start, len) = pool.entry(buffer).shown();
            Window { buffer, start, len }
        }))
    }

    /// The same, of those of which something does.
    fn windows(&self) -> impl Iterator<Item = Window> + use<'p, H> {
        self.all_windows().take(self.shape.shown().into())
    }

    /// Sets how many bytes count of each buffer.
    fn each_window(&mut self, mut len: impl FnMut(Window) -> u32) {
        let (pool, others) = (self.pool, self.others());
        self.len = len(Window { buffer: self.first, start: self.shape.start().into(), len: self.len });
        for buffer in others {
            let entry = pool.entry(buffer);
            let (start, old) = entry.shown();
            entry.show(start, len(Window { buffer, start, len: old }));
        }
    }
}

/// What counts of one buffer.
#[derive(Clone, Copy, Debug)]
struct Window {
    buffer: u32,
    start: u32,
    len: u32,
}

impl<H: Hal> Drop for Buffers<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.pool.put_back(self.first, self.last());
    }
}

// SAFETY: the buffers are these values' alone, and in memory that is mapped until all of them are back in their pool; which bytes count changes only through exclusive references, and so does what is in them.
unsafe impl<H: Hal> Payload for Buffers<'_, H> {
    #[inline(always)]
    fn segment_count(&self) -> usize {
        usize::from(self.shape.shown()) + usize::from(self.is_apart())
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        if self.shape.is_one_segment() {
            let window = Window { buffer: self.first, start: self.shape.start().into(), len: self.len };
            visitor.segment(&self.segment(window));
        } else {
            self.visit_several(visitor);
        }
    }
}

impl<H: Hal> Buffers<'_, H> {
    #[inline(always)]
    fn segment(&self, Window { buffer, start, len }: Window) -> Segment {
        let offset = self.pool.offset(buffer) as u64 + u64::from(start);
        let address = DeviceAddress(self.pool.address.0.wrapping_add(offset));
        Segment { address, len, direction: self.shape.direction(), domain: self.pool.domain }
    }

    /// Whether the first bytes are a segment of their own, and others come after them in the same buffer.
    #[inline(always)]
    const fn is_apart(&self) -> bool {
        self.shape.apart() > 0 && self.len > self.shape.apart() as u32
    }

    fn visit_several(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        let mut windows = self.windows();
        if self.is_apart()
            && let Some(first) = windows.next()
        {
            let apart = u32::from(self.shape.apart());
            visitor.segment(&self.segment(Window { len: apart, ..first }));
            let rest = Window { start: first.start + apart, len: first.len - apart, ..first };
            visitor.segment(&self.segment(rest));
        }
        for window in windows {
            visitor.segment(&self.segment(window));
        }
    }
}
