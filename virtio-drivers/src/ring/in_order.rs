//! Chains that come back in the order in which they were made available, several perhaps with one used element.
//!
//! Spec: §2.7.9 and §2.8.8 In-order use of descriptors. The device names the last chain of a batch; all before it are used with it, and count as written completely.

use super::books::in_flight;
use super::broken::Broken;
use super::completion::{Taking, Used, judge_length};
use super::slots::Record;
use super::used::{UsedElement, UsedPlaces};

/// What a queue knows under IN_ORDER.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InOrder {
    /// The id of the chain that was made available first of those in flight.
    pub(super) oldest: u16,
    /// Chains that are used, and of which the device named the last one only.
    pub(super) batch: u16,
    /// What it said of that one.
    pub(super) last: UsedElement,
}

/// Chains on their way back to their owner, batch by batch.
pub(super) struct Batches<'q, T, U> {
    taking: Taking<'q, T, U>,
    in_order: InOrder,
    /// The queue's own, to which `in_order` is written back.
    kept: &'q mut InOrder,
}

impl<'q, T, U: UsedPlaces> Batches<'q, T, U> {
    #[inline(always)]
    pub(super) const fn of(taking: Taking<'q, T, U>, kept: &'q mut InOrder) -> Self {
        Self { taking, in_order: *kept, kept }
    }

    /// Up to `limit` chains, the oldest first; says how many there were.
    #[inline(always)]
    pub(super) fn burst(mut self, limit: usize, mut take: impl FnMut(Used<T>)) -> Result<usize, Broken> {
        let mut left = limit;
        while left > 0 {
            if self.in_order.batch == 0 {
                self.in_order.batch = self.next_batch()?;
            }
            let Some(unnamed) = self.in_order.batch.checked_sub(1) else { break };
            let unnamed = usize::from(unnamed).min(left);
            for _ in 0..unnamed {
                self.take_unnamed(&mut take)?;
            }
            left -= unnamed;
            if left > 0 {
                self.take_named(&mut take)?;
                left -= 1;
            }
        }
        Ok(limit - left)
    }

    /// The oldest chain, if the device is done with it.
    #[inline(always)]
    pub(super) fn one(mut self) -> Result<Option<Used<T>>, Broken> {
        if self.in_order.batch == 0 {
            self.in_order.batch = self.next_batch()?;
        }
        let mut one = None;
        let take = &mut |used| one = Some(used);
        match self.in_order.batch {
            0 => {}
            1 => self.take_named(take)?,
            _ => self.take_unnamed(take)?,
        }
        Ok(one)
    }

    /// How many chains the device is done with at once, if with any.
    #[inline(always)]
    fn next_batch(&mut self) -> Result<u16, Broken> {
        if self.taking.used.vouched_for(&self.taking.progress)? == 0 {
            return Ok(0);
        }
        let last = self.taking.used.element(self.taking.progress.taken);
        let chain = *self.taking.known(&last)?;
        self.in_order.last = last;
        if last.id == u32::from(self.in_order.oldest) { Ok(1) } else { self.long_batch(chain) }
    }

    /// The device must hold all of the chains up to `chain`, and have used that many.
    #[inline(never)]
    fn long_batch(&self, chain: Record) -> Result<u16, Broken> {
        let Self { taking, in_order: InOrder { oldest, last, .. }, .. } = self;
        let unknown = Broken::UnknownChain { id: last.id };
        let first = in_flight(taking.slots, u32::from(*oldest)).ok_or(unknown)?;
        // Both are in flight, and none between them came back: 32768 at most.
        let chains = (chain.sequence.wrapping_sub(first.sequence).wrapping_add(1) & 0xffff) as u16;
        let covered = taking.used.covered(&taking.progress);
        if chains > covered {
            return Err(Broken::BatchTooLong { id: last.id, chains, covered });
        }
        Ok(chains)
    }

    /// What is known of the oldest chain.
    #[inline(always)]
    fn oldest(&self) -> Result<&Record, Broken> {
        let Self { taking, in_order: InOrder { oldest, last, .. }, .. } = self;
        in_flight(taking.slots, u32::from(*oldest)).ok_or(Broken::UnknownChain { id: last.id })
    }

    /// Hands the oldest chain, of so many descriptors, to `take`.
    #[inline(always)]
    fn take_oldest(
        &mut self,
        descriptors: u16,
        written_len: u32,
        take: &mut impl FnMut(Used<T>),
    ) -> Result<(), Broken> {
        let Self { taking, in_order: InOrder { oldest, batch, last }, .. } = self;
        taking.used.advance(descriptors);
        let Some((payload, next)) = taking.progress.end_oldest(taking.slots, *oldest) else {
            return Err(Broken::UnknownChain { id: last.id });
        };
        // Its descriptors, however many, are.
        taking.counted = taking.progress.taken;
        *oldest = next;
        // There is one: the caller has looked.
        *batch = batch.wrapping_sub(1);
        take(Used { payload, written_len });
        Ok(())
    }

    /// The same with the chain that the device named.
    #[inline(always)]
    fn take_named(&mut self, take: &mut impl FnMut(Used<T>)) -> Result<(), Broken> {
        let &Record { writable_bytes, descriptors, .. } = self.oldest()?;
        let written_len = judge_length(&self.in_order.last, writable_bytes)?;
        self.take_oldest(descriptors, written_len, take)
    }

    /// The same with a chain before it.
    #[inline(always)]
    fn take_unnamed(&mut self, take: &mut impl FnMut(Used<T>)) -> Result<(), Broken> {
        let &Record { writable_bytes, descriptors, .. } = self.oldest()?;
        self.take_oldest(descriptors, writable_bytes, take)
    }
}

impl<T, U> Drop for Batches<'_, T, U> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        *self.kept = self.in_order;
    }
}
