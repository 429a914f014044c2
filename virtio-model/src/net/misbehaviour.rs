//! The lies that a network device can tell about packets and commands.
//!
//! All are off by default; [`Nic::misbehave`](super::Nic::misbehave) switches them on. What a device writes to single buffers is said with
//! [`Nic::inject_raw`](super::Nic::inject_raw), and lies about the ring itself are told through [`Nic::with_queue`](super::Nic::with_queue).

use crate::block::WrittenLen;

/// What the network device does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NicMisbehaviour {
    /// The number of buffers that headers of received packets say.
    pub num_buffers: Option<u16>,
    /// The length in the first used element of a received packet.
    pub written: WrittenLen,
    /// The length in the used elements after it.
    pub written_later: WrittenLen,
    /// The id in the used elements of received packets.
    pub receive_id: Option<u32>,
    /// The length in the used elements of transmitted packets.
    pub transmit_written: WrittenLen,
    /// The id in the used elements of transmitted packets.
    pub transmit_id: Option<u32>,
    /// Commands are answered with this, and not carried out.
    pub ack: Option<u8>,
    /// Commands are used without an answer.
    pub skips_ack: bool,
    /// What follows the answer, instead of what should.
    pub result: Option<Vec<u8>>,
    /// The length in the used elements of commands.
    pub command_written: WrittenLen,
    /// Commands are neither looked at nor used, as long as this is on.
    pub ignores_commands: bool,
}
