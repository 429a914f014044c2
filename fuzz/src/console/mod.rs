//! A console and all of its driver: control messages that the fuzzer makes up, and bytes through its ports meanwhile.
//!
//! Spec: §5.3 Console Device. The device is `virtio-model`'s behind MMIO; what it does wrong is what the model can be made to do wrong.
//!
//! ```text
//!   bytes ── from the front ──▶ life     what the driver's user does next             ── calls ──▶ virtio-guest
//!         ── from the back ───▶ device   what the device does meanwhile: serve, say, lie
//! ```
//!
//! What must hold is asserted where it can be seen: `life` (what calls answer, and that a message changes no port but its own), `streams` (bytes come out as they went in), the model (its driver does nothing
//! that it must not), `bring_up` (memory).

mod bring_up;
mod device;
mod life;
mod registers;
mod streams;

pub use bring_up::console_control;
