//! One request of a task's, as a future.
//!
//! Spec: §5.2.6 Device Operation.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::super::command::Command;
use super::super::completion::Failed;
use super::Shared;
use super::requests::Requests;
use super::step::{Order, Outcome, Step};
use crate::hal::{Hal, Lock};
use crate::raw::Payload;

/// A request on its way: [`Shared::read_mapped`] and its like. It is sent when it is polled first.
///
/// *Cancellation*: dropped while the device has it, what it carries stays with the queue until the device lets go, and is dropped then, when somebody next looks. A write may or may not happen.
/// *Wakes*: by the interrupt, or by another task of the same queue that looked first.
/// It is not to be forgotten ([`core::mem::forget`]) before it is over: others may wait for it to look. Nothing worse comes of it.
#[must_use = "a request is sent when it is polled"]
#[derive(Debug)]
pub struct Transfer<'q, 's, H: Hal, P: Payload, L: Lock<Inside = Requests<'s, H, P>>>(Sent<'q, 's, H, P, L>);

/// Any request on its way, with its answer.
#[must_use = "a request is sent when it is polled"]
#[derive(Debug)]
pub(super) struct Sent<'q, 's, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> {
    shared: &'q Shared<H, L>,
    step: Step<P>,
}

// Nothing in here is pinned: what the device sees was mapped where it is.
impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Unpin for Sent<'_, 's, H, P, L> {}

impl<'q, 's, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Transfer<'q, 's, H, P, L> {
    pub(super) const fn new(shared: &'q Shared<H, L>, command: Command, payload: P) -> Self {
        Self(Sent::new(shared, Order { command, range: None, payload: Some(payload) }))
    }
}

impl<'q, 's, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Sent<'q, 's, H, P, L> {
    pub(super) const fn new(shared: &'q Shared<H, L>, order: Order<P>) -> Self {
        Self { shared, step: Step::Wanted(order) }
    }
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Future for Transfer<'_, 's, H, P, L> {
    /// What was handed in: it comes back. In the error, too, unless the queue still has it.
    type Output = Result<Option<P>, Failed<P>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(sent) = self.get_mut();
        Pin::new(sent).poll(context).map_ok(|done| done.payload)
    }
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Future for Sent<'_, 's, H, P, L> {
    type Output = Outcome<P>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<P>> {
        let Self { shared, step } = self.get_mut();
        shared.visit(|requests, later| requests.poll(step, context.waker(), later))
    }
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Drop for Sent<'_, 's, H, P, L> {
    fn drop(&mut self) {
        if matches!(self.step, Step::Waiting(..) | Step::InFlight(_)) {
            let step = &mut self.step;
            self.shared.visit(|requests, later| requests.abandon(step, later));
        }
    }
}
