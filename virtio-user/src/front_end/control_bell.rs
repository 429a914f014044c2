//! The doorbell of the control queue: whoever rings it has the commands carried out before the call returns.
//!
//! Like those of other queues it outlives its transport, and is handed on. As long as no queue belongs to it, ringing it does nothing.

use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use virtio_guest::raw::{Doorbell, Notification};

use super::control_queue::ControlQueue;
use super::state::Shared;
use super::vectors::Signal;
use crate::protocol::{Fault, Request};

/// Bells that no queue has.
static RESTING: Mutex<Vec<&'static ControlBell>> = Mutex::new(Vec::new());

/// A control queue's doorbell, with the queue behind it.
#[derive(Debug)]
pub(super) struct ControlBell(Mutex<Option<Service>>);

/// A device whose control queue is served.
#[derive(Debug)]
pub(super) struct Service {
    /// `None` once there was no sense in it.
    pub(super) queue: Option<ControlQueue>,
    /// The way to the back-end.
    pub(super) device: Arc<Shared>,
    /// What is raised when the driver wants an interrupt.
    pub(super) call: Arc<Signal>,
    /// The other queues that the back-end was told of. None before DRIVER_OK: nothing is carried out until then.
    pub(super) queues: Vec<u16>,
}

impl ControlBell {
    /// One for a queue.
    pub(super) fn take(service: Service) -> &'static Self {
        let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bell = resting.unwrap_or_else(|| Box::leak(Box::new(Self(Mutex::new(None)))));
        *bell.lock() = Some(service);
        bell
    }

    /// The device is up, and has these queues beside.
    pub(super) fn begin(&self, queues: Vec<u16>) {
        if let Some(service) = &mut *self.lock() {
            service.queues = queues;
        }
    }

    /// The queue is no more.
    pub(super) fn rest(&'static self) {
        drop(self.lock().take());
        RESTING.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// What the driver rings.
    ///
    /// Work of a ring: as many messages as there are queues, for each command that sets how many are used.
    pub(super) fn doorbell(&'static self, queue: u16) -> Doorbell {
        let notification = Notification { queue, carries_position: false };
        Doorbell::function(ring, ptr::from_ref(self).expose_provenance(), notification)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Carries out what was made available.
    fn serve(&mut self) {
        let Some(queue) = self.queue.as_mut().filter(|_| !self.queues.is_empty()) else { return };
        let (device, queues) = (&self.device, &self.queues);
        match queue.serve(|pairs| are_there(queues, pairs) && use_pairs(device, queues, pairs).is_ok()) {
            Ok(true) => self.call.raise(),
            Ok(false) => {}
            Err(error) => {
                log::error!("a control queue is not served any more: {error}");
                self.queue = None;
            }
        }
    }
}

/// Whether there are so many pairs among these queues. None is none that can be asked for.
const fn are_there(queues: &[u16], pairs: u16) -> bool {
    pairs > 0 && pairs as usize <= queues.len() / 2
}

/// Has the back-end use the first pairs of these queues, and no others.
pub(super) fn use_pairs(device: &Shared, queues: &[u16], pairs: u16) -> Result<(), Fault> {
    let mut state = device.lock();
    queues.iter().try_for_each(|queue| {
        let is_used = queue / 2 < pairs;
        state.with(|connection| connection.tell_queue(Request::SetVringEnable, *queue, is_used.into()))
    })
}

#[allow(unsafe_code, reason = "a doorbell carries a plain number")]
fn ring(bell: usize, _: u32) {
    // SAFETY: `doorbell` is the only one to hand out this function, and always with the place of a bell that lives for ever.
    let bell = unsafe { &*ptr::with_exposed_provenance::<ControlBell>(bell) };
    if let Some(service) = &mut *bell.lock() {
        service.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec: §5.1.9.5.5 Device operation in multiqueue mode.
    #[test]
    fn no_pair_and_more_pairs_than_there_are_cannot_be_asked_for() {
        let queues = [0, 1, 2, 3];

        assert_eq!(
            [0, 1, 2, 3, 0x201].map(|pairs| are_there(&queues, pairs)),
            [false, true, true, false, false]
        );
    }
}
