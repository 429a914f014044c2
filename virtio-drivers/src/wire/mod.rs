//! Numbers and layouts of the specification: definitions only, no I/O.
//!
//! Spec: virtio 1.4 (CS01). A spec name finds its Rust name by dropping the prefix (`VIRTIO_BLK_F_FLUSH` is
//! [`BlockFeatures::FLUSH`](block::BlockFeatures::FLUSH)); the full name is a doc alias, so searching for it works. What a device
//! may send is always representable: unknown bits and numbers are kept, never refused here.

#![forbid(unsafe_code)]

pub mod balloon;
pub(crate) mod bar;
pub mod block;
pub mod console;
pub mod device_type;
pub mod entropy;
pub mod features;
pub mod field;
pub mod mmio;
pub mod net;
pub mod packed;
pub mod pci;
pub mod split;
pub mod status;
