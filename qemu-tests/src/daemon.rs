//! QEMU's storage daemon: a process beside the machine that serves one of its disks, in the guest's memory.
//!
//! It is started before the machine and stopped after it, and has two sockets in the machine's folder: one that QEMU's `vhost-user-blk` connects to, and one for QMP.

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
    child: Child,
    qmp: Qmp,
    command: String,
    said: PathBuf,
}

impl StorageDaemon {
    /// Where the daemon of the disk with this index listens for QEMU.
    pub(crate) fn socket(folder: &Path, index: usize) -> PathBuf {
        folder.join(format!("disk{index}"))
    }

    /// Starts it, and waits until it listens.
    ///
    /// # Panics
    /// If it is not there, not new enough, or does not listen.
    pub(crate) fn start(folder: &Path, index: usize, image: &Path, device: &DiskDevice) -> Self {
        check_qemu(PROGRAM).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(device.requests_per_second.is_none(), "a disk with a storage daemon is not slowed down");
        let (name, control) = (format!("disk{index}"), folder.join(format!("disk{index}.qmp")));
        let socket = option_value(&Self::socket(folder, index));
        let (drive, queues) = (device.drive(image), device.queues.unwrap_or(1));
        let writable = on_off(!device.read_only);
        let arguments = [
            ["--blockdev", &format!("node-name={name},{drive},read-only={}", on_off(device.read_only))],
            ["--export", &format!("type=vhost-user-blk,id={name},node-name={name},addr.type=unix,addr.path={socket},writable={writable},num-queues={queues}")],
            // What comes last is there last: once QMP answers, it listens.
            ["--chardev", &format!("socket,id=qmp,path={},server=on,wait=off", option_value(&control))],
            ["--monitor", "chardev=qmp"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<String>>();
        let command = command_line(PROGRAM, &arguments);
        let said = folder.join(format!("disk{index}.log"));
        let log = File::create(&said).expect("a file in the machine's folder");
        let mut child = tied_to_this_process(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn()
            .expect("the storage daemon starts");
        match Qmp::of_process(&mut child, &control, &command) {
            Ok(qmp) => Self { child, qmp, command, said },
            Err(problem) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                panic!("{problem}\n{command}\n{}", fs::read_to_string(&said).unwrap_or_default())
            }
        }
    }

    /// Its command line.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    /// The connection to it.
    pub(crate) fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// Stops it, and checks that it was still there and ends with success.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let said = || fs::read_to_string(&self.said).unwrap_or_default();
        let asked = self.qmp.quit();
        asked.map_err(|problem| format!("the storage daemon ended before: {problem}\n{}", said()))?;
        let start = Instant::now();
        loop {
            match self.child.try_wait().expect("it was started") {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the storage daemon ended with {status}\n{}", said())),
                None if start.elapsed() > END_LIMIT => {
                    return Err(format!("the storage daemon does not end\n{}", said()));
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for StorageDaemon {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
