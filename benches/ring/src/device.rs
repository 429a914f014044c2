//! The device's side, as cheap as can be: it trusts its driver, looks at no descriptor that it does not have to, and touches no buffer.
//!
//! Spec: §2.7.14 and §2.8.22 from the other side, §2.7.9 and §2.8.8 (in-order batches). Written with the specification's numbers, and none of the driver's.
//! What it does depends only on where it is in the ring, so it costs the same with and without a driver, and can be measured alone.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

/// Where a ring is, and how large.
#[derive(Clone, Copy, Debug)]
pub struct Areas {
    /// Descriptor table, or packed ring.
    pub descriptor_area: NonNull<u8>,
    /// Available ring, or the driver's event suppression.
    pub driver_area: NonNull<u8>,
    /// Used ring, or the device's event suppression.
    pub device_area: NonNull<u8>,
    /// Number of descriptors.
    pub size: u16,
}

// SAFETY: plain addresses of memory that is never freed; both sides access it atomically.
unsafe impl Send for Areas {}

/// When the device wants to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Never: it is busy, and looks by itself.
    NoNotification,
    /// With each publish: it sleeps in between.
    EachPublish,
}

/// What the device has to know of its driver.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The layout.
    pub packed: bool,
    /// A turn is one batch with one used element.
    pub in_order: bool,
    /// Notifications are asked for by position.
    pub event_index: bool,
    /// Descriptors that each chain takes in the ring.
    pub in_ring: u16,
    /// Bytes that it says it wrote to each chain.
    pub written_len: u32,
    /// When it wants to be notified.
    pub wants: Wants,
}

/// The device's side of one ring.
#[derive(Debug)]
pub struct RawDevice {
    areas: Areas,
    habits: Habits,
    /// Split: the index of the next chain. Packed: the slot.
    next: u16,
    /// Packed: the wrap counter.
    wrap_counter: bool,
}

const PACKED_AVAILABLE: u16 = 1 << 7;
const PACKED_USED: u16 = 1 << 15;
const PACKED_WRITE: u16 = 2;
const USED_NO_NOTIFY: u16 = 1;
const PACKED_DISABLE: u16 = 1;
const PACKED_DESCRIPTOR: u16 = 2;

/// How many chains ahead a packed ring is looked at.
const AHEAD: u16 = 32;

impl RawDevice {
    /// The device of a fresh ring.
    pub fn new(areas: Areas, habits: Habits) -> Self {
        let device = Self { areas, habits, next: 0, wrap_counter: true };
        let is_quiet = habits.wants == Wants::NoNotification;
        match (habits.packed, habits.event_index) {
            (false, true) => device.ask_split(),
            (false, false) if is_quiet => device.device_u16(0).store(USED_NO_NOTIFY, Ordering::Relaxed),
            (true, _) if is_quiet => device.device_u16(2).store(PACKED_DISABLE, Ordering::Relaxed),
            (true, true) => device.ask_packed(),
            (_, false) => {}
        }
        device
    }

    /// Uses so many chains, whether or not there are any.
    #[inline(never)]
    pub fn serve(&mut self, chains: u16) {
        if self.habits.packed {
            self.serve_packed(chains);
        } else {
            self.serve_split(chains);
        }
    }

    fn serve_split(&mut self, chains: u16) {
        if self.habits.in_order {
            // One element, where the batch begins, with the id of the chain that ends it.
            let last = self.next.wrapping_add(chains - 1);
            self.put_used_element(self.next, self.available_head(last));
        } else {
            for index in (0..chains).map(|chain| self.next.wrapping_add(chain)) {
                self.put_used_element(index, self.available_head(index));
            }
        }
        self.next = self.next.wrapping_add(chains);
        self.device_u16(2).store(self.next, Ordering::Release);
        if self.habits.event_index {
            self.ask_split();
        }
    }

    fn serve_packed(&mut self, chains: u16) {
        if self.habits.in_order {
            self.use_packed(chains * self.habits.in_ring);
        } else {
            for _ in 0..chains {
                self.use_packed(self.habits.in_ring);
            }
        }
        if self.habits.event_index && self.habits.wants == Wants::EachPublish {
            self.ask_packed();
        }
    }

