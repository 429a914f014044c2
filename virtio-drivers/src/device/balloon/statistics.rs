//! The queue for statistics: one buffer, which is with the device whenever it has not just come back.
//!
//! Spec: §5.5.6.3 Memory Statistics. The device returns the buffer when it wants to know, and gets it again with what is so then.

use core::fmt;

use super::kernel::Statistics;
use super::slots::QueueSlots;
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, OutOfBounds, Tag};
use crate::ring::{Broken, Chain, Portion, QueueSettings, Rearmed, Virtqueue};
use crate::wire::balloon::{STATISTIC_BYTES, TAGS, statistic};

/// A tag that no device knows, and each ignores: a kernel that says nothing still supplies a buffer, and a buffer is not empty.
const NO_STATISTIC: u16 = u16::MAX;

/// See the module's head.
pub(super) struct StatisticsQueue<'s, H: Hal> {
    queue: Virtqueue<'s, H, Tag<()>>,
    is_legacy: bool,
    /// What was sent last, by tag. Which of them there are never changes, once some were sent.
    sent: Option<[Option<u64>; TAGS]>,
    /// Whether the device has the buffer.
    is_with_device: bool,
}

/// The settings of the queue.
pub(super) const fn queue_settings(size_max: u16) -> QueueSettings {
    QueueSettings { size_max, indirect_segments: 0, memory_bytes: TAGS * STATISTIC_BYTES }
}

impl<'s, H: Hal> StatisticsQueue<'s, H> {
    /// A live queue that was installed with [`queue_settings`].
    pub(super) fn new(mut queue: Virtqueue<'s, H, Tag<()>>, is_legacy: bool, notified: bool) -> Self {
        if !notified {
            queue.suppress_notifications();
        }
        Self { queue, is_legacy, sent: None, is_with_device: false }
    }

    /// Fills the buffer and gives it to the device, if the device has not got it. `ask` is called only then.
    pub(super) fn answer(&mut self, ask: impl FnOnce() -> Statistics) -> Result<(), Broken> {
        if self.queue.take_used()?.is_some() {
            self.is_with_device = false;
        }
        if !self.is_with_device {
            self.send(&ask().by_tag())?;
        }
        Ok(())
    }

    fn send(&mut self, now: &[Option<u64>; TAGS]) -> Result<(), Broken> {
        let mut values = self.sent.unwrap_or(*now);
        for (value, now) in values.iter_mut().zip(now) {
            // The same ones each time.
            *value = value.map(|last| now.unwrap_or(last));
        }
        self.sent = Some(values);
        let said = (0..).zip(values).filter_map(|(tag, value)| Some((tag, value?)));
        let mut bytes = self.write(said);
        if bytes == 0 {
            bytes = self.write([(NO_STATISTIC, 0)]);
        }
        let chain = Chain { readable: &[Portion { offset: 0, len: bytes }], writable: &[] };
        if self.queue.make_available(chain, Tag(())).is_ok() {
            self.is_with_device = true;
            self.queue.publish();
        }
        self.queue.broken().map_or(Ok(()), Err)
    }

    /// Writes statistics from the start of the buffer on, and says how many bytes they take.
    fn write(&mut self, said: impl IntoIterator<Item = (u16, u64)>) -> u32 {
        let mut bytes = 0;
        for (tag, value) in said {
            let written: Result<(), OutOfBounds> =
                self.queue.write_memory(bytes, &statistic(tag, value, self.is_legacy));
            // There is room for all tags.
            if written.is_ok() {
                bytes += STATISTIC_BYTES;
            }
        }
        u32::try_from(bytes).unwrap_or_default()
    }

    /// Asks for an interrupt when the device wants to know, and looks once more.
    pub(super) fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// Takes the queue out of service while the reset of its device is under way.
    pub(super) const fn retire(&mut self) {
        self.queue.retire();
    }

    /// The storage, after the reset of the device. None, if it was another one's.
    pub(super) fn reclaim(self, reset: &ConfirmedReset) -> Option<QueueSlots<'s>> {
        Some(self.queue.reclaim(reset).ok()?.into_slots())
    }
}

impl<H: Hal> fmt::Debug for StatisticsQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatisticsQueue").field("sent", &self.sent).finish_non_exhaustive()
    }
}
