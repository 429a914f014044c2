//! QEMU's storage daemon: a process beside the machine that serves one of its disks, in the guest's memory.
//!
//! It is started before the machine and stopped after it, and has two sockets in the machine's folder: one that QEMU's `vhost-user-blk` connects to, and one for QMP. In between it
//! can end and be started again; QEMU connects to it anew.
//!
//! Without a machine it has a folder of its own, and serves whoever connects to its [socket](StorageDaemon::address).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::disk::{DiskDevice, on_off, option_value};
use crate::image::Image;
use crate::pattern::SECTOR;
use crate::qmp::Qmp;
use crate::run::{command_line, tied_to_this_process};
use crate::version::check_qemu;

/// The program.
const PROGRAM: &str = "qemu-storage-daemon";
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A storage daemon that listens. Dropping it kills it.
#[derive(Debug)]
pub struct StorageDaemon {
    process: Process,
    arguments: Vec<String>,
    command: String,
    address: PathBuf,
    control: PathBuf,
    said: PathBuf,
    /// Its own, if there is no machine.
    _folder: Option<TempDir>,
}

/// One run of it.
#[derive(Debug)]
struct Process {
    child: Child,
    qmp: Qmp,
}

impl StorageDaemon {
    /// Starts one that serves an image to whoever connects to its [socket](Self::address), one at a time, and waits until it listens.
    ///
    /// # Panics
    /// If it is not there, not new enough, or does not listen.
    pub fn of_image(image: &Image, device: &DiskDevice) -> Self {
        Self::start_alone(device, device.nodes("disk0", image.path()))
    }

    /// Starts one that serves a disk of so many sectors with nothing behind it (`null-co`): it reads as zeros, and what is written there is gone.
    ///
    /// # Panics
    /// As [`of_image`](Self::of_image).
    pub fn of_nothing(sectors: u64, device: &DiskDevice) -> Self {
        let (bytes, read_only) = (sectors * SECTOR as u64, on_off(device.read_only));
        let node =
            format!("node-name=disk0,driver=null-co,size={bytes},read-zeroes=on,read-only={read_only}");
        Self::start_alone(device, vec!["--blockdev".into(), node])
    }

    fn start_alone(device: &DiskDevice, nodes: Vec<String>) -> Self {
        // In /tmp, for the path of a socket may not be long.
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let daemon = Self::start_with(folder.path(), 0, nodes, device);
        Self { _folder: Some(folder), ..daemon }
    }

    /// Where it listens for whoever uses the disk.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// Where the daemon of the disk with this index listens for QEMU.
    pub(crate) fn socket(folder: &Path, index: usize) -> PathBuf {
        folder.join(format!("disk{index}"))
    }

    /// What it serves, which is called as in QEMU.
    fn export(folder: &Path, index: usize, device: &DiskDevice) -> String {
        let (name, socket) = (format!("disk{index}"), option_value(&Self::socket(folder, index)));
        let (writable, queues) = (on_off(!device.read_only), device.queues.unwrap_or(1));
        format!(
            "type=vhost-user-blk,id={name},node-name={name},addr.type=unix,addr.path={socket},writable={writable},num-queues={queues}"
        )
    }

    /// Starts it, and waits until it listens.
    ///
    /// # Panics
    /// If it is not there, not new enough, or does not listen.
    pub(crate) fn start(folder: &Path, index: usize, image: &Path, device: &DiskDevice) -> Self {
        Self::start_with(folder, index, device.nodes(&format!("disk{index}"), image), device)
    }

    fn start_with(folder: &Path, index: usize, nodes: Vec<String>, device: &DiskDevice) -> Self {
        check_qemu(PROGRAM).unwrap_or_else(|problem| panic!("{problem}"));
        let name = format!("disk{index}");
        let control = folder.join(format!("{name}.qmp"));
        let mut arguments = nodes;
        arguments.extend(["--export".into(), Self::export(folder, index, device)]);
        // What comes last is there last: once QMP answers, it listens.
        let socket = format!("socket,id=qmp,path={},server=on,wait=off", option_value(&control));
        arguments.extend(["--chardev".into(), socket, "--monitor".into(), "chardev=qmp".into()]);
        let command = command_line(PROGRAM, &arguments);
        let said = folder.join(format!("{name}.log"));
        File::create(&said).expect("a file in the machine's folder");
        let process = Process::start(&arguments, &command, &control, &said);
        let address = Self::socket(folder, index);
        Self { process, arguments, command, address, control, said, _folder: None }
    }

    /// Starts it again, once it has ended.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) {
        self.process = Process::start(&self.arguments, &self.command, &self.control, &self.said);
    }

    /// Kills it, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it where it is (SIGSTOP): it is there, and does nothing. It can still be killed.
    ///
    /// # Panics
    /// If it has ended.
    pub fn freeze(&self) {
        let process = Pid::from_child(&self.process.child);
        kill_process(process, Signal::STOP).expect("it is there");
    }

    /// What it printed.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Its command line.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The connection to it.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.process.qmp
    }

    /// Stops it, and checks that it was still there and ends with success.
    ///
    /// # Errors
    /// What it did instead.
    ///
    /// # Panics
    /// If nobody can tell.
    pub fn stop(&mut self) -> Result<(), String> {
        let asked = self.process.qmp.quit();
        asked.map_err(|problem| format!("the storage daemon ended before: {problem}"))?;
        let start = Instant::now();
        loop {
            match self.process.child.try_wait().expect("it was started") {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the storage daemon ended with {status}")),
                None if start.elapsed() > END_LIMIT => return Err("the storage daemon does not end".into()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Process {
    /// Starts one, and waits until it listens.
    fn start(arguments: &[String], command: &str, control: &Path, said: &Path) -> Self {
        let log = File::options().append(true).open(said).expect("the file for what it says");
        let mut child = tied_to_this_process(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn()
            .expect("the storage daemon starts");
        match Qmp::of_process(&mut child, control, command) {
            Ok(qmp) => Self { child, qmp },
            Err(problem) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                panic!("{problem}\n{command}\n{}", fs::read_to_string(said).unwrap_or_default())
            }
        }
    }

    fn kill(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
