//! Serving the request queues of a disk.
//!
//! Spec: §5.2.6 Device Operation. Takes what is available in every ring that there is ([`rings`](crate::rings)), and completes it; a
//! device that suspends itself takes no more requests. What the driver did wrong goes to the device.

use super::cache::CacheMode;
use super::judge::Rules;
use super::misbehaviour::Order;
use super::numbers::status;
use super::request::Request;
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

/// A queue that the disk is working on, and the requests that wait in it.
type Running = Ring<VecDeque<Waiting>>;

/// A request that was taken, and what held at that moment.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) chain: Chain,
    pub(super) request: Request,
    /// The status that it gets, since its form is not in order.
    pub(super) refusal: Option<u8>,
    /// Its number, among all that were taken.
    pub(super) number: u64,
    /// How many writes were complete.
    pub(super) completed_before: u64,
    mode: CacheMode,
}

impl State {
    /// Takes what is available in one queue.
    pub(super) fn take(&mut self, device: &PciDevice, memory: &AddressSpace, index: u16) {
        self.work(device, memory, index, |state, running| {
            if device.is_suspending() {
                return Ok(());
            }
            state.take_requests(device, memory, index, running)
        });
    }

    /// Completes what waits in one queue; tells how many requests that were.
    pub(super) fn complete(&mut self, device: &PciDevice, memory: &AddressSpace, index: u16) -> usize {
        let mut completed = 0;
        self.work(device, memory, index, |state, running| {
            state.complete_requests(device, memory, index, running, &mut completed)
        });
        completed
    }

    /// Works on a queue that is in order; what the driver did wrong makes the device ask for a reset.
    fn work(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        act: impl FnOnce(&mut Self, &mut Running) -> Result<(), ModelError>,
    ) {
        if let Some(mut running) = self.running.take_out(device, memory, index) {
            let outcome = act(self, &mut running);
            self.running.put_back(device, index, running, outcome);
        }
    }

    /// Moves every available request to the waiting line.
    fn take_requests(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        running: &mut Running,
    ) -> Result<(), ModelError> {
        if self.suppresses_notifications {
            running.queue.disable_notifications()?;
        }
        let mode = CacheMode::of(device);
        loop {
            while let Some(chain) = running.queue.pop()? {
                let rules = Rules {
                    features: device.negotiated_features(),
                    capacity_sectors: self.config.capacity_sectors.min(self.sectors()),
                    config: &self.config,
                    zones: self.zones.as_ref(),
                };
                let (request, refusal) = Request::parse(memory, index, &chain, &rules)?;
                if let Some(complaint) = &request.complaint {
                    device.report_driver_error(format!("request {}: {complaint}", chain.head));
                }
                self.log.push(request.clone());
                let number = self.failures.count();
                let completed_before = self.cache.completed;
                running.work.push_back(Waiting { chain, request, refusal, number, completed_before, mode });
            }
            if self.suppresses_notifications || !running.queue.enable_notifications()? {
                return Ok(());
            }
        }
    }

    /// Completes the waiting requests that are not held back, in one burst.
    fn complete_requests(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        running: &mut Running,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        while !running.work.is_empty() && self.may_complete() {
            let order = if running.queue.is_in_order() { Order::Fifo } else { self.order };
            let Some(waiting) = order.next(&mut running.work) else {
                break;
            };
            let written = self.perform(device, memory, &waiting)?;
            let len = self.lies.written.apply(written);
            let slot = running.queue.push_used(waiting.chain.head, len)?;
            if let Some(id) = self.lies.used_id {
                running.queue.put_used_id(slot, id, len)?;
            }
            *completed += 1;
        }
        if *completed != 0 {
            let published = running.queue.publish_used()?;
            if running.queue.needs_interrupt(published)? {
                device.raise_used(index);
            }
        }
        Ok(())
    }

    /// Does what a request asks for; tells how many bytes were written from the first one on.
    fn perform(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        waiting: &Waiting,
    ) -> Result<u32, ModelError> {
        let chain = &waiting.chain;
        let is_stable = waiting.mode.is_stable_at_once(device);
        let answer = self.answer(memory, device.negotiated_features(), waiting, is_stable)?;
        let (honest_status, data) = match answer {
            Ok(data) => (status::OK, self.lies.answer.clone().unwrap_or(data)),
            Err(status) => (status, Vec::new()),
        };
        let writable = chain.writable_bytes();
        let Some(status_at) = writable.checked_sub(1) else {
            return Ok(0);
        };
        let room = usize::try_from(status_at).unwrap_or(usize::MAX);
        let written = chain.write_all(memory, &data[..data.len().min(room)])?;
        if self.lies.skips_status {
            return Ok(written);
        }
        let status = self.lies.status.unwrap_or(honest_status);
        let status_len = chain.write_at(memory, status_at, &[status])?;
        let is_contiguous = u64::from(written) == status_at;
        Ok(if is_contiguous { written + status_len } else { written })
    }
}
