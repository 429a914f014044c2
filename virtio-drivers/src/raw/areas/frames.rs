//! Frames of requests: a table of three descriptors each, of which two never change.
//!
//! Many requests look alike: a header of 16 bytes that the device reads, one segment of data, a status byte that the device writes. The descriptors of header and status are written once, when the
//! queue is made; a request writes its header, and one descriptor.
//!
//! Spec: §2.7.5.3 Indirect Descriptors (linked by `next`), §2.8.7 Indirect Flag: Scatter-Gather Support (consecutive, WRITE the only flag).
//!
//! ```text
//!   one allocation   ┌───────────────────────────────┬─────────┬───┬──────────────┐
//!                    │ frame 0                       │ frame 1 │ … │ status bytes │
//!                    │ header │ data │ status │ (16)  │         │   │ 1 × count    │
//!                    └───────────────────────────────┴─────────┴───┴──────────────┘
//!                      three descriptors      the header itself       the device writes
//! ```

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::descriptor::{store_in_table, store_linked};
use crate::hal::{DeviceAddress, Direction, DmaError, Domain, Hal};
use crate::raw::cell;
use crate::raw::mapped::Segment;
use crate::raw::memory::{DmaMemory, OutOfBounds};
use crate::wire::block::request_status;
use crate::wire::split::{DESCRIPTOR_BYTES, DescriptorFlags, descriptor};

/// Bytes of a header.
const HEADER_BYTES: usize = 16;
/// Descriptors of a frame: header, data, status.
const DESCRIPTORS: usize = 3;
const TABLE_BYTES: usize = DESCRIPTORS * DESCRIPTOR_BYTES;
#[allow(clippy::cast_possible_truncation, reason = "small sizes")]
const HEADER_LEN: u32 = HEADER_BYTES as u32;
#[allow(clippy::cast_possible_truncation, reason = "small sizes")]
const TABLE_LEN: u32 = TABLE_BYTES as u32;
/// A cache line: the device only reads there.
const FRAME_BYTES: usize = TABLE_BYTES + HEADER_BYTES;

/// The frames of one queue: one for each chain id.
#[derive(Debug)]
pub(crate) struct RequestFrames<H: Hal> {
    /// Keeps what the pointers lead into.
    memory: DmaMemory<H>,
    frames: NonNull<u8>,
    statuses: NonNull<u8>,
    address: DeviceAddress,
    domain: Domain,
    count: u16,
    /// The upper half of the data descriptor's second word, without and with WRITE: flags and `next`.
    readable: u32,
    writable: u32,
}

// SAFETY: the pointers lead into `memory`, which may be sent; nothing else uses them.
unsafe impl<H: Hal + Send> Send for RequestFrames<H> {}

impl<H: Hal> RequestFrames<H> {
    /// Allocates `count` frames for a queue of the packed layout or the split one, and writes what never changes.
    pub(crate) fn allocate(hal: &H, count: u16, is_packed: bool) -> Result<Self, DmaError> {
        let frames_bytes = FRAME_BYTES * usize::from(count);
        let memory = DmaMemory::allocate(hal, frames_bytes + usize::from(count), FRAME_BYTES)?;
        let bounds = |OutOfBounds| DmaError;
        let frames = memory.place(0, frames_bytes).map_err(bounds)?;
        let statuses = memory.place(frames_bytes, usize::from(count)).map_err(bounds)?;
        let address = memory.device_address(0, frames_bytes).map_err(bounds)?;
        let domain = memory.domain();
        let second_word = |flags: DescriptorFlags| {
            if is_packed {
                u32::from((flags - DescriptorFlags::NEXT).bits()) << 16
            } else {
                u32::from(flags.bits()) | 2 << 16
            }
        };
        let readable = second_word(DescriptorFlags::NEXT);
        let writable = second_word(DescriptorFlags::NEXT | DescriptorFlags::WRITE);
        let this = Self { memory, frames, statuses, address, domain, count, readable, writable };
        for index in 0..usize::from(count) {
            this.lay_out(index, frames_bytes, is_packed).map_err(bounds)?;
        }
        Ok(this)
    }

    /// Writes what never changes of frame `index`.
    fn lay_out(&self, index: usize, statuses: usize, is_packed: bool) -> Result<(), OutOfBounds> {
        let (memory, domain) = (&self.memory, self.domain);
        let table = FRAME_BYTES * index;
        let header = memory.device_address(table + TABLE_BYTES, HEADER_BYTES)?;
        let status = memory.device_address(statuses + index, 1)?;
        let header =
            Segment { address: header, len: HEADER_LEN, direction: Direction::DeviceReadable, domain };
        let status = Segment { address: status, len: 1, direction: Direction::DeviceWritable, domain };
        for (place, segment, next) in [(0, header, Some(1)), (2, status, None)] {
            let place = memory.place(table + DESCRIPTOR_BYTES * place, DESCRIPTOR_BYTES)?;
            if is_packed {
                // SAFETY: the 16 bytes of a descriptor, which are aligned to 16.
                unsafe { store_in_table(place, &segment) };
            } else {
                // SAFETY: as above.
                unsafe { store_linked(place, &segment, DescriptorFlags::empty(), next) };
            }
        }
        memory.write(statuses + index, &[request_status::NOT_WRITTEN])
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.into()
    }

