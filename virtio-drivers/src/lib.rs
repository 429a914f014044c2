//! Virtio guest drivers for kernels, unikernels and tests.
//!
//! `no_std`, no allocator needed, safe against a device that lies. Spec: virtio 1.4 (CS01); section numbers in these pages are that version's.
//!
//! # Map
//!
//! ```text
//!   floor                      what it is                                        who meets it
//!   5 adapter                  other people's formats and traits, by feature     whoever uses those
//!   4 device::block, net       drivers                                           every kernel
//!   3 lifecycle                reset … DRIVER_OK as types, negotiation           drivers of other device types
//!   2 ring      transport      virtqueues │ PCI, MMIO                            the same
//!   1 raw                      shared memory, registers, barriers: all `unsafe`  kernels claim a PCI function here
//!   0 wire      hal            the spec's numbers │ what a kernel promises       every kernel implements `hal`
//! ```
//!
//! A floor uses only floors below it. Control path (finding, negotiating, queue set-up, reset) and data path (rings, one doorbell) share no state: after
//! bring-up a queue reads no register.
//!
//! # Features
//!
//! - `device-tree`: [`adapter`]`::device_tree`, which finds virtio over MMIO.
//! - `embedded-io`, `embedded-sdmmc`, `gpt-disk-io`: [`adapter`]s for file systems and partition tables.
//! - `embassy-net-driver`, `smoltcp`: [`adapter`]s for network stacks.
//! - `rand_core`: an [`adapter`] for generators of random numbers.
//! - `embedded-io`, `embedded-io-async`: [`adapter`]s for consoles.
//! - `alloc` (default): [`ring::Slots::allocate`] and its like for disks and cards, and [`hal::DmaBuffer`] for `Box<[u8]>` and `Vec<u8>`.

#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(virtio_guest_stand_in)]
extern crate std;

pub mod adapter;
pub mod device;
#[allow(unsafe_code, reason = "the contracts that kernels promise")]
pub mod hal;
pub mod lifecycle;
#[allow(unsafe_code, reason = "the only raw access to what a device can touch")]
pub mod raw;
pub mod ring;
mod sync;
pub mod transport;
pub mod wire;

// The recipes of the guide, one of which takes each adapter.
#[cfg(all(doctest, feature = "alloc", feature = "embedded-io", feature = "embedded-sdmmc"))]
#[doc = include_str!("../../docs/src/block.md")]
mod disks {}

#[cfg(all(doctest, feature = "alloc", feature = "embassy-net-driver", feature = "smoltcp"))]
#[doc = include_str!("../../docs/src/net.md")]
mod networks {}

#[cfg(all(doctest, feature = "alloc", feature = "rand_core"))]
#[doc = include_str!("../../docs/src/entropy.md")]
mod randomness {}

#[cfg(all(doctest, feature = "alloc", feature = "embedded-io"))]
#[doc = include_str!("../../docs/src/console.md")]
mod consoles {}

#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../../docs/src/balloon.md")]
mod balloons {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/src/moving.md")]
mod moving {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/src/new-device.md")]
mod new_devices {}
