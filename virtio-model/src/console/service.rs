//! Bytes: taking what the driver transmits, and having others arrive.
//!
//! Spec: §5.3.6 Device Operation.

use super::judge::{judge_receive, judge_transmit};
use super::ports::{Arrival, RawInput, Sent};
use super::state::State;
use crate::block::{Order, WrittenLen};
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

/// The index of a port's receive queue; the next one is its transmit queue. The control queues are behind those of port 0.
///
/// Spec: §5.3.2 Virtqueues.
fn receive_queue(port: u32) -> u16 {
    let queues_before = match port {
        0 => 0,
        _ => port.saturating_mul(2).saturating_add(2),
    };
    u16::try_from(queues_before).unwrap_or(u16::MAX)
}

impl State {
    /// Takes all that was transmitted through a port, then gives back the buffers that are not held; tells how many.
    pub(super) fn transmit(&mut self, device: &PciDevice, memory: &AddressSpace, port: u32) -> usize {
        let index = receive_queue(port).saturating_add(1);
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.transmit_all(device, memory, (port, index), &mut ring, &mut completed);
        self.rings.put_back(device, index, ring, outcome);
        completed
    }

    fn transmit_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        (port, index): (u32, u16),
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        let is_there = !Self::has_control(device) || self.ports.contains_key(&port);
        for chain in ring.take_available(device, !self.suppresses_notifications)? {
            let complaint = judge_transmit(&chain).err();
            if let Some(text) = &complaint {
                device.report_driver_error(format!("buffer {} of port {port}: {text}", chain.head));
            }
            let bytes = chain.read_all(memory)?;
            if is_there {
                let (lens, indirect) = (chain.readable_lens(), chain.indirect);
                self.sent.entry(port).or_default().push(Sent { bytes, lens, indirect, complaint });
            } else {
                self.discarded += bytes.len();
            }
            ring.work.push_back(chain);
        }
        while !ring.work.is_empty() && self.quota.take_one() {
            let order = if ring.queue.is_in_order() { Order::Fifo } else { self.order };
            let Some(chain) = order.next(&mut ring.work) else {
                break;
            };
            ring.give_back(chain.head, self.lies.sent_written.apply(0), self.lies.sent_id)?;
            *completed += 1;
        }
        if *completed != 0 { ring.publish(device, index) } else { Ok(()) }
    }

    /// Takes all receive buffers of a port, and fills them with what arrives there; tells how many.
    pub(super) fn receive(&mut self, device: &PciDevice, memory: &AddressSpace, port: u32) -> usize {
        let index = receive_queue(port);
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.receive_all(device, memory, (port, index), &mut ring, &mut completed);
        self.rings.put_back(device, index, ring, outcome);
        completed
    }

    fn receive_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        (port, index): (u32, u16),
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        for chain in ring.take_available(device, !self.suppresses_notifications)? {
            if let Err(complaint) = judge_receive(&chain) {
                device.report_driver_error(format!("buffer {} of port {port}: {complaint}", chain.head));
            }
            ring.work.push_back(chain);
        }
        while self.may_receive(device, port)
            && let Some(room) = ring.work.front().map(Chain::writable_bytes)
            && let Some((bytes, written)) = self.next_input(port, room)
            && let Some(chain) = ring.work.pop_front()
        {
            let honest = chain.write_all(memory, &bytes)?;
            let written = self.lies.received_written.apply(written.apply(honest));
            ring.give_back(chain.head, written, self.lies.received_id)?;
            *completed += 1;
        }
        if *completed != 0 { ring.publish(device, index) } else { Ok(()) }
    }

    /// What goes into the next buffer of a port, which has room for so many bytes.
    fn next_input(&mut self, port: u32, room: u64) -> Option<(Vec<u8>, WrittenLen)> {
        let arriving = self.arriving.get_mut(&port)?;
        let bytes = match arriving.front_mut()? {
            Arrival::Raw(input) => {
                let RawInput { bytes, written } = std::mem::take(input);
                arriving.pop_front();
                return Some((bytes, written));
            }
            Arrival::Bytes(bytes) => bytes,
        };
        let count = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let piece = bytes.drain(..count).collect();
        if bytes.is_empty() {
            arriving.pop_front();
        }
        Some((piece, WrittenLen::Honest))
    }
}
