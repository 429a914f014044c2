//! A disk as a stream of bytes: `embedded-io`'s `Read`, `Write` and `Seek`.
//!
//! Crate `embedded-io` 0.7. File-system crates want bytes at any position, disks have sectors: one block of memory in between holds what is read or written in part. Whole
//! blocks in the middle of a transfer go past it, straight into or out of the caller's slice.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use embedded_io::{Read, Seek, SeekFrom, Write};
//! use virtio_guest::adapter::embedded_io::BlockStream;
//! # use virtio_guest::device::block::Block;
//!
//! # fn example(disk: Block<'_, impl Transport, impl Hal>) -> Result<(), Box<dyn core::error::Error>> {
//! let within_a_second = || Attempts(1_000_000); // or a deadline
//! let mut stream = BlockStream::new(disk, [0; 4096], within_a_second).map_err(|_| "a block of the disk is larger")?;
//!
//! let mut label = [0; 11];
//! stream.seek(SeekFrom::Start(71))?;
//! stream.read_exact(&mut label)?;
//! stream.seek(SeekFrom::Current(-11))?;
//! stream.write_all(b"MY DISK    ")?;
//! stream.flush()?; // or the change is lost
//! # Ok(()) }
//! ```

use core::fmt;
use core::num::NonZeroU64;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

use crate::device::block::{BlockingDisk, RequestError, SECTOR_BYTES, Sector};
use crate::hal::Patience;

/// A disk as a stream of bytes, from its first to its last. See the module's head.
///
/// What is written in part stays in the block of memory until another one is wanted there, or until a `flush`, which has the disk flush its own cache, too. What was not flushed when the stream is dropped is lost.
pub struct BlockStream<D, M, const BYTES: usize> {
    disk: D,
    patience: M,
    block_bytes: NonZeroU64,
    position: u64,
    block: [u8; BYTES],
    held: Option<Held>,
}

/// What the block of memory holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Its place on the disk, in bytes.
    start: u64,
    /// As much of it as the disk has.
    bytes: usize,
    /// The disk has it otherwise.
    is_changed: bool,
}

/// Why a stream's call did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The disk did not do what it was asked for. The position is where it was.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The position is at the disk's end, or beyond it: there is nothing to write to.
    #[error("there is nothing to write to at the disk's end")]
    AtTheEnd,
    /// The position would be before the disk's first byte, or is no number of 64 bits.
    #[error("there is no such position")]
    NoSuchPosition,
}

/// The block of memory does not suit the disk.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block of memory for this disk is a multiple of {block_bytes} bytes")]
pub struct BlockRefused<D> {
    /// What its bytes have to be a multiple of.
    pub block_bytes: u32,
    /// The disk, as it was.
    pub disk: D,
}

