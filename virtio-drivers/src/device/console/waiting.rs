//! How calls wait for a queue: within a patience, or as tasks.
//!
//! Spec: §2.7.7, §2.8.10 (notification suppression). Both look, ask for an interrupt, and look again, so that nothing comes in between unnoticed.

use core::task::{Context, Poll};

use crate::hal::Patience;
use crate::lifecycle::QueueSignal;
use crate::ring::{Broken, Rearmed};

/// How often whoever waits looks at once for more, where all that came was empty: a ringful each time.
const LOOKS: u32 = 16;

/// A call that waited did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Nothing came, or there was no room, in time.
    #[error("nothing came, or there was no room, in time")]
    TimedOut,
    /// The device broke the protocol, now or earlier. Nothing comes or goes before a reset.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Waits until `look` finds something. Asks for an interrupt meanwhile if `notified`.
pub(super) fn wait_for<Q, R>(
    queue: &mut Q,
    patience: &mut dyn Patience,
    notified: bool,
    mut look: impl FnMut(&mut Q) -> Result<Option<R>, Broken>,
    mut rearm: impl FnMut(&mut Q) -> Rearmed,
) -> Result<R, StreamError> {
    let mut out_of_patience = false;
    // A device that sends nothing but empty buffers always has more waiting: that counts as waiting, too.
    let mut looks_left = LOOKS;
    loop {
        if let Some(found) = look(queue)? {
            return Ok(found);
        }
        // After the last wait there is one more look: a sleep may have ended with what was waited for.
        if out_of_patience {
            return Err(StreamError::TimedOut);
        }
        if notified && rearm(queue) == Rearmed::MoreWaiting && looks_left > 0 {
            looks_left -= 1;
        } else {
            (out_of_patience, looks_left) = (!patience.keep_waiting(), LOOKS);
        }
    }
}

/// Looks, and has whoever polls woken by these signals if there is nothing.
pub(super) fn poll_for<Q, R, E>(
    queue: &mut Q,
    signals: [Option<&QueueSignal>; 2],
    context: &Context<'_>,
    mut look: impl FnMut(&mut Q) -> Result<Option<R>, E>,
    mut rearm: impl FnMut(&mut Q) -> Rearmed,
) -> Poll<Result<R, E>> {
    for _ in 0..LOOKS {
        if let Some(found) = look(queue)? {
            return Poll::Ready(Ok(found));
        }
        for signal in signals.into_iter().flatten() {
            drop(signal.replace(Some(context.waker())));
        }
        if rearm(queue) == Rearmed::Quiet {
            return Poll::Pending;
        }
    }
    // There is always more, and all of it is nothing: others are to have their turn.
    context.waker().wake_by_ref();
    Poll::Pending
}
