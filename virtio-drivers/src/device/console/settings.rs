//! What a kernel may choose about a console, and what it is made of.
//!
//! Spec: §5.3.6 Device Operation. The specification leaves open how many buffers there are, and how long they are.

use crate::hal::Attempts;

/// What a kernel may choose about a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most ports to be used, where the device has several; at least one. [`Console::start`](super::Console::start) uses one.
    pub ports_max: u16,
    /// Buffers in which a port receives, at least one; never more than its queue has descriptors.
    pub receive_buffers: u16,
    /// Buffers in which a port gathers what it transmits: 1 to 128, and never more than its queue has descriptors.
    pub transmit_buffers: u16,
    /// Bytes of each of these buffers, at least one. They are in DMA memory of each queue.
    pub buffer_bytes: u32,
    /// Most descriptors of a queue, even if storage and device allow more.
    pub queue_size_max: u16,
    /// Whether the device is to interrupt when bytes or messages come, and when bytes were sent and somebody waits for that. Without, queues are looked at, and no vector is used.
    pub notifications: bool,
    /// In which order a control message gives a console's new size.
    pub size_order: SizeOrder,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// One port with 16 buffers of 1024 bytes for each direction, as many descriptors as there is storage for, no notifications, the specification's order, 100,000 attempts.
    fn default() -> Self {
        Self {
            ports_max: 1,
            receive_buffers: 16,
            transmit_buffers: 16,
            buffer_bytes: 1024,
            queue_size_max: u16::MAX,
            notifications: false,
            size_order: SizeOrder::default(),
            drop_attempts: Attempts(100_000),
        }
    }
}

/// In which order the two numbers of a RESIZE message are.
///
/// The specification has columns first, in each of its versions. Linux took rows for the first number for a long time, so there are devices that send them so. Nothing tells one from the other:
/// whoever knows the device says it. In the configuration space columns are always first.
///
/// Spec: §5.3.6.2 Multiport Device Operation (`struct virtio_console_resize`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizeOrder {
    /// As the specification says.
    #[default]
    ColumnsRows,
    /// As some devices have it.
    RowsColumns,
}

/// How large a console is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters of a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// The two numbers of a message.
    pub(super) const fn ordered(first: u16, second: u16, order: SizeOrder) -> Self {
        match order {
            SizeOrder::ColumnsRows => Self { columns: first, rows: second },
            SizeOrder::RowsColumns => Self { columns: second, rows: first },
        }
    }
}
