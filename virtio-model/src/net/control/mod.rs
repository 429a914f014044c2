//! The control queue: taking commands, carrying them out, answering.
//!
//! Spec: §5.1.9.5 Control Virtqueue. A command that its driver must not send is a driver error, and answered with an error; what a command sets
//! is kept in [`Settings`], where a test can see it.
//!
//! ```text
//!   readable   class u8, command u8, data
//!   writable   ack u8, result
//! ```

mod coalescing;
mod filters;
mod rss;
mod settings;
mod statistics;

pub use rss::RssSetup;
pub use settings::{Coalescing, ReceiveModes, Settings, Steering};

use super::numbers::{ack, command, feature};
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

const VERSION_1: u32 = 32;

/// A command as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its class.
    pub class: u8,
    /// Its number in the class.
    pub number: u8,
    /// What follows.
    pub data: Vec<u8>,
    /// The lengths of its device-readable segments.
    pub readable_lens: Vec<u32>,
    /// The lengths of its device-writable segments.
    pub writable_lens: Vec<u32>,
    /// What is wrong with it; an honest device answers with an error.
    pub complaint: Option<String>,
    /// Whether it was carried out.
    pub is_done: bool,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// The driver must not send it.
    Wrong(String),
    /// The device cannot.
    Unable,
}

impl Refusal {
    fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }
}

/// The result of a command, which follows its answer.
type Outcome = Result<Vec<u8>, Refusal>;

/// Complains unless something holds.
fn expect(is_fine: bool, complaint: impl FnOnce() -> String) -> Result<(), Refusal> {
    if is_fine { Ok(()) } else { Err(Refusal::Wrong(complaint())) }
}

/// The data of a command, which are of this length.
fn exactly<const LEN: usize>(data: &[u8]) -> Result<[u8; LEN], Refusal> {
    data.try_into().map_err(|_| Refusal::wrong(format!("{} bytes of data, not {LEN}", data.len())))
}

impl State {
    /// Takes all commands, and carries them out; tells how many.
    pub(super) fn obey(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let Some(index) = self.control_queue(device) else {
            return 0;
        };
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.obey_all(device, memory, index, &mut ring, &mut completed);
        self.rings.put_back(device, index, ring, outcome);
        completed
    }

