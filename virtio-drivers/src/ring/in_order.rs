//! Chains that come back in the order in which they were made available, several perhaps with one used element.
//!
//! Spec: §2.7.9 and §2.8.8 In-order use of descriptors. The device names the last chain of a batch; all before it are used with it, and count as written completely.
//!
//! Mostly each chain is named by an element of its own, and is the oldest one: no more is looked at than whether that is so. Any other element is judged when it is read, and what comes of that is noted: how many chains are
//! in the batch, and in the books, how many bytes its last one has. So those of a batch are alike from then on.

use core::mem::ManuallyDrop;

use super::books::{Progress, index, next, sequence};
use super::broken::Broken;
use super::completion::{Taking, Used, UsedSink, judge_length};
use super::slots::{Record, Slot};
use super::used::{UsedElement, UsedPlaces};

/// A batch has its end as a count of chains, which is told from one that is over by being no more than 65535 away.
const _: () = assert!(usize::BITS > u16::BITS, "counts are longer than batches");

/// What a queue knows under IN_ORDER.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InOrder {
    /// The id of the chain that was made available first of those in flight.
    oldest: u16,
    /// Chains that are used, and that no used element is looked at for any more.
    pub(super) batch: u16,
    /// What is wrong with the last of them: found out when its turn comes.
    lie: Option<Broken>,
}

/// Chains on their way back to their owner, batch by batch.
pub(super) struct Batches<'q, T, U> {
    taking: Taking<'q, T, U>,
    /// As in the queue's own, to which it is written back: in a register by itself, and in a whole word, as it is used.
    oldest: usize,
    /// How many chains will have been taken back when the batch is over. A number from before, if there is none.
    batch_end: usize,
    /// The queue's own.
    kept: &'q mut InOrder,
}

impl<'q, T, U: UsedPlaces> Batches<'q, T, U> {
    #[inline(always)]
    pub(super) fn of(taking: Taking<'q, T, U>, kept: &'q mut InOrder) -> Self {
        let batch_end = taking.progress.taken.wrapping_add(kept.batch.into());
        Self { taking, oldest: kept.oldest.into(), batch_end, kept }
    }

    /// Up to `limit` chains, the oldest first; says how many there were.
    #[inline(always)]
    pub(super) fn burst(mut self, limit: usize, sink: &mut impl UsedSink<T>) -> Result<usize, Broken> {
        let until = self.taking.progress.taken.wrapping_add(limit);
        loop {
            if self.batch() > 0 {
                self.take_batch(until, sink)?;
            }
            if !self.take_named(until, sink)? {
                break;
            }
        }
        Ok(limit - until.wrapping_sub(self.taking.progress.taken))
    }

    /// Chains that are named one by one, until there are no more; says whether that is because a batch has begun.
    #[inline(always)]
    fn take_named(&mut self, until: usize, sink: &mut impl UsedSink<T>) -> Result<bool, Broken> {
        let Progress { published, taken, .. } = self.taking.progress;
        // No chain is named that the device does not hold, so that this is looked at once.
        let held_until = taken.wrapping_add(until.wrapping_sub(taken).min(published.wrapping_sub(taken)));
        while self.taking.progress.taken != held_until {
            let vouched_for = self.taking.used.vouched_for(&self.taking.progress)?;
            if vouched_for == 0 {
                return Ok(false);
            }
            let left = held_until.wrapping_sub(self.taking.progress.taken);
            // Said so, that there is one loop where one would do.
            let count = if U::ONE_BY_ONE { 1 } else { left.min(vouched_for.into()) };
            let end = self.taking.progress.taken.wrapping_add(count);
            while self.taking.progress.taken != end {
                let (id, written_len) = self.taking.used.id_and_length(self.taking.progress.taken);
                let Some(payload) = self.end_named(id, written_len) else {
                    self.begin_batch(id, written_len)?;
                    return Ok(true);
                };
                sink.take(Used { payload, written_len });
                if U::ONE_BY_ONE {
                    break;
                }
            }
        }
        // If it names one more it is to be found out.
        if held_until != until && self.taking.used.vouched_for(&self.taking.progress)? > 0 {
            let (id, written_len) = self.taking.used.id_and_length(held_until);
            self.begin_batch(id, written_len)?;
        }
        Ok(false)
    }

    /// The chains of the batch, as many as are wanted.
    #[inline(always)]
    fn take_batch(&mut self, until: usize, sink: &mut impl UsedSink<T>) -> Result<(), Broken> {
        let wanted = until.wrapping_sub(self.taking.progress.taken);
        let sound = self.batch().wrapping_sub(self.kept.lie.is_some().into());
        let end = self.taking.progress.taken.wrapping_add(wanted.min(sound.into()));
        while self.taking.progress.taken != end {
            match self.end_of_batch() {
                Some(used) => sink.take(used),
                None => sink.take_unusual(self.end_any()?),
            }
        }
        match self.kept.lie {
            Some(lie) if end != until => Err(lie),
            _ => Ok(()),
        }
    }

    /// The oldest chain, if the device is done with it.
    #[inline(always)]
    pub(super) fn one(mut self) -> Result<Option<Used<T>>, Broken> {
        if self.batch() == 0 {
            if self.taking.used.vouched_for(&self.taking.progress)? == 0 {
                return Ok(None);
            }
            let (id, written_len) = self.taking.used.id_and_length(self.taking.progress.taken);
            if self.taking.progress.held() > 0
                && let Some(payload) = self.end_named(id, written_len)
            {
                return Ok(Some(Used { payload, written_len }));
            }
            self.begin_batch(id, written_len)?;
        }
        match self.kept.lie {
            Some(lie) if self.batch() == 1 => return Err(lie),
            _ => {}
        }
        match self.end_of_batch() {
            Some(used) => Ok(Some(used)),
            None => self.end_any().map(Some),
        }
    }

