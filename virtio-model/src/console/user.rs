//! What a test does with a console at work: it is at the other end of each port, and it is who adds and removes them.
//!
//! Spec: §5.3.6 Device Operation. What is said of a port goes to the driver as soon as that is ready to hear it, and is said again after a reset.

use super::config::EMERG_WR;
use super::message::Control;
use super::numbers::event;
use super::ports::{Arrival, Port, RawInput, Sent};
use super::{Console, ConsoleConfig};
use crate::pci::{DRIVER_OK, PciDevice};
use std::collections::VecDeque;

impl Console {
    /// Has bytes arrive at a port; they wait until the driver has opened it, and until there are buffers for them.
    /// No bytes are a buffer that is used with length 0.
    pub fn send(&self, port: u32, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref().iter().copied().collect();
        self.lock().arriving.entry(port).or_default().push_back(Arrival::Bytes(bytes));
    }

    /// Has a buffer of a port used with these bytes and this length, whatever they mean.
    pub fn send_raw(&self, port: u32, input: RawInput) {
        self.lock().arriving.entry(port).or_default().push_back(Arrival::Raw(input));
    }

    /// How many bytes wait to arrive at a port.
    pub fn arriving(&self, port: u32) -> usize {
        let state = self.lock();
        let list = state.arriving.get(&port).into_iter().flatten();
        list.map(|arrival| match arrival {
            Arrival::Bytes(bytes) => bytes.len(),
            Arrival::Raw(input) => input.bytes.len(),
        })
        .sum()
    }

    /// The buffers that the driver transmitted through a port since the last call, oldest first.
    pub fn take_sent(&self, port: u32) -> Vec<Sent> {
        self.lock().sent.remove(&port).unwrap_or_default()
    }

    /// The bytes of these buffers, one after the other.
    pub fn take_sent_bytes(&self, port: u32) -> Vec<u8> {
        self.take_sent(port).into_iter().flat_map(|sent| sent.bytes).collect()
    }

    /// How many bytes came to ports that are not there.
    pub fn discarded(&self) -> usize {
        self.lock().discarded
    }

    /// Transmitted buffers that are not given back, and receive buffers that are not filled.
    pub fn held(&self) -> usize {
        self.lock().rings.work().map(VecDeque::len).sum()
    }

    /// The characters that were written through the configuration so far.
    pub fn emergency_output(&self, device: &PciDevice) -> Vec<u8> {
        let writes = device.config_writes().into_iter();
        writes.filter(|(at, ..)| *at == EMERG_WR).map(|(.., value)| value.to_le_bytes()[0]).collect()
    }

    /// Adds a port.
    ///
    /// # Panics
    /// If it is there, or there may not be as many: say that with [`send_control`](Self::send_control).
    pub fn add_port(&self, port: u32) {
        let mut state = self.lock();
        assert!(port < state.most_ports, "port {port} of {}", state.most_ports);
        let before = state.ports.insert(port, Port::default());
        assert!(before.is_none(), "port {port} is there");
        state.tell(port, event::DEVICE_ADD, 0, &[]);
    }

    /// Removes a port, with what was to arrive there.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove_port(&self, port: u32) {
        let mut state = self.lock();
        let before = state.ports.remove(&port);
        assert!(before.is_some(), "port {port} is not there");
        state.arriving.remove(&port);
        state.tell(port, event::DEVICE_REMOVE, 0, &[]);
    }

    /// Makes a port a console.
    pub fn make_console(&self, port: u32) {
        self.change(port, |port| port.is_console = true);
        self.lock().tell_of(port, event::CONSOLE_PORT, 1, &[]);
    }

    /// Gives a port a name, of any bytes.
    pub fn name_port(&self, port: u32, name: impl AsRef<[u8]>) {
        self.change(port, |port| port.name = Some(name.as_ref().to_vec()));
        self.lock().tell_of(port, event::PORT_NAME, 1, name.as_ref());
    }

    /// Opens the device's side of a port.
    pub fn open_port(&self, port: u32) {
        self.change(port, |port| port.is_open = true);
        self.lock().tell_of(port, event::PORT_OPEN, 1, &[]);
    }

    /// Closes the device's side of a port.
    pub fn close_port(&self, port: u32) {
        self.change(port, |port| port.is_open = false);
        self.lock().tell_of(port, event::PORT_OPEN, 0, &[]);
    }

    /// Says the size of a port in a message.
    pub fn resize_port(&self, port: u32, cols: u16, rows: u16) {
        let mut state = self.lock();
        let words = if state.rows_first { [rows, cols] } else { [cols, rows] };
        state.tell_of(port, event::RESIZE, 0, &words.map(u16::to_le_bytes).concat());
    }

    /// Changes the size in the configuration, which is port 0's; a driver that is ready is notified.
    pub fn resize(&self, device: &PciDevice, cols: u16, rows: u16) {
        let config = {
            let mut state = self.lock();
            state.config = ConsoleConfig { cols, rows, ..state.config };
            state.config
        };
        device.set_config(config.bytes());
        if device.status() & DRIVER_OK != 0 {
            device.raise_config();
        }
    }

    /// Sends the driver a message of these bytes, whatever they mean; it waits for a buffer, and for nothing else.
    pub fn send_control(&self, bytes: impl Into<Vec<u8>>) {
        self.lock().outbox.push_back(bytes.into());
    }

    /// How many messages to the driver wait for buffers.
    pub fn control_waiting(&self) -> usize {
        self.lock().outbox.len()
    }

    /// The messages that the driver sent since the last call, oldest first.
    pub fn take_control(&self) -> Vec<Control> {
        std::mem::take(&mut self.lock().controls)
    }

    /// Whether the driver said that it is ready for messages, and that all is well.
    pub fn driver_is_ready(&self) -> bool {
        self.lock().driver_is_ready == Some(true)
    }

    /// Whether the driver said of a port that it is ready.
    pub fn port_is_ready(&self, port: u32) -> bool {
        self.lock().ports.get(&port).is_some_and(|port| port.is_ready)
    }

    /// Whether the driver has a port open.
    pub fn port_is_open_by_driver(&self, port: u32) -> bool {
        self.lock().ports.get(&port).is_some_and(|port| port.is_open_by_driver)
    }

    /// What the driver was told and has not answered: ports that were added, and ports that were made consoles, as port and event.
    pub fn unanswered(&self) -> Vec<(u32, u16)> {
        let state = self.lock();
        let mut list = Vec::new();
        for (port, told) in &state.told {
            if told.readies < told.adds {
                list.push((*port, event::DEVICE_ADD));
            }
            if told.owes_open {
                list.push((*port, event::CONSOLE_PORT));
            }
        }
        list
    }

    fn change(&self, port: u32, change: impl FnOnce(&mut Port)) {
        let mut state = self.lock();
        change(state.ports.get_mut(&port).expect("the port is there"));
    }
}
