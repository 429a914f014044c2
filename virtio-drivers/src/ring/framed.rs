//! The short way for requests that all look alike: a header, one segment of data, a status byte.
//!
//! Their frames ([`RequestFrames`]) are made with the queue, so a request costs a header, one descriptor in its frame and one in the ring. Everything else is as for other chains, which the
//! same queue takes, too: books, notifications, how they come back.
//!
//! Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device; §2.7.14, §2.8.22 Receiving Used Buffers From The Device.

use core::mem::{ManuallyDrop, replace};

use super::books::{Books, Progress, index, next, sequence};
use super::broken::Broken;
use super::chain::{RefusedChain, RefusedReason};
use super::completion::judge_length;
use super::layout::Ring;
use super::prepared::QueueMemory;
use super::queue::Virtqueue;
use super::slots::Slot;
use super::supply::{AvailablePlaces, TableEntry};
use super::used::UsedPlaces;
use crate::hal::{DeviceAddress, Direction, Domain, Hal};
use crate::raw::{Either, FrameWords, Payload, RequestFrames, Segment, Tag};

/// Bytes of a chain that are not its data.
const OTHER_BYTES: u32 = 17;

/// A request on its way into a frame.
#[derive(Debug)]
pub(crate) struct Framed<C, P> {
    /// Its header, as little-endian words.
    pub(crate) header: [u64; 2],
    /// What its owner wants to know again.
    pub(crate) context: C,
    /// What goes with it: one segment.
    pub(crate) payload: P,
}

/// What the device says of a request that was in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameAnswer {
    /// The id that its chain had.
    pub(crate) id: u16,
    /// Its status byte.
    pub(crate) status: u8,
    /// Bytes that it wrote: no more than `writable_bytes`,
    pub(crate) written_len: u32,
    /// which are those of the data that it may write, and one for the status.
    pub(crate) writable_bytes: u32,
}

/// What a queue carries that takes requests in frames, and other chains.
type FramedOr<C, P, L> = Either<(Tag<C>, P), L>;

impl<H: Hal, C, P: Payload, L: Payload> Virtqueue<'_, H, FramedOr<C, P, L>> {
    /// Whether requests can go this way.
    #[inline(always)]
    pub(crate) fn has_frames(&self) -> bool {
        self.memory.frames.is_some()
    }

    /// The id of the next chain, if there is room for one.
    #[inline(always)]
    pub(crate) fn next_id(&self) -> Option<u16> {
        let Progress { first_free, free, .. } = self.books.progress;
        (free > 0).then_some(first_free)
    }

    /// As [`next_id`](Virtqueue::next_id), for a chain that does not go in a frame: its one descriptor is written where that of a frame was. (Whoever uses frames has tables for its longest chains: one of several
    /// descriptors in the ring would take other ids' places.)
    pub(crate) fn next_id_of_other(&mut self) -> Option<u16> {
        let id = self.next_id()?;
        self.books.slots.as_mut_slice().get_mut(usize::from(id))?.shows_frame = false;
        Some(id)
    }

    /// Keeps the id of the chain that came back last from being used again, until it is [released](Virtqueue::release).
    pub(crate) fn hold_last(&mut self) {
        let Books { slots, progress } = &mut self.books;
        if let Some(free) = progress.free.checked_sub(1) {
            progress.first_free = next(slots.as_mut_slice(), progress.first_free);
            progress.free = free;
        }
    }

    /// Lets an id be used again that was [held](Virtqueue::hold_last), once.
    pub(crate) fn release(&mut self, id: u16) {
        let Books { slots, progress } = &mut self.books;
        if self.service.broken.is_none()
            && let Some(slot) = slots.as_mut_slice().get_mut(usize::from(id))
        {
            slot.next = replace(&mut progress.first_free, id);
            progress.free = progress.free.saturating_add(1);
        }
    }

    /// Writes requests, which the device sees with the next [`publish`](Virtqueue::publish); `accepted` is told the id of each. It ends with the first that is refused: one whose data is empty, or is more than
    /// `bytes_max`, is refused, too.
    ///
    /// Ownership and work: as for [`make_available_burst`](Virtqueue::make_available_burst).
    #[inline(always)]
    pub(crate) fn make_available_framed(
        &mut self,
        bytes_max: u32,
        requests: impl IntoIterator<Item = Framed<C, P>>,
        accepted: impl FnMut(u16),
    ) -> Result<(), RefusedChain<Framed<C, P>>> {
        let Virtqueue { memory, books: Books { slots, progress: kept }, service, .. } = self;
        let QueueMemory { ring, frames, domain, .. } = &**memory;
        let (slots, progress, domain) = (slots.as_mut_slice(), *kept, *domain);
        let is_broken = service.broken.is_some();
        let (slots, frames) = with_frames(slots, frames.as_ref());
        // With room for header and status in a chain (§2.7.5.2).
        let bytes_max = bytes_max.min(u32::MAX - OTHER_BYTES);
        let end = progress.made_available.wrapping_add(progress.free.into());
        let framing = Framing { slots, progress, kept, frames, domain, end, bytes_max, is_broken };
        match ring {
            Ring::Split(ring) => framing.burst(ring.supply(), requests, accepted),
            Ring::Packed(ring) => framing.burst(ring.supply(), requests, accepted),
        }
    }

    /// Takes back up to `limit` requests that were in frames, and says how many, and whether it ended before another chain: [`take_used`](Virtqueue::take_used) is for those.
    ///
    /// # Errors
    /// - [`Broken`], as for [`take_used_burst`](Virtqueue::take_used_burst).
    #[inline(always)]
    pub(crate) fn take_framed_burst(
        &mut self,
        limit: usize,
        taker: &mut impl FramedTaker<C, P>,
    ) -> Result<(usize, bool), Broken> {
        let Self { memory, books: Books { slots, progress: kept }, service, .. } = self;
        if let Some(broken) = service.broken {
            return Err(broken);
        }
        if memory.frames.is_none() {
            return Ok((0, true));
        }
        let (slots, frames) = with_frames(slots.as_mut_slice(), memory.frames.as_ref());
        let unframing = Unframing { slots, progress: *kept, kept, frames };
        let outcome = match &memory.ring {
            Ring::Split(ring) => unframing.burst(ring.used(), limit, taker),
            Ring::Packed(ring) => unframing.burst(ring.used(), limit, taker),
        };
        outcome.inspect_err(|why| self.out_of_service(*why))
    }
}

