//! The lies that a disk can tell about requests.
//!
//! All are off by default; [`Disk::misbehave`](super::Disk::misbehave) switches them on. Lies
//! about the ring itself are told through [`Disk::with_queue`](super::Disk::with_queue).

/// The order in which waiting requests are completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The order in which they were made available.
    #[default]
    Fifo,
    /// The latest first.
    Reverse,
}

/// The number of written bytes that a used element claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WrittenLen {
    /// What was written.
    #[default]
    Honest,
    /// So many bytes fewer.
    Less(u32),
    /// So many bytes more.
    More(u32),
    /// This many bytes.
    Exactly(u32),
}

impl WrittenLen {
    pub(crate) fn apply(self, honest: u32) -> u32 {
        match self {
            Self::Honest => honest,
            Self::Less(bytes) => honest.saturating_sub(bytes),
            Self::More(bytes) => honest.saturating_add(bytes),
            Self::Exactly(bytes) => bytes,
        }
    }
}

/// What the disk does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskMisbehaviour {
    /// Requests are completed without a status byte.
    pub skips_status: bool,
    /// Requests are completed with this status byte, whatever happened.
    pub status: Option<u8>,
    /// What answers a request that succeeds, instead of its data: the sectors, the id, the lifetime, a zone report, the sector of an append.
    pub answer: Option<Vec<u8>>,
    /// The length in the used element.
    pub written: WrittenLen,
    /// The id in the used element; a packed ring has room for the low 16 bits.
    pub used_id: Option<u32>,
}
