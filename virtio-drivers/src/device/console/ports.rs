//! What the control half knows and says of ports.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.
//!
//! A message is taken only when there is room for an answer to it. So no answer is lost, whatever the device does, and nobody waits; a device that takes no answers is not listened to.

use core::future::poll_fn;

use super::control::Control;
use super::messages::Messages;
use super::slots::ControlSlots;
use super::table::{ControlCounts, Port, PortEvent, Table, Verdict};
use super::waiting::poll_for;
use crate::hal::Hal;
use crate::lifecycle::Condition;
use crate::raw::ConfirmedReset;
use crate::ring::{Broken, Rearmed};
use crate::transport::Transport;
use crate::wire::console::{CONTROL_RECEIVE_QUEUE, CONTROL_TRANSMIT_QUEUE, event};

/// Those whose interrupts wake whoever waits for events.
const CONTROL_QUEUES: [u16; 2] = [CONTROL_RECEIVE_QUEUE, CONTROL_TRANSMIT_QUEUE];

/// Why a call about ports did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There are no control queues: `MULTIPORT` was not agreed on, or they were not installed.
    #[error("the console has no control queues")]
    Unsupported,
    /// The device has not added such a port, or has removed it.
    #[error("there is no such port")]
    NoSuchPort,
    /// The device broke the protocol of a control queue. Ports that are open go on; nothing is heard or told of them before a reset.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The control queues, and the ports that they are about.
#[derive(Debug)]
pub(super) struct Ports<'s, H: Hal> {
    messages: Messages<'s, H>,
    table: Table<'s>,
    /// Whether the device may still have to be told something.
    owes: bool,
}

impl<'s, H: Hal> Ports<'s, H> {
    /// Tells the device that its driver is ready.
    pub(super) fn begin(mut messages: Messages<'s, H>, table: Table<'s>) -> Self {
        messages.send(0, event::DEVICE_READY, 1);
        messages.publish();
        Self { messages, table, owes: false }
    }

    /// Looks at what the device has sent, until something is worth telling.
    fn next_event(&mut self) -> Result<Option<PortEvent>, Broken> {
        let event = self.judge_next();
        self.messages.publish();
        event
    }

    fn judge_next(&mut self) -> Result<Option<PortEvent>, Broken> {
        self.pay()?;
        while self.messages.has_room()? {
            let Some(message) = self.messages.receive()? else { break };
            let said = message.said();
            let id = said.map_or(0, |said| said.port);
            let Verdict { event, answer } = self.table.judge(said);
            if let Some((event, value)) = answer {
                self.messages.send(id, event, value);
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Tells the device what it is still to be told, as far as there is room.
    fn pay(&mut self) -> Result<(), Broken> {
        while self.owes && self.messages.has_room()? {
            match self.table.next_owed() {
                Some((port, is_open)) => {
                    self.messages.send(port.into(), event::PORT_OPEN, is_open.into());
                    self.table.told(port, is_open);
                }
                None => self.owes = false,
            }
        }
        Ok(())
    }

    /// Tells the device, now or when there is room, that a port is open here or closed.
    fn tell(&mut self, port: u16, is_open: bool) -> Result<(), ControlError> {
        if let Some(broken) = self.messages.broken() {
            return Err(broken.into());
        }
        if !self.table.owe(port, is_open) {
            return Err(ControlError::NoSuchPort);
        }
        self.owes = true;
        let paid = self.pay();
        self.messages.publish();
        Ok(paid?)
    }

    /// Takes the queues out of service while the reset of their device is under way.
    pub(super) const fn retire(&mut self) {
        self.messages.retire();
    }

    /// The storage, after the reset of the device.
    pub(super) fn reclaim(self, reset: &ConfirmedReset) -> ControlSlots<'s> {
        let Self { messages, table, .. } = self;
        ControlSlots { queues: messages.reclaim(reset), ports: table.into_slots() }
    }
}

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// What the device tells next of its ports, if it has told something. What has to be answered is answered: that an added port can be used, and that a console is open here.
    ///
    /// Work: looks at no more messages than there are buffers for them; never waits. `None` if nothing is worth telling in those, and always if there are no control queues.
    ///
    /// # Errors
    /// - [`ControlError::Broken`]: the device broke the protocol, now or earlier.
    ///
    /// Spec: §5.3.6.2 Multiport Device Operation.
    pub fn next_event(&mut self) -> Result<Option<PortEvent>, ControlError> {
        let Some(ports) = &mut self.ports else { return Ok(None) };
        Ok(ports.next_event()?)
    }

    /// Waits for the next event. For ever, if no interrupts are connected, or there are no control queues; also if the device needs a reset, of which [`attention`](Control::attention) tells.
    ///
    /// *Cancellation*: nothing is lost; the next call gives the event.
    /// *Wakes*: by the interrupts of the control queues.
    ///
    /// # Errors
    /// As [`next_event`](Control::next_event).
    pub async fn event(&mut self) -> Result<PortEvent, ControlError> {
        let signals = CONTROL_QUEUES.map(|queue| self.half.queue_signal(queue));
        poll_fn(|context| poll_for(self, signals, context, Self::next_event, Self::rearm_events)).await
    }

    /// Waits until there is something to look at: an interrupt said that the configuration changed ([`size`](Control::size)), or the device tells something of its ports ([`next_event`](Control::next_event)).
    /// Says how the device is. For ever, if no interrupts are connected.
    ///
    /// *Cancellation*: nothing is lost.
    /// *Wakes*: by the interrupts for the configuration and the control queues. One call at a time.
    pub async fn attention(&mut self) -> Condition {
        let Self { half, ports, .. } = self;
        let rearm = || ports.as_mut().map_or(Rearmed::Quiet, |ports| ports.messages.rearm());
        half.attention(CONTROL_QUEUES.map(Some), rearm).await
    }

    /// Asks for an interrupt when the device tells something, and looks once more: what has come already brings none.
    pub fn rearm_events(&mut self) -> Rearmed {
        self.ports.as_mut().map_or(Rearmed::Quiet, |ports| ports.messages.rearm())
    }

    /// Tells the device that interrupts for control messages are not needed. A hint; some may still come.
    pub fn suppress_events(&mut self) {
        if let Some(ports) = &mut self.ports {
            ports.messages.suppress_notifications();
        }
    }

    /// Tells the device that a port is open on this side. Before that, many a device passes nothing on to a port that is no console.
    ///
    /// Never waits: if there is no room for the message it goes with a later call, to this or to [`next_event`](Control::next_event). A port that is removed and added again is to be opened again.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn open_port(&mut self, port: u16) -> Result<(), ControlError> {
        self.tell(port, true)
    }

    /// Tells the device that a port is closed on this side; as [`open_port`](Control::open_port). What the device sends all the same is received.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn close_port(&mut self, port: u16) -> Result<(), ControlError> {
        self.tell(port, false)
    }

    fn tell(&mut self, port: u16, is_open: bool) -> Result<(), ControlError> {
        self.ports.as_mut().ok_or(ControlError::Unsupported)?.tell(port, is_open)
    }

    /// What the device has told of a port, if there is such a port.
    pub fn port(&self, port: u16) -> Option<Port<'_>> {
        self.ports.as_ref()?.table.port(port)
    }

    /// What has come of the device's messages.
    pub fn counts(&self) -> ControlCounts {
        self.ports.as_ref().map_or_else(ControlCounts::default, |ports| ports.table.counts())
    }
}