impl embedded_io::Error for StreamError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Request(RequestError::TimedOut) => ErrorKind::TimedOut,
            Self::Request(RequestError::Removed | RequestError::NeedsReset) => ErrorKind::NotConnected,
            Self::Request(RequestError::ReadOnly) => ErrorKind::PermissionDenied,
            Self::Request(RequestError::Unsupported) => ErrorKind::Unsupported,
            Self::Request(_) => ErrorKind::Other,
            Self::AtTheEnd => ErrorKind::WriteZero,
            Self::NoSuchPosition => ErrorKind::InvalidInput,
        }
    }
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience, const BYTES: usize> BlockStream<D, M, BYTES> {
    /// A stream at the disk's first byte. `block` is what is between: a multiple of the disk's own [block](BlockingDisk::block_bytes) (4096 bytes suit most), whatever is in it. Each request waits
    /// as long as what `patience` makes for it.
    ///
    /// # Errors
    /// - [`BlockRefused`]: `block` is no such multiple. The disk comes back.
    pub fn new(disk: D, block: [u8; BYTES], patience: M) -> Result<Self, BlockRefused<D>> {
        let sector_bytes = u32::try_from(SECTOR_BYTES).unwrap_or(u32::MAX);
        let needed = disk.block_bytes().map_or(sector_bytes, |bytes| bytes.max(sector_bytes));
        match u64::try_from(BYTES).ok().and_then(NonZeroU64::new) {
            Some(bytes)
                if bytes.get().is_multiple_of(needed.into()) && BYTES.is_multiple_of(SECTOR_BYTES) =>
            {
                Ok(Self { disk, patience, block_bytes: bytes, position: 0, block, held: None })
            }
            _ => Err(BlockRefused { block_bytes: needed, disk }),
        }
    }

    /// Forgets what was written and not flushed: for a disk that does not take it any more.
    pub fn forget_changes(&mut self) {
        self.held = self.held.filter(|held| !held.is_changed);
    }

    /// The disk itself. What was not flushed is lost.
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn end(&self) -> u64 {
        self.disk.capacity_sectors().saturating_mul(SECTOR_BYTES as u64)
    }

    /// How many bytes of a transfer at the position are whole blocks, and may go past the memory. Other memory of them is written back, and forgotten.
    fn whole_blocks(&mut self, bytes: usize, left: u64) -> Result<usize, StreamError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(left);
        if self.position % self.block_bytes != 0 {
            return Ok(0);
        }
        let bytes = bytes - bytes % self.block_bytes;
        if self.held.is_some_and(|held| held.start.checked_sub(self.position).is_some_and(|at| at < bytes)) {
            self.write_back()?;
            self.held = None;
        }
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// Brings the block around the position into memory. Gives the part of it from there on.
    fn part(&mut self, end: u64) -> Result<&mut [u8], StreamError> {
        let offset = self.position % self.block_bytes;
        let start = self.position - offset;
        let bytes = usize::try_from(self.block_bytes.get().min(end.saturating_sub(start))).unwrap_or(0);
        if !self.held.is_some_and(|held| held.start == start && held.bytes == bytes) {
            self.write_back()?;
            self.held = None;
            let into = self.block.get_mut(..bytes).unwrap_or_default();
            self.disk.read(sector(start), &mut [into], (self.patience)())?;
            self.held = Some(Held { start, bytes, is_changed: false });
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.block.get_mut(offset..bytes).unwrap_or_default())
    }

    fn write_back(&mut self) -> Result<(), StreamError> {
        let Some(held) = self.held.as_mut().filter(|held| held.is_changed) else { return Ok(()) };
        let from = self.block.get(..held.bytes).unwrap_or_default();
        self.disk.write(sector(held.start), &[from], (self.patience)())?;
        held.is_changed = false;
        Ok(())
    }

    /// So many bytes were transferred.
    fn advance(&mut self, bytes: usize) -> usize {
        self.position = self.position.saturating_add(bytes as u64);
        bytes
    }
}

/// The sector of a byte that is a sector's first.
const fn sector(byte: u64) -> Sector {
    Sector(byte / SECTOR_BYTES as u64)
}

/// Copies as much as both have room for.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let bytes = from.len().min(into.len());
    if let (Some(from), Some(into)) = (from.get(..bytes), into.get_mut(..bytes)) {
        into.copy_from_slice(from);
    }
    bytes
}

impl<D, M, const BYTES: usize> ErrorType for BlockStream<D, M, BYTES> {
    type Error = StreamError;
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience, const BYTES: usize> Read for BlockStream<D, M, BYTES> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        let end = self.end();
        let left = end.saturating_sub(self.position);
        if into.is_empty() || left == 0 {
            return Ok(0);
        }
        let whole = self.whole_blocks(into.len(), left)?;
        let bytes = if let Some(into @ [_, ..]) = into.get_mut(..whole) {
            self.disk.read(sector(self.position), &mut [into], (self.patience)())?;
            whole
        } else {
            copy(self.part(end)?, into)
        };
        Ok(self.advance(bytes))
    }
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience, const BYTES: usize> Write for BlockStream<D, M, BYTES> {
    fn write(&mut self, from: &[u8]) -> Result<usize, StreamError> {
        let end = self.end();
        let left = end.saturating_sub(self.position);
        if from.is_empty() {
            return Ok(0);
        }
        if left == 0 {
            return Err(StreamError::AtTheEnd);
        }
        let whole = self.whole_blocks(from.len(), left)?;
        let bytes = if let Some(from @ [_, ..]) = from.get(..whole) {
            self.disk.write(sector(self.position), &[from], (self.patience)())?;
            whole
        } else {
            let bytes = copy(from, self.part(end)?);
            if let Some(held) = &mut self.held {
                held.is_changed = true;
            }
            bytes
        };
        Ok(self.advance(bytes))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.write_back()?;
        Ok(self.disk.flush((self.patience)())?)
    }
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience, const BYTES: usize> Seek for BlockStream<D, M, BYTES> {
    /// Positions beyond the end can be sought: there is nothing to read, and nothing to write to.
    fn seek(&mut self, position: SeekFrom) -> Result<u64, StreamError> {
        let position = match position {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.end().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(StreamError::NoSuchPosition)?;
        Ok(self.position)
    }
}

impl<D, M, const BYTES: usize> fmt::Debug for BlockStream<D, M, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, held, .. } = self;
        f.debug_struct("BlockStream").field("position", position).field("held", held).finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for BlockRefused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockRefused").field("block_bytes", &self.block_bytes).finish_non_exhaustive()
    }
}
