//! The slot that a disk is in, looked at from inside of waits.

use core::cell::Cell;
use core::time::Duration;

use example_platform::hot_plug::Slot;
use example_platform::{clock, println};

/// So long into a call its middle has come.
const MIDDLE: Duration = Duration::from_millis(50);

/// A slot whose button is looked at again and again.
pub struct Watched {
    slot: Slot,
    said_so: Cell<bool>,
    is_off: Cell<bool>,
}

impl Watched {
    /// Marks a slot as in use.
    pub fn new(slot: Slot) -> Self {
        slot.mark_in_use();
        Self { slot, said_so: Cell::new(false), is_off: Cell::new(false) }
    }

    /// To be called from a wait, with when its call began: says once, for those outside, that the call is in its middle, and switches the slot off if somebody pressed the button. Whether
    /// this very call switched it off.
    pub fn look(&self, began: Duration) -> bool {
        if !self.said_so.get() && clock::since(began) > MIDDLE {
            self.said_so.set(true);
            println!("in the middle of a call");
        }
        if self.is_off.get() || !self.slot.removal_is_asked_for() {
            return false;
        }
        self.is_off.set(true);
        self.slot.switch_off();
        println!("slot switched off: device={}", self.slot.has_device());
        true
    }

    /// Whether it was switched off.
    pub fn is_off(&self) -> bool {
        self.is_off.get()
    }
}
