//! The private books of a queue: which descriptors are free, which chain each of the others belongs to, and who owns what is in flight.
//!
//! Spec: §2.7.13 and §2.7.14 as the driver's side of them. Nothing here is visible to the device, and nothing the device writes is believed over it: links and
//! lengths are kept here and never read back from a shared descriptor.

use core::mem::ManuallyDrop;

/// What is known about one descriptor.
#[derive(Debug)]
pub(super) struct Slot<T> {
    /// The next descriptor: of the free list, or of the chain.
    next: u16,
    /// Set on the head of a chain in flight.
    in_flight: Option<InFlight<T>>,
}

/// What is known about one chain in flight. Its payload may be in the device's hands, so forgetting the books leaks it.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    pub(super) payload: ManuallyDrop<T>,
    /// The chain's last descriptor, and how many it has.
    last: u16,
    descriptors: u16,
    /// Bytes that the device may write.
    pub(super) writable_bytes: u32,
    /// How many chains were made available before this one, since bring-up.
    pub(super) sequence: u64,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self { next: 0, in_flight: None };
}

/// Memory for the books of a queue of up to `N` descriptors: lent by the caller, used by nobody else while the queue lives.
///
/// ```
/// use virtio_guest::raw::Tag;
/// use virtio_guest::ring::Storage;
///
/// let mut storage = Storage::<Tag<u32>, 64>::new(); // or in a static
/// # let _ = &mut storage;
/// ```
#[derive(Debug)]
pub struct Storage<T, const N: usize> {
    slots: [Slot<T>; N],
}

impl<T, const N: usize> Storage<T, N> {
    /// Empty books.
    pub const fn new() -> Self {
        Self { slots: [const { Slot::EMPTY }; N] }
    }
}

impl<T, const N: usize> Default for Storage<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a queue's books are: lent by the caller, or (with the `alloc` feature) allocated once.
#[derive(Debug)]
pub struct Slots<'s, T>(Place<'s, T>);

#[derive(Debug)]
enum Place<'s, T> {
    Lent(&'s mut [Slot<T>]),
    #[cfg(feature = "alloc")]
    Allocated(alloc::boxed::Box<[Slot<T>]>),
}

impl<'s, T, const N: usize> From<&'s mut Storage<T, N>> for Slots<'s, T> {
    fn from(storage: &'s mut Storage<T, N>) -> Self {
        Self(Place::Lent(&mut storage.slots))
    }
}

#[cfg(feature = "alloc")]
impl<T> Slots<'_, T> {
    /// Books for a queue of up to `descriptors` descriptors, from the heap.
    pub fn allocate(descriptors: u16) -> Self {
        Self(Place::Allocated((0..descriptors).map(|_| Slot::EMPTY).collect()))
    }
}

impl<T> Slots<'_, T> {
    fn as_slice(&self) -> &[Slot<T>] {
        match &self.0 {
            Place::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Place::Allocated(slots) => slots,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Slot<T>] {
        match &mut self.0 {
            Place::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Place::Allocated(slots) => slots,
        }
    }

    /// For how many descriptors there is room.
    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, index: usize) -> Option<&Slot<T>> {
        self.as_slice().get(index)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut Slot<T>> {
        self.as_mut_slice().get_mut(index)
    }
}

/// The books themselves: a FIFO list of free descriptors, and the chains in flight.
///
/// FIFO, so that in steady state the same descriptors serve the same places of the ring again.
#[derive(Debug)]
pub(super) struct Books<'s, T> {
    slots: Slots<'s, T>,
    first_free: u16,
    last_free: u16,
    free: u16,
    chains: u16,
    made_available: u64,
}

impl<'s, T> Books<'s, T> {
    /// Books for `size` descriptors, all free. What earlier use left in the storage is forgotten, never dropped.
    ///
    /// `None` if the storage has fewer than `size` slots, or `size` is 0.
    pub(super) fn new(mut slots: Slots<'s, T>, size: u16) -> Option<Self> {
        let last_free = size.checked_sub(1)?;
        for slot in slots.as_mut_slice() {
            *slot = Slot::EMPTY;
        }
        for (slot, next) in slots.as_mut_slice().get_mut(..usize::from(size))?.iter_mut().zip(1..) {
            slot.next = next;
        }
        Some(Self { slots, first_free: 0, last_free, free: size, chains: 0, made_available: 0 })
    }

    /// How many descriptors are free.
    pub(super) const fn free(&self) -> u16 {
        self.free
    }

    /// How many chains are in flight.
    pub(super) const fn chains(&self) -> u16 {
        self.chains
    }

    /// How many chains were made available since bring-up.
    pub(super) const fn made_available(&self) -> u64 {
        self.made_available
    }

    /// The first free descriptor: the head of the next chain.
    pub(super) const fn next_head(&self) -> u16 {
        self.first_free
    }

    /// The descriptor after `index` in its list.
    pub(super) fn next(&self, index: u16) -> u16 {
        self.slots.get(usize::from(index)).map_or(0, |slot| slot.next)
    }

    /// Takes the first `descriptors` free descriptors as one chain; its head was [`next_head`](Books::next_head).
    ///
    /// The payload comes back if there are not that many (or none are asked for).
    pub(super) fn take_chain(&mut self, descriptors: u16, writable_bytes: u32, payload: T) -> Result<(), T> {
        let (Some(free), Some(steps)) = (self.free.checked_sub(descriptors), descriptors.checked_sub(1))
        else {
            return Err(payload);
        };
        let head = self.first_free;
        let last = (0..steps).fold(head, |index, _| self.next(index));
        let after = self.next(last);
        let Some(slot) = self.slots.get_mut(usize::from(head)) else {
            return Err(payload);
        };
        let payload = ManuallyDrop::new(payload);
        slot.in_flight =
            Some(InFlight { payload, last, descriptors, writable_bytes, sequence: self.made_available });
        self.first_free = after;
        self.free = free;
        self.chains += 1;
        self.made_available += 1;
        Ok(())
    }

    /// The chain in flight whose head is `id`, if there is one. Any number may be asked for.
    pub(super) fn in_flight(&self, id: u32) -> Option<(u16, &InFlight<T>)> {
        let head = u16::try_from(id).ok()?;
        let chain = self.slots.get(usize::from(head))?.in_flight.as_ref()?;
        Some((head, chain))
    }

    /// Ends the chain whose head is `head`: its descriptors are free again, its payload comes back.
    pub(super) fn end_chain(&mut self, head: u16) -> Option<T> {
        let chain = self.slots.get_mut(usize::from(head))?.in_flight.take()?;
        if self.free == 0 {
            self.first_free = head;
        } else if let Some(tail) = self.slots.get_mut(usize::from(self.last_free)) {
            tail.next = head;
        }
        self.last_free = chain.last;
        self.free += chain.descriptors;
        self.chains -= 1;
        Some(ManuallyDrop::into_inner(chain.payload))
    }

    /// Takes the payload of the first chain whose head is at `from` or after it, and says where to look next: for queues that
    /// are no more. Free lists are not kept up.
    pub(super) fn take_payload(&mut self, from: usize) -> Option<(T, usize)> {
        let slots = self.slots.as_mut_slice().get_mut(from..)?;
        let (steps, chain) =
            slots.iter_mut().enumerate().find_map(|(steps, slot)| Some((steps, slot.in_flight.take()?)))?;
        self.chains = self.chains.saturating_sub(1);
        Some((ManuallyDrop::into_inner(chain.payload), from + steps + 1))
    }
}
