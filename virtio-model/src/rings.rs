//! The rings of a device at work, in line with its queue registers.
//!
//! Spec: §2.6 Virtqueues. An enabled queue of a live device has a ring, a queue that was reset or enabled anew loses it, and a device that is suspended
//! leaves everything as it is. A ring that its driver broke makes the device ask for a reset, and is not looked at again. Device models
//! such as [`block`](crate::block) keep beside each ring what they have to do with it, and say what is done.

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

/// All rings of a device, by queue.
#[derive(Debug)]
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
