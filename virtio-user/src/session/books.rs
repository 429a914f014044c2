//! Which requests are in flight, so that they can be sent again.

use std::collections::VecDeque;

use virtio_guest::device::block::{RequestError, Sector};

/// Which request of a disk this is: they are numbered from 1 on, whichever queue they go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request that is done.
#[derive(Debug)]
pub struct Done<B> {
    /// Which one.
    pub id: RequestId,
    /// What was handed in with it. `None` for a flush.
    pub buffer: Option<B>,
    /// How often it was sent: more than once if a back-end went meanwhile.
    pub sent: u32,
    /// What became of it. A read that succeeded has filled all of the buffer.
    pub result: Result<(), RequestError>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Read(Sector),
    Write(Sector),
    Flush,
}

/// A request, without its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: RequestId,
    pub(super) asked: Asked,
    pub(super) sent: u32,
}

impl Entry {
    pub(super) fn done<B>(self, buffer: Option<B>, result: Result<(), RequestError>) -> Done<B> {
        let Self { id, sent, .. } = self;
        Done { id, buffer, sent, result }
    }
}

/// The requests of one queue. Each is in one place: with the device, or here, to be sent again or to be handed out.
#[derive(Debug)]
pub(super) struct Books<P> {
    /// With the device: by their place in its queue.
    in_flight: Vec<Option<Entry>>,
    /// Came back from a device that is no more, to be sent again: the oldest first.
    waiting: VecDeque<(Entry, Option<P>)>,
    /// Done, to be handed out.
    done: VecDeque<Done<P>>,
}

impl<P> Books<P> {
    pub(super) const fn new() -> Self {
        Self { in_flight: Vec::new(), waiting: VecDeque::new(), done: VecDeque::new() }
    }

    /// Makes room for a queue with so many places.
    pub(super) fn set_places(&mut self, places: usize) {
        if self.in_flight.len() < places {
            self.in_flight.resize(places, None);
        }
    }

    /// The device has it, at this place.
    #[inline]
    pub(super) fn send(&mut self, place: usize, entry: Entry) {
        if let Some(free) = self.in_flight.get_mut(place) {
            *free = Some(Entry { sent: entry.sent + 1, ..entry });
        }
    }

    /// The device has it no more.
    #[inline]
    pub(super) fn land(&mut self, place: usize) -> Option<Entry> {
        self.in_flight.get_mut(place)?.take()
    }

    /// It is to be sent again.
    pub(super) fn wait(&mut self, entry: Entry, payload: Option<P>) {
        self.waiting.push_back((entry, payload));
    }

    /// All that had been in flight is here.
    pub(super) fn put_in_order(&mut self) {
        self.waiting.make_contiguous().sort_by_key(|(entry, _)| entry.id);
    }

    /// The oldest that waits to be sent again.
    pub(super) fn next(&mut self) -> Option<(Entry, Option<P>)> {
        self.waiting.pop_front()
    }

    /// It could not be sent yet.
    pub(super) fn wait_first(&mut self, entry: Entry, payload: Option<P>) {
        self.waiting.push_front((entry, payload));
    }

    /// Whether some wait to be sent again.
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// It is done, and is to be handed out.
    pub(super) fn finish(&mut self, done: Done<P>) {
        self.done.push_back(done);
    }

    /// The first that is to be handed out.
    #[inline]
    pub(super) fn next_done(&mut self) -> Option<Done<P>> {
        self.done.pop_front()
    }

    /// Whether some are to be handed out.
    pub(super) fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// How many there are, wherever they are.
    pub(super) fn count(&self) -> usize {
        self.in_flight.iter().flatten().count() + self.waiting.len() + self.done.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        Entry { id: RequestId(id), asked: Asked::Write(Sector(id)), sent: 0 }
    }

    #[test]
    fn what_comes_back_in_any_order_is_sent_again_oldest_first_and_counts_its_sendings() {
        let mut books = Books::new();
        books.set_places(4);
        for (place, id) in [(2, 7), (0, 8), (3, 9)] {
            books.send(place, entry(id));
        }

        for place in 0..4 {
            if let Some(entry) = books.land(place) {
                books.wait(entry, Some(place));
            }
        }
        books.put_in_order();

        let mut places = Vec::new();
        while let Some((entry, place)) = books.next() {
            assert_eq!(entry.sent, 1);
            books.send(places.len(), entry);
            places.extend(place);
        }
        assert_eq!(places, [2, 0, 3]);
        assert_eq!(books.land(1).map(|entry| (entry.id, entry.sent)), Some((RequestId(8), 2)));
        assert_eq!(books.count(), 2);
    }

    #[test]
    fn each_request_lands_once() {
        let mut books = Books::<()>::new();
        books.set_places(1);
        books.send(0, entry(1));

        assert_eq!(books.land(0).map(|entry| entry.id), Some(RequestId(1)));
        assert_eq!(books.land(0), None);
        assert_eq!(books.land(1), None, "no such place");
    }
}
