//! Many buffers on their way back to their pool, so that they are given back at once.
//!
//! For queues that take back a burst: one exchange with the pool instead of one for each.

use core::mem::forget;

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
    #[inline(always)]
    pub(crate) fn add(&mut self, buffers: Buffers<'p, H>) {
        let (pool, first, last) = (buffers.pool, buffers.first, buffers.last());
        forget(buffers);
        match self.pool {
            Some(own) if core::ptr::eq(own, pool) => pool.entry(self.last).follow(first),
            own => {
                end(own, self.first, self.last);
                (self.pool, self.first) = (Some(pool), first);
            }
        }
        self.last = last;
    }
}

/// A string of buffers, if there is one, is given back.
#[cold]
#[inline(never)]
fn end<H: Hal>(pool: Option<&BufferPool<'_, H>>, first: u32, last: u32) {
    if let Some(pool) = pool {
        pool.put_back(first, last);
    }
}

impl<H: Hal> Drop for Homecoming<'_, H> {
    fn drop(&mut self) {
        end(self.pool.take(), self.first, self.last);
    }
}
