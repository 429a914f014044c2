//! What a driver side has in common with the others, so that each does the same work: a burst of operations, and their contexts back.

use crate::device::{Areas, RawDevice};

/// Where the device is. A value, not a type, so that a driver's work is compiled once, as in a program that has one use for it.
#[derive(Debug)]
pub enum Turn<'d> {
    /// In the driver's thread: it takes its turn when something was published.
    Here(&'d mut RawDevice),
    /// In a thread of its own.
    Elsewhere,
}

impl Turn<'_> {
    /// So many chains were published.
    #[inline]
    pub fn published(&mut self, chains: u16) {
        if let Self::Here(device) = self {
            device.serve(chains);
        }
    }

    /// Nothing is used yet.
    #[inline]
    pub fn wait(&mut self) {
        match self {
            Self::Here(_) => fail(&"the device had its turn, and used nothing"),
            Self::Elsewhere => std::hint::spin_loop(),
        }
    }
}

/// The contexts of operations: numbers. Each has to come back once and in its turn, or there is no figure.
#[derive(Debug, Default)]
pub struct Contexts {
    made: u64,
    back: u64,
}

impl Contexts {
    /// The context of the next operation.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        let context = self.made;
        self.made += 1;
        context
    }

    /// A context came back.
    #[inline]
    pub fn came_back(&mut self, context: u64) {
        if context != self.back {
            fail(&"an operation came back out of its turn");
        }
        self.back += 1;
    }

    /// How many came back, if none is missing.
    pub const fn all_came_back(&self) -> Option<u64> {
        if self.made == self.back { Some(self.back) } else { None }
    }
}

/// One driver side of one ring.
pub trait Driver {
    /// Does `rounds` bursts of `burst` operations: make available each, publish, let the device take its turn, take them all back.
    ///
    /// # Panics
    /// The ring refuses an operation, or the device's answer, or returns another operation than it should.
    fn rounds(&mut self, rounds: u64, burst: u16, turn: Turn<'_>);

    /// Where the ring is.
    fn areas(&self) -> Areas;

    /// What came back.
    fn contexts(&self) -> &Contexts;
}

/// A ring that does not do what it is measured for.
#[cold]
#[inline(never)]
pub fn fail(what: &dyn std::fmt::Debug) -> ! {
    panic!("the ring under measurement fails: {what:?}")
}

#[cfg(test)]
mod tests {
    use super::Contexts;

    #[test]
    #[should_panic(expected = "out of its turn")]
    fn a_context_that_comes_back_twice_stops_the_measurement() {
        let mut contexts = Contexts::default();
        let first = contexts.next();
        contexts.next();

        contexts.came_back(first);
        contexts.came_back(first);
    }

    #[test]
    fn a_context_that_is_missing_is_missed() {
        let mut contexts = Contexts::default();
        contexts.next();

        assert_eq!(contexts.all_came_back(), None);
    }
}
