//! What can go wrong on the device side.
//!
//! A device has two complaints: memory that it cannot reach, and a driver that breaks a rule of
//! the specification. Both are values here, so that a test can look at them; nothing panics.

use crate::memory::Fault;
use std::fmt;

/// The device could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// A device address could not be accessed.
    Memory(Fault),
    /// The driver broke a rule; the text says which one.
    Driver(String),
}

impl ModelError {
    /// A complaint about the driver.
    pub(crate) fn driver(text: impl Into<String>) -> Self {
        Self::Driver(text.into())
    }
}

impl From<Fault> for ModelError {
    fn from(fault: Fault) -> Self {
        Self::Memory(fault)
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(fault) => write!(out, "{fault}"),
            Self::Driver(text) => write!(out, "driver error: {text}"),
        }
    }
}

impl std::error::Error for ModelError {}
