//! Domains of memories: no two that are mapped have the same number.
//!
//! Buffers that are in one memory are refused by the queues of others. Numbers are 16 bits wide; they are given back when a memory is unmapped, and given out again. They are counted
//! down from the last one, so that a kernel's own, which begin at 0, stay apart where both are in one process.

use std::sync::{Mutex, PoisonError};

static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers::new());

/// A number that nobody else has until it is given back. `None` if 65535 memories are mapped.
pub(super) fn take() -> Option<u16> {
    NUMBERS.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Gives a number back.
pub(super) fn give_back(number: u16) {
    NUMBERS.lock().unwrap_or_else(PoisonError::into_inner).given_back.push(number);
}

struct Numbers {
    /// The last one that was never given out; 0 if there is none.
    next: u16,
    given_back: Vec<u16>,
}

impl Numbers {
    const fn new() -> Self {
        Self { next: u16::MAX, given_back: Vec::new() }
    }

    fn take(&mut self) -> Option<u16> {
        self.given_back.pop().or_else(|| {
            let number = self.next;
            self.next = number.checked_sub(1)?;
            Some(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_but_zero_are_given_out_once() {
        let mut numbers = Numbers::new();
        for expected in (1..=u16::MAX).rev() {
            assert_eq!(numbers.take(), Some(expected));
        }
        assert_eq!(numbers.take(), None);

        numbers.given_back.push(7);

        assert_eq!(numbers.take(), Some(7));
    }
}
