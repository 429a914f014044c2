//! Whoever fills queues takes buffers from here.
//!
//! One for a pool: so that taking needs no more than a look at what came back, once the own ones are used up.

use core::task::Waker;

use super::buffers::Buffers;
use super::{BufferPool, NOBODY};
use crate::hal::Hal;
use crate::sync::Ordering;

/// The right to take a pool's buffers. `Send`, not to be shared. Dropped, it can be had from the pool again.
#[derive(Debug)]
pub struct Supply<'p, H: Hal> {
    pool: &'p BufferPool<'p, H>,
    /// The first of those that were taken from the pool and not given out.
    pub(super) first: u32,
}

impl<'p, H: Hal> Supply<'p, H> {
    pub(super) const fn of(pool: &'p BufferPool<'p, H>) -> Self {
        Self { pool, first: NOBODY }
    }

    /// The pool itself.
    pub const fn pool(&self) -> &'p BufferPool<'p, H> {
        self.pool
    }

    /// Takes a buffer, of which nothing is shown. `None` if all are out.
    ///
    /// Its bytes are whatever they were before.
    #[inline]
    pub fn take(&mut self) -> Option<Buffers<'p, H>> {
        self.pool.take(&mut self.first)
    }

    /// Whether so many buffers can be taken.
    ///
    /// Work: bounded by `count`.
    pub fn has(&mut self, count: usize) -> bool {
        let (mut own, mut last, mut next) = (0, NOBODY, self.first);
        loop {
            while own < count && next != NOBODY {
                (own, last) = (own + 1, next);
                next = self.pool.entry(next).next();
            }
            if own >= count {
                return true;
            }
            // The own ones are at their end: those that came back follow.
            next = self.pool.take_returned();
            match (next, last) {
                (NOBODY, _) => return false,
                (_, NOBODY) => self.first = next,
                _ => self.pool.entry(last).follow(next),
            }
        }
    }

    /// Whether so many buffers can be taken; if not, `waker` is woken when one comes back. One at a time waits.
    pub fn is_ready(&mut self, count: usize, waker: &Waker) -> bool {
        if self.has(count) {
            return true;
        }
        self.pool.waker.register(waker);
        self.pool.is_awaited.store(1, Ordering::SeqCst);
        // Who gave one back just before did not see that it is awaited: it is seen here.
        self.pool.returned.load(Ordering::SeqCst) != NOBODY && self.has(count)
    }
}

impl<H: Hal> Drop for Supply<'_, H> {
    fn drop(&mut self) {
        if self.first != NOBODY {
            let mut last = self.first;
            loop {
                let next = self.pool.entry(last).next();
                if next == NOBODY {
                    break;
                }
                last = next;
            }
            self.pool.put_back(self.first, last);
        }
        self.pool.is_supplied.store(0, Ordering::Release);
    }
}
