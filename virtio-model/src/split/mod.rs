//! The device side of a split virtqueue.
//!
//! Spec: §2.7 Split Virtqueues. Made from three addresses by a test, or from queue registers by
//! [`PciDevice::split_queue`](crate::pci::PciDevice::split_queue); stepped by device models. It
//! refuses to know where the addresses came from and what the buffers mean.
//!
//! ```text
//!   driver area  avail.ring --pop--> Chain --push_used--> device area  used.ring
//!                avail.idx                 publish_used               used.idx
//! ```
//!
//! The lies that a device can tell through shared memory are in the second half, `lies`.

mod layout;
mod lies;
#[cfg(test)]
mod tests;
mod walk;

pub use crate::setup::Setup;
pub use layout::{DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, WRITE};

use crate::chain::Chain;
use crate::error::ModelError;
use crate::in_order::InOrder;
use crate::memory::{AddressSpace, fence};
use crate::setup::Shape;
use layout::Areas;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use walk::Rules;

const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

/// The used index before and after a burst was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The index that the driver saw before.
    pub old: u16,
    /// The index that it sees now.
    pub new: u16,
}

/// The device's books for one split queue.
#[derive(Debug)]
pub struct SplitQueue {
    areas: Areas,
    event_idx: bool,
    rules: Rules,
    next_avail: u16,
    published_used: u16,
    next_used: u16,
    /// For each table entry, the head of the chain in flight that occupies it.
    occupied_by: Vec<Option<u16>>,
    /// The table entries of each chain in flight, by its head.
    entries_of: BTreeMap<u32, Vec<u16>>,
    order: InOrder,
    /// With `IN_ORDER`, the table entry at which the next chain starts.
    next_head: u16,
}

impl SplitQueue {
    /// Takes over a queue that was just enabled.
    ///
    /// # Errors
    /// - `Driver`: the size is no power of 2, or an area is misaligned.
    pub fn new(memory: &AddressSpace, setup: Setup) -> Result<Self, ModelError> {
        if !setup.size.is_power_of_two() {
            return Err(ModelError::driver(format!("a split queue of size {}", setup.size)));
        }
        let size = u64::from(setup.size);
        setup.check_areas([
            Shape { alignment: 16, bytes: 16 * size },
            Shape { alignment: 2, bytes: 6 + 2 * size },
            Shape { alignment: 4, bytes: 6 + 8 * size },
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
            rules: Rules { indirect: setup.indirect, in_order: setup.in_order },
            next_avail: 0,
            published_used: 0,
            next_used: 0,
            occupied_by: vec![None; usize::from(setup.size)],
            entries_of: BTreeMap::new(),
            order: InOrder::new(setup.in_order),
            next_head: 0,
        })
    }

    /// The queue size.
    pub fn size(&self) -> u16 {
        self.areas.size
    }

    /// Takes the next available buffer, if there is one.
    ///
    /// # Errors
    /// - `Driver`: the driver broke a rule; the queue has not moved on.
    /// - `Memory`: an area or an indirect table cannot be read.
    ///
    /// Spec: §2.7.13 Supplying Buffers to The Device.
    pub fn pop(&mut self) -> Result<Option<Chain>, ModelError> {
        self.check_avail_flags()?;
        let avail_idx = self.areas.avail_idx()?;
        let waiting = avail_idx.wrapping_sub(self.next_avail);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.areas.size {
            return Err(ModelError::driver(format!(
                "avail.idx {avail_idx} is {waiting} ahead of the device in a queue of {}",
                self.areas.size
            )));
        }
        let head = self.areas.avail_entry(self.next_avail)?;
        if self.rules.in_order && head != self.next_head {
            return Err(ModelError::driver(format!(
                "chain {head} follows on table entry {}, with IN_ORDER",
                self.next_head
            )));
        }
        let walked = walk::walk(&self.areas, self.rules, head)?;
        for &entry in &walked.entries {
            if let Some(owner) = self.occupied_by[usize::from(entry)] {
                return Err(ModelError::driver(format!(
                    "chain {head} uses entry {entry}, which chain {owner} in flight occupies"
                )));
            }
        }
        for &entry in &walked.entries {
            self.occupied_by[usize::from(entry)] = Some(head);
        }
        let last = walked.entries.last().copied().unwrap_or(head);
        self.next_head = last.wrapping_add(1) % self.areas.size;
        self.entries_of.insert(u32::from(head), walked.entries);
        self.order.taken(head);
        self.next_avail = self.next_avail.wrapping_add(1);
        Ok(Some(walked.chain))
    }

    /// Writes the next used element; the driver does not see it before `publish_used`.
    ///
    /// Tells the free-running index of the element, so that a lie can overwrite it.
    ///
    /// Units: `written` counts the bytes the device wrote. Spec: §2.7.8 The Virtqueue Used Ring.
    ///
    /// # Panics
    /// With `IN_ORDER`, if it is not the oldest buffer in flight: lies about the order are told
    /// with `put_used_element`.
    pub fn push_used(&mut self, head: u32, written: u32) -> Result<u16, ModelError> {
        self.order.returned(head);
        let index = self.next_used;
        self.areas.set_used_element(index, head, written)?;
        self.next_used = index.wrapping_add(1);
        self.release(head);
        Ok(index)
    }

