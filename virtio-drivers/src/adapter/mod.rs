//! Other people's formats and traits, each behind a feature of its own.
//!
//! | module | feature | what it is |
//! |---|---|---|
//! | `device_tree` | `device-tree` | finds virtio over MMIO in a flattened device tree |
//!
//! No type of another crate's is in what these modules offer, so that its versions are not ours.

#![forbid(unsafe_code)]

#[cfg(feature = "device-tree")]
pub mod device_tree;
