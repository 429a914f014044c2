//! The order in which a device that negotiated `IN_ORDER` returns buffers.
//!
//! Spec: §2.7.9 In-order use of descriptors, §2.8.8 for packed queues. Kept by both kinds of
//! queue. Returning out of order is no fault of the driver but a mistake of the test, so it
//! panics; who wants to lie about the order writes into the ring behind the queue's back.

use std::collections::VecDeque;

/// The buffers in flight, oldest first, if the order matters.
#[derive(Debug)]
pub(crate) struct InOrder {
    in_flight: Option<VecDeque<u16>>,
}

impl InOrder {
    /// Nothing is in flight yet.
    pub(crate) fn new(negotiated: bool) -> Self {
        Self { in_flight: negotiated.then(VecDeque::new) }
    }

    /// Whether the order matters.
    pub(crate) fn is_negotiated(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Notes that the device took a buffer.
    pub(crate) fn taken(&mut self, id: u16) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.push_back(id);
        }
    }

    /// Notes that the device returns a buffer.
    ///
    /// # Panics
    /// If it is not the oldest one in flight.
    pub(crate) fn returned(&mut self, id: u32) {
        let Some(in_flight) = &mut self.in_flight else {
            return;
        };
        let oldest = in_flight.front().copied();
        assert!(
            oldest.map(u32::from) == Some(id),
            "IN_ORDER was negotiated: buffer {id} returned by the test while {oldest:?} is the oldest in flight",
        );
        in_flight.pop_front();
    }

    /// Notes that the device returns several buffers at once; tells the last one, and the bytes
    /// written to it.
    ///
    /// # Panics
    /// If they are not the oldest ones in flight, in order, or none at all, or the order does
    /// not matter.
    pub(crate) fn returned_batch(&mut self, batch: &[(u16, u32)]) -> (u16, u32) {
        assert!(self.is_negotiated(), "a batch returned by the test without IN_ORDER negotiated");
        for &(id, _) in batch {
            self.returned(id.into());
        }
        *batch.last().expect("a batch of at least one buffer")
    }
}