    /// Writes one used element for several buffers, each given as head and written bytes.
    ///
    /// It takes the place of the first buffer's element and names the last buffer; what was
    /// written to the others the driver is not told. Tells the free-running index of the element.
    ///
    /// # Panics
    /// If `IN_ORDER` was not negotiated, or these are not the oldest buffers in flight, in order.
    ///
    /// Spec: §2.7.9 In-order use of descriptors.
    pub fn push_used_batch(&mut self, batch: &[(u16, u32)]) -> Result<u16, ModelError> {
        let (last, written) = self.order.returned_batch(batch);
        let index = self.next_used;
        self.areas.set_used_element(index, last.into(), written)?;
        for &(head, _) in batch {
            self.next_used = self.next_used.wrapping_add(1);
            self.release(head.into());
        }
        Ok(index)
    }

    /// Forgets a chain in flight; a chain that is not in flight is a lie, and not forgotten.
    fn release(&mut self, head: u32) {
        for entry in self.entries_of.remove(&head).into_iter().flatten() {
            self.occupied_by[usize::from(entry)] = None;
        }
    }

    /// Shows the driver all used elements pushed so far.
    pub fn publish_used(&mut self) -> Result<Published, ModelError> {
        let published = Published { old: self.published_used, new: self.next_used };
        self.areas.set_used_idx(published.new)?;
        self.published_used = published.new;
        Ok(published)
    }

    /// Returns one buffer and tells whether the driver wants to hear of it.
    pub fn complete(&mut self, head: u16, written: u32) -> Result<bool, ModelError> {
        self.push_used(u32::from(head), written)?;
        let published = self.publish_used()?;
        self.needs_interrupt(published)
    }

    /// Returns several buffers with one used element; see `push_used_batch`. Tells whether the
    /// driver wants to hear of them.
    pub fn complete_batch(&mut self, batch: &[(u16, u32)]) -> Result<bool, ModelError> {
        self.push_used_batch(batch)?;
        let published = self.publish_used()?;
        self.needs_interrupt(published)
    }

    /// Tells whether the driver wants a used buffer notification for what was published.
    ///
    /// Spec: §2.7.7 Used Buffer Notification Suppression.
    pub fn needs_interrupt(&self, published: Published) -> Result<bool, ModelError> {
        // The used index must be visible before the suppression word is read; pairs with the
        // driver's fence between re-arming and looking at the used index once more.
        fence(Ordering::SeqCst);
        let Published { old, new } = published;
        if !self.event_idx {
            return Ok(new != old && self.areas.avail_flags()? & NO_INTERRUPT == 0);
        }
        let since_event = new.wrapping_sub(self.areas.used_event()?).wrapping_sub(1);
        Ok(since_event < new.wrapping_sub(old))
    }

    /// Asks for a notification with the next available buffer; true if one is waiting already.
    ///
    /// Spec: §2.7.10 Available Buffer Notification Suppression.
    pub fn enable_notifications(&mut self) -> Result<bool, ModelError> {
        if self.event_idx {
            self.areas.set_avail_event(self.next_avail)?;
        } else {
            self.areas.set_used_flags(0)?;
        }
        // The request must be visible before the index is read again; pairs with the driver's
        // fence between publishing its index and reading the suppression word.
        fence(Ordering::SeqCst);
        Ok(self.areas.avail_idx()? != self.next_avail)
    }

    /// Asks for no notifications.
    ///
    /// With `EVENT_IDX` the flag is of no use: the event index is set a full round behind.
    pub fn disable_notifications(&mut self) -> Result<(), ModelError> {
        if self.event_idx {
            self.areas.set_avail_event(self.next_avail.wrapping_sub(1))?;
        } else {
            self.areas.set_used_flags(NO_NOTIFY)?;
        }
        Ok(())
    }

    /// Whether buffers are returned in the order in which they were made available.
    pub fn is_in_order(&self) -> bool {
        self.order.is_negotiated()
    }

    /// The number of buffers taken so far, as a free-running index.
    pub fn next_avail(&self) -> u16 {
        self.next_avail
    }

    /// The honest used index, as last published.
    pub fn used_idx(&self) -> u16 {
        self.published_used
    }

    /// Reads the available index.
    pub fn read_avail_idx(&self) -> Result<u16, ModelError> {
        Ok(self.areas.avail_idx()?)
    }

    /// Reads the flags of the available ring.
    pub fn avail_flags(&self) -> Result<u16, ModelError> {
        Ok(self.areas.avail_flags()?)
    }

    /// Reads the used index after which the driver wants a notification.
    pub fn used_event(&self) -> Result<u16, ModelError> {
        Ok(self.areas.used_event()?)
    }

    /// Reads entry `index` of the descriptor table.
    pub fn read_descriptor(&self, index: u16) -> Result<Descriptor, ModelError> {
        Ok(self.areas.descriptor(index)?)
    }

    fn check_avail_flags(&self) -> Result<(), ModelError> {
        let flags = self.areas.avail_flags()?;
        let permitted = if self.event_idx { 0 } else { NO_INTERRUPT };
        if flags & !permitted == 0 {
            return Ok(());
        }
        Err(ModelError::driver(format!("avail.flags is {flags:#x}, EVENT_IDX is {}", self.event_idx)))
    }
}
