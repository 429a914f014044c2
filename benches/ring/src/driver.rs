//! What a driver side has in common with the others, so that each does the same work: a burst of operations, and their contexts back.

use crate::device::{Areas, RawDevice};

/// Where the device comes in.
pub trait Turn {
    /// So many chains were published.
    fn published(&mut self, chains: u16);

    /// Nothing is used yet.
    fn wait(&mut self);
}

/// The device takes its turn in the driver's thread.
impl Turn for &mut RawDevice {
    #[inline]
    fn published(&mut self, chains: u16) {
        self.serve(chains);
    }

    #[inline]
    fn wait(&mut self) {}
}

/// The device is in a thread of its own.
#[derive(Debug)]
pub struct Elsewhere;

impl Turn for Elsewhere {
    #[inline]
    fn published(&mut self, _: u16) {}

    #[inline]
    fn wait(&mut self) {
        std::hint::spin_loop();
    }
}

/// One driver side of one ring.
pub trait Driver {
    /// Does `rounds` bursts of `burst` operations: make available each, publish, let the device take its turn, take them all back. `came_back` gets each
    /// operation's context, which is its number.
    ///
    /// # Panics
    /// The ring refuses an operation, or the device's answer.
    fn rounds(&mut self, rounds: u64, burst: u16, turn: impl Turn, came_back: impl FnMut(u64));

    /// Where the ring is.
    fn areas(&self) -> Areas;
}

/// A ring that does not do what it is measured for.
#[cold]
#[inline(never)]
pub fn fail(what: &dyn std::fmt::Debug) -> ! {
    panic!("the ring under measurement refused: {what:?}")
}
