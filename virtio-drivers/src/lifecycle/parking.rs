//! Queues are put aside, so that their device can be suspended.
//!
//! Spec: §3.4.1 Driver Requirements: Device Suspend.
//!
//! A queue counts as in use from its installation until [`Running`] takes it: to park it, or to reset it. One that is dropped is not seen to go. It counts until the
//! device is reset, and so its device cannot be suspended any more: refused without need, which is better than suspended with a queue that still notifies.

use super::running::Running;
use crate::hal::Hal;
use crate::raw::Payload;
use crate::ring::{ParkedQueue, Virtqueue};
use crate::transport::Transport;

impl<T: Transport, D: Copy> Running<T, D> {
    /// Puts a queue aside: nothing can be made available in it, nor published, until it is [unparked](Running::unpark). Device and queue notice nothing.
    ///
    /// Ownership: everything stays where it is. Chains that were not published stay so; those that the device uses meanwhile can be taken later.
    ///
    /// # Errors
    /// The queue itself, as it was, if it is another device's or of an earlier bring-up.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back")]
    pub fn park<'s, H: Hal, P: Payload>(
        &mut self,
        queue: Virtqueue<'s, H, P>,
    ) -> Result<ParkedQueue<'s, H, P>, Virtqueue<'s, H, P>> {
        if !queue.belongs_to(self.rung.session) {
            return Err(queue);
        }
        self.rung.queue_is_aside();
        Ok(ParkedQueue::new(queue))
    }

    /// Makes a parked queue usable again, as it was. After a reset that was not confirmed it comes out of service
    /// ([`Broken::ResetPending`](crate::ring::Broken::ResetPending)), as with [`activate`](Running::activate).
    ///
    /// # Errors
    /// The queue itself, still parked, if it is another device's or of an earlier bring-up.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back")]
    pub fn unpark<'s, H: Hal, P: Payload>(
        &mut self,
        queue: ParkedQueue<'s, H, P>,
    ) -> Result<Virtqueue<'s, H, P>, ParkedQueue<'s, H, P>> {
        if !queue.belongs_to(self.rung.session) {
            return Err(queue);
        }
        self.rung.queue_is_in_use();
        Ok(self.give_out(queue.into_queue()))
    }
}
