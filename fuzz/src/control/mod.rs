//! The control path: lives of drivers whose device answers each register read as the fuzzer's bytes say.
//!
//! Spec: §2.1 Device Status Field, §2.2 Feature Bits, §2.4 Device Reset, §2.5 Device Configuration Space, §3.1 Device Initialization, §4.1 Virtio Over PCI Bus, §4.2 Virtio Over MMIO.
//! The driver is the library; the device keeps to the specification, and with any answer it may stop doing so.
//!
//! ```text
//!   bytes ── from the front ──▶ disk, plain        what the driver does next       ── calls ──▶ virtio-guest
//!         ── from the back ───▶ answers            what a register reads           ◀── accesses ──┘
//!                               ├ registers, device   what is honest               by: bare      no bus at all
//!                               ├ function            a PCI configuration space        pci       BARs, ports
//!                               └ segment             many of them                     mmio      one window
//! ```
//!
//! What must hold is asserted where it can be seen: `world` (calls end), `memory` (nothing is released while the device has it, and everything when it has
//! nothing), `registers` (accesses that there are, and none while a reset is awaited), `windows` (bounds, alignment, width), `function` and `segment` (what may be written to
//! configuration space, where BARs are).

mod answers;
mod bare;
mod costs;
mod device;
mod disk;
mod function;
mod memory;
mod mmio;
mod pci;
mod plain;
mod registers;
mod segment;
mod template;
mod windows;
mod world;

pub use bare::config_and_status;
pub use mmio::mmio;
pub use pci::pci_capabilities;

use virtio_guest::transport::Transport;

/// One life after the other behind one transport, of disks and of devices that have no driver here, until the script is over.
fn live(mut transport: impl Transport) {
    for _ in 0..LIVES_MAX {
        match world::with(|world| world.script.step()) {
            Some(step) if step & 1 == 0 => disk::live(&mut transport, step),
            Some(step) => plain::live(&mut transport, step),
            None => break,
        }
        world::with(|world| world.memory.settle());
    }
}

/// More lives find nothing that these do not.
const LIVES_MAX: usize = 4;
