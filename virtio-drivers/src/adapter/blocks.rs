//! A disk and how long its calls may wait: what other crates' block traits are implemented for.
//!
//! Spec: §5.2.6 Device Operation. The traits are in modules of their own, each behind a feature: `embedded_sdmmc`, `gpt_disk_io`.

use core::cell::{BorrowMutError, RefCell, RefMut};
use core::fmt;

use crate::device::block::{BlockingDisk, RequestError};
use crate::hal::Patience;

/// A disk in blocks, for crates that bring a trait of their own. Each request waits as long as what `patience` makes for it.
///
/// Nothing is kept in between: what was written is with the disk, and safe from a power failure after a flush, which not all of those traits have: see [`flush`](Blocks::flush).
pub struct Blocks<D, M> {
    // Some of the traits share the disk.
    disk: RefCell<D>,
    pub(super) patience: M,
}

/// Why blocks were not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// The disk did not do what it was asked for.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The disk is in the middle of another call: the caller's patience called it again.
    #[error("the disk is in the middle of another call")]
    InUse,
}

impl From<BorrowMutError> for BlocksError {
    fn from(_: BorrowMutError) -> Self {
        Self::InUse
    }
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience> Blocks<D, M> {
    /// Wraps a disk.
    pub const fn new(disk: D, patience: M) -> Self {
        Self { disk: RefCell::new(disk), patience }
    }

    /// Makes everything written until now safe from a power failure.
    ///
    /// # Errors
    /// See [`BlocksError`].
    pub fn flush(&self) -> Result<(), BlocksError> {
        Ok(self.disk()?.flush((self.patience)())?)
    }

    /// The disk, for a call of its own.
    ///
    /// # Errors
    /// - [`BlocksError::InUse`]: it was given out already.
    pub fn disk(&self) -> Result<RefMut<'_, D>, BlocksError> {
        Ok(self.disk.try_borrow_mut()?)
    }

    /// The disk itself.
    pub fn into_disk(self) -> D {
        self.disk.into_inner()
    }
}

impl<D, M> fmt::Debug for Blocks<D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}
