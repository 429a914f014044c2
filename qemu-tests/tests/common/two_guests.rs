//! Two guests at a back-end: one sends numbered frames, the other returns them (the kernel `net-check`).

use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{Ended, Machine, Qemu, Running};

pub const SOURCE: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
pub const AGENT: [u8; 6] = [0x52, 0x54, 0, 0, 0, 4];
/// As many frames as are on their way at most: those that a receive ring has room for, for a back-end drops what it has no room for.
pub const WINDOW: u64 = 128;

/// What both guests are to be.
pub struct Setup {
    pub machine: Machine,
    pub device: NetDevice,
    pub frames: u64,
    /// As many of them are on their way at most.
    pub window: u64,
    /// More for both command lines.
    pub words: &'static str,
}

/// Two guests that run.
pub struct TwoGuests {
    pub source: Running,
    pub agent: Running,
}

/// What both said until their end.
pub struct Said {
    pub source: String,
    pub agent: String,
}

/// A guest that sends frames.
pub fn source(setup: &Setup, network: Network) -> Qemu {
    let (to, frames) = (AGENT.map(|byte| format!("{byte:02x}")).join(":"), setup.frames);
    let Setup { window, words, .. } = setup;
    Qemu::new(setup.machine, "kernel-net-check")
        .append(format!(
            "check=source to={to} frames={frames} flows=4 window={window} features=plain {words}"
        ))
        .card(network, NetDevice { mac: SOURCE, ..setup.device.clone() })
}

impl Setup {
    /// Boots both at these ports.
    pub fn boot(&self, [left, right]: [Network; 2]) -> TwoGuests {
        let mut agent = Qemu::new(self.machine, "kernel-net-check")
            .append(format!("check=agent number=3 features=plain {}", self.words))
            .card(right, NetDevice { mac: AGENT, ..self.device.clone() })
            .boot();
        agent.wait_for("agent: ready");
        TwoGuests { source: source(self, left).boot(), agent }
    }
}

impl TwoGuests {
    /// Follows both to their end: every frame is returned, or one may be lost.
    pub fn finish(self) -> Said {
        let source = self.source.finish(Ended::Success, "net check: done");
        let agent = self.agent.finish(Ended::Success, "net check: done");
        Said { source, agent }
    }
}

/// The number behind a word in what a guest said.
pub fn number(said: &str, word: &str) -> u64 {
    let found =
        said.split_once(word).and_then(|(_, rest)| rest.split_ascii_whitespace().next()?.parse().ok());
    found.unwrap_or_else(|| panic!("no {word:?} in:\n{said}"))
}
