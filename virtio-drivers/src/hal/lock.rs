//! One task at a time: the [`Lock`] trait, for drivers that several tasks share.
//!
//! The drivers' blocking and burst levels need none: there a queue has one owner. Where many tasks use one queue, the kernel says how they are kept apart: a spin lock, a critical
//! section, or nothing but a check where all tasks run on one processor and are not preempted.

use core::cell::RefCell;

/// Something that lets one caller at a time reach what is inside.
///
/// Drivers hold it for a bounded time: they take what the device has used, hand in requests, and clone wakers. They do not wait meanwhile, and neither call wakers (but for one, if an interrupt falls into the
/// moment in which it is left where the interrupt finds it) nor drop anything of the caller's. Never in an interrupt handler.
///
/// ```
/// use std::sync::{Mutex, PoisonError};
///
/// use virtio_guest::hal::Lock;
///
/// /// A mutex of the kernel's own (here: the standard library's).
/// struct Own<T>(Mutex<T>);
///
/// impl<T> Lock for Own<T> {
///     type Inside = T;
///
///     fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
///         act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
///     }
/// }
/// ```
pub trait Lock {
    /// What is inside.
    type Inside;

    /// Runs `act` on what is inside, alone.
    fn with<R>(&self, act: impl FnOnce(&mut Self::Inside) -> R) -> R;
}

/// Spins while another processor is inside. For tasks that are not preempted by others that want the lock, too.
impl<T> Lock for spin::Mutex<T> {
    type Inside = T;

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.lock())
    }
}

/// For tasks that all run on one processor, one after the other.
///
/// # Panics
/// If `act` comes back to the same cell: a `Hal` that uses its own disk while it maps a buffer for it, say.
impl<T> Lock for RefCell<T> {
    type Inside = T;

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.borrow_mut())
    }
}
