//! Doorbells: eventfds that tell the back-end of available buffers.
//!
//! A queue may outlive its transport, and be published when its device is long reset. So a bell is never closed: it is handed on to later queues, which at worst are looked at in vain.

use std::ptr;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use virtio_guest::raw::{Doorbell, Notification};

use super::vectors::Signal;

/// Bells that no queue has.
static RESTING: Mutex<Vec<&'static Bell>> = Mutex::new(Vec::new());

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

    /// The queue is no more, as far as the device is concerned.
    pub(super) fn rest(&'static self) {
        RESTING.lock().unwrap_or_else(PoisonError::into_inner).push(self);
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
}
