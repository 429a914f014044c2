//! The waiting room: tasks that wait for a place, first come, first served.
//!
//! Who is called is promised a place, until it takes it or leaves; newcomers do not overtake. It stays in the room until it comes: if there is no place after all by then, it goes on waiting where
//! it was. As many can wait as there is room for.

use core::task::Waker;

/// Somebody who waits.
#[derive(Debug)]
pub(in super::super) struct Guest {
    number: u64,
    /// Taken while it is awake, by those who call it, and by those who wake everybody.
    waker: Option<Waker>,
    /// It was called, and is on its way.
    is_called: bool,
}

/// See the module's head.
#[derive(Debug)]
pub(in super::super) struct Room<'s> {
    /// In the order in which they came, with gaps where somebody left: from `first` on, as a ring.
    places: &'s mut [Option<Guest>],
    first: usize,
    /// Places from `first` to the last guest, gaps included.
    length: usize,
    /// The number of the next guest.
    next: u64,
    /// Guests who were called and are on their way.
    called: usize,
}

impl<'s> Room<'s> {
    pub(in super::super) fn new(places: &'s mut [Option<Guest>]) -> Self {
        places.fill_with(|| None);
        Self { places, first: 0, length: 0, next: 0, called: 0 }
    }

    /// How many guests were called and are on their way.
    pub(in super::super) const fn called(&self) -> usize {
        self.called
    }

