//! Control messages: 8 bytes, and what follows.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. Little-endian, as the configuration is.
//!
//! ```text
//!   id le32, event le16, value le16, (columns le16, rows le16 | name)
//! ```

/// A message of the driver, as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The port that it is about.
    pub id: u32,
    /// One of [`event`](super::event).
    pub event: u16,
    /// What the event says beside.
    pub value: u16,
    /// The lengths of its segments.
    pub lens: Vec<u32>,
    /// What is wrong with it; an honest device ignores it.
    pub complaint: Option<String>,
}

/// The bytes of a message.
pub fn message(id: u32, event: u16, value: u16, more: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &event.to_le_bytes(), &value.to_le_bytes(), more].concat()
}

/// The three numbers that a message begins with, if it is as long.
pub(super) fn numbers(bytes: &[u8]) -> Option<(u32, u16, u16)> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (event, rest) = rest.split_first_chunk()?;
    let (value, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*id), u16::from_le_bytes(*event), u16::from_le_bytes(*value)))
}
