//! Many buffers on their way back to their pool, so that they are given back at once.
//!
//! For queues that take back a burst: one exchange with the pool instead of one for each.

use super::buffers::Buffers;
use super::{BufferPool, NOBODY};
use crate::hal::Hal;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Homecoming<'p, H: Hal> {
    pool: Option<&'p BufferPool<'p, H>>,
    first: u32,
    last: u32,
}

impl<'p, H: Hal> Homecoming<'p, H> {
    /// Nobody yet.
    pub(crate) const fn new() -> Self {
        Self { pool: None, first: NOBODY, last: NOBODY }
    }

    /// These, too. Those of another pool before them are given back.
    #[inline]
    pub(crate) fn add(&mut self, buffers: Buffers<'p, H>) {
        if let Some(pool) = self.pool
            && core::ptr::eq(pool, buffers.pool)
        {
            pool.entry(self.last).follow(buffers.first);
        } else {
            self.end();
            (self.pool, self.first) = (Some(buffers.pool), buffers.first);
        }
        self.last = buffers.last();
        core::mem::forget(buffers);
    }

    fn end(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put_back(self.first, self.last);
        }
    }
}

impl<H: Hal> Drop for Homecoming<'_, H> {
    fn drop(&mut self) {
        self.end();
    }
}
