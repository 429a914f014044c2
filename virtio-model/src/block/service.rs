//! Serving the request queues of a disk.
//!
//! Spec: §5.2.6 Device Operation. Follows the queue registers: an enabled queue of a live device
//! gets a ring, a queue that was reset or enabled anew loses it; a device that suspends itself takes
//! no more requests, and one that is suspended leaves everything as it is. What the driver did wrong goes
//! to the device; a broken ring makes the device ask for a reset and is not looked at again.

use super::misbehaviour::Order;
use super::request::{ID_BYTES, Limits, Request, SECTOR_BYTES, request_type, status};
use super::state::{State, feature};
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::queue::DeviceQueue;
use std::collections::VecDeque;

/// A queue that the disk is working on.
#[derive(Debug)]
pub(super) struct Running {
    epoch: u64,
    pub(super) ring: DeviceQueue,
    pub(super) waiting: VecDeque<(Chain, Request)>,
    broken: bool,
}

impl State {
    /// Brings the ring of queue `index` in line with its registers.
    pub(super) fn adopt(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
    ) -> Option<&mut Running> {
        let slot = usize::from(index);
        if self.running.len() <= slot {
            self.running.resize_with(slot + 1, || None);
        }
        let registers = device.queue(index)?;
        if device.is_suspended() {
            return None;
        }
        if !device.is_live() || !device.is_bus_master() || !registers.enabled {
            self.running[slot] = None;
            return None;
        }
        let is_current = self.running[slot].as_ref().is_some_and(|run| run.epoch == registers.epoch);
        if !is_current {
            self.running[slot] = match device.device_queue(index, memory)? {
                Ok(ring) => {
                    let waiting = VecDeque::new();
                    Some(Running { epoch: registers.epoch, ring, waiting, broken: false })
                }
                Err(error) => {
                    device.report_driver_error(error.to_string());
                    device.set_needs_reset();
                    None
                }
            };
        }
        self.running[slot].as_mut()
    }

    /// Serves one queue; tells how many requests were completed.
    pub(super) fn serve_queue(&mut self, device: &PciDevice, memory: &AddressSpace, index: u16) -> usize {
        let features = device.negotiated_features();
        if self.adopt(device, memory, index).is_none_or(|running| running.broken) {
            return 0;
        }
        let Some(mut running) = self.running[usize::from(index)].take() else {
            return 0;
        };
        let mut completed = 0;
        let taken = if device.is_suspending() {
            Ok(())
        } else {
            self.take_requests(device, memory, index, features, &mut running)
        };
        let outcome =
            taken.and_then(|()| self.complete(device, memory, index, features, &mut running, &mut completed));
        if let Err(error) = outcome {
            device.report_driver_error(format!("queue {index}: {error}"));
            device.set_needs_reset();
            running.broken = true;
        }
        self.running[usize::from(index)] = Some(running);
        completed
    }

    /// Moves every available request to the waiting line.
    fn take_requests(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        features: u128,
        running: &mut Running,
    ) -> Result<(), ModelError> {
        if self.suppresses_notifications {
            running.ring.disable_notifications()?;
        }
        let negotiated = |bit: u32| features & (1 << bit) != 0;
        let limits = Limits {
            capacity_sectors: self.config.capacity_sectors.min(self.sectors()),
            // A disk that allows no data segment at all would be no disk: 0 is meant as 1.
            seg_max: negotiated(feature::SEG_MAX).then_some(self.config.seg_max.max(1)),
            size_max: negotiated(feature::SIZE_MAX).then_some(self.config.size_max),
        };
        loop {
            while let Some(chain) = running.ring.pop()? {
                let request = Request::parse(memory, index, &chain, limits)?;
                if let Some(complaint) = &request.complaint {
                    device.report_driver_error(format!("request {}: {complaint}", chain.head));
                }
                self.log.push(request.clone());
                running.waiting.push_back((chain, request));
            }
            if self.suppresses_notifications || !running.ring.enable_notifications()? {
                return Ok(());
            }
        }
    }

    /// Completes the waiting requests that are not held back, in one burst.
    fn complete(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        features: u128,
        running: &mut Running,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        while !running.waiting.is_empty() && self.may_complete() {
            let order = if running.ring.is_in_order() { Order::Fifo } else { self.order };
            let Some((chain, request)) = order.next(&mut running.waiting) else {
                break;
            };
            let written = self.perform(memory, features, &chain, &request)?;
            let len = self.lies.written.apply(written);
            let slot = running.ring.push_used(chain.head, len)?;
            if let Some(id) = self.lies.used_id {
                running.ring.put_used_id(slot, id, len)?;
            }
            *completed += 1;
        }
        if *completed != 0 {
            let published = running.ring.publish_used()?;
            if running.ring.needs_interrupt(published)? {
                device.raise_used(index);
            }
        }
        Ok(())
    }

    /// Does what a request asks for; tells how many bytes were written from the first one on.
    fn perform(
        &mut self,
        memory: &AddressSpace,
        features: u128,
        chain: &Chain,
        request: &Request,
    ) -> Result<u32, ModelError> {
        let writable = chain.writable_bytes();
        let (honest_status, data) = self.answer(memory, features, chain, request)?;
        let written = chain.write_all(memory, &data)?;
        if writable == 0 || self.lies.skips_status {
            return Ok(written);
        }
        let status_at = writable - 1;
        let status = self.lies.status.unwrap_or(honest_status);
        let status_len = chain.write_at(memory, status_at, &[status])?;
        let is_contiguous = u64::from(written) == status_at;
        Ok(if is_contiguous { written + status_len } else { written })
    }

    /// The status and the data that answer a request.
    fn answer(
        &mut self,
        memory: &AddressSpace,
        features: u128,
        chain: &Chain,
        request: &Request,
    ) -> Result<(u8, Vec<u8>), ModelError> {
        let known = matches!(
            request.request_type,
            request_type::IN | request_type::OUT | request_type::FLUSH | request_type::GET_ID
        );
        if !known {
            return Ok((status::UNSUPP, Vec::new()));
        }
        if request.complaint.is_some() {
            return Ok((status::IOERR, Vec::new()));
        }
        let start = usize::try_from(request.sector).unwrap_or(usize::MAX).saturating_mul(SECTOR_BYTES);
        let len = usize::try_from(request.data_bytes).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(len);
        Ok(match request.request_type {
            request_type::IN => match self.contents.get(range) {
                Some(data) => (status::OK, data.to_vec()),
                None => (status::IOERR, Vec::new()),
            },
            request_type::OUT if self.read_only => (status::IOERR, Vec::new()),
            request_type::OUT => match self.contents.get_mut(range) {
                Some(target) => {
                    let readable = chain.read_all(memory)?;
                    target.copy_from_slice(&readable[readable.len() - len..]);
                    (status::OK, Vec::new())
                }
                None => (status::IOERR, Vec::new()),
            },
            request_type::FLUSH if features & (1 << feature::FLUSH) == 0 => (status::UNSUPP, Vec::new()),
            request_type::FLUSH => {
                self.flushes += 1;
                (status::OK, Vec::new())
            }
            _ => {
                let mut id = self.id.clone();
                id.resize(ID_BYTES, 0);
                (status::OK, id)
            }
        })
    }
}
