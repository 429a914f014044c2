//! A network device and all of its driver: frames both ways over headers and used rings that the fuzzer makes up, and commands whose answers it makes up.
//!
//! Spec: §5.1 Network Device. The device is `virtio-model`'s behind MMIO; what it does wrong is what the model can be made to do wrong.
//!
//! ```text
//!   bytes ── from the front ──▶ receive, commands   what the driver's user does next        ── calls ──▶ virtio-guest
//!         ── from the back ───▶ device              what the device does meanwhile: serve, have frames arrive, lie
//! ```
//!
//! What must hold is asserted where it can be seen: `receive` (what frames say of themselves, and that each buffer comes back), `commands` (what calls answer), the model (whatever the device says, its driver
//! asks for nothing that it must not), `world` (memory).

mod bring_up;
mod commands;
mod device;
mod forward;
mod receive;
mod world;

pub use bring_up::{net_control, net_receive};
