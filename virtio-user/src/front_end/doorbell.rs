//! Doorbells: eventfds that tell the back-end of available buffers.
//!
//! A queue may outlive its transport, and be published when its device is long reset. So a bell is never closed. It is handed on to later queues, which at worst are looked at in vain, once the back-end has said that it
//! stopped the queue: one that did not may still wait for its rings, and would take those of the next queue away. Bells of such queues are kept back for as
//! long as few are.

use std::collections::VecDeque;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use virtio_guest::raw::{Doorbell, Notification};

use super::vectors::Signal;

/// Bells that no queue has.
static RESTING: Mutex<Vec<&'static Bell>> = Mutex::new(Vec::new());
/// Bells that a former back-end may still hear, the oldest first.
static KEPT_BACK: Mutex<VecDeque<&'static Bell>> = Mutex::new(VecDeque::new());
/// Most of them: a back-end that goes again and again does not cost a file each time.
const KEPT_BACK_MAX: usize = 64;

/// An eventfd that is never closed.
#[derive(Debug)]
pub(super) struct Bell {
    pub(super) kick: Signal,
}

impl Bell {
    /// One that no queue has.
    pub(super) fn take() -> Result<&'static Self, Errno> {
        let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match resting {
            Some(bell) => Ok(bell),
            None => Ok(Box::leak(Box::new(Self { kick: Signal::new()? }))),
        }
    }

    /// The back-end has stopped the queue: another one may have the bell.
    pub(super) fn rest(&'static self) {
        RESTING.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// The queue is no more, and the back-end did not say that it stopped it.
    pub(super) fn keep_back(&'static self) {
        let mut kept = KEPT_BACK.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(self);
        if kept.len() > KEPT_BACK_MAX
            && let Some(oldest) = kept.pop_front()
        {
            oldest.rest();
        }
    }

    /// What the driver rings.
    ///
    /// Work of a ring: one system call.
    pub(super) fn doorbell(&'static self, queue: u16) -> Doorbell {
        let notification = Notification { queue, carries_position: false };
        Doorbell::function(ring, ptr::from_ref(self).expose_provenance(), notification)
    }
}

#[allow(unsafe_code, reason = "a doorbell carries a plain number")]
fn ring(bell: usize, _: u32) {
    // SAFETY: `doorbell` is the only one to hand out this function, and always with the place of a bell that lives for ever.
    let bell = unsafe { &*ptr::with_exposed_provenance::<Bell>(bell) };
    bell.kick.raise();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rests_is_handed_on() {
        let bell = Bell::take().expect("an eventfd");
        bell.rest();

        let next: Vec<_> = (0..64).map(|_| Bell::take().expect("an eventfd")).collect();

        assert!(next.iter().any(|other| ptr::eq(*other, bell)));
        next.into_iter().for_each(Bell::rest);
    }

    #[test]
    fn a_bell_that_somebody_may_still_hear_is_nobody_elses() {
        let bell = Bell::take().expect("an eventfd");
        bell.keep_back();

        let next: Vec<_> = (0..64).map(|_| Bell::take().expect("an eventfd")).collect();

        assert!(!next.iter().any(|other| ptr::eq(*other, bell)));
        // Not for ever: those that came later are kept back instead.
        next.into_iter().for_each(Bell::keep_back);
        let next: Vec<_> = (0..64).map(|_| Bell::take().expect("an eventfd")).collect();
        assert!(next.iter().any(|other| ptr::eq(*other, bell)));
        next.into_iter().for_each(Bell::rest);
    }
}
