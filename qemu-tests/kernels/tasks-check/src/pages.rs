//! Pages of a pool: each comes back to it when it is dropped, whoever drops it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::NonNull;

use spin::Mutex;
use virtio_guest::hal::DmaBuffer;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// The pages that are here.
static POOL: Mutex<Vec<Box<[u8; PAGE]>>> = Mutex::new(Vec::new());

/// A page, as long as somebody has it.
pub struct Page(Option<Box<[u8; PAGE]>>);

/// Puts so many more pages into the pool.
pub fn add(pages: usize) {
    POOL.lock().extend((0..pages).map(|_| Box::new([0; PAGE])));
}

/// How many pages are in the pool.
pub fn count() -> usize {
    POOL.lock().len()
}

/// A page from the pool, whatever is in it; `None` if all are out.
pub fn take() -> Option<Page> {
    POOL.lock().pop().map(|bytes| Page(Some(bytes)))
}

impl Page {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().map_or(&mut [], |bytes| bytes)
    }
}

// SAFETY: the box is this page's own until it is dropped, and moving it moves a pointer; forgotten, it is leaked.
unsafe impl DmaBuffer for Page {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(Self::bytes(self))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        POOL.lock().extend(self.0.take());
    }
}
