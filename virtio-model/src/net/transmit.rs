//! Taking what a driver transmits, and giving the buffers back.
//!
//! Spec: §5.1.9.2 Packet Transmission.

use super::flow::Flow;
use super::packet::Transmitted;
use super::state::State;
use crate::block::Order;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

impl State {
    /// Takes all packets of a pair, then gives back those that are not held; tells how many.
    pub(super) fn transmit(&mut self, device: &PciDevice, memory: &AddressSpace, pair: u16) -> usize {
        let index = 2 * pair + 1;
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let mut completed = 0;
        let mut outcome = Ok(());
        if !device.is_suspending() {
            outcome = self.take_packets(device, memory, pair, &mut ring);
        }
        if outcome.is_ok() {
            outcome = self.give_back(device, index, &mut ring, &mut completed);
        }
        self.rings.put_back(device, index, ring, outcome);
        completed
    }

    fn take_packets(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        pair: u16,
        ring: &mut Ring<VecDeque<Chain>>,
    ) -> Result<(), ModelError> {
        if self.suppresses_notifications {
            ring.queue.disable_notifications()?;
        }
        loop {
            while let Some(chain) = ring.queue.pop()? {
                let packet = self.parse(device, memory, pair, &chain)?;
                self.transmitted.push(packet);
                ring.work.push_back(chain);
            }
            if self.suppresses_notifications || !ring.queue.enable_notifications()? {
                return Ok(());
            }
        }
    }

    /// Reads a packet, judges and counts it, and remembers whose it is.
    fn parse(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        pair: u16,
        chain: &Chain,
    ) -> Result<Transmitted, ModelError> {
        let bytes = chain.read_all(memory)?;
        let (header, frame, judgement) = self.rules(device).judge_packet(pair, chain, &bytes);
        let complaint = judgement.err();
        let counters = self.counters.entry(2 * pair + 1).or_default();
        if let Some(complaint) = &complaint {
            device.report_driver_error(format!("packet {} of pair {pair}: {complaint}", chain.head));
            counters.drops += 1;
            counters.malformed += 1;
        } else {
            counters.count(&header, &frame);
            if let Some(flow) = Flow::of_frame(&frame) {
                let (from, to) = flow.ports.split_at(flow.ports.len() / 2);
                let answers = [flow.destination, flow.source, to, from].concat();
                self.settings.pair_of_flow.insert(answers, pair);
            }
        }
        let (lens, indirect) = (chain.readable_lens(), chain.indirect);
        Ok(Transmitted { pair, header, frame, lens, indirect, complaint })
    }

    /// Gives back the packets that are not held, in one burst.
    fn give_back(
        &mut self,
        device: &PciDevice,
        index: u16,
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        while !ring.work.is_empty() && self.may_complete() {
            let order = if ring.queue.is_in_order() { Order::Fifo } else { self.order };
            let next = match order {
                Order::Fifo => ring.work.pop_front(),
                Order::Reverse => ring.work.pop_back(),
            };
            let Some(chain) = next else {
                break;
            };
            let len = self.lies.transmit_written.apply(0);
            let place = ring.queue.push_used(chain.head, len)?;
            if let Some(id) = self.lies.transmit_id {
                ring.queue.put_used_id(place, id, len)?;
            }
            *completed += 1;
        }
        if *completed != 0 {
            let published = ring.queue.publish_used()?;
            let is_wanted = ring.queue.needs_interrupt(published)?;
            self.tell(device, index, *completed, is_wanted);
        }
        Ok(())
    }
}
