//! An entropy device that is up: blocking calls, calls that never wait, and tasks.
//!
//! Spec: §5.4.6 Device Operation.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use scopeguard::ScopeGuard;

use super::requests::{EntropyError, Requests};
use crate::device::half::control_half_calls;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{ControlHalf, Interrupts, QueueSignal, SignalsInUse, SignalsRef};
use crate::ring::{Broken, QueueStatistics};
use crate::transport::Transport;
use crate::wire::entropy::{EntropyFeatures, REQUESTQ};

/// An entropy device that is up. Dropping it resets the device, within the bound fixed at bring-up, and gives all memory back; memory that the device may still use because it did not answer is leaked.
/// [`close`](Entropy::close) is the polite end.
///
/// Bytes that came too late for a call are kept for the next one. A kernel that lets itself be copied while it runs (a snapshot that is restored twice) has both copies hand them out: it is to
/// [`forget`](Entropy::forget) them then.
pub struct Entropy<'s, T: Transport, H: Hal> {
    pub(super) live: TornDown<Live<'s, T, H>>,
}

/// Something that is taken apart in order when it is dropped.
type TornDown<L> = ScopeGuard<L, fn(L)>;

/// Both parts.
pub(super) struct Live<'s, T: Transport, H: Hal> {
    pub(super) control: Control<'s, T>,
    pub(super) requests: Requests<'s, H>,
}

/// The control half of an entropy device: its interrupts, and how it is. Dropping it resets the device.
#[derive(Debug)]
pub struct Control<'s, T: Transport> {
    pub(super) half: ControlHalf<'s, T, EntropyFeatures>,
}

impl<'s, T: Transport> Control<'s, T> {
    control_half_calls!(half, EntropyFeatures);

    /// Where tasks that wait for bytes leave their waker; `None` before interrupts are connected, or if there are none.
    pub fn queue_signal(&self) -> Option<&'s QueueSignal> {
        self.half.queue_signal(REQUESTQ)
    }
}

impl<'s, T: Transport, H: Hal> Entropy<'s, T, H> {
    pub(super) fn of(control: Control<'s, T>, requests: Requests<'s, H>) -> Self {
        Self { live: scopeguard::guard(Live { control, requests }, Live::tear_down) }
    }

    /// The control half: condition, interrupts.
    pub fn control(&mut self) -> &mut Control<'s, T> {
        &mut self.live.control
    }

    /// Connects the device's interrupts with these signals; see [`Control::connect_interrupts`].
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        self.live.control.connect_interrupts(signals)
    }

    /// Copies random bytes that are there, and says how many. If none are, the device is asked for as many as there is room for, unless it was asked before.
    ///
    /// Work: never waits.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes before a reset.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        self.live.requests.read(into)
    }

    /// Waits for random bytes, copies them, and says how many there were: at least one, unless `into` is empty.
    ///
    /// With [`Settings::notifications`](super::Settings::notifications) the device interrupts when they come, for a patience that sleeps: hosts hold them back that limit how many there are at a time.
    ///
    /// # Errors
    /// See [`EntropyError`].
    pub fn read_blocking(
        &mut self,
        into: &mut [u8],
        mut patience: impl Patience,
    ) -> Result<usize, EntropyError> {
        self.live.requests.read_blocking(into, &mut patience)
    }

    /// Waits until all of `into` is filled with random bytes.
    ///
    /// # Errors
    /// See [`EntropyError`]. `into` is filled with zeros then: nobody takes half of a key for a whole one.
    pub fn fill_blocking(
        &mut self,
        into: &mut [u8],
        mut patience: impl Patience,
    ) -> Result<(), EntropyError> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.live.requests.read_blocking(rest, &mut patience) {
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) => {
                    into.fill(0);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits, as a task, until all of `into` is filled with random bytes.
    ///
    /// *Cancellation*: bytes that were copied are `into`'s, those that come later are for the next call.
    /// *Wakes*: by the queue's interrupt ([`queue_signal`](Entropy::queue_signal)).
    ///
    /// # Errors
    /// - [`Broken`]: as for [`read`](Entropy::read). `into` is filled with zeros then.
    pub async fn fill(&mut self, into: &mut [u8], signal: &QueueSignal) -> Result<(), Broken> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match poll_fn(|context| self.poll_read(rest, signal, context)).await {
                Ok(count) => filled = filled.saturating_add(count),
                Err(broken) => {
                    into.fill(0);
                    return Err(broken);
                }
            }
        }
        Ok(())
    }

    /// Copies random bytes that are there, and says how many; if none are, whoever polls is woken when some come.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`read`](Entropy::read).
    pub fn poll_read(
        &mut self,
        into: &mut [u8],
        signal: &QueueSignal,
        context: &Context<'_>,
    ) -> Poll<Result<usize, Broken>> {
        self.live.requests.poll_read(into, signal, context)
    }

    /// Wipes the bytes that came too late for an earlier call, and those that the device still has to give for it.
    pub fn forget(&mut self) {
        self.live.requests.forget();
    }

    /// Where tasks that wait for bytes leave their waker; `None` before interrupts are connected, or if there are none.
    pub fn queue_signal(&self) -> Option<&'s QueueSignal> {
        self.live.control.queue_signal()
    }

    /// What the queue has done.
    pub fn statistics(&self) -> QueueStatistics {
        self.live.requests.statistics()
    }

    /// Why the queue is out of service, if it is.
    pub fn broken(&self) -> Option<Broken> {
        self.live.requests.broken()
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Entropy<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").field("requests", &self.live.requests).finish_non_exhaustive()
    }
}
