//! The driver's user: takes events, opens and closes ports, reads and writes.
//!
//! Spec: §5.3.6 Device Operation. A message is about one port, and changes no other; a call looks at no more messages than there are buffers; and what an honest device says is no nonsense.

use std::cell::RefCell;
use std::rc::Rc;

use virtio_guest::device::console::{ControlCounts, ControlError, NAME_BYTES_MAX, PortEvent, Size};
use virtio_guest::ring::Rearmed;

use super::bring_up::{DESCRIPTORS, Half, Queues, USABLE};
use super::device::Device;

/// What is known of a port, as the user sees it.
type View = Option<(bool, bool, Option<String>, Option<Size>)>;

/// See the module's head.
pub(super) struct Life<'s> {
    device: Rc<RefCell<Device>>,
    control: Half<'s>,
    queues: Vec<Queues<'s>>,
    /// What the device was told last of each port.
    opened: [Option<bool>; USABLE],
    /// Bytes that were written to any port.
    written: u8,
}

const fn port_of(event: PortEvent) -> u16 {
    match event {
        PortEvent::Added(port)
        | PortEvent::Removed(port)
        | PortEvent::Console(port)
        | PortEvent::Opened(port)
        | PortEvent::Closed(port)
        | PortEvent::Named(port)
        | PortEvent::Resized(port) => port,
    }
}

/// Messages that came to nothing.
const fn nonsense(counts: &ControlCounts) -> u64 {
    let ControlCounts { short, impossible_ports, absent_ports, added_twice, bad_names, .. } = *counts;
    short + impossible_ports + absent_ports + added_twice + bad_names + counts.unknown_events
}

impl<'s> Life<'s> {
    pub(super) fn new(device: Rc<RefCell<Device>>, control: Half<'s>, queues: Vec<Queues<'s>>) -> Self {
        Self { device, control, queues, opened: [None; USABLE], written: 0 }
    }

    fn is_honest(&self) -> bool {
        self.device.borrow().is_honest
    }

    fn views(&self) -> [View; USABLE] {
        std::array::from_fn(|number| {
            let port = self.control.port(number as u16)?;
            assert!(port.name.is_none_or(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX));
            Some((port.is_console, port.device_is_open, port.name.map(String::from), port.size))
        })
    }

    /// Lives on until the script is over. An honest device has got all its answers then.
    pub(super) fn run(mut self) -> (Half<'s>, Vec<Queues<'s>>) {
        loop {
            let step = self.device.borrow_mut().script.step();
            let Some(step) = step else { break };
            self.device.borrow_mut().act();
            let port = usize::from(step >> 4) % USABLE;
            match step % 16 {
                0..5 => drop(self.event()),
                5 => self.tell(port, true),
                6 => self.tell(port, false),
                7 | 8 => self.read(port),
                9 | 10 => self.write(port),
                11 => {
                    let flushed = self.queues[port].1.flush();
                    assert!(flushed.is_ok() || !self.is_honest(), "an honest device breaks no queue");
                }
                12 => match self.control.rearm_events() {
                    Rearmed::Quiet => {}
                    Rearmed::MoreWaiting => self.control.suppress_events(),
                },
                13 => drop((self.queues[port].0.rearm(), self.queues[port].1.rearm())),
                14 => assert!(self.control.size().is_ok()),
                _ => {}
            }
        }
        self.settle();
        (self.control, self.queues)
    }

    /// The next event.
    fn event(&mut self) -> bool {
        let (views, before) = (self.views(), self.control.counts());
        let event = self.control.next_event();
        let (now, counts) = (self.views(), self.control.counts());
        let looked = counts.messages - before.messages;
        assert!(looked <= DESCRIPTORS as u64, "{looked} messages in one call");
        if self.is_honest() {
            assert!(event.is_ok(), "an honest device breaks no queue");
            assert_eq!(nonsense(&counts), 0, "an honest device says what makes sense: {counts:?}");
        }
        let about = event.ok().flatten();
        for (port, (before, now)) in views.iter().zip(&now).enumerate() {
            if about.map(port_of) != Some(port as u16) {
                assert_eq!(before, now, "port {port} changed, and nobody is told");
            }
        }
        let Some(event) = about else { return false };
        let port = usize::from(port_of(event));
        let (before, now) = (&views[port], &now[port]);
        match event {
            PortEvent::Added(_) => {
                assert!(before.is_none() && *now == Some((false, false, None, None)), "a new port: {now:?}");
            }
            PortEvent::Removed(_) => {
                assert!(before.is_some() && now.is_none(), "a port that is gone");
                self.opened[port] = None;
            }
            PortEvent::Console(_) => {
                assert!(now.as_ref().is_some_and(|view| view.0), "a console");
                self.opened[port] = Some(true);
            }
            PortEvent::Opened(_) => assert!(now.as_ref().is_some_and(|view| view.1), "an open port"),
            PortEvent::Closed(_) => assert!(now.as_ref().is_some_and(|view| !view.1), "a closed port"),
            PortEvent::Named(_) => assert!(now.as_ref().is_some_and(|view| view.2.is_some()), "a name"),
            PortEvent::Resized(_) => assert!(now.as_ref().is_some_and(|view| view.3.is_some()), "a size"),
        }
        true
    }

    fn tell(&mut self, port: usize, is_open: bool) {
        let number = port as u16;
        let is_there = self.control.port(number).is_some();
        let told = if is_open { self.control.open_port(number) } else { self.control.close_port(number) };
        match told {
            Ok(()) => {
                assert!(is_there, "a port that is not there");
                self.opened[port] = Some(is_open);
            }
            Err(ControlError::NoSuchPort) => assert!(!is_there, "a port that is there"),
            Err(error) => assert!(!self.is_honest(), "an honest device: {error}"),
        }
    }

    fn read(&mut self, port: usize) {
        let mut into = [0; 64];
        let mut device = self.device.borrow_mut();
        let room = usize::from(device.script.detail()) % into.len();
        let count = self.queues[port].0.read(&mut into[..room]);
        assert!(count.is_ok() || !device.is_honest, "an honest device breaks no queue");
        let count = count.unwrap_or(0);
        assert!(count <= room, "more bytes than there is room for");
        let is_honest = device.is_honest;
        device.streams.read(port, &into[..count], is_honest);
    }

    fn write(&mut self, port: usize) {
        let mut device = self.device.borrow_mut();
        let wanted = device.script.detail();
        let bytes: Vec<_> = (0..wanted).map(|at| at.wrapping_add(self.written)).collect();
        let count = self.queues[port].1.write(&bytes);
        assert!(count.is_ok() || !device.is_honest, "an honest device breaks no queue");
        let count = count.unwrap_or(0);
        self.written = self.written.wrapping_add(count as u8);
        device.wrote(port, &bytes[..count]);
    }

    /// Both sides go on until neither has more to say.
    fn settle(&mut self) {
        if !self.is_honest() {
            return;
        }
        self.device.borrow().console.release_all();
        for _ in 0..200 {
            self.device.borrow_mut().serve();
            let is_told = self.event();
            let device = self.device.borrow();
            if !is_told && device.console.control_waiting() == 0 {
                break;
            }
        }
        self.device.borrow_mut().serve();
        self.device.borrow().assert_answered(&self.opened);
    }
}
