//! The table of ports: what the device's messages come to, and which of them are nonsense.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. Knows no queue. Whatever a message says, it is about one port, and no other is changed by it.

use core::fmt;

use super::messages::Said;
use super::record::Record;
use super::settings::{Size, SizeOrder};
use super::slots::PortSlots;
use crate::wire::console::event;

/// What has happened to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// There is a port with this number. The device was answered that it can be used.
    Added(u16),
    /// The port is gone. Its queues stay as they are, in case that the device adds it again.
    Removed(u16),
    /// The port is a console. The device was answered that it is open on this side.
    Console(u16),
    /// The port is open on the device's side.
    Opened(u16),
    /// It is closed there.
    Closed(u16),
    /// The port has another [name](Port::name).
    Named(u16),
    /// The port's console has another [size](Port::size).
    Resized(u16),
}

/// What has come of control messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Messages of the device.
    pub messages: u64,
    /// Of them those that are shorter than what they say takes.
    pub short: u64,
    /// About a port that the device cannot have, by its own word.
    pub impossible_ports: u64,
    /// About a port for which no queues were installed, or there is no storage. That one was added is answered with the word that it cannot be used.
    pub unusable_ports: u64,
    /// About a port that was not added: removed twice, say.
    pub absent_ports: u64,
    /// That a port is added which is there.
    pub added_twice: u64,
    /// With a name that is empty, longer than [`NAME_BYTES_MAX`](super::NAME_BYTES_MAX) bytes, or not UTF-8. The port keeps the one that it has.
    pub bad_names: u64,
    /// About something that a device does not tell, or that is not known.
    pub unknown_events: u64,
}

/// A port that the device has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'c> {
    /// Its number.
    pub number: u16,
    /// Whether it is a console: else it is for whatever both sides agree on.
    pub is_console: bool,
    /// Whether it is open on the device's side.
    pub device_is_open: bool,
    /// Its name, if it has one.
    pub name: Option<&'c str>,
    /// The size of its console, if a message said it. For port 0 see [`Control::size`](super::Control::size), too.
    pub size: Option<Size>,
}

/// What a message comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What the user is told.
    pub(super) event: Option<PortEvent>,
    /// What the device is told, of the same port: an event and a value.
    pub(super) answer: Option<(u16, u16)>,
}

/// See the module's head.
pub(super) struct Table<'s> {
    slots: PortSlots<'s>,
    /// How many ports the device can have.
    ports_max: u32,
    /// Ports with lower numbers have queues.
    usable: u16,
    order: SizeOrder,
    counts: ControlCounts,
}

impl<'s> Table<'s> {
    /// A table of no ports yet.
    pub(super) fn new(mut slots: PortSlots<'s>, ports_max: u32, usable: u16, order: SizeOrder) -> Self {
        slots.records_mut().fill(Record::EMPTY);
        Self { slots, ports_max, usable, order, counts: ControlCounts::default() }
    }

    pub(super) const fn counts(&self) -> ControlCounts {
        self.counts
    }

    pub(super) fn into_slots(self) -> PortSlots<'s> {
        self.slots
    }

    /// A port that was added.
    pub(super) fn port(&self, number: u16) -> Option<Port<'_>> {
        let record = self.slots.records().get(usize::from(number)).filter(|record| record.is_there)?;
        let &Record { is_console, device_is_open, size, .. } = record;
        Some(Port { number, is_console, device_is_open, name: record.name(), size })
    }

    /// Remembers to tell the device that a port is open here, or closed. Says whether there is such a port.
    pub(super) fn owe(&mut self, port: u16, is_open: bool) -> bool {
        let record = self.slots.records_mut().get_mut(usize::from(port)).filter(|record| record.is_there);
        record.map(|record| record.owe(is_open)).is_some()
    }

    /// What the device is to be told next: of which port, and whether it is open here.
    pub(super) fn next_owed(&self) -> Option<(u16, bool)> {
        let mut records = (0..).zip(self.slots.records());
        records.find_map(|(port, record)| Some((port, record.next_owed()?)))
    }

    /// It was told.
    pub(super) fn told(&mut self, port: u16, is_open: bool) {
        if let Some(record) = self.slots.records_mut().get_mut(usize::from(port)) {
            record.told(is_open);
        }
    }

    /// Judges a message; `None` is one that is too short to say anything.
    pub(super) fn judge(&mut self, said: Option<Said<'_>>) -> Verdict {
        self.counts.messages = self.counts.messages.wrapping_add(1);
        let verdict = match said {
            Some(said) => self.hear(said),
            None => Err(Nonsense::Short),
        };
        verdict.unwrap_or_else(|nonsense| {
            let counter = self.counts.of(nonsense);
            *counter = counter.wrapping_add(1);
            // That a port is added has an answer, if there can be such a port.
            let is_refused = nonsense == Nonsense::UnusablePort { is_added: true };
            Verdict { event: None, answer: is_refused.then_some((event::PORT_READY, 0)) }
        })
    }

    fn hear(&mut self, said: Said<'_>) -> Result<Verdict, Nonsense> {
        let number = u16::try_from(said.port).ok().filter(|port| *port < self.usable);
        let record = number.and_then(|port| self.slots.records_mut().get_mut(usize::from(port)));
        match number.zip(record) {
            Some((port, record)) => hear_of(port, record, said, self.order),
            None if said.port >= self.ports_max => Err(Nonsense::ImpossiblePort),
            None => Err(Nonsense::UnusablePort { is_added: said.event == event::DEVICE_ADD }),
        }
    }
}

