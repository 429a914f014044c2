//! A memory balloon and all of its driver: targets and rounds of hints that change at any moment, and used rings that the fuzzer makes up.
//!
//! Spec: §5.5 Traditional Memory Balloon Device. The device is `virtio-model`'s behind MMIO; what it does wrong is what the model can be made to do wrong.
//!
//! ```text
//!   bytes ── from the front ──▶ life     what the kernel does next          ── calls ──▶ virtio-guest
//!         ── from the back ───▶ device   what the device does meanwhile, before it is asked for its configuration too: serve, want, lie
//! ```
//!
//! What must hold is asserted where it can be seen: `kernel` (each page and each block comes back once, and nobody wrote into it since), `life` (each is in one place, and the device is told
//! how many there are), the model (whatever it wants, its driver does nothing that it must not), `world` (memory).

mod bring_up;
mod device;
mod kernel;
mod life;
mod world;

pub use bring_up::balloon;
