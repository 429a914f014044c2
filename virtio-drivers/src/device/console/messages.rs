//! Control messages: how they come and go.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. What they say is judged in [`table`](super::table).
//!
//! ```text
//!   queue memory, control receiveq    │ message (8), name or size │ …      each buffer goes back once it was copied
//!   queue memory, control transmitq   │ message (8) │ …
//! ```

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::buffers::{FreeBuffers, Places};
use super::record::NAME_BYTES_MAX;
use super::slots::{Buffer, Slots};
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Tag};
use crate::ring::{Broken, Chain, Rearmed, Returned, Used, Virtqueue};
use crate::wire::console::{CONTROL_MESSAGE_BYTES, ControlMessage};

/// Bytes of a buffer for a message from the device: one longer name than is kept fits, so that devices which say more than they may are told from those that do not.
const INCOMING_BYTES: usize = CONTROL_MESSAGE_BYTES + 2 * NAME_BYTES_MAX;
/// Buffers for messages from the device, and as many for those to it.
const MESSAGES_MAX: u16 = 32;

/// Where messages from the device are.
pub(super) fn incoming_places(descriptors: u16) -> Places {
    Places::new(MESSAGES_MAX, u32::try_from(INCOMING_BYTES).unwrap_or(u32::MAX), descriptors)
}

/// Where messages to the device are.
pub(super) fn outgoing_places(descriptors: u16) -> Places {
    Places::new(MESSAGES_MAX, u32::try_from(CONTROL_MESSAGE_BYTES).unwrap_or(u32::MAX), descriptors)
}

/// A message from the device: a private copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    bytes: [u8; INCOMING_BYTES],
    len: usize,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said<'m> {
    /// Of which port,
    pub(super) port: u32,
    /// what,
    pub(super) event: u16,
    /// and how.
    pub(super) value: u16,
    /// What comes behind the message.
    pub(super) more: &'m [u8],
}

impl Incoming {
    /// What it says; `None` if it is too short to say anything.
    pub(super) fn said(&self) -> Option<Said<'_>> {
        let bytes = self.bytes.get(..self.len)?;
        let (message, more) = ControlMessage::read_from_prefix(bytes).ok()?;
        let ControlMessage { id, event, value } = message;
        Some(Said { port: id.get(), event: event.get(), value: value.get(), more })
    }
}

/// The control queues of a live device.
#[derive(Debug)]
pub(super) struct Messages<'s, H: Hal> {
    receive: Virtqueue<'s, H, Buffer>,
    transmit: Virtqueue<'s, H, Buffer>,
    incoming: Places,
    outgoing: Places,
    free: FreeBuffers,
}

impl<'s, H: Hal> Messages<'s, H> {
    /// Live queues, whose buffers the device gets.
    pub(super) fn new(
        receive: Virtqueue<'s, H, Buffer>,
        mut transmit: Virtqueue<'s, H, Buffer>,
        notified: bool,
    ) -> Self {
        let (incoming, outgoing) = (incoming_places(receive.size()), outgoing_places(transmit.size()));
        let free = FreeBuffers::all(outgoing.count());
        transmit.suppress_notifications();
        let mut messages = Self { receive, transmit, incoming, outgoing, free };
        if !notified {
            messages.receive.suppress_notifications();
        }
        for buffer in 0..incoming.count() {
            messages.give(buffer);
        }
        messages.publish();
        messages
    }

    /// Shows the device what was sent, and which buffers are empty again.
    pub(super) fn publish(&mut self) {
        self.transmit.publish();
        self.receive.publish();
    }

    /// Makes a buffer available for another message.
    fn give(&mut self, buffer: u16) {
        let chain = Chain { readable: &[], writable: &[self.incoming.whole(buffer)] };
        // There is a descriptor for each buffer; only a queue that is out of service refuses it, and then it is of no use.
        let _ = self.receive.make_available(chain, Tag(buffer));
    }

    /// The next message, if one has come. Its buffer goes back to the device with the next publish, so until then no more come than there are buffers.
    pub(super) fn receive(&mut self) -> Result<Option<Incoming>, Broken> {
        let Some(Used { payload: Tag(buffer), written_len }) = self.receive.take_used()? else {
            return Ok(None);
        };
        let mut message = Incoming { bytes: [0; INCOMING_BYTES], len: 0 };
        let len = usize::try_from(written_len).unwrap_or(usize::MAX).min(INCOMING_BYTES);
        let into = message.bytes.get_mut(..len).unwrap_or_default();
        // A message that cannot be read is as one that was not written.
        if self.receive.read_memory(self.incoming.offset(buffer, 0), into).is_ok() {
            message.len = len;
        }
        self.give(buffer);
        Ok(Some(message))
    }

    /// Whether there is room for a message to the device.
    pub(super) fn has_room(&mut self) -> Result<bool, Broken> {
        let Self { transmit, free, .. } = self;
        if free.is_empty() {
            transmit.take_used_burst(MESSAGES_MAX.into(), |used| {
                let Tag(buffer) = used.payload;
                free.put(buffer);
            })?;
        }
        Ok(!free.is_empty())
    }

    /// Sends a message with the next publish, if there is room.
    pub(super) fn send(&mut self, port: u32, event: u16, value: u16) {
        let Some(buffer) = self.free.take() else { return };
        let message = ControlMessage { id: U32::new(port), event: U16::new(event), value: U16::new(value) };
        // There is room for it, and a descriptor for each buffer; a queue that is out of service says so to whoever asks it for room.
        let _ = self.transmit.write_memory(self.outgoing.offset(buffer, 0), message.as_bytes());
        let chain = Chain { readable: &[self.outgoing.whole(buffer)], writable: &[] };
        let _ = self.transmit.make_available(chain, Tag(buffer));
    }

    /// Asks for an interrupt when something can be done: a message has come, or, where there is no room to answer one, there is room again.
    pub(super) fn rearm(&mut self) -> Rearmed {
        if self.free.is_empty() {
            return self.transmit.rearm();
        }
        self.transmit.suppress_notifications();
        self.receive.rearm()
    }

    /// Tells the device that interrupts are not needed.
    pub(super) fn suppress_notifications(&mut self) {
        self.receive.suppress_notifications();
        self.transmit.suppress_notifications();
    }

    /// Why one of the queues is out of service, if it is.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.receive.broken().or(self.transmit.broken())
    }

    /// Takes the queues out of service while the reset of their device is under way.
    pub(super) const fn retire(&mut self) {
        self.receive.retire();
        self.transmit.retire();
    }

    /// The storage, after the reset of the device; room for nothing in the place of what is another device's.
    pub(super) fn reclaim(self, reset: &ConfirmedReset) -> Slots<'s> {
        let Self { receive, transmit, .. } = self;
        let (receive, transmit) = (receive.reclaim(reset), transmit.reclaim(reset));
        let none = Slots::none();
        Slots {
            receive: receive.map_or(none.receive, Returned::into_slots),
            transmit: transmit.map_or(none.transmit, Returned::into_slots),
        }
    }
}
