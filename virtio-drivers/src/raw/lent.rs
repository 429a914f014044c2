//! What a device may still use, and the proof that it no longer does.
//!
//! Spec: §2.4 Device Reset, §3.1 Device Initialization.
//!
//! ```text
//!   bring-up ──▶ Session ──────────────┐ (one per bring-up, never twice)
//!   memory, buffers ──▶ Lent<M> ──drop──▶ leaked: the device may still write there
//!                        │
//!   reset seen to be complete ──▶ ConfirmedReset ── of the same session ──▶ M, to be freed
//! ```

use core::mem::ManuallyDrop;
use core::ops::Deref;

use crate::sync::{AtomicUsize, Ordering};

/// The identity of one bring-up of one device: from its first reset until the reset that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session(usize);

impl Session {
    /// A session unlike all others. `None` once the numbers for them are used up: 2³² on the smallest targets.
    pub(crate) fn begin() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self::after(&NEXT)
    }

    /// A number that is no other session's, and not 0.
    pub(crate) const fn number(self) -> usize {
        // The last number is never given out, see `after`.
        self.0 + 1
    }

    /// The next number. It never wraps around: old proofs would hold for the new session of the same number.
    fn after(next: &AtomicUsize) -> Option<Self> {
        next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_add(1)).map(Self).ok()
    }
}

/// Proof that the device of one [`Session`] was reset, and was seen to be: it touches no memory of that session any more.
///
/// Given out by the lifecycle alone. Copies may go to wherever that session's queues are.
#[derive(Clone, Copy, Debug)]
pub struct ConfirmedReset {
    session: Session,
}

impl ConfirmedReset {
    /// To be called only after a transport showed that the session's device is reset.
    pub(crate) const fn of(session: Session) -> Self {
        Self { session }
    }

    /// Whether this is the reset that ended `session`.
    pub fn ends(&self, session: Session) -> bool {
        self.session == session
    }
}

/// Proof that one queue of one [`Session`] was reset, and was seen to be. Spent when the queue is taken back, for the queue may be set up anew.
#[derive(Debug)]
pub(crate) struct QueueReset {
    session: Session,
    index: u16,
}

impl QueueReset {
    /// To be called only after a transport showed that the queue is reset.
    pub(crate) const fn of(session: Session, index: u16) -> Self {
        Self { session, index }
    }
}

/// Something that a device may be using. Dropping it leaks what is inside; only a confirmed reset brings it back.
#[derive(Debug)]
pub struct Lent<M> {
    inner: ManuallyDrop<M>,
    session: Session,
}

impl<M> Lent<M> {
    /// Lends `inner` to the device of `session`.
    pub(crate) const fn to(session: Session, inner: M) -> Self {
        Self { inner: ManuallyDrop::new(inner), session }
    }

    /// Whether it was lent in `session`.
    pub(crate) fn belongs_to(&self, session: Session) -> bool {
        self.session == session
    }

    /// Whether this is the reset that ended its session.
    pub(crate) fn is_ended_by(&self, reset: &ConfirmedReset) -> bool {
        reset.ends(self.session)
    }

    /// Takes it back, which the reset of its session allows.
    ///
    /// # Errors
    /// The value itself, if `reset` ended another session.
    pub(crate) fn take_back(self, reset: &ConfirmedReset) -> Result<M, Self> {
        if reset.ends(self.session) { Ok(ManuallyDrop::into_inner(self.inner)) } else { Err(self) }
    }

    /// Takes it back as the memory of queue `index`, which the reset of that queue allows.
    ///
    /// # Errors
    /// The value itself, if `reset` is another queue's.
    pub(crate) fn take_back_queue(
        self,
        index: u16,
        QueueReset { session, index: reset }: QueueReset,
    ) -> Result<M, Self> {
        if session == self.session && reset == index {
            Ok(ManuallyDrop::into_inner(self.inner))
        } else {
            Err(self)
        }
    }
}

impl<M> Deref for Lent<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_is_ever_given_out_again() {
        let next = AtomicUsize::new(usize::MAX - 2);

        let given = [(); 4].map(|()| Session::after(&next));

        assert_eq!(given, [Some(Session(usize::MAX - 2)), Some(Session(usize::MAX - 1)), None, None]);
    }
}
