//! Whether a back-end takes frames from each of a card's pairs of queues.
//!
//! Some say that they have more pairs than they serve (DPDK's says 128, however it was started). What is transmitted on others stays there.

use std::time::{Duration, Instant};

use virtio_user::Link;
use virtio_user::session::Card;

use crate::failure::Failure;

/// What a back-end has not taken any frame from for so long it does not serve.
const LIMIT: Duration = Duration::from_secs(5);

/// How many frames each pair was given, since there is this back-end.
#[derive(Debug)]
pub struct Taken {
    given: Vec<u64>,
    since: Instant,
    restarts: u64,
}

impl Taken {
    /// At a back-end that has just come.
    pub fn new(card: &Card<'_>) -> Self {
        Self { given: vec![0; card.pairs()], since: Instant::now(), restarts: card.restarts() }
    }

    /// A pair was given frames for transmission.
    pub fn give(&mut self, pair: usize, frames: usize) {
        if let Some(given) = self.given.get_mut(pair) {
            *given += frames as u64;
        }
    }

    /// Fails if there is a pair from which nothing was taken for long enough. Takes back what was taken.
    pub fn look(&mut self, card: &mut Card<'_>) -> Result<(), Failure> {
        if self.restarts != card.restarts() {
            *self = Self::new(card);
        }
        let untouched = self.untouched(card);
        if untouched == 0 || self.since.elapsed() < LIMIT {
            return Ok(());
        }
        let pairs = self.given.len();
        let next = match pairs {
            1 => "let the back-end forward what it is given",
            _ => {
                "ask for fewer with --queues, or let the back-end have more: it may say that it has more than it serves"
            }
        };
        let what = format_args!(
            "the back-end took no frame from {untouched} of {pairs} pairs of queues in {LIMIT:?}"
        );
        Err(Failure::with(what, next))
    }

    /// Waits until something was taken from each pair, or the back-end has gone.
    pub fn wait(&mut self, card: &mut Card<'_>) -> Result<(), Failure> {
        self.since = Instant::now();
        while self.untouched(card) > 0 && card.link().is_some_and(Link::is_up) {
            self.look(card)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// How many pairs were given frames of which none was taken.
    fn untouched(&self, card: &mut Card<'_>) -> usize {
        let given = self.given.iter().enumerate().filter(|(_, given)| **given > 0);
        given.filter(|(pair, given)| u64::from(card.in_flight(*pair)) >= **given).count()
    }
}
