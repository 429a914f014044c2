//! The console: the model's, and what the fuzzer has it do.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. A lie about what a message or a length says leaves the driver nothing to do wrong, but that it may answer for ports that are not there; one about ids and indices makes it a different driver to the model.

use virtio_model::Console;
use virtio_model::block::{Order, WrittenLen};
use virtio_model::console::{RawInput, message};
use virtio_model::pci::PciDevice;
use virtio_test_hal::TestHal;

use super::streams::Streams;
use crate::script::Script;

/// Ports that the device can have.
pub(super) const PORTS: usize = 4;

/// See the module's head.
pub(super) struct Device {
    pub(super) console: Console,
    pub(super) device: PciDevice,
    hal: TestHal,
    pub(super) script: Script,
    /// Whether it has told no lie.
    pub(super) is_honest: bool,
    /// Which ports it has added,
    there: [bool; PORTS],
    /// and which it has removed at any time.
    was_removed: [bool; PORTS],
    /// What went into ports, and has to come out.
    pub(super) streams: Streams,
}

fn length(script: &mut Script) -> WrittenLen {
    let [kind, bytes] = [script.decision(), script.decision()];
    match kind % 4 {
        0 => WrittenLen::Honest,
        1 => WrittenLen::Less(bytes.into()),
        2 => WrittenLen::More(bytes.into()),
        _ => WrittenLen::Exactly(u32::from(bytes) * u32::from(kind)),
    }
}

fn some_bytes(script: &mut Script, most: u8) -> Vec<u8> {
    let count = script.decision() % most;
    (0..count).map(|_| script.decision()).collect()
}

impl Device {
    pub(super) fn new(console: Console, device: PciDevice, hal: TestHal, script: Script) -> Self {
        let streams = Streams::default();
        let there = [false; PORTS];
        Self { console, device, hal, script, is_honest: true, there, was_removed: there, streams }
    }

    /// Works, and looks at what was transmitted.
    pub(super) fn serve(&mut self) {
        self.console.serve(&self.device, &self.hal.space);
        for port in 0..PORTS {
            let sent = self.console.take_sent_bytes(port as u32);
            self.streams.sent(port, &sent, self.is_honest);
        }
    }

    /// The driver wrote bytes to a port.
    pub(super) fn wrote(&mut self, port: usize, bytes: &[u8]) {
        self.streams.wrote(port, bytes, self.there[port]);
    }

    /// Whether the driver's answers to all that it was told have come, and what it said last of each port counts. Of a port that comes again something may be said that was about the one before.
    pub(super) fn assert_answered(&self, opened: &[Option<bool>]) {
        assert_eq!(self.console.unanswered(), [], "what has to be answered");
        for (port, opened) in
            opened.iter().enumerate().filter(|(port, _)| self.there[*port] && !self.was_removed[*port])
        {
            let is_open = self.console.port_is_open_by_driver(port as u32);
            assert_eq!(is_open, opened.unwrap_or(false), "the last word about port {port}");
        }
    }

    /// The end: whatever was said to the driver, it did nothing wrong; unless it was lied to.
    pub(super) fn assert_driver_was_correct(&self) {
        if self.is_honest {
            let faults = self.hal.space.faults();
            assert!(faults.is_empty(), "the driver has the device reach for what is not there: {faults:?}");
            self.device.assert_driver_was_correct();
        }
    }

    /// Does what the next decision says; 0 is to do all the work that there is.
    pub(super) fn act(&mut self) {
        let decision = self.script.decision();
        let port = usize::from(decision) % PORTS;
        let is_there = self.there[port];
        match decision {
            0..0x40 => self.serve(),
            0x40..0x60 => self.come_or_go(port),
            0x60..0x68 if is_there => self.console.make_console(port as u32),
            0x68..0x70 if is_there => {
                self.console.name_port(port as u32, "a name that is text".get(..1 + port * 5).unwrap_or("ü"));
            }
            0x70..0x78 if is_there => self.console.open_port(port as u32),
            0x78..0x80 if is_there => self.console.close_port(port as u32),
            0x80..0x88 if is_there => self.console.resize_port(port as u32, decision.into(), 25),
            0x88..0xa0 => {
                let bytes = some_bytes(&mut self.script, 40);
                self.console.send(port as u32, &bytes);
                self.streams.arrives(port, &bytes);
            }
            0xa0..0xa4 => self.console.hold(),
            0xa4..0xa8 => self.console.release_all(),
            0xa8..0xac => self.console.complete_in(Order::Reverse),
            0xac..0xb0 => self.console.suppress_notifications(decision & 1 == 0),
            0xb0.. => {
                self.is_honest = false;
                self.lie(decision);
            }
            _ => {}
        }
    }

    fn come_or_go(&mut self, port: usize) {
        if self.there[port] {
            self.streams.cut(port, self.console.arriving(port as u32));
            self.console.remove_port(port as u32);
            self.was_removed[port] = true;
        } else {
            self.console.add_port(port as u32);
        }
        self.there[port] = !self.there[port];
    }

    fn lie(&mut self, decision: u8) {
        let Self { console, script, .. } = self;
        match decision {
            // A message about any port, of any event, and what comes behind it.
            0xb0..0xd0 => {
                let [port, event, value] = [(); 3].map(|()| script.decision());
                let port = if port < 0xf0 { u32::from(port % 8) } else { u32::from(port) << 24 };
                let event = if event < 0xf0 { u16::from(event % 10) } else { u16::from(event) << 8 };
                let more = some_bytes(script, 24);
                console.send_control(message(port, event, (value & 1).into(), &more));
            }
            // Any bytes.
            0xd0..0xd8 => console.send_control(some_bytes(script, 40)),
            0xd8..0xdc => {
                let flood = some_bytes(script, 20);
                console.misbehave(|lies| lies.floods = (decision & 1 == 0).then_some(flood));
            }
            0xdc..0xf0 => console.misbehave(|lies| match decision % 8 {
                0 => lies.received_written = length(script),
                1 => lies.sent_written = length(script),
                2 => lies.control_written = length(script),
                3 => lies.answered_written = length(script),
                4 => lies.ignores_control = true,
                5 => lies.ignores_open = true,
                _ => *lies = Default::default(),
            }),
            0xf0..0xf4 => {
                let bytes = some_bytes(script, 40);
                let written = length(script);
                console.send_raw(u32::from(decision % 4), RawInput { bytes, written });
            }
            _ => self.forge(decision),
        }
    }

    /// Lies about ids and indices.
    fn forge(&mut self, decision: u8) {
        let Self { console, device, hal, script, .. } = self;
        let [place, id, len] = [(); 3].map(|()| u16::from(script.decision() % 64));
        match decision {
            0xf4..0xf6 => console.misbehave(|lies| lies.received_id = Some(id.into())),
            0xf6..0xf8 => console.misbehave(|lies| lies.sent_id = Some(id.into())),
            0xf8..0xfa => console.misbehave(|lies| lies.control_id = Some(id.into())),
            _ => {
                // Mostly the control queues.
                let index = [2, 3, 2, 3, 0, 5][usize::from(decision - 0xfa)];
                let _ = console.with_queue(device, &hal.space, index, |queue| {
                    if queue.is_packed() {
                        queue.packed().put_used(place % 16, id, len.into(), 0x8080)
                    } else if place & 1 == 0 {
                        queue.split().set_used_idx(place / 2)
                    } else {
                        queue.split().put_used_element(place / 2, id.into(), len.into()).map(drop)
                    }
                });
            }
        }
    }
}