/// Who takes requests that were in frames. Not a closure, for closures that are called in several places are not inlined.
pub(crate) trait FramedTaker<C, P> {
    /// Takes the next one.
    fn take(&mut self, answer: FrameAnswer, context: C, payload: P);
}

/// Requests on their way back out of a ring.
struct Unframing<'q, T> {
    slots: &'q mut [Slot<T>],
    /// A copy, which stays in registers,
    progress: Progress,
    /// and the queue's own, to which it is written back.
    kept: &'q mut Progress,
    frames: FrameWords<'q>,
}

impl<C, P, L> Unframing<'_, FramedOr<C, P, L>> {
    #[inline(always)]
    fn burst(
        mut self,
        mut used: impl UsedPlaces,
        limit: usize,
        taker: &mut impl FramedTaker<C, P>,
    ) -> Result<(usize, bool), Broken> {
        let mut left = limit;
        while left > 0 {
            let vouched_for = usize::from(used.vouched_for(&self.progress)?).min(left);
            if vouched_for == 0 {
                break;
            }
            // Then there is no need for another look at what the device writes.
            let is_all = vouched_for == usize::from(self.progress.held());
            for _ in 0..vouched_for {
                if !self.next(&mut used, taker)? {
                    return Ok((limit - left, true));
                }
                left -= 1;
            }
            if is_all {
                break;
            }
        }
        Ok((limit - left, false))
    }

    /// The chain that the next element names, for which the device vouches; `false` if it was not in a frame.
    #[inline(always)]
    fn next(
        &mut self,
        used: &mut impl UsedPlaces,
        taker: &mut impl FramedTaker<C, P>,
    ) -> Result<bool, Broken> {
        let Self { slots, progress, frames, .. } = self;
        let element = used.element(progress.taken);
        let unknown = Broken::UnknownChain { id: element.id };
        let place = usize::try_from(element.id).map_err(|_| unknown)?;
        let Slot { payload, chain, next, .. } = slots.get_mut(place).ok_or(unknown)?;
        match payload.as_deref() {
            Some(Either::One(_)) if progress.is_published(chain) => {}
            Some(Either::Other(_)) => return Ok(false),
            _ => return Err(unknown),
        }
        let writable_bytes = chain.writable_bytes;
        let written_len = judge_length(&element, writable_bytes)?;
        used.advance(1);
        *next = progress.first_free;
        progress.first_free = (element.id & 0xffff) as u16;
        progress.taken = progress.taken.wrapping_add(1);
        if let Some((Tag(context), payload)) = Either::take_one(payload) {
            let status = frames.take_status(element.id);
            taker.take(
                FrameAnswer { id: progress.first_free, status, written_len, writable_bytes },
                context,
                payload,
            );
        }
        Ok(true)
    }
}

impl<T> Drop for Unframing<'_, T> {
    /// Writes back what has changed. Each chain had one descriptor.
    #[inline(always)]
    fn drop(&mut self) {
        let Progress { first_free, taken, .. } = self.progress;
        let free = self.kept.free.wrapping_add(index(taken.wrapping_sub(self.kept.taken)));
        *self.kept = Progress { first_free, free, taken, ..*self.kept };
    }
}

