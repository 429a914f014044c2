//! What a driver does after it has left its lock: waking, and dropping.
//!
//! Wakers and payloads are the caller's code: a waker may be the last thing that keeps a task alive, and its task may hold requests of the same driver, whose drop takes the same lock. So nothing of
//! the kind runs while the lock is held.

use core::task::Waker;

/// Most wakers of one visit behind the lock: a burst of completions, as many that are called to their places, and what a visit replaces.
const WAKERS_MAX: usize = 2 * Later::<()>::COMPLETIONS_MAX + 6;

/// What was collected behind the lock. It is done when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Later<T> {
    /// Wakers, and whether they are to be called before they are dropped.
    wakers: [Option<(Waker, bool)>; WAKERS_MAX],
    count: usize,
    /// Something of the caller's that nobody wants any more.
    unwanted: Option<T>,
}

impl<T> Later<T> {
    /// Most completions to be taken in one visit, so that there is room for everybody who is to be woken.
    pub(in super::super) const COMPLETIONS_MAX: usize = 16;

    pub(in super::super) const fn new() -> Self {
        Self { wakers: [const { None }; WAKERS_MAX], count: 0, unwanted: None }
    }

    /// Wakes somebody.
    pub(in super::super) fn wake(&mut self, waker: Option<Waker>) {
        self.add(waker, true);
    }

    /// Drops a waker.
    pub(in super::super) fn forget(&mut self, waker: Option<Waker>) {
        self.add(waker, false);
    }

    fn add(&mut self, waker: Option<Waker>, call: bool) {
        if let (Some(waker), Some(place)) = (waker, self.wakers.get_mut(self.count)) {
            *place = Some((waker, call));
            self.count += 1;
        }
    }

    /// How many more can be woken.
    pub(in super::super) const fn room(&self) -> usize {
        WAKERS_MAX - self.count
    }

    /// Drops something of the caller's. One thing a visit.
    pub(in super::super) fn discard(&mut self, unwanted: Option<T>) {
        self.unwanted = unwanted;
    }
}

impl<T> Drop for Later<T> {
    fn drop(&mut self) {
        for (waker, call) in self.wakers.iter_mut().map_while(Option::take) {
            if call {
                waker.wake();
            }
        }
    }
}