/// Why a message comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nonsense {
    Short,
    ImpossiblePort,
    UnusablePort { is_added: bool },
    AbsentPort,
    AddedTwice,
    BadName,
    UnknownEvent,
}

impl ControlCounts {
    const fn of(&mut self, nonsense: Nonsense) -> &mut u64 {
        match nonsense {
            Nonsense::Short => &mut self.short,
            Nonsense::ImpossiblePort => &mut self.impossible_ports,
            Nonsense::UnusablePort { .. } => &mut self.unusable_ports,
            Nonsense::AbsentPort => &mut self.absent_ports,
            Nonsense::AddedTwice => &mut self.added_twice,
            Nonsense::BadName => &mut self.bad_names,
            Nonsense::UnknownEvent => &mut self.unknown_events,
        }
    }
}

/// What a message about a port comes to that can be used.
fn hear_of(port: u16, record: &mut Record, said: Said<'_>, order: SizeOrder) -> Result<Verdict, Nonsense> {
    let there = |record: &Record| record.is_there.then_some(()).ok_or(Nonsense::AbsentPort);
    match said.event {
        event::DEVICE_ADD if record.is_there => Err(Nonsense::AddedTwice),
        event::DEVICE_ADD => {
            *record = Record::EMPTY;
            record.is_there = true;
            Ok(Verdict { event: Some(PortEvent::Added(port)), answer: Some((event::PORT_READY, 1)) })
        }
        event::DEVICE_REMOVE => {
            there(record)?;
            *record = Record::EMPTY;
            Ok(PortEvent::Removed(port).into())
        }
        event::CONSOLE_PORT => {
            there(record)?;
            record.is_console = true;
            Ok(Verdict { event: Some(PortEvent::Console(port)), answer: Some((event::PORT_OPEN, 1)) })
        }
        event::RESIZE => {
            there(record)?;
            let &[a, b, c, d] = said.more.first_chunk().ok_or(Nonsense::Short)?;
            let (first, second) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            record.size = Some(Size::ordered(first, second, order));
            Ok(PortEvent::Resized(port).into())
        }
        event::PORT_OPEN => {
            there(record)?;
            let is_open = said.value != 0;
            let has_changed = core::mem::replace(&mut record.device_is_open, is_open) != is_open;
            let event = if is_open { PortEvent::Opened(port) } else { PortEvent::Closed(port) };
            Ok(Verdict { event: has_changed.then_some(event), answer: None })
        }
        event::PORT_NAME => {
            there(record)?;
            // There are devices that end a name with a NUL, though none belongs there.
            let name = said.more.strip_suffix(&[0]).unwrap_or(said.more);
            record.set_name(name).then_some(PortEvent::Named(port).into()).ok_or(Nonsense::BadName)
        }
        _ => Err(Nonsense::UnknownEvent),
    }
}

impl From<PortEvent> for Verdict {
    fn from(event: PortEvent) -> Self {
        Self { event: Some(event), answer: None }
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usable, counts, .. } = self;
        f.debug_struct("Table").field("usable", usable).field("counts", counts).finish_non_exhaustive()
    }
}