/// The slots of a queue's ids, and as many frames, none if it has no frames: one look at an id does for both.
#[inline(always)]
fn with_frames<'q, H: Hal, T>(
    slots: &'q mut [Slot<T>],
    frames: Option<&'q RequestFrames<H>>,
) -> (&'q mut [Slot<T>], FrameWords<'q>) {
    // Storage may have room for more than the queue has.
    let both = frames.and_then(|frames| {
        let (slots, _) = slots.split_at_mut_checked(frames.count())?;
        let words = frames.words(slots.len())?;
        Some((slots, words))
    });
    both.unwrap_or((&mut [], FrameWords::NONE))
}

/// Requests on their way into a ring.
struct Framing<'q, T> {
    slots: &'q mut [Slot<T>],
    /// A copy, which stays in registers, but for what is free: see `end`;
    progress: Progress,
    /// and the queue's own, to which it is written back.
    kept: &'q mut Progress,
    frames: FrameWords<'q>,
    domain: Domain,
    /// What `made_available` will be when nothing is free any more: each chain takes one descriptor.
    end: usize,
    /// Most bytes of data.
    bytes_max: u32,
    is_broken: bool,
}

impl<C, P: Payload, L> Framing<'_, FramedOr<C, P, L>> {
    #[inline(always)]
    fn burst(
        mut self,
        mut places: impl AvailablePlaces,
        requests: impl IntoIterator<Item = Framed<C, P>>,
        mut accepted: impl FnMut(u16),
    ) -> Result<(), RefusedChain<Framed<C, P>>> {
        let mut requests = requests.into_iter();
        while self.has_room() {
            let Some(request) = requests.next() else { return Ok(()) };
            let id = self.progress.first_free;
            self.next(&mut places, request).map_err(|request| self.refused(request))?;
            accepted(id);
        }
        requests.next().map_or(Ok(()), |request| Err(self.refused(request)))
    }

    /// Whether there is a descriptor for one more.
    #[inline(always)]
    const fn has_room(&self) -> bool {
        self.progress.made_available != self.end
    }

    #[inline(always)]
    fn next(&mut self, places: &mut impl AvailablePlaces, request: Framed<C, P>) -> Result<(), Framed<C, P>> {
        let Self { slots, progress, frames, domain, bytes_max, .. } = self;
        let (data, is_one) = only_segment(&request.payload);
        if !is_one || !fits(&data, *bytes_max) || data.domain != *domain {
            return Err(request);
        }
        let id = progress.first_free;
        let Some(slot) = slots.get_mut(usize::from(id)) else { return Err(request) };
        let Some(table) = frames.fill(id, request.header, &data) else { return Err(request) };
        let begins_burst = progress.made_available == progress.published;
        let is_written = replace(&mut slot.shows_frame, true);
        let entry = TableEntry { id, sequence: progress.made_available, begins_burst, is_written };
        places.put_table(entry, &table);
        slot.payload = Some(ManuallyDrop::new(Either::One((Tag(request.context), request.payload))));
        slot.chain.writable_bytes = match data.direction {
            Direction::DeviceReadable => 1,
            // There is room for it: it fits.
            Direction::DeviceWritable => data.len.wrapping_add(1),
        };
        slot.chain.descriptors = 1;
        slot.chain.sequence = sequence(progress.made_available);
        progress.first_free = slot.next;
        progress.made_available = progress.made_available.wrapping_add(1);
        Ok(())
    }

    #[cold]
    fn refused(&self, request: Framed<C, P>) -> RefusedChain<Framed<C, P>> {
        RefusedChain { reason: self.why_refused(&request.payload), payload: request }
    }

    #[cold]
    #[inline(never)]
    fn why_refused(&self, payload: &P) -> RefusedReason {
        let (data, is_one) = only_segment(payload);
        if self.is_broken {
            RefusedReason::Broken
        } else if !is_one || data.len == 0 {
            RefusedReason::BadPayload
        } else if data.domain != self.domain {
            RefusedReason::OtherDomain
        } else if !fits(&data, self.bytes_max) {
            RefusedReason::TooLong
        } else if !self.has_room() {
            RefusedReason::Full
        } else {
            RefusedReason::BadPortion
        }
    }
}

/// Whether a segment is not empty, and no longer than that.
#[inline(always)]
const fn fits(data: &Segment, bytes_max: u32) -> bool {
    // An empty one is longer than anything.
    data.len.wrapping_sub(1) < bytes_max
}

impl<T> Drop for Framing<'_, T> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        let Progress { first_free, made_available, .. } = self.progress;
        let free = index(self.end.wrapping_sub(made_available));
        *self.kept = Progress { first_free, free, made_available, ..*self.kept };
    }
}

/// A payload's segment, and whether it has just that one.
#[inline(always)]
fn only_segment(payload: &impl Payload) -> (Segment, bool) {
    let nothing = Segment {
        address: DeviceAddress(0),
        len: 0,
        direction: Direction::DeviceReadable,
        domain: Domain(0),
    };
    let (mut only, mut count) = (nothing, 0usize);
    payload.visit_segments(&mut |segment: &Segment| {
        only = *segment;
        count = count.wrapping_add(1);
    });
    (only, count == 1)
}
