//! The one place that names atomic types and the fence.
//!
//! So something else can stand in for the processor's fence.

#[cfg(target_has_atomic = "64")]
pub(crate) use core::sync::atomic::AtomicU64;
#[cfg(not(virtio_guest_stand_in))]
pub(crate) use core::sync::atomic::fence;
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering};

#[cfg(virtio_guest_stand_in)]
pub(crate) use crate::raw::stand_in::fence;
