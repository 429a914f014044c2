//! The memory that driver and back-end share.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Memory that a back-end can be given: one file without a name, mapped once. Clones are the same memory.
#[derive(Clone, Debug)]
pub struct SharedMemory {
    file: Arc<std::os::fd::OwnedFd>,
}

/// What a back-end is told of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Region<'m> {
    /// The file that it is.
    pub file: BorrowedFd<'m>,
    /// Where it is mapped in this process, which is also what it is called in rings.
    pub address: u64,
    /// How long it is.
    pub bytes: u64,
}

impl SharedMemory {
    /// What a back-end is told of it.
    pub fn region(&self) -> Region<'_> {
        use std::os::fd::AsFd;
        Region { file: self.file.as_fd(), address: 0, bytes: 0 }
    }
}
