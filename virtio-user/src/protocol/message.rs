//! Messages: their numbers, names and layouts. Numbers are in the machine's byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What is asked of a back-end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Request {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemTable = 5,
    SetVringNum = 8,
    SetVringAddr = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    NetSetMtu = 20,
    SetBackendReqFd = 21,
    GetConfig = 24,
    SetConfig = 25,
    ResetDevice = 34,
}

impl Request {
    /// Its number.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }

    /// What the protocol's description calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GetFeatures => "GET_FEATURES",
            Self::SetFeatures => "SET_FEATURES",
            Self::SetOwner => "SET_OWNER",
            Self::SetMemTable => "SET_MEM_TABLE",
            Self::SetVringNum => "SET_VRING_NUM",
            Self::SetVringAddr => "SET_VRING_ADDR",
            Self::SetVringBase => "SET_VRING_BASE",
            Self::GetVringBase => "GET_VRING_BASE",
            Self::SetVringKick => "SET_VRING_KICK",
            Self::SetVringCall => "SET_VRING_CALL",
            Self::GetProtocolFeatures => "GET_PROTOCOL_FEATURES",
            Self::SetProtocolFeatures => "SET_PROTOCOL_FEATURES",
            Self::GetQueueNum => "GET_QUEUE_NUM",
            Self::SetVringEnable => "SET_VRING_ENABLE",
            Self::NetSetMtu => "NET_SET_MTU",
            Self::SetBackendReqFd => "SET_BACKEND_REQ_FD",
            Self::GetConfig => "GET_CONFIG",
            Self::SetConfig => "SET_CONFIG",
            Self::ResetDevice => "RESET_DEVICE",
        }
    }
}

/// What a back-end says by itself: its configuration changed. The only such message that nothing has to be agreed on for.
pub(super) const CONFIG_CHANGE_MSG: u32 = 2;

/// What every message begins with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub request: u32,
    pub flags: u32,
    /// Bytes that follow.
    pub bytes: u32,
}

/// The protocol's version, in the two lowest flags.
pub(super) const VERSION: u32 = 1;
/// The message is an answer.
pub(super) const REPLY: u32 = 1 << 2;
/// The message is to be answered, though its kind is none that is.
pub(super) const NEED_REPLY: u32 = 1 << 3;

impl Header {
    /// Whether the flags are those of an answer. Some back-ends leave the question's flag in it.
    pub(super) const fn is_reply(&self) -> bool {
        self.flags & !NEED_REPLY == VERSION | REPLY
    }

    /// Whether the flags are those of a question.
    pub(super) const fn is_request(&self) -> bool {
        self.flags & !NEED_REPLY == VERSION
    }

    /// Whether an answer is waited for.
    pub(super) const fn needs_reply(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }
}

/// A number for a queue: its size, its position, or whether it is enabled.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct QueueState {
    pub queue: u32,
    pub value: u32,
}

/// Where a queue is, in addresses of this process.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct QueueAddresses {
    pub queue: u32,
    /// None: nothing is logged.
    pub flags: u32,
    pub descriptor_area: u64,
    pub device_area: u64,
    pub driver_area: u64,
    /// Where the log of what is written would be.
    pub log: u64,
}

/// A table with one piece of memory; its file comes beside it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct MemoryTable {
    pub regions: u32,
    pub padding: u32,
    /// What it is called in rings.
    pub device_address: u64,
    pub bytes: u64,
    /// What it is called in messages: its address in this process.
    pub user_address: u64,
    pub file_offset: u64,
}

/// What precedes bytes of the configuration space.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ConfigHead {
    pub offset: u32,
    pub bytes: u32,
    pub flags: u32,
}

/// Most bytes of configuration space that one message can carry.
pub(super) const CONFIG_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_as_long_as_the_protocol_says() {
        assert_eq!(size_of::<Header>(), 12);
        assert_eq!(size_of::<QueueState>(), 8);
        assert_eq!(size_of::<QueueAddresses>(), 40);
        assert_eq!(size_of::<MemoryTable>(), 40);
        assert_eq!(size_of::<ConfigHead>(), 12);
    }

    #[test]
    fn an_answer_has_the_version_and_the_flag_of_answers_and_no_unknown_flag() {
        let is_reply = |flags| Header { request: 1, flags, bytes: 0 }.is_reply();

        assert!(is_reply(VERSION | REPLY) && is_reply(VERSION | REPLY | NEED_REPLY));
        assert!(!is_reply(VERSION) && !is_reply(REPLY) && !is_reply(2 | REPLY));
        assert!(!is_reply(VERSION | REPLY | 1 << 4));
    }
}
