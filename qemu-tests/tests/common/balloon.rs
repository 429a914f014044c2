//! A guest that has a balloon (the kernel `balloon-check`), and the host's end of it.

use std::thread;
use std::time::{Duration, Instant};

use qemu_tests::{Ended, Qemu, Qmp, Running};
use serde_json::{Value, json};

use crate::device::Case;

/// Memory of the machine.
pub const MEMORY_MIB: u32 = 128;
/// In frames, which are what a balloon counts.
pub const FRAMES: u64 = MEMORY_MIB as u64 * 256;
pub const FRAME_BYTES: u64 = 4096;
/// The target that says that it is over.
const END_FRAMES: u64 = 1;
/// How long something may take that QEMU is asked about.
const LIMIT: Duration = Duration::from_secs(20);

/// A guest, and the host's control over it.
pub struct Guest {
    pub running: Running,
    pub qmp: Qmp,
}

/// The guest to be, with these properties of its balloon and words for its command line.
pub fn guest(case: Case, properties: &str, words: &str) -> Qemu {
    Qemu::new(case.machine, "kernel-balloon-check")
        .memory_mib(MEMORY_MIB)
        .append(words)
        .limit(Duration::from_mins(2))
        .with(&["-device", &case.device("balloon", properties)])
}

/// All numbers in a line.
pub fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|symbol: char| !symbol.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(|word| word.parse().expect("a number")).collect()
}

impl Guest {
    /// Boots it.
    pub fn start(qemu: &Qemu) -> Self {
        let mut running = qemu.boot();
        let qmp = running.qmp();
        Self { running, qmp }
    }

    /// Boots it, and waits until its balloon is there.
    pub fn boot(qemu: &Qemu) -> Self {
        let mut guest = Self::start(qemu);
        guest.running.wait_for("balloon: ready");
        guest
    }

    /// Has the host want so many frames in the balloon.
    pub fn set_target(&mut self, frames: u64) {
        self.qmp.execute("balloon", &leaving(frames));
    }

    /// How many frames are in the balloon, as the host knows it.
    pub fn actual_frames(&mut self) -> u64 {
        let answer = self.qmp.execute("query-balloon", &json!({}));
        let bytes = answer["actual"].as_u64().expect("a size");
        assert_eq!(bytes % FRAME_BYTES, 0, "whole frames");
        FRAMES - bytes / FRAME_BYTES
    }

    /// Waits for a line, and returns the numbers in it.
    pub fn numbers_of(&mut self, line: &str) -> Vec<u64> {
        numbers(&self.running.wait_for(line))
    }

    /// Has the balloon be this large, sees that the host knows, and returns how many frames the guest has left.
    pub fn reach(&mut self, frames: u64) -> u64 {
        self.set_target(frames);
        let said = self.numbers_of(&format!("balloon: at {frames} frames, "));
        assert_eq!(self.actual_frames(), frames, "what the host knows");
        said[1]
    }

    /// A property of the balloon's.
    pub fn property(&mut self, name: &str) -> Value {
        let path = "/machine/peripheral/balloon0";
        self.qmp.execute("qom-get", &json!({ "path": path, "property": name }))
    }

    pub fn set_property(&mut self, name: &str, value: &Value) {
        let path = "/machine/peripheral/balloon0";
        self.qmp.execute("qom-set", &json!({ "path": path, "property": name, "value": value }));
    }

    /// Asks again and again until there is an answer.
    pub fn until<R>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<R>) -> R {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if start.elapsed() > LIMIT {
                self.running.failed(what);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether its rings are packed, as the device sees it.
    pub fn is_packed(&mut self, case: Case) -> bool {
        let behind = if case.connection.is_mmio() { "" } else { "/virtio-backend" };
        let path = format!("/machine/peripheral/balloon0{behind}");
        let status = self.qmp.execute("x-query-virtio-status", &json!({ "path": path }));
        status["guest-features"].to_string().contains("VIRTIO_F_RING_PACKED")
    }

    /// Says that it is over, and returns what the guest printed.
    pub fn end(mut self) -> String {
        self.qmp.execute_last("balloon", &leaving(END_FRAMES));
        self.running.finish(Ended::Success, "balloon check: done")
    }
}

/// What a guest is to have while so many frames are in the balloon, as QMP wants to be told.
fn leaving(frames: u64) -> Value {
    json!({ "value": (FRAMES - frames) * FRAME_BYTES })
}
