//! A queue that its device knows of, and that may not be used yet.
//!
//! Spec: §3.1.1 — no available-buffer notification before DRIVER_OK. The rung of the [`lifecycle`](crate::lifecycle) that sets DRIVER_OK makes it a
//! [`Virtqueue`]; until then there is nothing to publish with:
//!
//! ```compile_fail,E0599
//! # use virtio_guest::{hal::Hal, raw::Tag, ring::InstalledQueue};
//! fn notifies_its_device(queue: &mut InstalledQueue<'static, impl Hal, Tag<u32>>) -> bool {
//!     queue.publish()
//! }
//! ```

use super::broken::Broken;
use super::queue::Virtqueue;
use super::returned::Returned;
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Payload, Session};

/// See the module's head. Dropping it leaks its memory, for the device knows of it.
#[derive(Debug)]
#[must_use = "dropping it leaks its memory; `Running::activate` makes it usable"]
pub struct InstalledQueue<'s, H: Hal, T>(Virtqueue<'s, H, T>);

impl<'s, H: Hal, T: Payload> InstalledQueue<'s, H, T> {
    pub(super) const fn new(queue: Virtqueue<'s, H, T>) -> Self {
        Self(queue)
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.0.index()
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.0.size()
    }

    /// Takes the queue back after a confirmed reset of its device, as [`Virtqueue::reclaim`] does.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that the queue belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Returned<'s, T>, Self> {
        self.0.reclaim(reset).map_err(Self)
    }

    /// The queue, live, if it belongs to `session`, whose device has seen DRIVER_OK; else out of service.
    pub(crate) fn activate(self, session: Session) -> Virtqueue<'s, H, T> {
        let mut queue = self.0;
        if !queue.belongs_to(session) {
            queue.out_of_service(Broken::OtherDevice);
        }
        queue
    }
}
