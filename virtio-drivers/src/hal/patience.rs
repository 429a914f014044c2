//! How long a call may wait: the [`Patience`] trait. No wait is without one.
//!
//! A kernel with a clock implements it as a deadline; a kernel that can sleep halts or yields in it; a program without
//! a clock counts [`Attempts`]. Any `FnMut() -> bool` is a patience too.

/// Says, each time a wait has looked once more in vain, whether to look again.
///
/// ```
/// use virtio_guest::hal::Patience;
///
/// struct Deadline { now_millis: fn() -> u64, at_millis: u64 }
///
/// impl Patience for Deadline {
///     fn keep_waiting(&mut self) -> bool {
///         core::hint::spin_loop(); // or yield, or halt until the next interrupt
///         (self.now_millis)() < self.at_millis
///     }
/// }
/// ```
pub trait Patience {
    /// Spins, yields or sleeps for a moment of the implementor's choice, then says whether waiting goes on.
    ///
    /// Once it has said `false` the wait ends with an error, and stays ended.
    fn keep_waiting(&mut self) -> bool;
}

impl<F: FnMut() -> bool> Patience for F {
    fn keep_waiting(&mut self) -> bool {
        self()
    }
}

/// Patience for a number of looks, with a spin-loop hint before each. A bound, not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

impl Patience for Attempts {
    fn keep_waiting(&mut self) -> bool {
        core::hint::spin_loop();
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}
