//! A stack in memory that is lent, for what a kernel gets back one day.
//!
//! Forgetting it, or what it is in, leaks what is there: a device may have it.

use core::mem::ManuallyDrop;

/// Room for `N` values.
#[derive(Debug)]
pub(super) struct PlaceStorage<V, const N: usize>([Place<V>; N]);

/// Room for one.
type Place<V> = Option<ManuallyDrop<V>>;

impl<V, const N: usize> PlaceStorage<V, N> {
    /// All of it is free.
    pub(super) const fn new() -> Self {
        Self([const { None }; N])
    }
}

/// A stack.
#[derive(Debug)]
pub(super) struct Stack<'s, V> {
    places: Places<'s, V>,
    len: usize,
}

#[derive(Debug)]
enum Places<'s, V> {
    Lent(&'s mut [Place<V>]),
    #[cfg(feature = "alloc")]
    Allocated(alloc::boxed::Box<[Place<V>]>),
}

impl<'s, V, const N: usize> From<&'s mut PlaceStorage<V, N>> for Stack<'s, V> {
    fn from(PlaceStorage(places): &'s mut PlaceStorage<V, N>) -> Self {
        // What an earlier owner left there is leaked.
        Self { places: Places::Lent(places), len: 0 }
    }
}

impl<V> Stack<'_, V> {
    /// Room for nothing.
    pub(super) const fn none() -> Self {
        Self { places: Places::Lent(&mut []), len: 0 }
    }

    /// Room for so many, from the heap.
    #[cfg(feature = "alloc")]
    pub(super) fn allocate(count: usize) -> Self {
        Self { places: Places::Allocated((0..count).map(|_| None).collect()), len: 0 }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many more there is room for.
    pub(super) fn room(&self) -> usize {
        self.as_slice().len().saturating_sub(self.len)
    }

    /// Puts a value on top; it comes back if there is no room.
    pub(super) fn push(&mut self, value: V) -> Result<(), V> {
        let at = self.len;
        match self.as_mut_slice().get_mut(at) {
            Some(place) => {
                *place = Some(ManuallyDrop::new(value));
                self.len += 1;
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Takes the value from the top.
    pub(super) fn pop(&mut self) -> Option<V> {
        let at = self.len.checked_sub(1)?;
        self.len = at;
        self.as_mut_slice().get_mut(at)?.take().map(ManuallyDrop::into_inner)
    }

    /// The value that is `depth` below the top.
    pub(super) fn peek(&self, depth: usize) -> Option<&V> {
        let at = self.len.checked_sub(depth.checked_add(1)?)?;
        self.as_slice().get(at)?.as_deref()
    }

    fn as_slice(&self) -> &[Place<V>] {
        match &self.places {
            Places::Lent(places) => places,
            #[cfg(feature = "alloc")]
            Places::Allocated(places) => places,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Place<V>] {
        match &mut self.places {
            Places::Lent(places) => places,
            #[cfg(feature = "alloc")]
            Places::Allocated(places) => places,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PlaceStorage, Stack};

    #[test]
    fn the_last_one_comes_out_first_and_no_more_go_in_than_there_is_room_for() {
        let mut storage = PlaceStorage::<u8, 2>::new();
        let mut stack = Stack::from(&mut storage);

        assert_eq!([1, 2, 3].map(|value| stack.push(value)), [Ok(()), Ok(()), Err(3)]);
        assert_eq!((stack.peek(0), stack.peek(1), stack.peek(2)), (Some(&2), Some(&1), None));
        assert_eq!([stack.pop(), stack.pop(), stack.pop()], [Some(2), Some(1), None]);
        assert_eq!((stack.len(), stack.room()), (0, 2));
    }
}
