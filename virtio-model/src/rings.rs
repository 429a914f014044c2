//! The rings of a device at work, in line with its queue registers.
//!
//! Spec: §2.6 Virtqueues. An enabled queue of a live device has a ring, a queue that was reset or enabled anew loses it, and a device that is suspended
//! leaves everything as it is. A ring that its driver broke makes the device ask for a reset, and is not looked at again. Device models
//! such as [`block`](crate::block) keep beside each ring what they have to do with it, and say what is done.

use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::queue::DeviceQueue;

/// One ring, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Ring<W> {
    epoch: u64,
    pub(crate) queue: DeviceQueue,
    /// What was taken and is not done with.
    pub(crate) work: W,
    is_broken: bool,
}

impl<W> Ring<W> {
    /// Takes everything that is available, and asks to hear of more, unless it wants no notifications; nothing while the device is suspending.
    pub(crate) fn take_available(
        &mut self,
        device: &PciDevice,
        wants_notifications: bool,
    ) -> Result<Vec<Chain>, ModelError> {
        let mut taken = Vec::new();
        if device.is_suspending() {
            return Ok(taken);
        }
        if !wants_notifications {
            self.queue.disable_notifications()?;
        }
        loop {
            while let Some(chain) = self.queue.pop()? {
                taken.push(chain);
            }
            if !wants_notifications || !self.queue.enable_notifications()? {
                return Ok(taken);
            }
        }
    }

    /// Writes what returns one buffer, with a lie about its id, if there is one.
    pub(crate) fn give_back(&mut self, head: u16, written: u32, lie: Option<u32>) -> Result<(), ModelError> {
        let place = self.queue.push_used(head, written)?;
        match lie {
            Some(id) => self.queue.put_used_id(place, id, written),
            None => Ok(()),
        }
    }

    /// Shows the driver what was given back, and notifies it, if it wants to know.
    pub(crate) fn publish(&mut self, device: &PciDevice, index: u16) -> Result<(), ModelError> {
        let published = self.queue.publish_used()?;
        if self.queue.needs_interrupt(published)? {
            device.raise_used(index);
        }
        Ok(())
    }
}

/// How many buffers a device may still give back; `None` is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quota(Option<usize>);

impl Quota {
    /// Nothing from now on.
    pub(crate) const fn hold(&mut self) {
        self.0 = Some(0);
    }

    /// So many more.
    pub(crate) const fn release(&mut self, count: usize) {
        if let Some(left) = &mut self.0 {
            *left = left.saturating_add(count);
        }
    }

    /// Whatever there is.
    pub(crate) const fn release_all(&mut self) {
        self.0 = None;
    }

    /// Takes one off, if there is one left.
    pub(crate) const fn take_one(&mut self) -> bool {
        match &mut self.0 {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// All rings of a device, by queue.
#[derive(Debug, Default)]
pub(crate) struct Rings<W> {
    list: Vec<Option<Ring<W>>>,
}

impl<W: Default> Rings<W> {
    pub(crate) const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Brings the ring of queue `index` in line with its registers.
    pub(crate) fn adopt(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
    ) -> Option<&mut Ring<W>> {
        let slot = usize::from(index);
        if self.list.len() <= slot {
            self.list.resize_with(slot + 1, || None);
        }
        let registers = device.queue(index)?;
        if device.is_suspended() {
            return None;
        }
        if !device.is_live() || !device.is_bus_master() || !registers.enabled {
            self.list[slot] = None;
            return None;
        }
        let is_current = self.list[slot].as_ref().is_some_and(|ring| ring.epoch == registers.epoch);
        if !is_current {
            self.list[slot] = match device.device_queue(index, memory)? {
                Ok(queue) => {
                    Some(Ring { epoch: registers.epoch, queue, work: W::default(), is_broken: false })
                }
                Err(error) => {
                    device.report_driver_error(error.to_string());
                    device.set_needs_reset();
                    None
                }
            };
        }
        self.list[slot].as_mut()
    }

    /// Takes a ring out, to work on it; one that is broken stays where it is.
    pub(crate) fn take_out(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
    ) -> Option<Ring<W>> {
        if self.adopt(device, memory, index)?.is_broken {
            return None;
        }
        self.list.get_mut(usize::from(index))?.take()
    }

    /// Puts a ring back, with what came of the work; what the driver did wrong makes the device ask for a reset.
    pub(crate) fn put_back(
        &mut self,
        device: &PciDevice,
        index: u16,
        mut ring: Ring<W>,
        outcome: Result<(), ModelError>,
    ) {
        if let Err(error) = outcome {
            device.report_driver_error(format!("queue {index}: {error}"));
            device.set_needs_reset();
            ring.is_broken = true;
        }
        self.list[usize::from(index)] = Some(ring);
    }

    /// What there is to be done, ring by ring.
    pub(crate) fn work(&self) -> impl Iterator<Item = &W> {
        self.list.iter().flatten().map(|ring| &ring.work)
    }
}
