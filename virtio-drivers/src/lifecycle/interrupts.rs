//! The interrupt half of a driver: what a handler calls, and what wakes up.
//!
//! Spec: §2.3 Notifications, §4.1.4.5 ISR status capability, §4.1.5.1.2 MSI-X Vector Configuration, §4.2.3.4 Notifications From The Device.
//!
//! A handler has an [`Interrupt`]: one for each vector, or one for the line. It acknowledges, says what happened, and wakes whoever waits, without the driver's lock and without
//! the driver: both sides only know the same [`Signals`].
//!
//! ```text
//!   handler ── Interrupt ──▶ is the device up? ──▶ acknowledge (a line's register; vectors need none)
//!                                                        │ cause
//!                                                        ▼
//!   task ◀── wakes ── Signals { configuration, queue 0, queue 1, … }
//! ```
//!
//! There is no `Interrupt` before DRIVER_OK. When the device was reset its driver closes the gate: from then on handlers find no cause and touch no register, and closing
//! waits for those that are just at it. Whoever opens the gate again, for another bring-up, leaves the old objects outside.

use core::task::Waker;

use atomic_waker::AtomicWaker;

use super::running::Running;
use super::vectors::VectorRouting;
use crate::hal::Patience;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::transport::{InterruptCause, InterruptLine, Transport};

/// What handlers and driver of one device share: in a static, or wherever it outlives both. `QUEUES` bounds the queues that can be waited for.
///
/// One device at a time uses it.
#[derive(Debug)]
pub struct Signals<const QUEUES: usize = 1> {
    gate: Gate,
    configuration: ConfigurationSignal,
    queues: [QueueSignal; QUEUES],
}

impl<const QUEUES: usize> Signals<QUEUES> {
    /// Nobody waits, and nothing has happened.
    pub const fn new() -> Self {
        Self {
            gate: Gate { session: AtomicUsize::new(NOBODY), inside: AtomicUsize::new(0) },
            configuration: ConfigurationSignal { changes: AtomicU32::new(0), waker: AtomicWaker::new() },
            queues: [const { QueueSignal(AtomicWaker::new()) }; QUEUES],
        }
    }
}

