//! Domains of test platforms: no two that are alive have the same number.
//!
//! Numbers are 16 bits wide, and a test with random inputs makes more platforms than that: they are given back, and given
//! out again. A queue that leaks keeps its platform alive, and so its number.

use std::sync::{Mutex, PoisonError};

use virtio_guest::hal::Domain;

static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers::new());

/// A domain that is nobody else's for as long as this lives.
pub(crate) struct OwnDomain(u16);

impl OwnDomain {
    /// # Panics
    /// If 65535 are alive.
    pub(crate) fn new() -> Self {
        let number = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self(number.expect("there are 65535 test platforms; those with a leaked queue stay alive"))
    }

    pub(crate) const fn get(&self) -> Domain {
        Domain(self.0)
    }
}

impl Drop for OwnDomain {
    fn drop(&mut self) {
        NUMBERS.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.0);
    }
}

/// The numbers that are not in use.
struct Numbers {
    /// The last one that was ever given out.
    last: u16,
    given_back: Vec<u16>,
}

impl Numbers {
    const fn new() -> Self {
        Self { last: 0, given_back: Vec::new() }
    }

    /// A number, never 0; `None` if all are in use.
    fn take(&mut self) -> Option<u16> {
        self.given_back.pop().or_else(|| {
            self.last = self.last.checked_add(1)?;
            Some(self.last)
        })
    }

    fn give_back(&mut self, number: u16) {
        self.given_back.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_domains_that_are_alive_are_the_same() {
        let mut numbers = Numbers::new();
        let kept = numbers.take().unwrap();
        for _ in 0..70_000 {
            let other = numbers.take().unwrap();
            assert!(other != kept && other != 0);
            numbers.give_back(other);
        }
    }

    #[test]
    fn when_all_numbers_are_in_use_there_is_none() {
        let mut numbers = Numbers::new();
        for expected in 1..=u16::MAX {
            assert_eq!(numbers.take(), Some(expected));
        }
        assert_eq!(numbers.take(), None);
        numbers.give_back(7);
        assert_eq!(numbers.take(), Some(7));
    }
}
