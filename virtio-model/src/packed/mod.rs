//! The device side of a packed virtqueue.
//!
//! Spec: §2.8 Packed Virtqueues. Made from three addresses by a test, or from queue registers by
//! [`PciDevice::device_queue`](crate::pci::PciDevice::device_queue); stepped by device models. It
//! refuses to know where the addresses came from and what the buffers mean.
//!
//! ```text
//!                       next_used         next_avail
//!   descriptor ring  |------v-----------------v---------------|
//!                     used  | taken, in flight | pop --> Chain
//!                     push_used writes id and length at next_used, publish_used the flags
//! ```
//!
//! The lies that a device can tell through shared memory are in the second half, `lies`.

mod layout;
mod lies;
#[cfg(test)]
mod tests;
mod walk;

pub use crate::setup::Setup;
pub use layout::{AVAIL, DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, USED, WRITE};
pub use layout::{EVENT_DESC, EVENT_DISABLE, EVENT_ENABLE, EventSuppression, Position};

use crate::chain::Chain;
use crate::error::ModelError;
use crate::in_order::InOrder;
use crate::memory::{AddressSpace, fence};
use crate::setup::Shape;
use layout::{Areas, EVENT_BYTES};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use walk::{Start, Walked};

const SIZE_MAX: u16 = 1 << 15;

/// Where the driver looks for used descriptors before and after a burst was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The place of the first used descriptor of the burst.
    pub old: Position,
    /// The place of the next one to come.
    pub new: Position,
}

/// A used descriptor that the driver does not see yet.
#[derive(Debug)]
struct Unpublished {
    slot: u16,
    flags: u16,
}

/// The device's books for one packed queue.
#[derive(Debug)]
pub struct PackedQueue {
    areas: Areas,
    event_idx: bool,
    indirect: bool,
    next_avail: Position,
    next_used: Position,
    published: Position,
    unpublished: Vec<Unpublished>,
    /// The number of descriptors of each chain that was taken, by its id.
    taken: BTreeMap<u16, u16>,
    /// The same of each chain that was returned while the driver cannot know of it.
    returned: BTreeMap<u16, u16>,
    /// The number of descriptors of all these chains.
    in_flight: u16,
    order: InOrder,
}

impl PackedQueue {
    /// Takes over a queue that was just enabled.
    ///
    /// # Errors
    /// - `Driver`: the size is 0 or above 32768, or an area is misaligned.
    pub fn new(memory: &AddressSpace, setup: Setup) -> Result<Self, ModelError> {
        if setup.size == 0 || setup.size > SIZE_MAX {
            return Err(ModelError::driver(format!("a packed queue of size {}", setup.size)));
        }
        setup.check_areas([
            Shape { alignment: 16, bytes: DESCRIPTOR_BYTES * u64::from(setup.size) },
            Shape { alignment: 4, bytes: EVENT_BYTES },
            Shape { alignment: 4, bytes: EVENT_BYTES },
        ])?;
        Ok(Self {
            areas: Areas {
                memory: memory.clone(),
                size: setup.size,
                descriptor_area: setup.descriptor_area,
                driver_area: setup.driver_area,
                device_area: setup.device_area,
            },
            event_idx: setup.event_idx,
            indirect: setup.indirect,
            next_avail: Position::START,
            next_used: Position::START,
            published: Position::START,
            unpublished: Vec::new(),
            taken: BTreeMap::new(),
            returned: BTreeMap::new(),
            in_flight: 0,
            order: InOrder::new(setup.in_order),
        })
    }

    /// The queue size.
    pub fn size(&self) -> u16 {
        self.areas.size
    }

    /// Takes the next available buffer, if there is one; its id is the head of the chain.
    ///
    /// # Errors
    /// - `Driver`: the driver broke a rule; the queue has not moved on.
    /// - `Memory`: an area or an indirect table cannot be read.
    ///
    /// Spec: §2.8.21 Supplying Buffers to The Device.
    pub fn pop(&mut self) -> Result<Option<Chain>, ModelError> {
        let position = self.next_avail;
        // Pairs with the release by which the driver makes the first descriptor available, after
        // the rest of the list.
        let flags = self.areas.flags(position.offset, Ordering::Acquire)?;
        if !position.is_available(flags) {
            return Ok(None);
        }
        let start = Start { position, flags, free: self.areas.size - self.in_flight };
        let Walked { chain, descriptors } = walk::walk(&self.areas, self.indirect, &start)?;
        let id = chain.head;
        if id >= self.areas.size {
            return Err(ModelError::driver(format!("buffer id {id} in a queue of {}", self.areas.size)));
        }
        if self.taken.contains_key(&id) || self.returned.contains_key(&id) {
            return Err(ModelError::driver(format!("buffer id {id} names a buffer in flight")));
        }
        self.taken.insert(id, descriptors);
        self.in_flight += descriptors;
        self.order.taken(id);
        self.next_avail = position.advanced(descriptors, self.areas.size);
        Ok(Some(chain))
    }

    /// Writes the next used descriptor, all but its flags; the driver does not see it before
    /// `publish_used`. Tells its slot, so that a lie can overwrite it.
    ///
    /// The next one lies as many descriptors on as the buffer had. An id that is not in flight is
    /// a lie, which skips one.
    ///
    /// Units: `written` counts the bytes the device wrote. Spec: §2.8.4 Element Address and Length.
    ///
    /// # Panics
    /// With `IN_ORDER`, if it is not the oldest buffer in flight: lies about the order are told
    /// with `put_used`.
    pub fn push_used(&mut self, id: u16, written: u32) -> Result<u16, ModelError> {
        self.order.returned(id.into());
        let skipped = self.release(id);
        self.write_used(id, written, skipped)
    }

