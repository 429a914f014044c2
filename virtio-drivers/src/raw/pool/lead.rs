//! The usual frame: in one buffer, behind a header of 12 bytes that ends with a cache line.
//!
//! Its header is two words, written and read at once, and its shape is one constant; everything else is for the slower ways of [`Buffers`]. What a header means is the driver's business.
//!
//! ```text
//!   one buffer   │ unused      │ header  │ bytes that count …        │ room │
//!                0            52        64
//! ```

use core::ptr::NonNull;

use super::BufferPool;
use super::buffers::Buffers;
use super::shape::Shape;
use super::supply::Supply;
use crate::hal::{DeviceAddress, Direction, Domain, Hal};
use crate::raw::cell;
use crate::raw::mapped::{Segment, Single};

/// Where bytes begin that have a lead before them: behind the first cache line.
const BEGIN: u16 = 64;

/// A header of 12 bytes, as little-endian words: the first four bytes, and the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) first: u32,
    pub(crate) rest: u64,
}

impl Lead {
    /// Its length in bytes.
    pub(crate) const BYTES: u8 = 12;
}

/// How many bytes a device has to have written, header included: more than the header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Least(u32);

impl Least {
    /// More than a buffer has.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// A header, and so many bytes after it: at least one.
    pub(crate) const fn after_lead(bytes: u16) -> Self {
        let bytes = if bytes == 0 { 1 } else { bytes };
        Self(Lead::BYTES as u32 + bytes as u32)
    }
}

/// Where it begins.
const LEAD_BEGIN: u16 = BEGIN - Lead::BYTES as u16;

impl<H: Hal> Buffers<'_, H> {
    /// Puts a header before the bytes that count, which are for a device to read. They come back as they are if they do not begin behind the first cache line of one buffer, or are not of one of `lengths` lengths from
    /// `bytes_min` on, or of another domain.
    #[inline(always)]
    pub(crate) fn with_lead(
        mut self,
        lead: Lead,
        (bytes_min, lengths): (u32, u16),
        domain: Domain,
    ) -> Result<Single<Self>, Self> {
        let is_lead = self.shape == Shape::one(BEGIN, Direction::DeviceReadable);
        let beyond = self.len.wrapping_sub(bytes_min);
        if !is_lead || beyond >= u32::from(lengths) || self.pool.domain != domain {
            return Err(self);
        }
        self.shape = Shape::one(LEAD_BEGIN, Direction::DeviceReadable);
        // No more than there is of a buffer.
        self.len = self.len.wrapping_add(Lead::BYTES.into());
        let (first, rest) = self.lead_places();
        let segment = self.lead_segment(Direction::DeviceReadable);
        // Mostly it is there from the last time: a line that is only read stays in the device's cache, too.
        // SAFETY: `lead_places` says so.
        let is_there = unsafe { cell::load_u32(first) } == lead.first;
        // SAFETY: as above.
        if !is_there || unsafe { cell::load_u64(rest) } != lead.rest {
            // SAFETY: as above.
            unsafe { cell::store_u32(first, lead.first) };
            // SAFETY: as above.
            unsafe { cell::store_u64(rest, lead.rest) };
        }
        // SAFETY: of the shape that it was given above this is the segment.
        Ok(unsafe { Single::new(self, segment) })
    }

    /// Takes the header off what a device has written, which is so many bytes: `least` or more. `is_usual` is shown the header's first two bytes and its last two. The buffers come back as they are if it says no, or if what
    /// was written is not in one buffer, from where a header begins that ends with its first cache line.
    #[inline(always)]
    pub(crate) fn without_lead(
        mut self,
        written: u32,
        Least(bytes_min): Least,
        is_usual: impl FnOnce(u16, u16) -> bool,
    ) -> Result<Self, Self> {
        let is_lead = self.shape == Shape::one(LEAD_BEGIN, Direction::DeviceWritable);
        if written < bytes_min || !is_lead || written > self.len {
            return Err(self);
        }
        let (first, rest) = self.lead_places();
        // SAFETY: `lead_places` says so.
        let first = unsafe { cell::load_u16(first) };
        // SAFETY: as above: the last two of eight bytes.
        let last = unsafe { rest.add(6) };
        // SAFETY: as above.
        let last = unsafe { cell::load_u16(last) };
        if !is_usual(first, last) {
            return Err(self);
        }
        self.shape = Shape::one(BEGIN, Direction::DeviceReadable);
        self.len = written.wrapping_sub(Lead::BYTES.into());
        Ok(self)
    }

    /// Where a header's two words are: of 4 and 8 bytes, aligned to their size, in the buffer's first cache line.
    #[inline(always)]
    fn lead_places(&self) -> (NonNull<u8>, NonNull<u8>) {
        let line = self.pool.offset(self.first);
        // SAFETY: the buffer is one of the pool's, all of which are in its memory, begin with a cache line and have one at least.
        let first = unsafe { self.pool.memory.inside(line + LEAD_BEGIN as usize) };
        // SAFETY: as above: four bytes on.
        let rest = unsafe { first.add(4) };
        (first, rest)
    }

    /// What counts, which begins with a header.
    #[inline(always)]
    fn lead_segment(&self, direction: Direction) -> Segment {
        let offset = self.pool.offset(self.first) as u64 + u64::from(LEAD_BEGIN);
        let address = DeviceAddress(self.pool.address.0.wrapping_add(offset));
        Segment { address, len: self.len, direction, domain: self.pool.domain }
    }
}

/// Buffers from a supply, each from where a header begins, for a device to write: until all are out.
#[derive(Debug)]
pub(crate) struct Leads<'u, 'p, H: Hal> {
    supply: &'u mut Supply<'p, H>,
    pool: &'p BufferPool<'p, H>,
    /// As it is in the supply, to which it is written back.
    first: u32,
    /// What all of them have in common, but for the address, which is where the first one's is.
    common: Segment,
    buffer_bytes: u32,
}

impl<'u, 'p, H: Hal> Leads<'u, 'p, H> {
    pub(crate) const fn of(supply: &'u mut Supply<'p, H>) -> Self {
        let pool = supply.pool();
        let common = Segment {
            address: DeviceAddress(pool.address.0.wrapping_add(LEAD_BEGIN as u64)),
            // A buffer has a cache line at least.
            len: pool.buffer_bytes - LEAD_BEGIN as u32,
            direction: Direction::DeviceWritable,
            domain: pool.domain,
        };
        Self { buffer_bytes: pool.buffer_bytes, common, first: supply.first, pool, supply }
    }
}

impl<'p, H: Hal> Leads<'_, 'p, H> {
    /// The next one, if it is of this domain.
    #[inline(always)]
    pub(crate) fn next(&mut self, domain: Domain) -> Option<Single<Buffers<'p, H>>> {
        if self.common.domain != domain {
            return None;
        }
        let mut buffers = self.pool.take(&mut self.first)?;
        let Segment { address, len, direction, .. } = self.common;
        buffers.shape = Shape::one(LEAD_BEGIN, direction);
        buffers.len = len;
        let offset = u64::from(buffers.first) * u64::from(self.buffer_bytes);
        let segment = Segment { address: DeviceAddress(address.0.wrapping_add(offset)), ..self.common };
        // SAFETY: of this shape and length this is the segment.
        Some(unsafe { Single::new(buffers, segment) })
    }
}

impl<H: Hal> Drop for Leads<'_, '_, H> {
    #[inline(always)]
    fn drop(&mut self) {
        self.supply.first = self.first;
    }
}
