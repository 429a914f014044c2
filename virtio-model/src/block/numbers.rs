//! The numbers of requests, answers and zones.
//!
//! Spec: §5.2.6 Device Operation. Typed from the specification, and shared with nobody.

/// The request types that the model serves.
pub mod request_type {
    /// Read sectors.
    pub const IN: u32 = 0;
    /// Write sectors.
    pub const OUT: u32 = 1;
    /// Make earlier writes durable.
    pub const FLUSH: u32 = 4;
    /// Read the device id.
    pub const GET_ID: u32 = 8;
    /// Read how worn the storage is.
    pub const GET_LIFETIME: u32 = 10;
    /// Give up what ranges of sectors hold.
    pub const DISCARD: u32 = 11;
    /// Make ranges of sectors read as zeros.
    pub const WRITE_ZEROES: u32 = 13;
    /// Make what ranges of sectors hold unrecoverable.
    pub const SECURE_ERASE: u32 = 14;
    /// Write at a zone's write pointer, wherever that is.
    pub const ZONE_APPEND: u32 = 15;
    /// Read the descriptors of zones.
    pub const ZONE_REPORT: u32 = 16;
    /// Open a zone.
    pub const ZONE_OPEN: u32 = 18;
    /// Close a zone.
    pub const ZONE_CLOSE: u32 = 20;
    /// Make a zone full.
    pub const ZONE_FINISH: u32 = 22;
    /// Make a zone empty.
    pub const ZONE_RESET: u32 = 24;
    /// Make all zones empty.
    pub const ZONE_RESET_ALL: u32 = 26;
}

/// The status bytes that the model answers with.
pub mod status {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed.
    pub const IOERR: u8 = 1;
    /// Not supported.
    pub const UNSUPP: u8 = 2;
    /// The zone does not permit it.
    pub const ZONE_INVALID_CMD: u8 = 3;
    /// A write elsewhere than at the write pointer.
    pub const ZONE_UNALIGNED_WP: u8 = 4;
    /// Too many zones are open.
    pub const ZONE_OPEN_RESOURCE: u8 = 5;
    /// Too many zones are active.
    pub const ZONE_ACTIVE_RESOURCE: u8 = 6;
}

/// The zoned models of a disk.
pub mod zoned_model {
    /// No zones that a driver would have to know of.
    pub const NONE: u8 = 0;
    /// Host-managed: zones have to be written in sequence.
    pub const HOST_MANAGED: u8 = 1;
    /// Host-aware: zones should be written in sequence.
    pub const HOST_AWARE: u8 = 2;
}

/// The types of a zone.
pub mod zone_type {
    /// Written anywhere.
    pub const CONVENTIONAL: u8 = 1;
    /// Sequential write required.
    pub const SEQUENTIAL_REQUIRED: u8 = 2;
    /// Sequential write preferred.
    pub const SEQUENTIAL_PREFERRED: u8 = 3;
}

/// The states of a zone.
pub mod zone_state {
    /// It has no write pointer: a conventional zone.
    pub const NOT_WRITE_POINTER: u8 = 0;
    /// Nothing is written.
    pub const EMPTY: u8 = 1;
    /// Opened by a write.
    pub const IMPLICITLY_OPEN: u8 = 2;
    /// Opened by a request to open it.
    pub const EXPLICITLY_OPEN: u8 = 3;
    /// Partly written, and not open.
    pub const CLOSED: u8 = 4;
    /// It can be read, for ever as it is.
    pub const READ_ONLY: u8 = 13;
    /// Nothing more can be written.
    pub const FULL: u8 = 14;
    /// It is gone.
    pub const OFFLINE: u8 = 15;
}
