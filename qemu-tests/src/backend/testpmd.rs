//! DPDK's `testpmd`, whose ports are virtio back-ends (`net_vhost`).
//!
//! What a guest transmits is handed to another port's guest, or back to itself. It is asked for its counters at its prompt. Whoever speaks vhost-user himself is in a guest's place without a machine: by a port's
//! [socket](Testpmd::socket).

use std::fs;
use std::path::PathBuf;
use std::sync::MutexGuard;

use tempfile::TempDir;

use super::process::Process;
use super::{processors, turn};
use crate::net::Network;

const PROGRAM: &str = "dpdk-testpmd";
/// Buffers of each port's queues, and some that are on their way.
const BUFFERS: u32 = 8192;
/// What is said when it takes commands.
const PROMPT: &str = "testpmd> ";

/// What it has counted at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the guest transmitted.
    pub from_guest: u64,
    /// Frames that the guest was given.
    pub to_guest: u64,
}

/// What it does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// Two ports: what comes in at one goes out at the other, untouched.
    Through,
    /// Four ports: the same between the first two, and between the other two.
    ThroughTwice,
    /// One port: what comes in goes out there again, with its addresses exchanged.
    Back,
    /// One port: what comes in is counted, and dropped.
    ReceiveOnly,
    /// One port: frames of its own go out there, as fast as they are taken.
    TransmitOnly,
}

/// How it is started.
#[derive(Clone, Copy, Debug)]
pub struct TestpmdSettings {
    /// What it does with frames.
    pub forwarding: Forwarding,
    /// Pairs of queues of each port.
    pub pairs: u16,
    /// It connects to sockets that QEMU makes; else QEMU connects to its sockets.
    pub connects: bool,
}

impl Default for TestpmdSettings {
    /// From one port to another, with one pair of queues each, and sockets of its own.
    fn default() -> Self {
        Self { forwarding: Forwarding::Through, pairs: 1, connects: false }
    }
}

/// A `testpmd` that forwards. Dropping it kills it.
#[derive(Debug)]
pub struct Testpmd {
    /// `None` while it is killed.
    process: Option<Process>,
    settings: TestpmdSettings,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl TestpmdSettings {
    const fn ports(self) -> usize {
        match self.forwarding {
            Forwarding::Through => 2,
            Forwarding::ThroughTwice => 4,
            Forwarding::Back | Forwarding::ReceiveOnly | Forwarding::TransmitOnly => 1,
        }
    }
}

impl Testpmd {
    /// Starts it, and waits until it forwards.
    ///
    /// # Panics
    /// If it is not there, or does not start, with what it said.
    pub fn start(settings: TestpmdSettings) -> Self {
        let turn = turn();
        // In /tmp, for the path of a socket may not be long.
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let mut testpmd = Self { process: None, settings, folder, _turn: turn };
        testpmd.start_again();
        testpmd
    }

    /// The socket of a port. It listens there, unless it connects to it.
    pub fn socket(&self, port: usize) -> PathBuf {
        self.folder.path().join(format!("port{port}"))
    }

    fn command(&self) -> Vec<String> {
        let TestpmdSettings { forwarding, pairs, connects } = self.settings;
        let processors = processors();
        let mut whole = vec![
            // What it says is in its log at once, line by line.
            "stdbuf".into(),
            "--output=L".into(),
            PROGRAM.into(),
            // One thread takes commands and one forwards, wherever there is a processor.
            format!("--lcores=0@({processors}),1@({processors})"),
            // Memory of its own without huge pages, no real cards, and nothing left behind for other programs of DPDK's.
            "--no-huge".into(),
            "-m=64".into(),
            "--no-pci".into(),
            "--no-shconf".into(),
            "--no-telemetry".into(),
        ];
        whole.extend((0..self.settings.ports()).map(|port| {
            let (socket, client) = (self.socket(port), u8::from(connects));
            format!("--vdev=net_vhost{port},iface={},queues={pairs},client={client}", socket.display())
        }));
        let (mode, topology) = match forwarding {
            Forwarding::Through | Forwarding::ThroughTwice => ("io", "paired"),
            Forwarding::Back => ("macswap", "loop"),
            Forwarding::ReceiveOnly => ("rxonly", "loop"),
            Forwarding::TransmitOnly => ("txonly", "loop"),
        };
        whole.extend(["--", "--interactive", "--auto-start"].map(Into::into));
        whole.extend([
            format!("--forward-mode={mode}"),
            format!("--port-topology={topology}"),
            format!("--rxq={pairs}"),
            format!("--txq={pairs}"),
            format!("--total-num-mbufs={BUFFERS}"),
        ]);
        whole
    }

    /// Starts it after it was killed, and waits until it forwards.
    ///
    /// # Panics
    /// If it does not start, with what it said.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it is there");
        for port in 0..self.settings.ports() {
            if !self.settings.connects {
                // It does not take the place of the socket of one that was killed.
                let _ = fs::remove_file(self.socket(port));
            }
        }
        let mut process = Process::start(&self.command(), self.folder.path(), "testpmd");
        process.wait_for("prompt", 0, |said| said.contains(PROMPT).then_some(()));
        self.process = Some(process);
    }

    /// Where the cable of a guest's card goes that is to be at this port.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn port(&self, port: usize) -> Network {
        assert!(port < self.settings.ports(), "{} ports", self.settings.ports());
        Network::VhostUser { socket: self.socket(port), is_server: self.settings.connects }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it is there")
    }

    /// What it has counted at a port since it was started.
    ///
    /// # Panics
    /// If it does not say, with what it said.
    pub fn counters(&mut self, port: usize) -> Counters {
        let process = self.process();
        let before = process.type_line(&format!("show port stats {port}"));
        process.wait_for("counters", before, |said| {
            // What comes last in its answer.
            said.contains("Tx-pps:").then_some(())?;
            Some(Counters {
                from_guest: number(said, "RX-packets:")?,
                to_guest: number(said, "TX-packets:")?,
            })
        })
    }

    /// Kills it in the middle of its work.
    ///
    /// # Panics
    /// If it was not there.
    pub fn kill(&mut self) {
        self.process().kill();
        self.process = None;
    }

    /// Has it end, and checks that it does so with success.
    ///
    /// # Panics
    /// If it does not, with what it said.
    pub fn stop(mut self) {
        let mut process = self.process.take().expect("it is there");
        process.type_line("quit");
        process.end();
    }
}

/// The number behind a word.
fn number(said: &str, word: &str) -> Option<u64> {
    said.split_once(word)?.1.split_ascii_whitespace().next()?.parse().ok()
}