    /// Whether nobody waits who was not called.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.guests().all(|guest| guest.is_called)
    }

    fn place(&self, offset: usize) -> usize {
        // At most twice the length, so this does not wrap.
        (self.first + offset) % self.places.len().max(1)
    }

    fn guests(&self) -> impl Iterator<Item = &Guest> {
        (0..self.length).filter_map(|offset| self.places.get(self.place(offset))?.as_ref())
    }

    fn find(&mut self, number: u64) -> Option<&mut Option<Guest>> {
        let is_it = |offset: &usize| {
            let place = self.places.get(self.place(*offset));
            place.is_some_and(|place| place.as_ref().is_some_and(|guest| guest.number == number))
        };
        let offset = (0..self.length).find(is_it)?;
        let place = self.place(offset);
        self.places.get_mut(place)
    }

    /// Closes the gaps at both ends.
    fn tidy(&mut self) {
        while self.length > 0 && self.places.get(self.first).is_some_and(Option::is_none) {
            self.first = self.place(1);
            self.length -= 1;
        }
        while self.length > 0 && self.places.get(self.place(self.length - 1)).is_some_and(Option::is_none) {
            self.length -= 1;
        }
    }

    /// Closes all gaps.
    fn close_ranks(&mut self) {
        let mut kept = 0;
        for offset in 0..self.length {
            let (from, to) = (self.place(offset), self.place(kept));
            if self.places.get(from).is_some_and(Option::is_some) {
                if from != to {
                    self.places.swap(from, to);
                }
                kept += 1;
            }
        }
        self.length = kept;
    }

    /// Somebody comes in, and gets a number. `None` if the room is full.
    pub(in super::super) fn enter(&mut self, waker: Waker) -> Option<u64> {
        if self.length == self.places.len() {
            self.close_ranks();
        }
        if self.length == self.places.len() {
            return None;
        }
        let place = self.place(self.length);
        *self.places.get_mut(place)? =
            Some(Guest { number: self.next, waker: Some(waker), is_called: false });
        self.length += 1;
        self.next += 1;
        Some(self.next - 1)
    }

    /// Whether a guest was called.
    pub(in super::super) fn was_called(&self, number: u64) -> bool {
        self.guests().any(|guest| guest.number == number && guest.is_called)
    }

    /// A guest is awake: its waker comes back, until it goes on waiting.
    pub(in super::super) fn awake(&mut self, number: u64) -> Option<Waker> {
        self.find(number)?.as_mut()?.waker.take()
    }

    /// A guest goes on waiting where it is, called or not, with another waker. The old one comes back.
    pub(in super::super) fn stay(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        let guest = self.find(number)?.as_mut()?;
        let was_called = core::mem::take(&mut guest.is_called);
        let old = guest.waker.replace(waker);
        self.called -= usize::from(was_called);
        old
    }

    /// Calls the guest who has waited longest: its number, and how to wake it if it was not woken already.
    pub(in super::super) fn call(&mut self) -> Option<(u64, Option<Waker>)> {
        let is_next = |offset: &usize| {
            let guest = self.places.get(self.place(*offset)).and_then(Option::as_ref);
            guest.is_some_and(|guest| !guest.is_called)
        };
        let place = self.place((0..self.length).find(is_next)?);
        let guest = self.places.get_mut(place)?.as_mut()?;
        guest.is_called = true;
        self.called += 1;
        Some((guest.number, guest.waker.take()))
    }

    /// A guest leaves: for its place, or for good. How to wake it comes back.
    pub(in super::super) fn leave(&mut self, number: u64) -> Option<Waker> {
        let guest = self.find(number)?.take()?;
        self.tidy();
        self.called -= usize::from(guest.is_called);
        guest.waker
    }

    /// The guest who has waited longest and can be woken.
    pub(in super::super) fn first(&self) -> Option<(u64, &Waker)> {
        self.guests().find_map(|guest| Some((guest.number, guest.waker.as_ref()?)))
    }

    /// The waker of a guest, if it has not been taken.
    pub(in super::super) fn waker(&self, number: u64) -> Option<&Waker> {
        self.guests().find(|guest| guest.number == number)?.waker.as_ref()
    }

    /// Takes a waker, to wake its guest, who stays in the room.
    pub(in super::super) fn take_waker(&mut self) -> Option<Waker> {
        self.places.iter_mut().flatten().find_map(|guest| guest.waker.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(room: &mut Room<'_>) -> Vec<u64> {
        core::iter::from_fn(|| room.call().map(|(number, _)| number)).collect()
    }

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn guests_are_called_in_the_order_in_which_they_came() {
        let mut places = [const { None }; 4];
        let mut room = Room::new(&mut places);
        for number in 0..4 {
            assert_eq!(room.enter(Waker::noop().clone()), Some(number));
        }
        assert_eq!(room.enter(Waker::noop().clone()), None, "the room is full");

        assert_eq!(room.call().map(|(number, _)| number), Some(0));
        assert_eq!(room.enter(Waker::noop().clone()), None, "it has not come yet");
        assert!(room.was_called(0) && room.leave(0).is_none());
        assert_eq!(room.enter(Waker::noop().clone()), Some(4), "around the end");

        assert_eq!(numbers(&mut room), [1, 2, 3, 4]);
        assert_eq!(room.called(), 4);
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut places = [const { None }; 4];
        let mut room = Room::new(&mut places);
        (0..4).for_each(|_| assert!(room.enter(Waker::noop().clone()).is_some()));

        for number in [1, 2] {
            assert!(room.leave(number).is_some());
        }
        assert!(room.leave(2).is_none(), "it has left");
        let came = [(); 3].map(|()| room.enter(Waker::noop().clone()));
        assert_eq!(came, [Some(4), Some(5), None], "those who left make room");

        assert_eq!(numbers(&mut room), [0, 3, 4, 5]);
        assert!(room.is_empty() && room.called() == 4);
        for number in [4, 0, 3, 5] {
            assert!(room.leave(number).is_none(), "its waker was taken");
        }
        assert_eq!(room.called(), 0);
    }

    #[test]
    fn who_was_called_in_vain_keeps_its_turn() {
        let mut places = [const { None }; 4];
        let mut room = Room::new(&mut places);
        (0..3).for_each(|_| assert!(room.enter(Waker::noop().clone()).is_some()));
        assert_eq!(numbers(&mut room), [0, 1, 2]);

        for number in [2, 0] {
            assert!(room.stay(number, Waker::noop().clone()).is_none() && !room.was_called(number));
        }

        assert_eq!((room.called(), room.is_empty()), (1, false));
        assert_eq!(numbers(&mut room), [0, 2]);
    }

    #[test]
    fn there_may_be_no_room_at_all() {
        let mut room = Room::new(&mut []);

        assert_eq!(room.enter(Waker::noop().clone()), None);
        assert!(room.call().is_none() && room.leave(0).is_none() && room.first().is_none());
    }
}
