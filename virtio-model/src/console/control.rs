//! The control queues: hearing the driver's messages, and saying the device's.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.

use super::judge::{judge_control_framing, judge_receive, judge_transmit};
use super::message::{self, Control};
use super::numbers::event;
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::Ring;
use std::collections::VecDeque;

/// The device's messages go here,
const CONTROL_RECEIVE: u16 = 2;
/// and the driver's come from here.
const CONTROL_TRANSMIT: u16 = 3;

impl State {
    /// Takes the driver's messages, and does as they say; tells how many.
    pub(super) fn hear(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        if !Self::has_control(device) {
            return 0;
        }
        let Some(mut ring) = self.rings.take_out(device, memory, CONTROL_TRANSMIT) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.hear_all(device, memory, &mut ring, &mut completed);
        self.rings.put_back(device, CONTROL_TRANSMIT, ring, outcome);
        completed
    }

    fn hear_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        let taken = ring.take_available(device, !self.suppresses_notifications)?;
        ring.work.extend(taken);
        while !self.lies.ignores_control
            && let Some(chain) = ring.work.pop_front()
        {
            let bytes = chain.read_all(memory)?;
            let complaint = judge_transmit(&chain)
                .and_then(|()| judge_control_framing(device, &chain))
                .and_then(|()| self.judge_message(&bytes))
                .err();
            let (id, event, value) = message::numbers(&bytes).unwrap_or_default();
            if let Some(text) = &complaint {
                device.report_driver_error(format!("control message {}: {text}", chain.head));
            } else {
                self.obey(id, event, value);
            }
            let lens = chain.readable_lens();
            self.controls.push(Control { id, event, value, lens, complaint });
            ring.give_back(chain.head, self.lies.answered_written.apply(0), None)?;
            *completed += 1;
        }
        if *completed != 0 { ring.publish(device, CONTROL_TRANSMIT) } else { Ok(()) }
    }

    fn obey(&mut self, id: u32, event: u16, value: u16) {
        let is_good = value == 1;
        if event == event::DEVICE_READY {
            self.driver_is_ready = Some(is_good);
            for port in self.ports.keys().copied().collect::<Vec<_>>() {
                self.tell(port, event::DEVICE_ADD, 0, &[]);
            }
        } else if let Some(port) = self.ports.get_mut(&id) {
            if event == event::PORT_OPEN {
                port.is_open_by_driver = is_good;
            } else {
                port.is_ready = is_good;
                if is_good {
                    self.introduce(id);
                }
            }
        }
    }

    /// Writes messages into the driver's buffers, as long as there are any; tells how many.
    pub(super) fn say(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        if !Self::has_control(device) {
            return 0;
        }
        let Some(mut ring) = self.rings.take_out(device, memory, CONTROL_RECEIVE) else {
            return 0;
        };
        let mut completed = 0;
        let outcome = self.say_all(device, memory, &mut ring, &mut completed);
        self.rings.put_back(device, CONTROL_RECEIVE, ring, outcome);
        completed
    }

    fn say_all(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        ring: &mut Ring<VecDeque<Chain>>,
        completed: &mut usize,
    ) -> Result<(), ModelError> {
        for chain in ring.take_available(device, !self.suppresses_notifications)? {
            if let Err(complaint) = judge_receive(&chain).and_then(|()| judge_control_framing(device, &chain))
            {
                device.report_driver_error(format!("control buffer {}: {complaint}", chain.head));
            }
            ring.work.push_back(chain);
        }
        while !ring.work.is_empty()
            && let Some(bytes) = self.lies.floods.clone().or_else(|| self.outbox.pop_front())
            && let Some(chain) = ring.work.pop_front()
        {
            let honest = chain.write_all(memory, &bytes)?;
            let written = self.lies.control_written.apply(honest);
            self.note(&bytes);
            ring.give_back(chain.head, written, self.lies.control_id)?;
            *completed += 1;
        }
        if *completed != 0 { ring.publish(device, CONTROL_RECEIVE) } else { Ok(()) }
    }

    /// Notes what the driver is told, and has to answer.
    fn note(&mut self, bytes: &[u8]) {
        let Some((id, event, _)) = message::numbers(bytes) else {
            return;
        };
        let is_ready = self.ports.get(&id).is_some_and(|port| port.is_ready);
        let told = self.told.entry(id).or_default();
        match event {
            event::DEVICE_ADD => told.adds += 1,
            event::DEVICE_REMOVE => told.owes_open = false,
            event::CONSOLE_PORT if is_ready => told.owes_open = true,
            _ => {}
        }
    }
}
