//! Where tasks wait: their wakers, and what came back for them.
//!
//! Spec: §5.2.6 Device Operation. Lent by the caller, so that a request costs no allocation.

use core::task::Waker;

use super::step::Outcome;
use crate::device::tasks::Guest;

/// What the tasks that share a queue keep: lent for as long as they do.
///
/// `N` bounds the requests of tasks that are in flight, or are done and not yet looked at; and, apart from these, the tasks that wait for a place.
#[derive(Debug)]
pub struct Waiters<const N: usize, P> {
    entries: [Entry<P>; N],
    room: [Option<Guest>; N],
}

impl<const N: usize, P> Waiters<N, P> {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { entries: [const { Entry::FREE }; N], room: [const { None }; N] }
    }
}

impl<const N: usize, P> Default for Waiters<N, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Waiters`] of any number.
#[derive(Debug)]
pub struct WaitersRef<'s, P> {
    pub(super) entries: &'s mut [Entry<P>],
    pub(super) room: &'s mut [Option<Guest>],
}

impl<'s, const N: usize, P> From<&'s mut Waiters<N, P>> for WaitersRef<'s, P> {
    fn from(waiters: &'s mut Waiters<N, P>) -> Self {
        Self { entries: &mut waiters.entries, room: &mut waiters.room }
    }
}

/// A request of a task's.
#[derive(Debug)]
pub(super) struct Entry<P> {
    pub(super) state: State<P>,
    /// The task, if it is to be woken.
    pub(super) waker: Option<Waker>,
    /// The next free entry, if this one is free.
    pub(super) next_free: usize,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State<P> {
    /// Nobody's.
    Free,
    /// The device has it, and a task waits.
    InFlight,
    /// The device has it, and nobody waits any more.
    Abandoned,
    /// It has come back, and its task has not looked yet.
    Done(Outcome<P>),
}

impl<P> Entry<P> {
    const FREE: Self = Self { state: State::Free, waker: None, next_free: 0 };
}

/// All entries, and which of them are free.
#[derive(Debug)]
pub(super) struct Entries<'s, P> {
    all: &'s mut [Entry<P>],
    first_free: usize,
    free: usize,
}

impl<'s, P> Entries<'s, P> {
    pub(super) fn new(entries: &'s mut [Entry<P>]) -> Self {
        for (entry, next_free) in entries.iter_mut().zip(1..) {
            *entry = Entry { next_free, ..Entry::FREE };
        }
        let free = entries.len();
        Self { all: entries, first_free: 0, free }
    }

    pub(super) fn get(&mut self, index: usize) -> Option<&mut Entry<P>> {
        self.all.get_mut(index)
    }

    /// How many are free.
    pub(super) const fn free(&self) -> usize {
        self.free
    }

    /// The entry that [`occupy`](Entries::occupy) takes.
    pub(super) const fn next(&self) -> Option<usize> {
        if self.free > 0 { Some(self.first_free) } else { None }
    }

    /// A request goes out.
    pub(super) fn occupy(&mut self, index: usize) {
        if let Some(entry) = self.all.get_mut(index) {
            entry.state = State::InFlight;
            self.first_free = entry.next_free;
            self.free -= 1;
        }
    }

    /// An entry is nobody's any more; what it was comes back.
    pub(super) fn vacate(&mut self, index: usize) -> Option<(State<P>, Option<Waker>)> {
        let next_free = self.first_free;
        let entry = self.all.get_mut(index)?;
        let Entry { state, waker, .. } = core::mem::replace(entry, Entry { next_free, ..Entry::FREE });
        self.first_free = index;
        self.free += 1;
        Some((state, waker))
    }

    /// The first task that waits for a request in flight, from entry `from` on, around the end.
    pub(super) fn waiting(&self, from: usize) -> Option<(usize, &Waker)> {
        let waiting = |(index, entry): (usize, &'_ Entry<P>)| {
            matches!(entry.state, State::InFlight) && entry.waker.is_some() && index < self.all.len()
        };
        let all = || self.all.iter().enumerate();
        let (index, entry) =
            all().skip(from).find(|found| waiting(*found)).or_else(|| all().find(|found| waiting(*found)))?;
        Some((index, entry.waker.as_ref()?))
    }

    /// The task that waits for this request, if it is in flight.
    pub(super) fn waker(&self, index: usize) -> Option<&Waker> {
        let entry = self.all.get(index).filter(|entry| matches!(entry.state, State::InFlight))?;
        entry.waker.as_ref()
    }

    /// Takes a waker, whoever's.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.all.iter_mut().find_map(|entry| entry.waker.take())
    }
}
