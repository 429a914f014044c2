//! Notifications that come once for several frames.
//!
//! Spec: §5.1.9.5.10 Notifications Coalescing. Devices do their best; at first each frame brings a notification, unless those are suppressed.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::net::{Coalescing, Control, ControlError};
//!
//! /// Interrupts for every 32 frames, or 50 microseconds after the first of fewer.
//! fn gather<T: Transport, H: Hal>(card: &mut Control<'_, T, H>) -> Result<(), ControlError> {
//!     card.set_receive_coalescing(Coalescing { max_packets: 32, max_microseconds: 50 }, Attempts(100_000))
//! }
//! ```

use zerocopy::{FromBytes, IntoBytes};

use super::commands::ControlError;
use super::control::Control;
use crate::hal::{Hal, Patience};
use crate::transport::Transport;
use crate::wire::net::NetFeatures;
use crate::wire::net::control::{WireCoalescing, WireQueue, WireQueueCoalescing, class, notf_coal};

/// How notifications are gathered: whichever comes first. If one of both is 0, they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalescing {
    /// So many frames.
    pub max_packets: u32,
    /// So long after the first of them, in microseconds.
    pub max_microseconds: u32,
}

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// Sets it for all receive queues.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`NOTF_COAL`](NetFeatures::NOTF_COAL).
    pub fn set_receive_coalescing(
        &mut self,
        coalescing: Coalescing,
        patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.set_coalescing(notf_coal::RX_SET, coalescing, patience)
    }

    /// Sets it for all transmit queues.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`NOTF_COAL`](NetFeatures::NOTF_COAL).
    pub fn set_transmit_coalescing(
        &mut self,
        coalescing: Coalescing,
        patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.set_coalescing(notf_coal::TX_SET, coalescing, patience)
    }

    /// Sets it for one queue: that of a pair that is used.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`VQ_NOTF_COAL`](NetFeatures::VQ_NOTF_COAL). [`InvalidArgument`](ControlError::InvalidArgument): no such receive or transmit queue was installed.
    pub fn set_queue_coalescing(
        &mut self,
        queue: u16,
        coalescing: Coalescing,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        let queue = self.data_queue(queue)?;
        let needed = NetFeatures::VQ_NOTF_COAL;
        let mut command = self.command(needed, class::NOTF_COAL, notf_coal::VQ_SET, &mut patience)?;
        command.put(WireQueueCoalescing { queue, coalescing: coalescing.on_the_wire() }.as_bytes())?;
        command.run(&mut patience)
    }

    /// Asks how it is for one queue.
    ///
    /// # Errors
    /// As for [`set_queue_coalescing`](Control::set_queue_coalescing).
    pub fn queue_coalescing(
        &mut self,
        queue: u16,
        mut patience: impl Patience,
    ) -> Result<Coalescing, ControlError> {
        let queue = self.data_queue(queue)?;
        let needed = NetFeatures::VQ_NOTF_COAL;
        let mut command = self.command(needed, class::NOTF_COAL, notf_coal::VQ_GET, &mut patience)?;
        command.put(queue.as_bytes())?;
        let answered = command.ask(size_of::<WireCoalescing>(), &mut patience)?;
        let bytes: [u8; size_of::<WireCoalescing>()] = answered.read(0)?;
        let WireCoalescing { max_packets, max_usecs } =
            WireCoalescing::read_from_bytes(&bytes).map_err(|_| ControlError::BadAnswer)?;
        Ok(Coalescing { max_packets: max_packets.get(), max_microseconds: max_usecs.get() })
    }

    fn set_coalescing(
        &mut self,
        what: u8,
        coalescing: Coalescing,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        let mut command = self.command(NetFeatures::NOTF_COAL, class::NOTF_COAL, what, &mut patience)?;
        command.put(coalescing.on_the_wire().as_bytes())?;
        command.run(&mut patience)
    }

    /// A receive or transmit queue that was installed, where this can be set for it.
    fn data_queue(&self, index: u16) -> Result<WireQueue, ControlError> {
        self.need(NetFeatures::VQ_NOTF_COAL)?;
        let exists = index / 2 < self.pairs;
        let queue = WireQueue { vq_index: index.into(), reserved: 0.into() };
        exists.then_some(queue).ok_or(ControlError::InvalidArgument)
    }
}

impl Coalescing {
    fn on_the_wire(self) -> WireCoalescing {
        let Self { max_packets, max_microseconds } = self;
        WireCoalescing { max_packets: max_packets.into(), max_usecs: max_microseconds.into() }
    }
}
