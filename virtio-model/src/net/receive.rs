//! Having packets arrive: into one buffer, or into several, by the steering.
//!
//! Spec: §5.1.9.3.2 Device Requirements: Setting Up Receive Buffers, §5.1.9.4 Processing of Incoming Packets. A packet waits until there are
//! enough buffers, and so does what comes after it to the same pair; one that no buffer is large enough for is dropped.

use super::header::header_bytes;
use super::numbers::feature;
use super::packet::{Arrival, Packet, RawBuffer};
use super::state::State;
use crate::block::WrittenLen;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

/// What goes into one buffer.
struct Fill {
    bytes: Vec<u8>,
    written: u32,
}

/// What becomes of a packet.
enum Fate {
    /// These buffers, from the first one that is free on.
    Fills(Vec<Fill>),
    Waits,
    Dropped,
}

impl State {
    /// Takes all receive buffers of a pair, and fills them with what arrives there; tells how many.
    pub(super) fn receive(&mut self, device: &PciDevice, memory: &AddressSpace, pair: u16) -> usize {
        let index = 2 * pair;
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let mut filled = 0;
        let mut outcome = Ok(());
        if !device.is_suspending() {
            outcome = self.take_buffers(device, &mut ring);
        }
        if outcome.is_ok() {
            outcome = self.fill_buffers(device, memory, pair, &mut ring, &mut filled);
        }
        self.rings.put_back(device, index, ring, outcome);
        filled
    }

    fn take_buffers(
        &mut self,
        device: &PciDevice,
        ring: &mut Ring<VecDeque<Chain>>,
    ) -> Result<(), ModelError> {
        let rules = self.rules(device);
        if self.suppresses_notifications {
            ring.queue.disable_notifications()?;
        }
        loop {
            while let Some(chain) = ring.queue.pop()? {
                if let Err(complaint) = rules.judge_buffer(&chain) {
                    device.report_driver_error(format!("buffer {}: {complaint}", chain.head));
                }
                ring.work.push_back(chain);
            }
            if self.suppresses_notifications || !ring.queue.enable_notifications()? {
                return Ok(());
            }
        }
    }

    /// Fills buffers with what arrives at this pair, in one burst.
    fn fill_buffers(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        pair: u16,
        ring: &mut Ring<VecDeque<Chain>>,
        filled: &mut usize,
    ) -> Result<(), ModelError> {
        let features = device.negotiated_features();
        let mut packets = 0;
        let mut at = 0;
        while let Some(arrival) = self.arriving.get(at) {
            if self.pair_of(features, arrival) != pair {
                at += 1;
                continue;
            }
            match self.fate(features, arrival, &ring.work) {
                Fate::Waits => break,
                Fate::Dropped => {
                    self.dropped += 1;
                    self.counters.entry(2 * pair).or_default().drops += 1;
                }
                Fate::Fills(fills) => {
                    *filled += fills.len();
                    packets += 1;
                    if let Arrival::Packet(packet) = arrival {
                        let counters = self.counters.entry(2 * pair).or_default();
                        counters.count(&packet.header, &packet.frame);
                    }
                    self.fill(memory, ring, fills)?;
                }
            }
            self.arriving.remove(at);
        }
        if *filled != 0 {
            let published = ring.queue.publish_used()?;
            let is_wanted = ring.queue.needs_interrupt(published)?;
            self.tell(device, 2 * pair, packets, is_wanted);
        }
        Ok(())
    }

    fn fill(
        &self,
        memory: &AddressSpace,
        ring: &mut Ring<VecDeque<Chain>>,
        fills: Vec<Fill>,
    ) -> Result<(), ModelError> {
        for Fill { bytes, written } in fills {
            let Some(chain) = ring.work.pop_front() else {
                break;
            };
            chain.write_all(memory, &bytes)?;
            let place = ring.queue.push_used(chain.head, written)?;
            if let Some(id) = self.lies.receive_id {
                ring.queue.put_used_id(place, id, written)?;
            }
        }
        Ok(())
    }

    fn fate(&self, features: u128, arrival: &Arrival, free: &VecDeque<Chain>) -> Fate {
        match arrival {
            Arrival::Raw { buffers, .. } if buffers.len() > free.len() => Fate::Waits,
            Arrival::Raw { buffers, .. } => Fate::Fills(buffers.iter().map(RawBuffer::fill).collect()),
            Arrival::Packet(packet) if self.filters && !self.settings.accepts(self, features, packet) => {
                Fate::Dropped
            }
            Arrival::Packet(packet) => self.fate_of_packet(features, packet, free),
        }
    }

    /// Spreads a packet over the free buffers, each but the last one filled.
    fn fate_of_packet(&self, features: u128, packet: &Packet, free: &VecDeque<Chain>) -> Fate {
        let header_len = header_bytes(features);
        let total = header_len + packet.frame.len();
        let mut rooms = Vec::new();
        let mut covered = 0;
        for chain in free {
            if covered >= total {
                break;
            }
            let room = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX).min(total - covered);
            covered += room;
            rooms.push(room);
            if features & 1 << feature::MRG_RXBUF == 0 {
                break;
            }
        }
        if rooms.is_empty() {
            return Fate::Waits;
        }
        if covered < total {
            return if features & 1 << feature::MRG_RXBUF == 0 { Fate::Dropped } else { Fate::Waits };
        }
        let honest = u16::try_from(rooms.len()).unwrap_or(u16::MAX);
        let mut header = packet.header;
        header.num_buffers = self.lies.num_buffers.unwrap_or(honest);
        if features & 1 << feature::HASH_REPORT != 0 && header.hash_report == 0 {
            let hash = self.settings.hash_setup().of(&packet.frame);
            (header.hash_value, header.hash_report) = hash.unwrap_or_default();
        }
        let mut bytes = header.bytes(header_len);
        bytes.extend_from_slice(&packet.frame);
        let mut lie = self.lies.written;
        let mut fills = Vec::new();
        for room in rooms {
            let rest = bytes.split_off(room);
            let honest = u32::try_from(room).unwrap_or(u32::MAX);
            fills.push(Fill { bytes: std::mem::replace(&mut bytes, rest), written: lie.apply(honest) });
            lie = self.lies.written_later;
        }
        Fate::Fills(fills)
    }
}

impl RawBuffer {
    fn fill(&self) -> Fill {
        let honest = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let written = self.written.map_or(WrittenLen::Honest, WrittenLen::Exactly).apply(honest);
        Fill { bytes: self.bytes.clone(), written }
    }
}
