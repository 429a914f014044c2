//! Drivers, a folder per device type.
//!
//! Spec: §5 Device Types. A driver is safe code over [`lifecycle`](crate::lifecycle) and [`ring`](crate::ring); its wire formats are in
//! [`wire`](crate::wire).

#![forbid(unsafe_code)]

pub mod balloon;
pub mod block;
pub mod console;
pub mod entropy;
mod half;
pub mod net;
mod tasks;
