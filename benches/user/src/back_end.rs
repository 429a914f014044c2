//! The back-ends: DPDK's `testpmd` for network cards, QEMU's storage daemon for disks.
//!
//! One runs for all samples of a line, on a processor of its own, and serves whoever connects next.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::Child;
use crate::line::{Line, Medium};
use crate::processors::{Processors, pinned};

/// Bytes of a disk.
pub const DISK_BYTES: u64 = 256 << 20;
/// How long a back-end may take to start, and to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// What a line needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Takes frames.
    Receiving,
    /// Makes frames.
    Transmitting,
    /// Serves a disk of so many queues.
    Disk(Medium, u16),
}

impl Kind {
    fn of(line: Line) -> Self {
        match line {
            Line::Net(line) if line.transmit => Self::Receiving,
            Line::Net(_) => Self::Transmitting,
            Line::Block(line) => Self::Disk(line.medium, line.queues),
        }
    }
}

/// A back-end that listens. Dropping it kills it.
#[derive(Debug)]
pub struct BackEnd {
    child: Child,
    kind: Kind,
    folder: TempDir,
}

impl BackEnd {
    /// Starts one for a line.
    ///
    /// # Errors
    /// It is not there, or does not start: with what it said.
    pub fn start(line: Line, processors: Processors) -> Result<Self, String> {
        let kind = Kind::of(line);
        // In /tmp, for the path of a socket may not be long; files for disks beside cargo's.
        let folder = tempfile::tempdir_in("/tmp").map_err(|error| format!("a folder in /tmp: {error}"))?;
        let (program, arguments) = match kind {
            // What it says comes at once, line by line.
            Kind::Receiving => ("stdbuf", testpmd(folder.path(), processors, "rxonly")),
            Kind::Transmitting => ("stdbuf", testpmd(folder.path(), processors, "txonly")),
            Kind::Disk(medium, queues) => {
                ("qemu-storage-daemon", storage_daemon(folder.path(), medium, queues)?)
            }
        };
        let mut command = pinned(processors.back_end, program);
        command.args(arguments).env("RUNTIME_DIRECTORY", folder.path());
        let mut back_end = Self { child: Child::start(command)?, kind, folder };
        back_end.wait_until_it_listens()?;
        Ok(back_end)
    }

    /// Whether it is what this line needs, too.
    pub fn serves(&self, line: Line) -> bool {
        self.kind == Kind::of(line)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The file behind its disk, if there is one.
    pub fn file(&self) -> PathBuf {
        disk_file(self.folder.path())
    }

    /// Stops it while `act` runs.
    pub fn paused<R>(&self, act: impl FnOnce() -> R) -> R {
        self.child.paused(act)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while !self.socket().exists() {
            if start.elapsed() > LIMIT {
                return Err(self.child.failed("it does not listen"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Until it answers it has not begun.
        self.frames().map(drop)
    }

    /// Frames that it has taken or made until now; `None` if it is about disks.
    ///
    /// # Errors
    /// It does not say.
    pub fn frames(&mut self) -> Result<Option<u64>, String> {
        let word = match self.kind {
            Kind::Receiving => "RX-packets:",
            Kind::Transmitting => "TX-packets:",
            Kind::Disk(..) => return Ok(None),
        };
        self.child.type_line("show port stats 0")?;
        let number = |line: &str| line.split_once(word)?.1.split_ascii_whitespace().next()?.parse().ok();
        self.child.wait_for("counters", LIMIT, number).map(Some)
    }
}

/// Memory of DPDK's, as both sides have it.
pub fn dpdk_memory(huge_pages: bool) -> Vec<String> {
    let common = ["-n", "1", "--no-pci", "--single-file-segments", "--no-telemetry"];
    let pages: &[&str] = if huge_pages { &["--in-memory"] } else { &["--no-huge", "-m", "128"] };
    common.iter().chain(pages).map(|word| (*word).to_owned()).collect()
}

/// Whether huge pages are free for the benchmark: those of 2 MiB, as many as both sides need.
pub fn huge_pages_are_there() -> bool {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = meminfo.lines().find_map(|line| line.strip_prefix("HugePages_Free:")?.trim().parse().ok());
    free.unwrap_or(0) >= 100
}

fn testpmd(folder: &Path, processors: Processors, mode: &str) -> Vec<String> {
    let processor = processors.back_end;
    let mut whole = vec!["--output=L".into(), "dpdk-testpmd".into()];
    whole.push(format!("--lcores=0@{processor},1@{processor}"));
    whole.extend(dpdk_memory(huge_pages_are_there()));
    whole.push(format!("--vdev=net_vhost0,iface={},queues=1", folder.join("socket").display()));
    whole.extend(
        ["--", "--interactive", "--auto-start", "--disable-link-check", "--total-num-mbufs=8192"]
            .map(Into::into),
    );
    whole.push(format!("--forward-mode={mode}"));
    whole
}

fn disk_file(folder: &Path) -> PathBuf {
    folder.join("disk")
}

fn storage_daemon(folder: &Path, medium: Medium, queues: u16) -> Result<Vec<String>, String> {
    let node = match medium {
        Medium::Nothing => format!("driver=null-co,node-name=disk,size={DISK_BYTES},read-zeroes=off"),
        Medium::File => {
            let path = disk_file(folder);
            fill(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            format!("driver=file,node-name=disk,filename={},cache.direct=on,aio=native", path.display())
        }
    };
    let socket = folder.join("socket");
    let export = format!(
        "type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path={},writable=on,num-queues={queues}",
        socket.display()
    );
    Ok(vec!["--blockdev".into(), node, "--export".into(), export])
}

/// A file with something in each of its blocks: what was never written is not read from a disk.
fn fill(path: &Path) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = File::create(path)?;
    let piece = vec![0x5a; 1 << 20];
    for _ in 0..DISK_BYTES >> 20 {
        file.write_all(&piece)?;
    }
    file.sync_all()
}
