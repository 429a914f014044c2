//! A device access to memory that was refused, and why.
//!
//! Made by [`AddressSpace`](super::AddressSpace), which also keeps a list of them: an honest
//! device that faults is evidence of a driver bug (unmapped too early, wrong direction, wrong
//! length).

use std::fmt;

/// The direction of a device access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The device reads memory.
    Read,
    /// The device writes memory.
    Write,
}

/// Why an access was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCause {
    /// No mapping holds the first byte.
    Unmapped,
    /// The access starts inside a mapping and runs past its end.
    CrossesEnd,
    /// The mapping does not permit this direction.
    WrongDirection,
    /// An access to one word at an address that is not a multiple of its size.
    Misaligned,
}

/// One refused access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The device address of the first byte.
    pub device_address: u64,
    /// The number of bytes asked for.
    pub len: usize,
    /// Which way the bytes would have gone.
    pub access: Access,
    /// Why it was refused.
    pub cause: FaultCause,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:?} of {} bytes at device address {:#x}: {:?}",
            self.access, self.len, self.device_address, self.cause
        )
    }
}

impl std::error::Error for Fault {}
