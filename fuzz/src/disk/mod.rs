//! A disk and all of its driver: calls, bursts and tasks on several queues, over a configuration and completions that the fuzzer makes up.
//!
//! Spec: §5.2 Block Device, §2.5 Device Configuration Space, §2.4 Device Reset. Below this the other targets look: at what the driver loads from rings, and at what it reads of registers.
//!
//! ```text
//!   bytes ── from the front ──▶ bring_up, life, tasks …  what the driver's user does next   ── calls ──▶ virtio-guest
//!         ── from the back ───▶ device, lies             what the disk does meanwhile: serve, hold, answer wrongly
//! ```
//!
//! What must hold is asserted where it can be seen: `life` and `tasks` (what calls answer, each buffer comes back once), `memory` (nothing is released while the device has it, and
//! everything after a reset), `requests` (a disk that keeps its word is asked for nothing that it cannot do).

mod bring_up;
mod commands;
mod device;
mod ledger;
mod lies;
mod life;
mod memory;
mod requests;
mod tasks;
mod transport;
mod world;

pub use bring_up::block;