    /// Ends the oldest chain, which the device holds, if it is the one that an element names as `id`, and all is as it mostly is: it has one descriptor, and the device says that it wrote no more than it may.
    #[inline(always)]
    fn end_named(&mut self, id: u32, written_len: u32) -> Option<T> {
        let Self { taking, oldest, .. } = self;
        if usize::try_from(id).ok()? != *oldest {
            return None;
        }
        let slot = taking.slots.get_mut(*oldest)?;
        if slot.chain.descriptors != 1 || written_len > slot.chain.writable_bytes {
            return None;
        }
        let payload = slot.payload.take()?;
        *oldest = slot.next.into();
        taking.progress.taken = taking.progress.taken.wrapping_add(1);
        taking.used.advance(1);
        Some(ManuallyDrop::into_inner(payload))
    }

    /// Ends the oldest chain, which is one of the batch, if it has one descriptor.
    #[inline(always)]
    fn end_of_batch(&mut self) -> Option<Used<T>> {
        let Self { taking, oldest, .. } = self;
        let slot = taking.slots.get_mut(*oldest)?;
        if slot.chain.descriptors != 1 {
            return None;
        }
        let payload = slot.payload.take()?;
        *oldest = slot.next.into();
        taking.progress.taken = taking.progress.taken.wrapping_add(1);
        taking.used.advance(1);
        Some(Used { payload: ManuallyDrop::into_inner(payload), written_len: slot.chain.writable_bytes })
    }

    /// The same, whatever it has.
    #[inline(always)]
    fn end_any(&mut self) -> Result<Used<T>, Broken> {
        let taking = &mut self.taking;
        taking.count();
        let oldest = index(self.oldest);
        let ended = end_any(taking.slots, oldest).ok_or(Broken::UnknownChain { id: oldest.into() })?;
        let Ended { used, descriptors, oldest } = ended;
        self.oldest = oldest.into();
        taking.progress.taken = taking.progress.taken.wrapping_add(1);
        // Never more than the queue has: the chain took them.
        taking.progress.free = taking.progress.free.wrapping_add(descriptors);
        taking.counted = taking.progress.taken;
        taking.used.advance(descriptors);
        Ok(used)
    }

    /// Judges an element, and notes what comes of it.
    #[inline(always)]
    fn begin_batch(&mut self, id: u32, written_len: u32) -> Result<(), Broken> {
        let taking = &mut self.taking;
        let length_is_vouched_for = taking.used.length_is_vouched_for();
        let last = UsedElement { id, written_len, length_is_vouched_for };
        let covered = taking.used.covered(&taking.progress);
        let (chains, lie) = taking.progress.batch_up_to(taking.slots, last, covered)?;
        self.batch_end = taking.progress.taken.wrapping_add(chains.into());
        self.kept.lie = lie;
        Ok(())
    }
}

impl<T, U> Batches<'_, T, U> {
    /// How many chains of the batch are left.
    #[inline(always)]
    fn batch(&self) -> u16 {
        // Where the end is passed it is by fewer chains than there can be.
        u16::try_from(self.batch_end.wrapping_sub(self.taking.progress.taken)).unwrap_or(0)
    }
}

impl Progress {
    /// How many chains come back with an element that names `last`, and what is wrong with its length, if anything is. The device must hold all of them, and have used as many: `covered` at most.
    #[cold]
    #[inline(never)]
    fn batch_up_to<T>(
        self,
        slots: &mut [Slot<T>],
        last: UsedElement,
        covered: u16,
    ) -> Result<(u16, Option<Broken>), Broken> {
        let UsedElement { id, .. } = last;
        let chain = *self.known(slots, &last)?;
        // None after the oldest one came back: 32768 at most.
        let chains = (chain.sequence.wrapping_sub(sequence(self.taken)).wrapping_add(1) & 0xffff) as u16;
        if chains > covered {
            return Err(Broken::BatchTooLong { id, chains, covered });
        }
        let written_len = match judge_length(&last, chain.writable_bytes) {
            Ok(written_len) => written_len,
            Err(lie) => return Ok((chains, Some(lie))),
        };
        // As many count as written.
        let slot = usize::try_from(id).ok().and_then(|id| slots.get_mut(id));
        slot.ok_or(Broken::UnknownChain { id })?.chain.writable_bytes = written_len;
        Ok((chains, None))
    }
}

/// A chain that is no more.
struct Ended<T> {
    used: Used<T>,
    /// How many it had.
    descriptors: u16,
    /// The id of the chain after it.
    oldest: u16,
}

/// Ends the oldest chain, whose id is `id`, and which is written completely.
#[inline(always)]
fn end_any<T>(slots: &mut [Slot<T>], id: u16) -> Option<Ended<T>> {
    let slot = slots.get_mut(usize::from(id))?;
    let payload = ManuallyDrop::into_inner(slot.payload.take()?);
    let Record { writable_bytes: written_len, descriptors, last, .. } = slot.chain;
    let oldest = if descriptors == 1 { slot.next } else { next(slots, last) };
    Some(Ended { used: Used { payload, written_len }, descriptors, oldest })
}

impl<T, U> Drop for Batches<'_, T, U> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        self.kept.oldest = index(self.oldest);
        self.kept.batch = self.batch();
    }
}
