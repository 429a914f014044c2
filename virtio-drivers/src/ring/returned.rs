//! What comes back when a queue, or its device, was reset.
//!
//! Spec: §2.4 Device Reset, §2.6.1 Virtqueue Reset: the device has forgotten the buffers, and each goes back to its owner once.

use core::mem;

use super::slots::Slots;

/// The payloads that were in flight. What is not taken from here is dropped with it.
#[derive(Debug)]
pub struct Returned<'s, T> {
    slots: Slots<'s, T>,
    from: usize,
}

impl<'s, T> Returned<'s, T> {
    pub(super) const fn new(slots: Slots<'s, T>) -> Self {
        Self { slots, from: 0 }
    }

    /// The storage that the queue had, for another queue. Payloads that were not taken are dropped.
    pub fn into_slots(mut self) -> Slots<'s, T> {
        self.by_ref().for_each(drop);
        mem::replace(&mut self.slots, Slots::none())
    }
}

impl<T> Returned<'_, T> {
    /// The next one, and the id of its chain.
    pub(crate) fn next_with_id(&mut self) -> Option<(u16, T)> {
        let (payload, from) = self.slots.take_payload(self.from)?;
        self.from = from;
        // It was found just before that, and there are no more than 32768.
        Some((u16::try_from(from.saturating_sub(1)).unwrap_or(u16::MAX), payload))
    }
}

impl<T> Iterator for Returned<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.next_with_id().map(|(_, payload)| payload)
    }
}

impl<T> Drop for Returned<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
