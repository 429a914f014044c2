//! QEMU's storage daemon: a process beside the machine that serves one of its disks, in the guest's memory.
//!
//! It is started before the machine and stopped after it, and has two sockets in the machine's folder: one that QEMU's `vhost-user-blk` connects to, and one for QMP. In between it
//! can end and be started again; QEMU connects to it anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::{DiskDevice, on_off, option_value};
use crate::qmp::Qmp;
use crate::run::{command_line, tied_to_this_process};
use crate::version::check_qemu;

/// The program.
const PROGRAM: &str = "qemu-storage-daemon";
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A storage daemon that listens. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct StorageDaemon {
    process: Process,
    arguments: Vec<String>,
    command: String,
    control: PathBuf,
    said: PathBuf,
}

/// One run of it.
#[derive(Debug)]
struct Process {
    child: Child,
    qmp: Qmp,
}

impl StorageDaemon {
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
        check_qemu(PROGRAM).unwrap_or_else(|problem| panic!("{problem}"));
        let name = format!("disk{index}");
        let control = folder.join(format!("{name}.qmp"));
        let mut arguments = device.nodes(&name, image);
        arguments.extend(["--export".into(), Self::export(folder, index, device)]);
        // What comes last is there last: once QMP answers, it listens.
        let socket = format!("socket,id=qmp,path={},server=on,wait=off", option_value(&control));
        arguments.extend(["--chardev".into(), socket, "--monitor".into(), "chardev=qmp".into()]);
        let command = command_line(PROGRAM, &arguments);
        let said = folder.join(format!("{name}.log"));
        File::create(&said).expect("a file in the machine's folder");
        let process = Process::start(&arguments, &command, &control, &said);
        Self { process, arguments, command, control, said }
    }

    /// Starts it again, once it has ended.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub(crate) fn start_again(&mut self) {
        self.process = Process::start(&self.arguments, &self.command, &self.control, &self.said);
    }

    /// Kills it, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// What it printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Its command line.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    /// The connection to it.
    pub(crate) fn qmp(&mut self) -> &mut Qmp {
        &mut self.process.qmp
    }

    /// Stops it, and checks that it was still there and ends with success.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
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
