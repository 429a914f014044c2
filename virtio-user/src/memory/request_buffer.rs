//! A buffer that is a request's: small, for it moves into a queue and out of it each time.
//!
//! A [`MappedBuffer`](virtio_guest::raw::MappedBuffer) of a [`SharedBuffer`](super::SharedBuffer) can be undone, and keeps what that takes, three times as many bytes. Here it is known how a
//! buffer is mapped (it is inside of the memory), so where it is will do. What there is to know of it beside that is one word ([`Kind`]): a value of three whole words moves as three words, while one
//! with smaller fields is taken apart and put together again.

use std::ptr::NonNull;
use std::sync::Arc;

use virtio_guest::hal::{DeviceAddress, Direction, Domain};
use virtio_guest::raw::{OutOfBounds, Payload, Segment, SegmentVisitor};

use super::piece::Piece;
use super::pool::Home;

/// Bytes of a pool that a device reads, or writes: what requests of a disk carry in bursts. From [`SharedPool::request_buffer`](super::SharedPool::request_buffer); dropped, it goes back there.
///
/// As with all shared memory, bytes are copied in and out.
///
/// ```
/// use virtio_guest::hal::Direction;
/// use virtio_user::memory::{MemorySettings, SharedMemory};
///
/// let memory = SharedMemory::new(&MemorySettings::default())?;
/// let pool = memory.pool(128, 4096).ok_or("the memory is full")?;
/// let mut page = pool.request_buffer(Direction::DeviceReadable).ok_or("all of them are out")?;
/// page.write(0, b"to the disk")?; // and then, say, `Access::Write { to, from: page }`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RequestBuffer {
    start: NonNull<u8>,
    home: Arc<Home>,
    kind: Kind,
}

/// Length (bits 0 to 31), domain (32 to 47) and direction (bit 63: the device writes) of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(u64);

impl Kind {
    const DOMAIN_SHIFT: u32 = u32::BITS;
    /// The sign, which is tested by one instruction.
    const WRITABLE: u64 = 1 << (u64::BITS - 1);

    const fn new(len: u32, Domain(domain): Domain) -> Self {
        Self(len as u64 | (domain as u64) << Self::DOMAIN_SHIFT)
    }

    /// The same for the other or this direction.
    #[inline(always)]
    const fn with_direction(self, direction: Direction) -> Self {
        match direction {
            Direction::DeviceReadable => Self(self.0 & !Self::WRITABLE),
            Direction::DeviceWritable => Self(self.0 | Self::WRITABLE),
        }
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the lower half is the length")]
    const fn len(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the lower part of the upper half is the domain")]
    const fn domain(self) -> Domain {
        Domain((self.0 >> Self::DOMAIN_SHIFT) as u16)
    }

    #[inline(always)]
    const fn direction(self) -> Direction {
        if self.0 & Self::WRITABLE == 0 { Direction::DeviceReadable } else { Direction::DeviceWritable }
    }
}

// SAFETY: the bytes are the holder's alone in this process, and are accessed atomically only.
unsafe impl Send for RequestBuffer {}
// SAFETY: as before.
unsafe impl Sync for RequestBuffer {}

impl RequestBuffer {
    /// `None` if it is longer than a descriptor can say; then the piece is not its pool's any more.
    pub(super) fn new(piece: &Piece, home: Arc<Home>, direction: Direction) -> Option<Self> {
        let len = u32::try_from(piece.len()).ok()?;
        let kind = Kind::new(len, home.domain()).with_direction(direction);
        Some(Self { start: piece.start(), home, kind })
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.kind.len() as usize
    }

    /// Always `false`: no buffer is without a byte.
    pub const fn is_empty(&self) -> bool {
        self.kind.len() == 0
    }

    /// Which side is to write, while it is with a device.
    pub const fn set_direction(&mut self, direction: Direction) {
        self.kind = self.kind.with_direction(direction);
    }

    /// Copies bytes out, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many; nothing was copied.
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.piece().read(offset, into)
    }

    /// Copies bytes in, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many; nothing was copied.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        self.piece().write(offset, from)
    }

