//! Buffers of the kernel's that travel through a queue.
//!
//! Mapped while a device may reach them, and owned by whoever holds the guard.
//!
//! Spec: §2.6 Virtqueues. A [`MappedBuffer`] moves into a queue as (a part of) the context of its chain and comes back with the completion;
//! in between nobody can reach its bytes.

#![allow(
    clippy::inline_always,
    reason = "what a payload's segments have constant is judged by the compiler, where their chain is made available"
)]

use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use crate::hal::{DeviceAddress, Direction, DmaBuffer, Domain, Hal, MapError};
use crate::wire::split::DescriptorFlags;

/// One contiguous piece of memory, as a descriptor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the device finds it.
    pub address: DeviceAddress,
    /// Bytes, at least one.
    pub len: u32,
    /// Which side writes.
    pub direction: Direction,
    /// Whose devices find it there.
    pub domain: Domain,
}

impl Segment {
    /// The descriptor flag for its direction.
    pub(crate) const fn direction_flag(&self) -> DescriptorFlags {
        match self.direction {
            Direction::DeviceReadable => DescriptorFlags::empty(),
            Direction::DeviceWritable => DescriptorFlags::WRITE,
        }
    }
}

/// A buffer that could not be mapped, handed back.
#[derive(Debug, thiserror::Error)]
#[error("the buffer could not be mapped for the device")]
pub struct MapRefused<B> {
    /// The buffer, untouched and mapped nowhere.
    pub buffer: B,
}

/// A buffer that the device can reach. Dropping it unmaps and drops the buffer.
#[derive(Debug)]
pub struct MappedBuffer<H: Hal, B: DmaBuffer> {
    hal: H,
    /// Always initialized. Inside of `MaybeUninit` because moving a box claims its memory for the box alone, and these bytes are
    /// reached through `bytes` while the guard moves into and out of queues.
    buffer: MaybeUninit<B>,
    /// Their first; there are as many as the segment has.
    bytes: NonNull<u8>,
    segment: Segment,
}

// SAFETY: `bytes` is where `buffer` keeps its bytes, exclusively; the value may go wherever buffer and `Hal` may go.
unsafe impl<H: Hal + Send, B: DmaBuffer + Send> Send for MappedBuffer<H, B> {}

impl<H: Hal, B: DmaBuffer> MappedBuffer<H, B> {
    /// Maps the whole buffer for the device.
    ///
    /// # Errors
    /// - [`MapRefused`]: the kernel has no room for the mapping, or the buffer is empty or longer than a descriptor can say (4 GiB - 1).
    ///   The buffer comes back; nothing is mapped.
    pub fn map(hal: &H, buffer: B, direction: Direction) -> Result<Self, MapRefused<B>> {
        let mut buffer = MaybeUninit::new(buffer);
        // SAFETY: initialized one line up.
        let bytes = unsafe { buffer.assume_init_mut() }.bytes();
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len > 0);
        let Some(len) = len else {
            // SAFETY: still initialized, and taken once.
            return Err(MapRefused { buffer: unsafe { buffer.assume_init() } });
        };
        // SAFETY: `DmaBuffer` promises that the bytes are valid, stay in place and are used by nobody else as long as
        // `buffer` lives, and this guard keeps it until it has undone the mapping.
        let mapped = unsafe { hal.map(bytes, direction) };
        match mapped {
            Ok(address) => {
                let domain = hal.domain();
                Ok(Self {
                    hal: hal.clone(),
                    buffer,
                    bytes: bytes.cast(),
                    segment: Segment { address, len, direction, domain },
                })
            }
            Err(MapError) => {
                // SAFETY: still initialized, and taken once.
                Err(MapRefused { buffer: unsafe { buffer.assume_init() } })
            }
        }
    }

    /// Unmaps the buffer and gives it back; only now may its bytes be looked at.
    pub fn unmap(self) -> B {
        let mut this = ManuallyDrop::new(self);
        this.undo();
        // SAFETY: `this` is never dropped nor used again, so the `Hal` value is dropped once, here.
        unsafe { core::ptr::drop_in_place(&raw mut this.hal) };
        // SAFETY: as above, so the buffer is taken once; it is initialized.
        unsafe { this.buffer.assume_init_read() }
    }

    fn undo(&mut self) {
        let Segment { address, len, direction, .. } = self.segment;
        // Its length came from there.
        let bytes = NonNull::slice_from_raw_parts(self.bytes, len as usize);
        // SAFETY: the arguments of the one `map` of this guard, undone here once: `unmap` and `drop` exclude each other.
        // The guard is inside of the queue while the device uses the buffer, so whoever holds it holds a buffer that the
        // device is done with.
        unsafe { self.hal.unmap(address, bytes, direction) };
    }
}

impl<H: Hal, B: DmaBuffer> Drop for MappedBuffer<H, B> {
    fn drop(&mut self) {
        self.undo();
        // SAFETY: the guard ends here, so the buffer is dropped once; it is initialized.
        unsafe { self.buffer.assume_init_drop() };
    }
}

