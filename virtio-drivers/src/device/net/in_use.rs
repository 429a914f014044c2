//! How many pairs of a card are in use, known to all its transmit queues.
//!
//! Spec: §5.1.9.5.6.1 Driver Requirements: Automatic receive steering in multiqueue mode. The control half writes it, around the command that changes it; transmit queues of other pairs than the first read it, once a burst, wherever they are.
//!
//! ```text
//!   pairs     lowered ──▶ command made available ──▶ acknowledged ──▶ raised
//!   1 to 3    1                                                       3
//!   3 to 1    1                                                       1
//!   refused, or not answered: what it was lowered to stays
//! ```
//!
//! The word is in the pool of the first pair, for whoever has its supply has it alone. Card and queues may be forgotten and outlive that: so the upper half of the word counts the cards that began with it, and what is of an earlier one counts for nothing.

use crate::sync::{AtomicU32, Ordering};

/// The lower half of the word: how many pairs are in use.
const PAIRS: u32 = 0xffff;
/// What the word is increased by for each card.
const NEXT_CARD: u32 = 0x1_0000;

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairsInUse<'s> {
    word: &'s AtomicU32,
    /// The upper half of the word, for this card.
    card: u32,
}

impl<'s> PairsInUse<'s> {
    /// A card begins, with one pair in use.
    pub(super) fn begin(word: &'s AtomicU32) -> Self {
        let next = |word: u32| (word & !PAIRS).wrapping_add(NEXT_CARD);
        let change = |word| Some(next(word) | 1);
        let (Ok(before) | Err(before)) = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        Self { word, card: next(before) }
    }

    /// Whether a pair is in use.
    #[inline]
    pub(super) fn contains(self, pair: u16) -> bool {
        // Paired with the release below: whoever finds its pair in use comes after the device's acknowledgement.
        let pairs = self.word.load(Ordering::Acquire) ^ self.card;
        pairs <= PAIRS && u32::from(pair) < pairs
    }

    /// Asks for so many pairs: no more are in use from before that, and as many once it has succeeded.
    pub(super) fn change<E>(self, pairs: u16, ask: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // The command is published with release: whoever sees it there sees this as well.
        self.update(|before| before.min(pairs.into()));
        ask()?;
        self.update(|_| pairs.into());
        Ok(())
    }

    fn update(self, change: impl Fn(u32) -> u32) {
        let change = |word: u32| (word & !PAIRS == self.card).then(|| self.card | change(word & PAIRS));
        // That of a later card is left alone.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_is_in_use_until_more_are_asked_for_with_success() {
        let word = AtomicU32::new(0);
        let card = PairsInUse::begin(&word);
        let in_use = || (0..5).filter(|pair| card.contains(*pair)).count();

        assert_eq!(in_use(), 1);
        for (pairs, during, answer, after) in [
            (3, 1, Ok(()), 3),
            (2, 2, Ok(()), 2),
            (4, 2, Err("refused"), 2),
            (1, 1, Err("refused"), 1),
            (4, 1, Ok(()), 4),
        ] {
            let answered = card.change(pairs, || {
                assert_eq!(in_use(), during, "before {pairs} are acknowledged");
                answer
            });
            assert_eq!((answered, in_use()), (answer, after), "{pairs} pairs");
        }
    }

    #[test]
    fn an_earlier_card_has_no_say_in_a_later_one() {
        let word = AtomicU32::new(u32::MAX);
        let earlier = PairsInUse::begin(&word);
        assert_eq!(earlier.change(4, || Ok::<_, ()>(())), Ok(()));

        let later = PairsInUse::begin(&word);
        assert_eq!(earlier.change(4, || Ok::<_, ()>(())), Ok(()));

        assert!(!earlier.contains(0) && later.contains(0) && !later.contains(1));
    }
}
