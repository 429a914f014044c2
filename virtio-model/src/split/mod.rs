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

pub use layout::{DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, WRITE};

use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::{AddressSpace, fence};
use layout::Areas;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

/// What a driver tells a device about one split queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The number of descriptors: a power of 2, at most 32768.
    pub size: u16,
    /// The device address of the descriptor table, a multiple of 16.
    pub descriptor_area: u64,
    /// The device address of the available ring, a multiple of 2.
    pub driver_area: u64,
    /// The device address of the used ring, a multiple of 4.
    pub device_area: u64,
    /// Whether `EVENT_IDX` was negotiated.
    pub event_idx: bool,
    /// Whether `INDIRECT_DESC` was negotiated.
    pub indirect: bool,
}

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
    indirect: bool,
    next_avail: u16,
    published_used: u16,
    next_used: u16,
    /// For each table entry, the head of the chain in flight that occupies it.
    occupied_by: Vec<Option<u16>>,
    /// The table entries of each chain in flight, by its head.
    entries_of: BTreeMap<u32, Vec<u16>>,
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
        for (name, address, alignment, bytes) in [
            ("descriptor", setup.descriptor_area, 16, 16 * u64::from(setup.size)),
            ("driver", setup.driver_area, 2, 6 + 2 * u64::from(setup.size)),
            ("device", setup.device_area, 4, 6 + 8 * u64::from(setup.size)),
        ] {
            if !address.is_multiple_of(alignment) {
                return Err(ModelError::driver(format!("{name} area at {address:#x} is misaligned")));
            }
            if address.checked_add(bytes).is_none() {
                return Err(ModelError::driver(format!("{name} area at {address:#x} wraps")));
            }
        }
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
            next_avail: 0,
            published_used: 0,
            next_used: 0,
            occupied_by: vec![None; usize::from(setup.size)],
            entries_of: BTreeMap::new(),
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
        let walked = walk::walk(&self.areas, self.indirect, head)?;
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
        self.entries_of.insert(u32::from(head), walked.entries);
        self.next_avail = self.next_avail.wrapping_add(1);
        Ok(Some(walked.chain))
    }

    /// Writes the next used element; the driver does not see it before `publish_used`.
    ///
    /// Tells the free-running index of the element, so that a lie can overwrite it.
    ///
    /// Units: `written` counts the bytes the device wrote. Spec: §2.7.8 The Virtqueue Used Ring.
    pub fn push_used(&mut self, head: u32, written: u32) -> Result<u16, ModelError> {
        let index = self.next_used;
        self.areas.set_used_element(index, head, written)?;
        self.next_used = index.wrapping_add(1);
        for entry in self.entries_of.remove(&head).into_iter().flatten() {
            self.occupied_by[usize::from(entry)] = None;
        }
        Ok(index)
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
