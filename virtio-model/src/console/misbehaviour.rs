//! The lies that a console can tell about bytes and control messages.
//!
//! All are off by default; [`Console::misbehave`](super::Console::misbehave) switches them on. Messages that make no sense are sent with
//! [`Console::send_control`](super::Console::send_control), and lies about the ring itself are told through [`Console::with_queue`](super::Console::with_queue).

use crate::block::WrittenLen;

/// What the console does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsoleMisbehaviour {
    /// The length in the used elements of receive buffers.
    pub received_written: WrittenLen,
    /// The id in the used elements of receive buffers.
    pub received_id: Option<u32>,
    /// The length in the used elements of transmitted buffers.
    pub sent_written: WrittenLen,
    /// The id in the used elements of transmitted buffers.
    pub sent_id: Option<u32>,
    /// The length in the used elements of messages to the driver.
    pub control_written: WrittenLen,
    /// The id in the used elements of messages to the driver.
    pub control_id: Option<u32>,
    /// The length in the used elements of the driver's messages.
    pub answered_written: WrittenLen,
    /// The driver's messages are neither looked at nor used, as long as this is on.
    pub ignores_control: bool,
    /// Every buffer for messages is filled with this one, as soon as it is there.
    pub floods: Option<Vec<u8>>,
    /// Bytes come to ports that their driver has not opened, too.
    pub ignores_open: bool,
}
