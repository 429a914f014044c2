//! A live queue that is put aside while its device is suspended.
//!
//! Spec: §3.4.1 — nothing is made available and no notification sent, from SUSPEND on. The [`lifecycle`](crate::lifecycle) suspends a device only if its queues are put
//! aside: there is nothing to publish with here, nor to make available.
//!
//! ```
//! # use virtio_guest::{hal::Hal, raw::Tag, ring::Virtqueue};
//! # #[allow(dead_code)]
//! fn shows_its_chains(queue: &mut Virtqueue<'static, impl Hal, Tag<u32>>) -> bool {
//!     queue.publish()
//! }
//! ```
//! ```compile_fail,E0599
//! # use virtio_guest::{hal::Hal, raw::Tag, ring::ParkedQueue};
//! fn shows_its_chains(queue: &mut ParkedQueue<'static, impl Hal, Tag<u32>>) -> bool {
//!     queue.publish()
//! }
//! ```

use super::queue::Virtqueue;
use super::returned::Returned;
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Payload, Session};

/// See the module's head. Dropping it leaks its memory and whatever is in flight, for the device knows of both.
#[derive(Debug)]
#[must_use = "dropping it leaks its memory; `Running::unpark` makes it usable again"]
pub struct ParkedQueue<'s, H: Hal, T>(Virtqueue<'s, H, T>);

impl<'s, H: Hal, T: Payload> ParkedQueue<'s, H, T> {
    pub(crate) const fn new(queue: Virtqueue<'s, H, T>) -> Self {
        Self(queue)
    }

    pub(crate) fn into_queue(self) -> Virtqueue<'s, H, T> {
        self.0
    }

    pub(crate) fn belongs_to(&self, session: Session) -> bool {
        self.0.belongs_to(session)
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.0.index()
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.0.size()
    }

    /// Chains that were made available, shown to the device or not, and have not come back.
    pub fn in_flight(&self) -> u16 {
        self.0.in_flight()
    }

    /// Takes the queue back after a confirmed reset of its device, as [`Virtqueue::reclaim`] does.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that the queue belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Returned<'s, T>, Self> {
        self.0.reclaim(reset).map_err(Self)
    }
}