    fn obey_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        loop {
            while !device.is_suspending()
                && let Some(chain) = ring.queue.pop()?
            {
                ring.work.push_back(chain);
            }
            if !ring.queue.enable_notifications()? {
                break;
            }
        }
        while !self.lies.ignores_commands
            && let Some(chain) = ring.work.pop_front()
        {
            let honest = self.answer(device, memory, index, &chain)?;
            let written = self.lies.command_written.apply(honest);
            ring.queue.push_used(chain.head, written)?;
            *completed += 1;
        }
        if *completed != 0 {
            let published = ring.queue.publish_used()?;
            if ring.queue.needs_interrupt(published)? {
                device.raise_used(index);
            }
        }
        Ok(())
    }

    /// Carries one command out and answers it; tells how many bytes were written.
    fn answer(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        chain: &Chain,
    ) -> Result<u32, ModelError> {
        let bytes = chain.read_all(memory)?;
        let (class, number) = (bytes.first().copied(), bytes.get(1).copied());
        let data = bytes.get(2..).unwrap_or_default();
        self.settings.commands += 1;
        let outcome = if chain.writable_bytes() == 0 {
            Err(Refusal::wrong("no byte for the answer"))
        } else if self.lies.ack.is_some() || self.lies.skips_ack {
            Err(Refusal::Unable)
        } else if let (Some(class), Some(number)) = (class, number) {
            judge_framing(device, chain, class, number)
                .and_then(|()| self.carry_out(device, class, number, data, index))
        } else {
            Err(Refusal::wrong(format!("a command of {} bytes", bytes.len())))
        };
        let complaint = match &outcome {
            Err(Refusal::Wrong(text)) => Some(text.clone()),
            _ => None,
        };
        let (class, number) = (class.unwrap_or(u8::MAX), number.unwrap_or(u8::MAX));
        if let Some(text) = &complaint {
            device.report_driver_error(format!("command {class}.{number}: {text}"));
        }
        self.commands.push(Command {
            class,
            number,
            data: data.to_vec(),
            readable_lens: chain.readable_lens(),
            writable_lens: chain.writable_lens(),
            complaint,
            is_done: outcome.is_ok(),
        });
        let honest = if outcome.is_ok() { ack::OK } else { ack::ERR };
        let mut answer = vec![self.lies.ack.unwrap_or(honest)];
        answer.extend(self.lies.result.clone().unwrap_or(outcome.unwrap_or_default()));
        if self.lies.skips_ack {
            return Ok(0);
        }
        Ok(chain.write_all(memory, &answer)?)
    }

    /// Carries out a command that has come through the queue of this index.
    fn carry_out(&mut self, device: &PciDevice, class: u8, number: u8, data: &[u8], control: u16) -> Outcome {
        let features = device.negotiated_features();
        let gate = match (class, number) {
            (command::RX, 0 | 1) | (command::MAC, command::MAC_TABLE_SET) => feature::CTRL_RX,
            (command::RX, 2..=5) => feature::CTRL_RX_EXTRA,
            (command::MAC, command::MAC_ADDR_SET) => feature::CTRL_MAC_ADDR,
            (command::VLAN, 0 | 1) => feature::CTRL_VLAN,
            (command::ANNOUNCE, command::ANNOUNCE_ACK) => feature::GUEST_ANNOUNCE,
            (command::MQ, command::MQ_VQ_PAIRS_SET) => feature::MQ,
            (command::MQ, command::MQ_RSS_CONFIG) => feature::RSS,
            (command::MQ, command::MQ_HASH_CONFIG) => feature::HASH_REPORT,
            (command::GUEST_OFFLOADS, command::GUEST_OFFLOADS_SET) => feature::CTRL_GUEST_OFFLOADS,
            (command::NOTF_COAL, 0 | 1) => feature::NOTF_COAL,
            (command::NOTF_COAL, 2 | 3) => feature::VQ_NOTF_COAL,
            (command::HASH_TUNNEL, command::HASH_TUNNEL_SET) => feature::HASH_TUNNEL,
            (command::STATS, 0 | 1) => feature::DEVICE_STATS,
            (command::RSS_CTX, 0..=3) => feature::RSS_CONTEXT,
            _ => return Err(Refusal::wrong("there is no such command")),
        };
        expect(features & 1 << gate != 0, || format!("sent without feature {gate}"))?;
        let result = match class {
            command::RX => self.set_mode(number, data),
            command::MAC => self.set_addresses(device, number, data),
            command::VLAN => self.set_vlan(number, data),
            command::ANNOUNCE => self.take_acknowledgement(device, data),
            command::MQ => self.set_steering(device, number, data),
            command::GUEST_OFFLOADS => self.set_guest_offloads(features, data),
            command::NOTF_COAL => self.coalesce(device, number, data),
            command::HASH_TUNNEL => self.set_tunnels(data),
            command::STATS => self.tell_statistics(device, number, data, control),
            _ => self.set_context(device, number, data),
        }?;
        self.settings.commands_done += 1;
        Ok(result)
    }
}

/// Without free framing, class and command are a descriptor, the data another one (a table two), and so is the answer.
///
/// Spec: §5.1.9.8 Legacy Interface: Framing Requirements.
fn judge_framing(device: &PciDevice, chain: &Chain, class: u8, number: u8) -> Result<(), Refusal> {
    let features = device.negotiated_features();
    if features & (1 << VERSION_1 | 1 << feature::ANY_LAYOUT) != 0 {
        return Ok(());
    }
    let (readable, writable) = (chain.readable_lens(), chain.writable_lens());
    let is_table = (class, number) == (command::MAC, command::MAC_TABLE_SET);
    let most = if is_table { 3 } else { 2 };
    let is_fine = readable.first() == Some(&2) && readable.len() <= most && writable.first() == Some(&1);
    expect(is_fine, || format!("descriptors of {readable:?} and {writable:?} bytes"))
}