impl<const QUEUES: usize> Default for Signals<QUEUES> {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Signals`] of any number of queues.
#[derive(Clone, Copy, Debug)]
pub struct SignalsRef<'s> {
    gate: &'s Gate,
    configuration: &'s ConfigurationSignal,
    queues: &'s [QueueSignal],
}

impl<'s, const QUEUES: usize> From<&'s Signals<QUEUES>> for SignalsRef<'s> {
    fn from(signals: &'s Signals<QUEUES>) -> Self {
        let Signals { gate, configuration, queues } = signals;
        Self { gate, configuration, queues }
    }
}

/// Who waits for one queue's used buffers: at most one, who looks for all.
#[derive(Debug)]
pub struct QueueSignal(AtomicWaker);

impl QueueSignal {
    /// Puts another waker in the place of the one that is there, if it is; that one is handed back, for its drop may run code of the executor's.
    #[must_use = "dropping a waker may run code of the executor's: not under a lock"]
    pub fn replace(&self, waker: Option<&Waker>) -> Option<Waker> {
        let before = self.0.take();
        if let Some(waker) = waker {
            self.0.register(waker);
        }
        before
    }
}

/// Who waits for a change of the configuration, and how many there were.
#[derive(Debug)]
struct ConfigurationSignal {
    changes: AtomicU32,
    waker: AtomicWaker,
}

/// No session.
const NOBODY: usize = 0;

/// Lets handlers in while their device is up, and counts those that are inside.
#[derive(Debug)]
struct Gate {
    session: AtomicUsize,
    inside: AtomicUsize,
}

impl Gate {
    /// Runs `act` if the gate is open for `session`, and not closed before `act` has ended.
    fn pass<R>(&self, session: usize, act: impl FnOnce() -> R) -> Option<R> {
        // Who closes the gate sees this handler inside, or this handler sees the gate closed: both sides write before they read, in one order of all such accesses.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let passed = (self.session.load(Ordering::SeqCst) == session).then(act);
        self.inside.fetch_sub(1, Ordering::SeqCst);
        passed
    }
}

/// The signals are another device's at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signals are in use by another device")]
pub struct SignalsInUse;

/// A handler did not come to its end in time: one that is interrupted itself, or that closes the driver which it interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an interrupt handler is still running")]
pub struct HandlerStillRunning;

/// All of a device's interrupts: gives the objects for handlers, and the signals for those who wait.
///
/// Dropping it closes the gate without waiting for handlers that are inside.
#[derive(Debug)]
pub struct Interrupts<'s> {
    signals: SignalsRef<'s>,
    session: usize,
    routing: VectorRouting,
    /// Queues whose vectors have objects: those that were dealt one and can be waited for.
    queues: u16,
    line: Option<InterruptLine>,
    /// Changes of the configuration that were told.
    seen: u32,
}

impl<T: Transport, D: Copy> Running<T, D> {
    /// The device's interrupts: the vectors that were dealt out, else its line, which it is allowed to use from now on.
    ///
    /// Whoever ends the device's life closes them afterwards ([`Interrupts::close`]); drivers of this crate do.
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device, or an earlier bring-up that was not ended, uses these signals.
    pub fn interrupts<'s>(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<Interrupts<'s>, SignalsInUse> {
        let signals = signals.into();
        let session = self.rung.session.number();
        let gate = &signals.gate.session;
        gate.compare_exchange(NOBODY, session, Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| SignalsInUse)?;
        let routing = self.vector_routing();
        let line = if routing == VectorRouting::NoVectors { self.use_interrupt_line() } else { None };
        let seen = signals.configuration.changes.load(Ordering::Acquire);
        let queues = self.rung.routed_queues.min(u16::try_from(signals.queues.len()).unwrap_or(u16::MAX));
        Ok(Interrupts { signals, session, routing, queues, line, seen })
    }
}

impl<'s> Interrupts<'s> {
    /// The object for the handler of one vector; `None` if no such vector is used, or it is that of a queue for which there is no signal.
    pub fn vector(&self, vector: u16) -> Option<Interrupt<'s>> {
        (vector < self.routing.vectors(self.queues)).then_some(Interrupt {
            signals: self.signals,
            session: self.session,
            source: Source::Vector(vector, self.routing),
        })
    }

    /// The object for the handler of the device's line; `None` if vectors are used, or there is no line.
    pub fn line(&self) -> Option<Interrupt<'s>> {
        let line = self.line.as_ref()?.share();
        Some(Interrupt { signals: self.signals, session: self.session, source: Source::Line(line) })
    }

    /// Where those who wait for a queue leave their waker; `None` if there is no signal for that queue, or nothing interrupts.
    pub fn queue_signal(&self, index: u16) -> Option<&'s QueueSignal> {
        let interrupts = self.line.is_some() || self.routing != VectorRouting::NoVectors;
        self.signals.queues.get(usize::from(index)).filter(|_| interrupts)
    }

    /// Whether these are the signals that handlers give.
    pub(crate) fn are_told_by(&self, signals: SignalsRef<'_>) -> bool {
        core::ptr::eq(self.signals.gate, signals.gate)
    }

    /// Whether the configuration changed since this was last asked, as far as interrupts tell; if it did not, `waker` is woken when it does.
    pub fn configuration_changed(&mut self, waker: Option<&Waker>) -> bool {
        if let Some(waker) = waker {
            self.signals.configuration.waker.register(waker);
        }
        let changes = self.signals.configuration.changes.load(Ordering::Acquire);
        core::mem::replace(&mut self.seen, changes) != changes
    }

    /// Takes all objects back: handlers find no cause from now on. To be called after the reset: a line that nobody acknowledges any more is better down.
    ///
    /// Work: waits within `patience` until no handler is inside.
    ///
    /// # Errors
    /// - [`HandlerStillRunning`]: it may still be. The objects are taken back all the same.
    pub fn close(self, mut patience: impl Patience) -> Result<(), HandlerStillRunning> {
        let gate = self.signals.gate;
        drop(self);
        while gate.inside.load(Ordering::SeqCst) != 0 {
            if !patience.keep_waiting() {
                return Err(HandlerStillRunning);
            }
        }
        Ok(())
    }
}

impl Drop for Interrupts<'_> {
    fn drop(&mut self) {
        self.signals.gate.session.store(NOBODY, Ordering::SeqCst);
    }
}

/// What the handler of one vector, or of the line, calls. Independent of the driver; may be used from any processor, and from several at once.
///
/// ```
/// # use std::sync::OnceLock as Once;
/// use virtio_guest::lifecycle::Interrupt;
///
/// static DISK: Once<Interrupt<'static>> = Once::new(); // set when the driver is up
///
/// fn on_interrupt() {
///     if let Some(interrupt) = DISK.get() {
///         interrupt.handle();
///     }
/// }
/// # on_interrupt();
/// ```
#[derive(Debug)]
pub struct Interrupt<'s> {
    signals: SignalsRef<'s>,
    session: usize,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Vector(u16, VectorRouting),
    Line(InterruptLine),
}

impl Interrupt<'_> {
    /// Acknowledges, wakes whoever waits for what happened, and says what that is. No cause: another device on the same line, or the device is down.
    ///
    /// Work: for a line one register read, with MMIO also a write; for a vector none. Wakers are called in here, so those of the executor must be fit for interrupt handlers;
    /// where they are not, [`acknowledge`](Interrupt::acknowledge) here and [`wake`](Interrupt::wake) later.
    pub fn handle(&self) -> InterruptCause {
        let cause = self.acknowledge();
        self.wake(cause);
        cause
    }

    /// Acknowledges, and says what happened. Wakes nobody.
    ///
    /// A vector that several causes share may be for any of them.
    pub fn acknowledge(&self) -> InterruptCause {
        let cause = self.signals.gate.pass(self.session, || match &self.source {
            Source::Vector(vector, routing) => routing.cause(*vector),
            Source::Line(line) => line.acknowledge(),
        });
        let cause = cause.unwrap_or_default();
        if cause.configuration_change {
            self.signals.configuration.changes.fetch_add(1, Ordering::Release);
        }
        cause
    }

    /// Wakes whoever waits for such a thing.
    pub fn wake(&self, cause: InterruptCause) {
        if cause.configuration_change {
            self.signals.configuration.waker.wake();
        }
        if cause.used_buffer {
            // The signals of the queues that this may be about.
            for (index, queue) in (0..).zip(self.signals.queues) {
                if self.is_about(index) {
                    queue.0.wake();
                }
            }
        }
    }

    fn is_about(&self, queue: u16) -> bool {
        match &self.source {
            Source::Vector(vector, routing) => routing.queue_vector(queue) == Some(*vector),
            Source::Line(_) => true,
        }
    }
}
