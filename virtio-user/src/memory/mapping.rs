//! One memfd, mapped once: the memory that this process and a back-end share.
//!
//! It is sealed: neither side can make it shorter (or longer), so no access goes beyond its end. All pages are there from the beginning, so an access on the data path is no page fault. What no seal
//! forbids is to punch holes: ordinary pages are then there again, with zeroes; huge ones only if some are left, so a back-end that is not trusted gets ordinary ones.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, memfd_create};

use super::{MemoryError, Pages};

/// The mapped memory. Dropping it unmaps.
#[derive(Debug)]
pub(super) struct Mapping {
    map: MmapRaw,
    file: File,
    page_bytes: usize,
}

impl Mapping {
    /// Makes memory of at least so many bytes, in whole pages.
    pub(super) fn new(bytes: usize, pages: Pages) -> Result<Self, MemoryError> {
        if bytes == 0 {
            return Err(MemoryError::Empty);
        }
        match pages {
            Pages::Ordinary => ordinary(bytes).map_err(|error| MemoryError::Refused { bytes, error }),
            Pages::Huge => huge(bytes).map_err(|error| MemoryError::NoHugePages { bytes, error }),
            Pages::HugeIfThere => huge(bytes).or_else(|error| {
                log::debug!("no huge pages for {bytes} bytes ({error}): ordinary ones are taken");
                Self::new(bytes, Pages::Ordinary)
            }),
        }
    }

    /// Its first byte.
    pub(super) fn start(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.map.as_mut_ptr())
    }

    /// Its length.
    pub(super) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The length of its pages.
    pub(super) const fn page_bytes(&self) -> usize {
        self.page_bytes
    }
}

impl AsFd for Mapping {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn ordinary(bytes: usize) -> io::Result<Mapping> {
    map(bytes, MemfdFlags::empty())
}

fn huge(bytes: usize) -> io::Result<Mapping> {
    map(bytes, MemfdFlags::HUGETLB)
}

fn map(bytes: usize, kind: MemfdFlags) -> io::Result<Mapping> {
    let file = memfd_create("virtio-user", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | kind)?;
    let page_bytes = usize::try_from(fstat(&file)?.st_blksize).unwrap_or(4096);
    let bytes = bytes.checked_next_multiple_of(page_bytes).ok_or(io::ErrorKind::OutOfMemory)?;
    // The kernel would try, and end processes to have the memory.
    if bytes as u64 > machine_bytes() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let file = File::from(file);
    file.set_len(bytes as u64)?;
    // Now, rather than when a page is touched and there is none.
    fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    let map = MmapOptions::new().len(bytes).populate().map_raw(&file)?;
    Ok(Mapping { map, file, page_bytes })
}

/// How much memory the machine has.
fn machine_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    system.totalram.saturating_mul(system.mem_unit.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_make_it_shorter() {
        let mapping = Mapping::new(10_000, Pages::Ordinary).unwrap();

        assert!(mapping.file.set_len(4096).is_err());
        assert!(mapping.file.set_len(1 << 20).is_err());
        assert_eq!(mapping.bytes(), 12_288);
    }

    #[test]
    fn huge_pages_are_taken_if_there_are_any_and_it_is_said_which() {
        let mapping = Mapping::new(10_000, Pages::HugeIfThere).unwrap();
        let are_there = Mapping::new(10_000, Pages::Huge).is_ok();

        assert_eq!(mapping.page_bytes() > 4096, are_there);
        assert!(mapping.bytes().is_multiple_of(mapping.page_bytes()));
    }

    #[test]
    fn what_cannot_be_had_is_an_error_that_says_what_to_do() {
        let error = Mapping::new(usize::MAX, Pages::Huge).unwrap_err();
        assert!(error.to_string().contains("vm.nr_hugepages"), "{error}");

        assert!(matches!(Mapping::new(1 << 45, Pages::HugeIfThere), Err(MemoryError::Refused { .. })));
        assert!(matches!(Mapping::new(0, Pages::Ordinary), Err(MemoryError::Empty)));
    }
}
