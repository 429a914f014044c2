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
                take(self.take_oldest(Ok)?);
            }
            left -= unnamed;
            if left > 0 {
                let last = self.in_order.last;
                take(self.take_oldest(|writable_bytes| judge_length(&last, writable_bytes))?);
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
        let InOrder { batch, last, .. } = self.in_order;
        let written = |writable_bytes| match batch {
            1 => judge_length(&last, writable_bytes),
            _ => Ok(writable_bytes),
        };
        if batch == 0 { Ok(None) } else { self.take_oldest(written).map(Some) }
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
        // At most 32768 are in flight.
        let chains = chain.sequence.wrapping_sub(first.sequence).wrapping_add(1);
        let covered = taking.used.covered(&taking.progress);
        if chains > covered {
            return Err(Broken::BatchTooLong { id: last.id, chains, covered });
        }
        Ok(chains)
    }

    /// Takes the oldest chain back; `written` makes of its writable bytes how many are written.
    #[inline(always)]
    fn take_oldest(&mut self, written: impl FnOnce(u32) -> Result<u32, Broken>) -> Result<Used<T>, Broken> {
        let Self { taking, in_order: InOrder { oldest, batch, last }, .. } = self;
        let unknown = Broken::UnknownChain { id: last.id };
        let chain = in_flight(taking.slots, u32::from(*oldest)).ok_or(unknown)?;
        let &Record { writable_bytes, descriptors, .. } = chain;
        let written_len = written(writable_bytes)?;
        taking.used.advance(descriptors);
        let ended = taking.progress.end_oldest(taking.slots, *oldest);
        let (payload, next) = ended.ok_or(unknown)?;
        *oldest = next;
        // There is one: the caller has looked.
        *batch = batch.wrapping_sub(1);
        Ok(Used { payload, written_len })
    }
}

impl<T, U> Drop for Batches<'_, T, U> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        *self.kept = self.in_order;
    }
}
