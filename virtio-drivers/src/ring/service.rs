//! A queue as its device and its owner see it: whether it is in service, and how it notifies.
//!
//! Spec: §2.7.13.4, §2.8.21.2 (notifying the device), §2.9 Driver Notifications.

use super::active::QueueStatistics;
use super::books::{Progress, index};
use super::broken::Broken;
use super::layout::Ring;
use crate::hal::Hal;
use crate::raw::Doorbell;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Service {
    /// The queue's index in its device.
    pub(super) index: u16,
    doorbell: Doorbell,
    pub(super) broken: Option<Broken>,
    pub(super) statistics: QueueStatistics,
}

impl Service {
    pub(super) fn new(index: u16, doorbell: Doorbell) -> Self {
        Self { index, doorbell, broken: None, statistics: QueueStatistics::default() }
    }

    /// Shows the device every chain made available since the last publish, and notifies it if it wants that. Says whether it did.
    #[inline]
    pub(super) fn publish<H: Hal>(&mut self, ring: &Ring<H>, progress: &mut Progress) -> bool {
        if progress.published == progress.made_available || self.broken.is_some() {
            return false;
        }
        let (old, new) = (index(progress.published), index(progress.made_available));
        self.statistics.chains += u64::from(progress.unpublished());
        progress.published = progress.made_available;
        let (wanted, position) = match ring {
            // The available index, whose top bit is its wrap counter (§2.9).
            Ring::Split(ring) => (ring.publish(old, new), new),
            Ring::Packed(ring) => (ring.publish(), ring.next_available()),
        };
        if wanted {
            self.doorbell.ring(position);
            self.statistics.notifications_sent += 1;
        } else {
            self.statistics.notifications_suppressed += 1;
        }
        wanted
    }

    /// Takes the queue out of service for good: no chain goes in, and none comes back before a reset.
    #[cold]
    #[inline(never)]
    pub(super) fn end(&mut self, why: Broken) {
        self.broken = Some(why);
        log::error!("virtqueue {}: {why}; out of service until the device is reset", self.index);
    }
}