    #[inline]
    const fn piece(&self) -> Piece {
        // SAFETY: this value's bytes, for as long as one of its functions runs, or when it ends.
        unsafe { Piece::new(self.start, self.len()) }
    }
}

// SAFETY: one segment, always the same; it is part of a memory that stays mapped while the pool has parts out, at the address that it has here; and only this value's functions reach the bytes.
unsafe impl Payload for RequestBuffer {
    #[inline(always)]
    fn segment_count(&self) -> usize {
        1
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        let address = DeviceAddress(self.start.addr().get() as u64);
        let kind = self.kind;
        let (len, direction, domain) = (kind.len(), kind.direction(), kind.domain());
        visitor.segment(&Segment { address, len, direction, domain });
    }
}

impl Drop for RequestBuffer {
    fn drop(&mut self) {
        self.home.put_back(self.piece());
    }
}

#[cfg(test)]
mod tests {
    use virtio_guest::hal::{Direction, Domain, Hal};
    use virtio_guest::raw::{Payload, Segment};

    use super::{Kind, RequestBuffer};
    use crate::memory::{MemorySettings, Pages, SharedMemory};

    fn memory() -> SharedMemory {
        SharedMemory::new(&MemorySettings { bytes: 1 << 20, pages: Pages::Ordinary }).unwrap()
    }

    #[test]
    fn it_is_three_words() {
        assert!(size_of::<RequestBuffer>() <= 24);
    }

    #[test]
    fn length_domain_and_direction_share_a_word_and_nothing_else() {
        for (len, domain) in [(0, 0), (1, 0xffff), (u32::MAX, 0), (u32::MAX, 0xffff), (4096, 0x8001)] {
            let mut kind = Kind::new(len, Domain(domain));
            assert_eq!(kind.direction(), Direction::DeviceReadable);
            for direction in [Direction::DeviceWritable, Direction::DeviceWritable, Direction::DeviceReadable]
            {
                kind = kind.with_direction(direction);
                assert_eq!((kind.len(), kind.domain(), kind.direction()), (len, Domain(domain), direction));
            }
        }
    }

    #[test]
    fn it_goes_back_to_its_pool_when_it_is_dropped_whoever_is_left() {
        let memory = memory();
        let pool = memory.pool(2, 4096).unwrap();
        let free = memory.free_bytes();

        let pages: Vec<_> = (0..2).map(|_| pool.request_buffer(Direction::DeviceReadable).unwrap()).collect();
        assert!(pool.request_buffer(Direction::DeviceReadable).is_none());
        drop(pages);
        assert_eq!(pool.resting(), 2);

        let last = pool.request_buffer(Direction::DeviceReadable).unwrap();
        drop(pool);
        assert_eq!(memory.free_bytes(), free);
        drop(last);
        assert_eq!(memory.free_bytes(), free + 2 * 4096);
    }

    #[test]
    fn its_one_segment_is_where_its_bytes_are() {
        let memory = memory();
        let pool = memory.pool(1, 4096).unwrap();
        let mut page = pool.request_buffer(Direction::DeviceReadable).unwrap();
        page.set_direction(Direction::DeviceWritable);
        page.write(4, b"bytes").unwrap();
        assert!(page.write(4095, b"xx").is_err());

        let mut segments = Vec::new();
        page.visit_segments(&mut |segment: &Segment| segments.push(*segment));

        let [segment] = segments[..] else { panic!("{segments:?}") };
        let region = memory.region();
        assert!((region.address..region.address + region.bytes).contains(&segment.address.0));
        assert_eq!((segment.len, segment.direction), (4096, Direction::DeviceWritable));
        assert_eq!(segment.domain, memory.hal().domain());
        let mut bytes = [0; 5];
        page.read(4, &mut bytes).unwrap();
        assert_eq!(&bytes, b"bytes");
    }
}
