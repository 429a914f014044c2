//! What a console knows of a port, and of what its driver was told of it.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.

use crate::block::WrittenLen;
use std::collections::VecDeque;

/// A port that is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Port {
    pub(super) is_console: bool,
    pub(super) name: Option<Vec<u8>>,
    /// Whether the device has opened its side.
    pub(super) is_open: bool,
    /// Whether the driver said that it has the port ready.
    pub(super) is_ready: bool,
    /// Whether the driver has opened its side.
    pub(super) is_open_by_driver: bool,
}

/// How often a driver was told something, and how often it answered, since the last reset.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) adds: usize,
    pub(super) readies: usize,
    /// Whether one of them was good news.
    pub(super) was_ready: bool,
    /// Whether it was told that the port is a console, and has not said that it is open.
    pub(super) owes_open: bool,
}

/// What is to arrive at a port.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    /// Bytes, over as many buffers as it takes.
    Bytes(VecDeque<u8>),
    /// One buffer.
    Raw(RawInput),
}

/// What a device writes to one receive buffer that does as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawInput {
    /// The bytes, from the first one on.
    pub bytes: Vec<u8>,
    /// How many it says that it wrote.
    pub written: WrittenLen,
}

/// A buffer that the driver transmitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The lengths of its segments.
    pub lens: Vec<u32>,
    /// Whether it came in an indirect table.
    pub indirect: bool,
    /// What is wrong with it.
    pub complaint: Option<String>,
}
