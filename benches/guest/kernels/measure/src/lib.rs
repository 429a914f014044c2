//! How a guest counts what its driver does: instructions, allocations, and marks for the host's trace.
//!
//! For machines of QEMU whose time stands for instructions (`-icount shift=0,sleep=off`). A [`Line`](line::Line) of the table is one [`Subject`](line::Subject), repeated:
//!
//! ```text
//!   prepare   what is no driver's business                          ┐
//!   submit    counted                                               │ a burst
//!   wait      until the device's ring shows that all is done        │
//!   complete  counted                                               ┘
//! ```
//!
//! Waits take as long as the host likes, so they are outside of what is counted: the [`Watch`](watch::Watch) looks into the ring's memory, without the driver.

#![no_std]
#![cfg(target_arch = "x86_64")]

extern crate alloc;

pub mod line;
pub mod mark;
pub mod outside;
pub mod place;
pub mod ticks;
pub mod watch;
