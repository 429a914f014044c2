//! Device side.
pub mod chain;
pub mod error;
pub mod memory;
pub mod pci;
pub mod split;