    /// Writes one used descriptor for several buffers, each given as id and written bytes.
    ///
    /// It takes the place of the first buffer's descriptor and names the last buffer; what was
    /// written to the others the driver is not told. The next one lies after all of them.
    ///
    /// # Panics
    /// If `IN_ORDER` was not negotiated, or these are not the oldest buffers in flight, in order.
    ///
    /// Spec: §2.8.8 In-order use of descriptors.
    pub fn push_used_batch(&mut self, batch: &[(u16, u32)]) -> Result<u16, ModelError> {
        let (last, written) = self.order.returned_batch(batch);
        let skipped = batch.iter().map(|&(id, _)| self.release(id)).sum();
        self.write_used(last, written, skipped)
    }

    /// Shows the driver all used descriptors pushed so far: the first one last, so that it sees
    /// all of them or none.
    pub fn publish_used(&mut self) -> Result<Published, ModelError> {
        let published = Published { old: self.published, new: self.next_used };
        for used in self.unpublished.drain(..).rev() {
            self.areas.set_flags(used.slot, used.flags)?;
        }
        self.in_flight -= std::mem::take(&mut self.returned).into_values().sum::<u16>();
        self.published = published.new;
        Ok(published)
    }

    /// Returns one buffer and tells whether the driver wants to hear of it.
    pub fn complete(&mut self, id: u16, written: u32) -> Result<bool, ModelError> {
        self.push_used(id, written)?;
        let published = self.publish_used()?;
        self.needs_interrupt(published)
    }

    /// Returns several buffers with one used descriptor; see `push_used_batch`. Tells whether the
    /// driver wants to hear of them.
    pub fn complete_batch(&mut self, batch: &[(u16, u32)]) -> Result<bool, ModelError> {
        self.push_used_batch(batch)?;
        let published = self.publish_used()?;
        self.needs_interrupt(published)
    }

    /// Tells whether the driver wants a used buffer notification for what was published.
    ///
    /// # Errors
    /// - `Driver`: the driver's event suppression is nothing that it may ask for.
    ///
    /// Spec: §2.8.10 Driver and Device Event Suppression.
    pub fn needs_interrupt(&self, published: Published) -> Result<bool, ModelError> {
        // The used flags must be visible before the suppression word is read; pairs with the
        // driver's fence between re-arming and looking at the used flags once more.
        fence(Ordering::SeqCst);
        let Published { old, new } = published;
        let size = self.areas.size;
        let EventSuppression { place, flags } = self.areas.driver_event()?;
        match flags {
            EVENT_ENABLE => Ok(new != old),
            EVENT_DISABLE => Ok(false),
            EVENT_DESC if !self.event_idx => {
                Err(ModelError::driver("an event for one descriptor without EVENT_IDX negotiated"))
            }
            EVENT_DESC => {
                let event = Position::decoded(place);
                if event.offset >= size {
                    let offset = event.offset;
                    return Err(ModelError::driver(format!("event offset {offset} in a queue of {size}")));
                }
                Ok(event.distance_from(old, size) < new.distance_from(old, size))
            }
            _ => Err(ModelError::driver(format!("reserved event flags {flags:#x}"))),
        }
    }

    /// Asks for a notification with the next available buffer; true if one is waiting already.
    pub fn enable_notifications(&mut self) -> Result<bool, ModelError> {
        let flags = if self.event_idx { EVENT_DESC } else { EVENT_ENABLE };
        let place = if self.event_idx { self.next_avail.encoded() } else { 0 };
        self.areas.set_device_event(EventSuppression { place, flags })?;
        // The request must be visible before the flags are read again; pairs with the driver's
        // fence between publishing its descriptors and reading the suppression word.
        fence(Ordering::SeqCst);
        let flags = self.areas.flags(self.next_avail.offset, Ordering::Acquire)?;
        Ok(self.next_avail.is_available(flags))
    }

    /// Asks for no notifications.
    pub fn disable_notifications(&mut self) -> Result<(), ModelError> {
        Ok(self.areas.set_device_event(EventSuppression { place: 0, flags: EVENT_DISABLE })?)
    }

    /// Whether buffers are returned in the order in which they were made available.
    pub fn is_in_order(&self) -> bool {
        self.order.is_negotiated()
    }

    /// Where the device looks for the next available buffer.
    pub fn next_avail(&self) -> Position {
        self.next_avail
    }

    /// Where the next used descriptor goes, published or not.
    pub fn next_used(&self) -> Position {
        self.next_used
    }

    /// Reads what the driver wrote about the notifications that it wants.
    pub fn driver_event(&self) -> Result<EventSuppression, ModelError> {
        Ok(self.areas.driver_event()?)
    }

    /// Reads the descriptor in `slot` of the ring.
    pub fn read_descriptor(&self, slot: u16) -> Result<Descriptor, ModelError> {
        let area = self.areas.descriptor_area;
        Ok(Descriptor::load(&self.areas.memory, area, slot, Ordering::Acquire)?)
    }

    /// Notes that a buffer is returned; tells how many descriptors it had.
    fn release(&mut self, id: u16) -> u16 {
        let Some(descriptors) = self.taken.remove(&id) else {
            return 1;
        };
        self.returned.insert(id, descriptors);
        descriptors
    }

    fn write_used(&mut self, id: u16, written: u32, skipped: u16) -> Result<u16, ModelError> {
        let position = self.next_used;
        self.areas.set_used(position.offset, id, written)?;
        let write_flag = if written > 0 { WRITE } else { 0 };
        self.unpublished
            .push(Unpublished { slot: position.offset, flags: position.used_flags() | write_flag });
        self.next_used = position.advanced(skipped, self.areas.size);
        Ok(position.offset)
    }
}
