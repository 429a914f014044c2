//! The console's numbers and layouts.
//!
//! Spec: §5.3 Console Device. Queues: 0 receives and 1 transmits for port 0; with `MULTIPORT` 2 receives and 3 transmits messages of control, and port `i` has 2i + 2 and 2i + 3.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::features::{Dependency, DeviceFeatures};

bitflags::bitflags! {
    /// Feature bits of the console.
    ///
    /// Spec: §5.3.3 Feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConsoleFeatures: u128 {
        /// `cols` and `rows` are valid.
        #[doc(alias = "VIRTIO_CONSOLE_F_SIZE")]
        const SIZE = 1 << 0;
        /// There may be several ports, `max_nr_ports` is valid, and there are control queues.
        #[doc(alias = "VIRTIO_CONSOLE_F_MULTIPORT")]
        const MULTIPORT = 1 << 1;
        /// `emerg_wr` is valid: it need not be agreed on.
        #[doc(alias = "VIRTIO_CONSOLE_F_EMERG_WRITE")]
        const EMERG_WRITE = 1 << 2;
    }
}

impl DeviceFeatures for ConsoleFeatures {
    const DEPENDENCIES: &'static [Dependency<Self>] = &[];
}

/// Fields of the configuration space.
///
/// Spec: §5.3.4 Device configuration layout.
pub mod config {
    use crate::wire::field::Field;

    /// Columns of port 0's console (with `SIZE`).
    pub const COLS: Field<u16> = Field::at(0);
    /// Rows of port 0's console (with `SIZE`).
    pub const ROWS: Field<u16> = Field::at(2);
    /// Most ports that there can be (with `MULTIPORT`).
    pub const MAX_NR_PORTS: Field<u32> = Field::at(4);
    /// A character that is written here is put out at once, whatever state the device is in (if `EMERG_WRITE` is offered).
    pub const EMERG_WR: Field<u32> = Field::at(8);
}

/// The queue on which a control message comes from the device.
pub const CONTROL_RECEIVE_QUEUE: u16 = 2;
/// The queue on which a control message goes to the device.
pub const CONTROL_TRANSMIT_QUEUE: u16 = 3;
/// Most ports for which there are numbers of queues.
pub const PORTS_MAX: u16 = 32767;

/// The queue on which a port receives; the one after it transmits. `None` if there is no number for both.
///
/// Spec: §5.3.2 Virtqueues.
pub const fn receive_queue(port: u16) -> Option<u16> {
    match port {
        0 => Some(0),
        PORTS_MAX.. => None,
        port => Some(port * 2 + 2),
    }
}

/// A control message. Behind it comes what some events say besides.
///
/// Spec: §5.3.6.2 Multiport Device Operation. In the guest's own byte order behind the legacy interface, which is little-endian wherever that interface is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_console_control")]
pub struct ControlMessage {
    /// The port's number.
    pub id: U32,
    /// One of the numbers in [`event`].
    pub event: U16,
    /// What the event says.
    pub value: U16,
}

/// Bytes of a [`ControlMessage`].
pub const CONTROL_MESSAGE_BYTES: usize = size_of::<ControlMessage>();

/// What a control message is about.
pub mod event {
    /// From the driver: it is ready (value 1), or failed (0).
    #[doc(alias = "VIRTIO_CONSOLE_DEVICE_READY")]
    pub const DEVICE_READY: u16 = 0;
    /// From the device: there is a port.
    #[doc(alias = "VIRTIO_CONSOLE_DEVICE_ADD")]
    #[doc(alias = "VIRTIO_CONSOLE_PORT_ADD")]
    pub const DEVICE_ADD: u16 = 1;
    /// From the device: there is a port no more.
    #[doc(alias = "VIRTIO_CONSOLE_DEVICE_REMOVE")]
    #[doc(alias = "VIRTIO_CONSOLE_PORT_REMOVE")]
    pub const DEVICE_REMOVE: u16 = 2;
    /// From the driver: a port that was added can be used (value 1), or cannot (0).
    #[doc(alias = "VIRTIO_CONSOLE_PORT_READY")]
    pub const PORT_READY: u16 = 3;
    /// From the device: a port is a console. The driver answers that it is open.
    #[doc(alias = "VIRTIO_CONSOLE_CONSOLE_PORT")]
    pub const CONSOLE_PORT: u16 = 4;
    /// From the device: a console has another size, two numbers (`le16`) behind the message.
    #[doc(alias = "VIRTIO_CONSOLE_RESIZE")]
    #[doc(alias = "virtio_console_resize")]
    pub const RESIZE: u16 = 5;
    /// From both: a port is open (value 1) on the sender's side, or closed (0).
    #[doc(alias = "VIRTIO_CONSOLE_PORT_OPEN")]
    pub const PORT_OPEN: u16 = 6;
    /// From the device: a port's name is behind the message, UTF-8 without a NUL.
    #[doc(alias = "VIRTIO_CONSOLE_PORT_NAME")]
    pub const PORT_NAME: u16 = 7;
}

#[cfg(test)]
mod tests {
    use super::{PORTS_MAX, receive_queue};

    /// Spec: §5.3.2 Virtqueues.
    #[test]
    fn each_port_has_queues_of_its_own_none_of_which_is_a_control_queue() {
        assert_eq!([0, 1, 2, 3].map(receive_queue), [Some(0), Some(4), Some(6), Some(8)]);
        assert_eq!(receive_queue(PORTS_MAX - 1), Some(65534));
        assert_eq!([PORTS_MAX, u16::MAX].map(receive_queue), [None, None]);
    }
}
