//! Futures that wait for something else than a request: until nothing is in flight, or for ever.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression. They look for all like any other task, and leave the lead to another when they are dropped.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::Shared;
use super::leader::Polled;
use super::requests::Requests;
use super::step::{Pause, Place, Seat};
use crate::hal::{Hal, Lock};
use crate::raw::Payload;

/// Somebody on a seat; who leaves it makes room for another leader.
#[derive(Debug)]
struct Seated<'q, 's, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> {
    shared: &'q Shared<H, L>,
    seat: Seat,
    was_polled: bool,
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Seated<'_, 's, H, P, L> {
    /// Looks for all, and goes on waiting unless `is_over`.
    fn poll(
        &mut self,
        context: &Context<'_>,
        is_over: impl FnOnce(&mut Requests<'s, H, P>) -> bool,
    ) -> Poll<()> {
        let Self { shared, seat, was_polled } = self;
        let place = Place::Seat(*seat);
        let polled = if *was_polled { Polled::Again(place) } else { Polled::First(place) };
        *was_polled = true;
        shared.visit(|requests, later| {
            requests.publish();
            let found = requests.look(later);
            let is_over = is_over(requests);
            requests.call(later);
            later.forget(requests.sit(*seat, (!is_over).then(|| context.waker().clone())));
            requests.settle(if is_over { Polled::Nobody } else { polled }, found, later);
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Drop for Seated<'_, 's, H, P, L> {
    fn drop(&mut self) {
        if self.was_polled {
            self.shared.visit(|requests, later| {
                later.forget(requests.sit(self.seat, None));
                requests.settle(Polled::Nobody, false, later);
            });
        }
    }
}

/// See [`Shared::drain`].
#[must_use = "it is polled, or nothing happens"]
#[derive(Debug)]
pub struct Drain<'q, 's, H: Hal, P: Payload, L: Lock<Inside = Requests<'s, H, P>>>(Seated<'q, 's, H, P, L>);

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Future for Drain<'_, 's, H, P, L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let begins = !self.0.was_polled;
        self.0.poll(context, |requests| {
            if begins && requests.pause == Pause::None {
                requests.pause = Pause::NoRequests;
            }
            // Somebody may have let requests go out again meanwhile.
            requests.in_flight() == 0 || requests.trouble.is_some() || requests.pause == Pause::None
        })
    }
}

/// See [`Shared::run`].
#[must_use = "it is polled, or nothing happens"]
#[derive(Debug)]
pub struct Run<'q, 's, H: Hal, P: Payload, L: Lock<Inside = Requests<'s, H, P>>>(Seated<'q, 's, H, P, L>);

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Future for Run<'_, 's, H, P, L> {
    type Output = Infallible;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Infallible> {
        // It is never over.
        let _ = self.0.poll(context, |_| false);
        Poll::Pending
    }
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Shared<H, L> {
    /// Sends nothing more, and waits until nothing is in flight. Requests of tasks wait from now on, until [`resume`](Shared::resume) or [`put_up`](Shared::put_up); the wait also ends if no request can succeed any more.
    ///
    /// *Cancellation*: requests go on waiting until then. One call at a time.
    /// *Wakes*: as for requests.
    ///
    /// So a guest goes to sleep whose disk does not know [`SUSPEND`](crate::wire::features::CommonFeatures::SUSPEND). The transport stays good as long as the function keeps its configuration; else it is
    /// [opened again](crate::transport::pci::PciTransport::open).
    ///
    /// ```no_run
    /// # use virtio_guest::hal::{Attempts, Hal, Lock};
    /// use virtio_guest::device::block::{Block, Control, HANDLED, Requests, Settings, Shared, Slots};
    /// use virtio_guest::lifecycle::{Interrupt, Signals, Wants};
    /// use virtio_guest::raw::MappedBuffer;
    /// # use virtio_guest::transport::Transport;
    /// # type Page = Vec<u8>;
    /// # type Load<H> = MappedBuffer<H, Page>;
    ///
    /// async fn fall_asleep<T: Transport, H: Hal + 'static, L: Lock<Inside = Requests<'static, H, Load<H>>>>(
    ///     control: Control<'static, T>,
    ///     disk: &Shared<H, L>,
    /// ) -> Result<(T, Slots<'static, Load<H>>), &'static str> {
    ///     disk.drain().await; // whoever wants something now, waits
    ///     let down = control.take_down(Attempts(100_000)).map_err(|_| "the disk does not reset")?;
    ///     let storage = disk.take_down(&down.reset).ok_or("another disk's reset")?;
    ///     Ok((down.transport, storage))
    /// }
    ///
    /// fn wake_up<T: Transport, H: Hal + 'static, L: Lock<Inside = Requests<'static, H, Load<H>>>>(
    ///     transport: T,
    ///     storage: Slots<'static, Load<H>>,
    ///     hal: H,
    ///     signals: &'static Signals, // the same as before
    ///     to_handler: impl FnOnce(Option<Interrupt<'static>>), // who throws the object away that it had
    ///     disk: &Shared<H, L>,
    /// ) -> Result<Control<'static, T>, &'static str> {
    ///     let settings = Settings { notifications: true, ..Settings::default() };
    ///     let (wants, patience) = (Wants::features(HANDLED), Attempts(100_000));
    ///     let started = Block::start_with(transport, hal, storage, &settings, wants, patience);
    ///     let (mut control, queue) = started.map_err(|_| "the disk does not start")?.split();
    ///     let interrupts = control.connect_interrupts(signals).map_err(|_| "the signals are in use")?;
    ///     to_handler(interrupts.vector(1).or_else(|| interrupts.line()));
    ///     disk.put_up(queue, control.interrupts()).map_err(|_| "there is a queue")?; // whoever waited goes on
    ///     Ok(control)
    /// }
    /// ```
    pub const fn drain(&self) -> Drain<'_, 's, H, P, L> {
        Drain(Seated { shared: self, seat: Seat::Drainer, was_polled: false })
    }

    /// Looks for all, for ever: for a task of its own, where tasks hold requests that they do not poll for a while (in a buffered stream, say). Else nobody needs it: those who wait look for each other.
    ///
    /// *Cancellation*: those who wait look for each other again. One call at a time.
    /// *Wakes*: by the interrupt.
    pub const fn run(&self) -> Run<'_, 's, H, P, L> {
        Run(Seated { shared: self, seat: Seat::Runner, was_polled: false })
    }
}
