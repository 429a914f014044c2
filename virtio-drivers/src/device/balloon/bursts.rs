//! The queues for frames' numbers: an array at a time, in the queue's own memory.
//!
//! Spec: §5.5.6 Device Operation. Numbers are little-endian, whatever the device's age.

use core::fmt;

use super::slots::QueueSlots;
use crate::hal::{BalloonPage, Hal};
use crate::raw::{ConfirmedReset, OutOfBounds, Tag};
use crate::ring::{
    Broken, Chain, Portion, QueueSettings, QueueStatistics, Rearmed, RefusedReason, Virtqueue,
};

/// Bytes of a frame's number.
const NUMBER_BYTES: u32 = 4;

/// One of the two queues.
pub(super) struct FrameQueue<'s, H: Hal> {
    queue: Virtqueue<'s, H, Tag<()>>,
    /// Most numbers of a burst.
    frames_max: u32,
}

/// The settings of a queue for bursts of so many numbers.
pub(super) fn queue_settings(frames_max: u16, size_max: u16) -> QueueSettings {
    let memory_bytes = usize::from(frames_max).saturating_mul(NUMBER_BYTES as usize);
    QueueSettings { size_max, indirect_segments: 0, memory_bytes }
}

/// A page's first frame, and how many it has: `None` if one of them is beyond what 32 bits can count, or there is none.
pub(super) fn frame_numbers(page: &impl BalloonPage) -> Option<(u32, u16)> {
    let frames = page.frames();
    Some((first_number(page.first_frame(), frames)?, frames))
}

fn first_number(first: u64, frames: u16) -> Option<u32> {
    let last = first.checked_add(u64::from(frames).checked_sub(1)?)?;
    u32::try_from(last).ok()?;
    u32::try_from(first).ok()
}

impl<'s, H: Hal> FrameQueue<'s, H> {
    /// A live queue that was installed with [`queue_settings`] for so many numbers.
    pub(super) fn new(mut queue: Virtqueue<'s, H, Tag<()>>, frames_max: u16, notified: bool) -> Self {
        if !notified {
            queue.suppress_notifications();
        }
        Self { queue, frames_max: frames_max.into() }
    }

    /// Most numbers of a burst.
    pub(super) const fn frames_max(&self) -> u32 {
        self.frames_max
    }

    /// Writes the numbers of a page, of which there are `frames` from `first` on, behind `before` others.
    pub(super) fn write(&mut self, before: u32, first: u32, frames: u16) -> Result<(), OutOfBounds> {
        for (at, number) in (before..).zip(first..=u32::MAX).take(frames.into()) {
            let offset = at.checked_mul(NUMBER_BYTES).and_then(|offset| usize::try_from(offset).ok());
            self.queue.write_memory(offset.ok_or(OutOfBounds)?, &number.to_le_bytes())?;
        }
        Ok(())
    }

    /// Tells the device of the numbers that were written.
    pub(super) fn send(&mut self, frames: u32) -> Result<(), SendError> {
        let numbers = Portion { offset: 0, len: frames.saturating_mul(NUMBER_BYTES) };
        let chain = Chain { readable: &[numbers], writable: &[] };
        match self.queue.make_available(chain, Tag(())) {
            Ok(()) => {
                self.queue.publish();
                Ok(())
            }
            Err(refused) => {
                Err(self.queue.broken().map_or(SendError::Refused(refused.reason), SendError::Broken))
            }
        }
    }

    /// Whether the device acknowledged the burst.
    pub(super) fn is_acknowledged(&mut self) -> Result<bool, Broken> {
        Ok(self.queue.take_used()?.is_some())
    }

    /// Asks for an interrupt when it does, and looks once more.
    pub(super) fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// What the queue has done.
    pub(super) fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
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

/// Why a burst was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    Refused(RefusedReason),
    Broken(Broken),
}

impl<H: Hal> fmt::Debug for FrameQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameQueue").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::first_number;

    /// Spec: §5.5.6 Device Operation — a 32-bit array.
    #[test]
    fn all_frames_of_a_page_have_numbers_of_32_bits_or_it_cannot_be_told_of() {
        let beyond = 1 << 32;
        let pages = [(0, 1), (beyond - 1, 1), (beyond - 512, 512), (beyond - 511, 512), (beyond, 1)];
        let told = [Some(0), Some(u32::MAX), Some(u32::MAX - 511), None, None];
        assert_eq!(pages.map(|(first, frames)| first_number(first, frames)), told);
        assert_eq!(first_number(7, 0), None, "a page without a frame is none");
        assert_eq!(first_number(u64::MAX, 2), None);
    }
}
