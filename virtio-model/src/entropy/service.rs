//! Filling what was supplied.
//!
//! Spec: §5.4.6 Device Operation.

use super::EntropyMisbehaviour;
use super::generator::Generator;
use crate::block::Order;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::{Quota, Ring, Rings};
use std::collections::VecDeque;

/// The only queue.
const REQUESTS: u16 = 0;

/// The entropy device behind the lock.
#[derive(Debug)]
pub(super) struct State {
    generator: Generator,
    pub(super) lies: EntropyMisbehaviour,
    pub(super) order: Order,
    pub(super) quota: Quota,
    pub(super) suppresses_notifications: bool,
    pub(super) most_per_buffer: usize,
    /// How many bytes there are; `None` is no limit.
    pub(super) rest: Option<usize>,
    pub(super) given: Vec<u8>,
    pub(super) requests: Vec<u64>,
    /// Buffers that were taken and are not given back.
    pub(super) rings: Rings<VecDeque<Chain>>,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            generator: Generator::new(seed),
            lies: EntropyMisbehaviour::default(),
            order: Order::Fifo,
            quota: Quota::default(),
            suppresses_notifications: false,
            most_per_buffer: usize::MAX,
            rest: None,
            given: Vec::new(),
            requests: Vec::new(),
            rings: Rings::default(),
        }
    }

    pub(super) fn serve(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let Some(mut ring) = self.rings.take_out(device, memory, REQUESTS) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.serve_all(device, memory, &mut ring, &mut completed);
        self.rings.put_back(device, REQUESTS, ring, outcome);
        completed
    }

    fn serve_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        for chain in ring.take_available(device, !self.suppresses_notifications)? {
            if chain.readable_bytes() != 0 {
                device.report_driver_error(format!("buffer {} with readable bytes", chain.head));
            }
            self.requests.push(chain.writable_bytes());
            ring.work.push_back(chain);
        }
        while !ring.work.is_empty() && self.rest != Some(0) && self.quota.take_one() {
            let order = if ring.queue.is_in_order() { Order::Fifo } else { self.order };
            let Some(chain) = order.next(&mut ring.work) else {
                break;
            };
            let honest = self.fill(memory, &chain)?;
            ring.give_back(chain.head, self.lies.written.apply(honest), self.lies.used_id)?;
            *completed += 1;
        }
        if *completed != 0 { ring.publish(device, REQUESTS) } else { Ok(()) }
    }

    fn fill(&mut self, memory: &AddressSpace, chain: &Chain) -> Result<u32, ModelError> {
        let room = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX);
        let count = room.min(self.most_per_buffer).min(self.rest.unwrap_or(usize::MAX));
        if self.lies.writes_nothing {
            return Ok(u32::try_from(count).unwrap_or(u32::MAX));
        }
        if let Some(rest) = &mut self.rest {
            *rest -= count;
        }
        let bytes: Vec<u8> = (0..count).map(|_| self.generator.byte()).collect();
        self.given.extend(&bytes);
        Ok(chain.write_all(memory, &bytes)?)
    }
}
