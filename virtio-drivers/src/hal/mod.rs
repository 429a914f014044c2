//! What a kernel promises to drivers: DMA memory, register windows, patience.
//!
//! Spec: §2.6 Virtqueues (memory that both sides reach), §6 `VIRTIO_F_ACCESS_PLATFORM` (addresses that are not physical).
//!
//! A kernel implements [`Hal`] once per DMA domain (most kernels: one zero-sized type), [`MapMmio`] if it has
//! devices behind PCI or MMIO registers, and a [`Patience`] on its clock. Nothing in this module knows a device.
//!
//! ```text
//!   kernel ── implements ──▶ Hal       allocate_dma, free_dma     memory that driver and device share
//!                                      map, unmap                 a buffer of the kernel's, for one request
//!                            MapMmio   map_mmio                   a register window (PCI and MMIO only)
//!                                      map_ports                  the same in I/O space, for legacy PCI devices
//!                            Patience  keep_waiting               how long a call may wait
//!                            Lock      with                       one task at a time (asynchronous drivers only)
//!                            BalloonPage first_frame, frames      a page that a memory balloon may have (kernels with one only)
//!          ── makes ───────▶ MsiMessage                            how a device may interrupt
//! ```

mod balloon;
mod buffer;
mod dma;
mod lock;
mod message;
mod patience;
mod registers;

pub use balloon::BalloonPage;
pub use buffer::DmaBuffer;
pub use dma::{DeviceAddress, Direction, DmaError, DmaRegion, Domain, Hal, MapError};
pub use lock::Lock;
pub use message::MsiMessage;
pub use patience::{Attempts, Patience};
pub use registers::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