    /// Uses the chain, or the batch, that takes so many descriptors; its id is in the last one.
    fn use_packed(&mut self, descriptors: u16) {
        let end = self.next + descriptors;
        let last = if end > self.areas.size { end - 1 - self.areas.size } else { end - 1 };
        let id = self.packed_u16(last, 12).load(Ordering::Relaxed);
        self.packed_u16(self.next, 12).store(id, Ordering::Relaxed);
        self.packed_u32(self.next, 8).store(self.habits.written_len, Ordering::Relaxed);
        let turn = if self.wrap_counter { PACKED_AVAILABLE | PACKED_USED } else { 0 };
        self.packed_u16(self.next, 14).store(turn | PACKED_WRITE, Ordering::Release);
        (self.next, self.wrap_counter) = self.advanced(self.next, self.wrap_counter, descriptors);
    }

    /// How many chains were made available and not used yet; at most 32 in a packed ring, which must have chains of one descriptor.
    pub fn pending(&self) -> u16 {
        if !self.habits.packed {
            return self.driver_u16(2).load(Ordering::Acquire).wrapping_sub(self.next);
        }
        let (mut slot, mut wrap_counter) = (self.next, self.wrap_counter);
        for chains in 0..AHEAD {
            let flags = self.packed_u16(slot, 14).load(Ordering::Relaxed);
            let available = if wrap_counter { PACKED_AVAILABLE } else { PACKED_USED };
            if flags & (PACKED_AVAILABLE | PACKED_USED) != available {
                fence(Ordering::Acquire);
                return chains;
            }
            (slot, wrap_counter) = self.advanced(slot, wrap_counter, 1);
        }
        fence(Ordering::Acquire);
        AHEAD
    }

    const fn advanced(&self, slot: u16, wrap_counter: bool, by: u16) -> (u16, bool) {
        let slot = slot + by;
        if slot >= self.areas.size { (slot - self.areas.size, !wrap_counter) } else { (slot, wrap_counter) }
    }

    /// With event index: says which chain it wants to be told of. The one just used will not be published again for 65536 chains.
    fn ask_split(&self) {
        let event = match self.habits.wants {
            Wants::NoNotification => self.next.wrapping_sub(1),
            Wants::EachPublish => self.next,
        };
        self.device_u16(4 + 8 * usize::from(self.areas.size)).store(event, Ordering::Relaxed);
    }

    /// The same in a packed ring.
    fn ask_packed(&self) {
        let place = self.next | if self.wrap_counter { 1 << 15 } else { 0 };
        self.device_u16(0).store(place, Ordering::Relaxed);
        self.device_u16(2).store(PACKED_DESCRIPTOR, Ordering::Relaxed);
    }

    fn available_head(&self, index: u16) -> u16 {
        self.driver_u16(4 + 2 * self.slot(index)).load(Ordering::Relaxed)
    }

    fn put_used_element(&self, index: u16, id: u16) {
        let offset = 4 + 8 * self.slot(index);
        word_u32(self.areas.device_area, offset).store(u32::from(id), Ordering::Relaxed);
        word_u32(self.areas.device_area, offset + 4).store(self.habits.written_len, Ordering::Relaxed);
    }

    fn slot(&self, index: u16) -> usize {
        usize::from(index & (self.areas.size - 1))
    }

    fn driver_u16(&self, offset: usize) -> &AtomicU16 {
        word_u16(self.areas.driver_area, offset)
    }

    fn device_u16(&self, offset: usize) -> &AtomicU16 {
        word_u16(self.areas.device_area, offset)
    }

    fn packed_u16(&self, slot: u16, offset: usize) -> &AtomicU16 {
        word_u16(self.areas.descriptor_area, 16 * usize::from(slot) + offset)
    }

    fn packed_u32(&self, slot: u16, offset: usize) -> &AtomicU32 {
        word_u32(self.areas.descriptor_area, 16 * usize::from(slot) + offset)
    }
}

/// Every call above computes an offset inside of the area from a slot of the ring.
fn word_u16<'a>(area: NonNull<u8>, offset: usize) -> &'a AtomicU16 {
    // SAFETY: inside of the area, see above.
    let word = unsafe { area.as_ptr().add(offset) };
    // SAFETY: areas are aligned to 2 at least and offsets are even; the memory is never freed, and whoever else uses it meanwhile uses it atomically.
    unsafe { AtomicU16::from_ptr(word.cast()) }
}

/// As [`word_u16`].
fn word_u32<'a>(area: NonNull<u8>, offset: usize) -> &'a AtomicU32 {
    // SAFETY: inside of the area, see above.
    let word = unsafe { area.as_ptr().add(offset) };
    // SAFETY: areas with words of 4 bytes are aligned to 4 and offsets are multiples of 4; the memory is never freed, and whoever else uses it meanwhile uses it atomically.
    unsafe { AtomicU32::from_ptr(word.cast()) }
}
