//! Which interrupt vector means what.
//!
//! Spec: §4.1.5.1.2 MSI-X Vector Configuration, §4.1.5.1.2.1 (a device may refuse a vector). The kernel has given messages to the transport before; here they are dealt out, while the device
//! comes up. A device that does not take as many vectors as there are causes shares them; one that takes none is left to its interrupt line, or to be polled:
//!
//! ```text
//!   PerQueue          vector 0: configuration     vector 1 + n: queue n
//!   SharedByQueues    vector 0: configuration     vector 1: all queues
//!   SharedByAll       vector 0: everything
//!   NoVectors         use_interrupt_line, or polling
//! ```

use super::queues::Installing;
use super::running::Running;
use crate::transport::{InterruptCause, InterruptLine, Transport, VectorRefused};

/// The vector of configuration changes, and in the last resort of everything.
const CONFIG_VECTOR: u16 = 0;
/// The first vector of queues.
const FIRST_QUEUE_VECTOR: u16 = 1;

/// How a device's vectors were dealt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VectorRouting {
    /// Vector 0 says that the configuration changed, vector 1 + n that queue n has used buffers.
    PerQueue,
    /// Vector 0 says that the configuration changed, vector 1 that a queue has used buffers.
    SharedByQueues,
    /// Vector 0 says that either is the case.
    SharedByAll,
    /// The device sends no vectors: it is to use its line ([`Running::use_interrupt_line`]), or to be polled.
    #[default]
    NoVectors,
}

impl VectorRouting {
    /// From the best to the last resort.
    const IN_ORDER: [Self; 3] = [Self::PerQueue, Self::SharedByQueues, Self::SharedByAll];

    /// The vector that says that a queue has used buffers.
    pub const fn queue_vector(self, index: u16) -> Option<u16> {
        match self {
            Self::PerQueue => index.checked_add(FIRST_QUEUE_VECTOR),
            Self::SharedByQueues => Some(FIRST_QUEUE_VECTOR),
            Self::SharedByAll => Some(CONFIG_VECTOR),
            Self::NoVectors => None,
        }
    }

    /// The vector of a queue, where so many were told of: one beyond them has no vector of its own, and shares the configuration's.
    pub(super) const fn queue_vector_among(self, index: u16, queues: u16) -> Option<u16> {
        match self {
            Self::PerQueue if index >= queues => Some(CONFIG_VECTOR),
            _ => self.queue_vector(index),
        }
    }

    /// Vectors that this takes for so many queues.
    pub const fn vectors(self, queues: u16) -> u16 {
        match self {
            Self::PerQueue => queues.saturating_add(FIRST_QUEUE_VECTOR),
            Self::SharedByQueues => 2,
            Self::SharedByAll => 1,
            Self::NoVectors => 0,
        }
    }

    /// What a vector says.
    pub const fn cause(self, vector: u16) -> InterruptCause {
        let configuration_change = match self {
            Self::NoVectors => false,
            _ => vector == CONFIG_VECTOR,
        };
        let used_buffer = match self {
            Self::PerQueue | Self::SharedByQueues => vector != CONFIG_VECTOR,
            Self::SharedByAll => true,
            Self::NoVectors => false,
        };
        InterruptCause { used_buffer, configuration_change }
    }

    /// Tells the device all of it, and so learns whether it takes it.
    fn try_on(self, transport: &mut impl Transport, queues: u16) -> Result<(), VectorRefused> {
        if self.vectors(queues) > transport.vectors() {
            return Err(VectorRefused);
        }
        transport.set_config_vector(CONFIG_VECTOR)?;
        for index in 0..queues {
            transport.set_queue_vector(index, self.queue_vector(index).ok_or(VectorRefused)?)?;
        }
        Ok(())
    }
}

impl<T: Transport, D: Copy> Installing<T, D> {
    /// Deals out the vectors that the transport has, for the first so many queues: in the best way that the device takes. If it takes none, they are switched off.
    ///
    /// Before the queues are installed. Others that are installed share the vector for changes of the configuration, where each has its own: nobody is told which of them it was. The routing lasts until the device is reset; a queue that is reset and installed anew gets its vector again.
    ///
    /// Spec: §4.1.5.1.2.
    pub fn route_vectors(&mut self, queues: u16) -> VectorRouting {
        let rung = self.rung_mut();
        let transport = &mut rung.transport;
        let taken =
            VectorRouting::IN_ORDER.into_iter().find(|routing| routing.try_on(transport, queues).is_ok());
        if taken.is_none() && transport.vectors() > 0 {
            transport.disable_vectors();
        }
        rung.routing = taken.unwrap_or_default();
        rung.routed_queues = queues;
        rung.routing
    }
}

impl<T: Transport, D: Copy> Running<T, D> {
    /// How vectors were dealt out.
    pub fn vector_routing(&self) -> VectorRouting {
        self.rung.routing
    }

    /// Allows the device to use its interrupt line, and gives what a handler of that line needs. `None` if vectors are used, or there is no line: then the device is to be polled.
    ///
    /// Who knows beforehand that there will be no vectors asks the transport, before the device comes up.
    pub fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.rung.transport.use_interrupt_line()
    }
}