    /// The words in the first `count` frames; `None` if there are not as many.
    #[inline]
    pub(crate) fn words(&self, count: usize) -> Option<FrameWords<'_>> {
        let Self { frames, statuses, address, domain, readable, writable, .. } = *self;
        let words =
            FrameWords { frames, statuses, address, domain, readable, writable, count, memory: PhantomData };
        (count <= usize::from(self.count)).then_some(words)
    }
}

/// The words in the frames of one queue. A copy of where they are, so that a loop can keep that in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameWords<'f> {
    frames: NonNull<u8>,
    statuses: NonNull<u8>,
    address: DeviceAddress,
    domain: Domain,
    readable: u32,
    writable: u32,
    /// As many as there are, at most.
    count: usize,
    memory: PhantomData<&'f ()>,
}

impl FrameWords<'_> {
    /// Those of a queue that has no frames: none.
    pub(crate) const NONE: Self = Self {
        frames: NonNull::dangling(),
        statuses: NonNull::dangling(),
        address: DeviceAddress(0),
        domain: Domain(0),
        readable: 0,
        writable: 0,
        count: 0,
        memory: PhantomData,
    };

    /// Puts a header and a segment of data into a frame; what comes out is its table. `None` if there is no such frame.
    #[inline]
    pub(crate) fn fill(self, index: u16, header: [u64; 2], data: &Segment) -> Option<Segment> {
        if usize::from(index) >= self.count {
            return None;
        }
        let offset = FRAME_BYTES * usize::from(index);
        // SAFETY: `frames` leads to `count` frames, and this is one of them.
        let frame = unsafe { self.frames.add(offset) };
        // SAFETY: the descriptor of data is the second of three.
        let place = unsafe { frame.add(DESCRIPTOR_BYTES) };
        // SAFETY: its address, 8 bytes aligned to 8.
        unsafe { cell::store_u64(place, data.address.0) };
        // SAFETY: its second half, as far as the bytes for length, flags and `next`.
        let place = unsafe { place.add(descriptor::LENGTH) };
        let rest = match data.direction {
            Direction::DeviceReadable => self.readable,
            Direction::DeviceWritable => self.writable,
        };
        // SAFETY: as above: 8 bytes, aligned to 8.
        unsafe { cell::store_u64(place, u64::from(data.len) | u64::from(rest) << 32) };
        let [first, second] = header;
        // SAFETY: the header comes after three descriptors.
        let place = unsafe { frame.add(TABLE_BYTES) };
        // SAFETY: its first half, aligned to 8.
        unsafe { cell::store_u64(place, first) };
        // SAFETY: its second half is 8 bytes on.
        let place = unsafe { place.add(8) };
        // SAFETY: as above.
        unsafe { cell::store_u64(place, second) };
        Some(Segment {
            address: DeviceAddress(self.address.0.wrapping_add(offset as u64)),
            len: TABLE_LEN,
            direction: Direction::DeviceReadable,
            domain: self.domain,
        })
    }

    /// The status byte of a frame, once: it counts as not written afterwards. So does that of a frame that is not there.
    #[inline]
    pub(crate) fn take_status(self, index: u32) -> u8 {
        let index = index as usize;
        if index >= self.count {
            return request_status::NOT_WRITTEN;
        }
        // SAFETY: `statuses` leads to `count` bytes, and this is one of them.
        let place = unsafe { self.statuses.add(index) };
        // SAFETY: as above.
        let status = unsafe { cell::load_u8(place) };
        // SAFETY: as above.
        unsafe { cell::store_u8(place, request_status::NOT_WRITTEN) };
        status
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::alloc::Layout;
    use std::alloc::{alloc_zeroed, dealloc};
    use std::vec::Vec;

    use super::*;
    use crate::hal::{DmaRegion, MapError};

    /// Device addresses are pointers with this added.
    const APART: u64 = 0x5_0000_0000_0000;
    const OURS: Domain = Domain(7);
    const WRITE: u16 = 2;

    /// Memory of the process.
    #[derive(Clone, Copy)]
    struct Heap;

    // SAFETY: each region is a new allocation with its layout, until it is freed, and nothing is mapped.
    unsafe impl Hal for Heap {
        fn domain(&self) -> Domain {
            OURS
        }

        fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
            // SAFETY: no memory is allocated with a size of 0.
            let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(DmaError)?;
            let device_address = DeviceAddress(pointer.addr().get() as u64 + APART);
            Ok(DmaRegion { pointer, device_address, layout })
        }

        unsafe fn free_dma(&self, region: DmaRegion) {
            // SAFETY: the caller's promise: from `allocate_dma`, with this layout.
            unsafe { dealloc(region.pointer.as_ptr(), region.layout) }
        }

        unsafe fn map(&self, _: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
            Err(MapError)
        }

        unsafe fn unmap(&self, _: DeviceAddress, _: NonNull<[u8]>, _: Direction) {}
    }

    /// The bytes at a device address, as the device finds them.
    fn at<const N: usize>(frames: &RequestFrames<Heap>, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        let offset = usize::try_from(address - frames.address.0).unwrap();
        frames.memory.read(offset, &mut bytes).unwrap();
        bytes
    }

    /// A descriptor: address, length, and the two halves of the rest.
    fn descriptor(bytes: &[u8]) -> (u64, u32, u16, u16) {
        let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let address = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        (address, u32::from_le_bytes(bytes[8..12].try_into().unwrap()), half(12), half(14))
    }

    fn data(direction: Direction) -> Segment {
        Segment { address: DeviceAddress(0x1234_5678_9abc_def0), len: 0x8765_4321, direction, domain: OURS }
    }

    /// Spec: §2.7.5.3, §2.8.7 — header, data and status: linked in the split layout, consecutive with WRITE as their only flag in the packed one. The header is in the frame.
    #[test]
    fn a_frame_is_a_table_of_header_data_and_status() {
        for is_packed in [false, true] {
            let frames = RequestFrames::allocate(&Heap, 5, is_packed).unwrap();
            let words = frames.words(5).unwrap();
            let mut statuses = Vec::new();
            // Each twice: nothing is left of the first time.
            for (index, direction) in [Direction::DeviceWritable, Direction::DeviceReadable]
                .into_iter()
                .flat_map(|direction| (0..5).map(move |index| (index, direction)))
            {
                let header = [0x0807_0605_0403_0201 + u64::from(index), 0x1817_1615_1413_1211];
                let table = words.fill(index, header, &data(direction)).unwrap();

                let address = frames.address.0 + 64 * u64::from(index);
                let expected = Segment {
                    address: DeviceAddress(address),
                    len: 48,
                    direction: Direction::DeviceReadable,
                    domain: OURS,
                };
                assert_eq!(table, expected);
                assert!(table.address.0.is_multiple_of(16), "as descriptors are to be");
                let bytes: [u8; 48] = at(&frames, address);
                let [first, second, third] =
                    [0, 16, 32].map(|offset| descriptor(&bytes[offset..offset + 16]));
                let write = if direction == Direction::DeviceWritable { WRITE } else { 0 };
                let data_at = (0x1234_5678_9abc_def0, 0x8765_4321);
                if is_packed {
                    assert_eq!(first, (address + 48, 16, 0, 0));
                    assert_eq!(second, (data_at.0, data_at.1, 0, write));
                    assert_eq!(third, (third.0, 1, 0, WRITE));
                } else {
                    assert_eq!(first, (address + 48, 16, 1, 1));
                    assert_eq!(second, (data_at.0, data_at.1, write | 1, 2));
                    assert_eq!(third, (third.0, 1, WRITE, 0));
                }
                assert_eq!(at::<16>(&frames, first.0), *header.map(u64::to_le_bytes).as_flattened());
                statuses.push(third.0);
            }
            assert_eq!(statuses[..5], statuses[5..], "they stay where they are");
            for (index, status) in statuses[..5].iter().enumerate() {
                assert!(!statuses[..index].contains(status), "each has its own");
                assert!(*status >= frames.address.0 + 5 * 64, "and none is in a frame");
            }
        }
    }

    #[test]
    fn a_status_is_taken_once_and_is_its_own_frames() {
        let frames = RequestFrames::allocate(&Heap, 3, false).unwrap();
        let words = frames.words(3).unwrap();
        assert_eq!([0, 1, 2].map(|index| words.take_status(index)), [0xff; 3], "nobody wrote one");

        for index in [1, 0] {
            let place: [u8; 48] = at(&frames, frames.address.0 + 64 * index);
            let status = usize::try_from(descriptor(&place[32..]).0 - frames.address.0).unwrap();
            frames.memory.write(status, &[u8::try_from(index).unwrap()]).unwrap();
        }

        assert_eq!([2, 1, 1, 0, 0].map(|index| words.take_status(index)), [0xff, 1, 0xff, 0, 0xff]);
    }

    #[test]
    fn what_is_beyond_the_frames_is_not_touched() {
        let frames = RequestFrames::allocate(&Heap, 2, true).unwrap();
        let memory = |frames: &RequestFrames<Heap>| at::<130>(frames, frames.address.0);
        let before = memory(&frames);
        assert_eq!((frames.count(), frames.words(3).is_none()), (2, true));

        let all = frames.words(2).unwrap();
        for (words, beyond) in
            [(all, 2), (all, u16::MAX), (frames.words(1).unwrap(), 1), (FrameWords::NONE, 0)]
        {
            assert_eq!(words.fill(beyond, [1, 2], &data(Direction::DeviceReadable)), None);
            assert_eq!(words.take_status(beyond.into()), 0xff);
        }
        assert_eq!([2, 0xffff_ffff].map(|beyond| all.take_status(beyond)), [0xff; 2]);

        assert_eq!(memory(&frames), before);
    }
}