/// What travels with a descriptor chain: the owner's context, and the buffers that the chain is made of.
///
/// A queue takes a payload when a chain is made available, asks it for its segments, and returns it with the completion. Payloads compose: a
/// [`Tag`] carries a context and no buffer, a [`MappedBuffer`] a buffer; pairs, arrays and options of payloads are payloads.
///
/// # Safety
///
/// As long as the payload exists, wherever it is moved to: [`segment_count`](Payload::segment_count) and [`visit_segments`](Payload::visit_segments) give the same answers
/// each time, as many segments as the count says; each segment has a byte at least, and is mapped for the device; and no safe code can reach or free its bytes without consuming (or mutably borrowing) the payload.
pub unsafe trait Payload {
    /// Number of segments.
    fn segment_count(&self) -> usize;

    /// Shows `visitor` all segments, one after the other, those that the device reads first (a queue checks that, and refuses others).
    ///
    /// Mark it `#[inline(always)]` where chains are many: then whatever is constant about the segments is judged by the compiler.
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized));
}

/// A payload that has one segment, and that segment: whoever made it has looked, and others need not ask.
#[derive(Debug)]
pub(crate) struct Single<P> {
    payload: P,
    segment: Segment,
}

impl<P: Payload> Single<P> {
    /// # Safety
    /// The payload has this segment, and no other.
    #[inline(always)]
    pub(super) const unsafe fn new(payload: P, segment: Segment) -> Self {
        Self { payload, segment }
    }

    /// Both.
    #[inline(always)]
    pub(crate) fn into_parts(self) -> (P, Segment) {
        (self.payload, self.segment)
    }
}

/// Who looks at the segments of a [`Payload`]: a queue that writes descriptors of them. A closure will do, too.
pub trait SegmentVisitor {
    /// The next segment.
    fn segment(&mut self, segment: &Segment);
}

impl<F: FnMut(&Segment)> SegmentVisitor for F {
    fn segment(&mut self, segment: &Segment) {
        self(segment);
    }
}

/// A context without buffers: whatever the owner wants to know again when the chain completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<C>(pub C);

// SAFETY: there are no segments.
unsafe impl<C> Payload for Tag<C> {
    #[inline]
    fn segment_count(&self) -> usize {
        0
    }

    #[inline(always)]
    fn visit_segments(&self, _: &mut (impl SegmentVisitor + ?Sized)) {}
}

// SAFETY: the guard keeps the buffer mapped and unreachable until it is consumed.
unsafe impl<H: Hal, B: DmaBuffer> Payload for MappedBuffer<H, B> {
    #[inline]
    fn segment_count(&self) -> usize {
        1
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        visitor.segment(&self.segment);
    }
}

/// One of two payloads: where a queue carries requests of two kinds.
#[derive(Debug)]
pub(crate) enum Either<A, B> {
    /// The one kind.
    One(A),
    /// The other.
    Other(B),
}

impl<A, B> Either<A, B> {
    /// Takes it out of where it is kept, if it is of the one kind. Moves nothing else: the other kind may be large, and a place that is emptied as a whole is copied as a whole.
    #[inline(always)]
    pub(crate) fn take_one(kept: &mut Option<ManuallyDrop<Self>>) -> Option<A> {
        let Some(Self::One(one)) = kept.as_deref() else { return None };
        // SAFETY: a valid value, which is read once: the place is emptied next, and drops nothing of it, being `ManuallyDrop`.
        let one = unsafe { core::ptr::from_ref(one).read() };
        *kept = None;
        Some(one)
    }
}

// SAFETY: the payload inside promises for itself, and which one it is changes only while it is borrowed mutably.
unsafe impl<A: Payload, B: Payload> Payload for Either<A, B> {
    #[inline]
    fn segment_count(&self) -> usize {
        match self {
            Self::One(payload) => payload.segment_count(),
            Self::Other(payload) => payload.segment_count(),
        }
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        match self {
            Self::One(payload) => payload.visit_segments(visitor),
            Self::Other(payload) => payload.visit_segments(visitor),
        }
    }
}

// SAFETY: both halves promise for themselves, and the pair gives neither away by shared reference.
unsafe impl<A: Payload, B: Payload> Payload for (A, B) {
    #[inline]
    fn segment_count(&self) -> usize {
        self.0.segment_count().saturating_add(self.1.segment_count())
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        self.0.visit_segments(visitor);
        self.1.visit_segments(visitor);
    }
}

// SAFETY: the payload inside promises for itself.
unsafe impl<P: Payload> Payload for Option<P> {
    #[inline]
    fn segment_count(&self) -> usize {
        self.as_ref().map_or(0, P::segment_count)
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        if let Some(payload) = self {
            payload.visit_segments(visitor);
        }
    }
}

// SAFETY: the payloads inside promise for themselves.
unsafe impl<P: Payload, const N: usize> Payload for [P; N] {
    #[inline]
    fn segment_count(&self) -> usize {
        self.iter().map(P::segment_count).fold(0, usize::saturating_add)
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        for payload in self {
            payload.visit_segments(visitor);
        }
    }
}
