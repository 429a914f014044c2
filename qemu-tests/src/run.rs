//! A running virtual machine.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::command::Qemu;
use crate::console::ConsoleDevice;
use crate::daemon::StorageDaemon;
use crate::qmp::Qmp;
use crate::version::check_qemu;

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It said that all went well (exit status 33).
    Success,
    /// It said that something failed (exit status 35).
    Failure,
}

/// As many lines of a guest's output as a failure shows.
const SHOWN_LINES_MAX: usize = 400;

/// A running machine. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    output: Vec<String>,
    command: String,
    deadline: Instant,
    storage_daemons: Vec<StorageDaemon>,
    folder: TempDir,
}

impl Running {
    pub(crate) fn start(qemu: &Qemu) -> Self {
        let version = check_qemu(qemu.emulator()).unwrap_or_else(|problem| panic!("{problem}"));
        // In /tmp, for the path of a socket may not be long.
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let storage_daemons = qemu.storage_daemons(folder.path());
        let arguments = qemu.arguments(folder.path());
        let mut whole = qemu.launcher();
        whole.extend(arguments);
        let program = whole.remove(0);
        let mut command = format!("(QEMU {version}) {}", command_line(&program, &whole));
        for daemon in &storage_daemons {
            command += &format!(
                "
beside {}",
                daemon.command()
            );
        }
        let mut child = tied_to_this_process(&program)
            .args(whole)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("QEMU starts");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("piped"), "", sender.clone());
        forward(child.stderr.take().expect("piped"), "qemu: ", sender);
        Self {
            child,
            lines,
            output: Vec::new(),
            command,
            deadline: Instant::now() + qemu.time_limit(),
            storage_daemons,
            folder,
        }
    }

    /// Connects to the machine's control socket.
    ///
    /// # Panics
    /// With QEMU's command line and what it printed, if there is no connection.
    pub fn qmp(&mut self) -> Qmp {
        let socket = self.folder.path().join("qmp");
        Qmp::of_process(&mut self.child, &socket, &self.command).unwrap_or_else(|problem| {
            let is_over = self.is_over();
            self.output.extend(self.lines.iter().take_while(|_| is_over));
            self.fail(&problem)
        })
    }

    /// Connects to the host's end of a port of the console, which is there whether the port is or not.
    ///
    /// # Panics
    /// With QEMU's command line and what it printed, if there is no connection.
    pub fn console_port(&mut self, number: u32) -> UnixStream {
        let socket = ConsoleDevice::socket(self.folder.path(), number);
        loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => return stream,
                Err(error) if Instant::now() > self.deadline || self.is_over() => {
                    self.failed(&format!("no connection to port {number} of its console: {error}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("QEMU was started").is_some()
    }

    /// The connection to the process that serves the first disk that QEMU itself does not serve. The disk is named as in QEMU, `disk` and its number.
    ///
    /// # Panics
    /// If there is none.
    pub fn storage_daemon(&mut self) -> &mut Qmp {
        self.first_storage_daemon().qmp()
    }

    /// Kills that process, in the middle of whatever it does: it says nothing to anybody.
    ///
    /// # Panics
    /// If there is none.
    pub fn kill_storage_daemon(&mut self) {
        self.first_storage_daemon().kill();
    }

    /// Has that process end, as its QMP says it to: with success.
    ///
    /// # Panics
    /// If there is none, with QEMU's command line and what the guest printed if it does not end, or with an error.
    pub fn stop_storage_daemon(&mut self) {
        if let Err(problem) = self.first_storage_daemon().stop() {
            self.failed(&problem);
        }
    }

    /// Starts that process again, once it has ended; QEMU connects to it by itself.
    ///
    /// # Panics
    /// If there is none, or it does not listen.
    pub fn start_storage_daemon(&mut self) {
        self.first_storage_daemon().start_again();
    }

    fn first_storage_daemon(&mut self) -> &mut StorageDaemon {
        self.storage_daemons.first_mut().expect("a disk with a storage daemon")
    }

    /// How much of the host's memory the machine has at the moment.
    ///
    /// # Panics
    /// If the host does not say (Linux does).
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let lines = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let resident = lines.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB"));
        let kibibytes: Option<u64> = resident.and_then(|number| number.parse().ok());
        kibibytes.unwrap_or_else(|| panic!("{path} has no Rss:\n{lines}")) << 10
    }

    /// Follows the guest until it prints a line that starts like this, and returns that line.
    ///
    /// # Panics
    /// With QEMU's command line and the guest's output, if it ends before, or takes too long.
    pub fn wait_for(&mut self, line: &str) -> String {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Ok(printed) = self.lines.recv_timeout(left) else {
                self.fail(&format!("it did not print {line:?}"));
            };
            self.output.push(printed.clone());
            if printed.starts_with(line) {
                return printed;
            }
        }
    }

    /// Follows the guest to its end, and checks how it ended and that it printed a line that starts like `line`.
    ///
    /// # Panics
    /// With QEMU's command line and the guest's output, if either is not as expected.
    pub fn finish(mut self, expected: Ended, line: &str) -> String {
        let status = self.run_out();
        self.judge(status, expected, line)
    }

    /// The same; `None` if QEMU ended by a fault of its own, so that nothing is known about the guest.
    pub(crate) fn finish_unless_faulty(mut self, expected: Ended, line: &str) -> Option<String> {
        let status = self.run_out();
        let is_faulty = self.output.iter().any(|printed| is_fault_of_qemu(printed));
        (!is_faulty).then(|| self.judge(status, expected, line))
    }

    /// Follows the guest to its end.
    fn run_out(&mut self) -> ExitStatus {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.output.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.fail("it did not end within its time limit"),
            }
        }
        self.child.wait().expect("QEMU was started")
    }

    fn judge(mut self, status: ExitStatus, expected: Ended, line: &str) -> String {
        match ended(status) {
            Ok(ended) if ended == expected => {}
            Ok(ended) => self.fail(&format!("it ended with {ended:?}")),
            Err(how) => self.fail(&how),
        }
        let stopped: Result<(), String> = self.storage_daemons.iter_mut().try_for_each(StorageDaemon::stop);
        stopped.unwrap_or_else(|problem| self.fail(&problem));
        if !self.output.iter().any(|printed| printed.starts_with(line)) {
            self.fail(&format!("it did not print {line:?}"));
        }
        self.output.join("\n")
    }

    /// Says that the guest failed, for a reason that was seen from outside.
    ///
    /// # Panics
    /// Always: with QEMU's command line and what the guest printed until now.
    pub fn failed(&mut self, why: &str) -> ! {
        self.output.extend(self.lines.try_iter());
        self.fail(why)
    }

    fn fail(&self, why: &str) -> ! {
        let skipped = self.output.len().saturating_sub(SHOWN_LINES_MAX);
        let shown = self.output[skipped..].join("\n");
        let daemons: String = self.storage_daemons.iter().map(StorageDaemon::said).collect();
        let beside =
            if daemons.is_empty() { daemons } else { format!("\n--- storage daemons:\n{daemons}---") };
        panic!(
            "the guest failed: {why}\n{}\n--- its output ({skipped} lines before):\n{shown}\n---{beside}",
            self.command
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that ends with this process, however that ends: through `setpriv`, where there is one (Linux).
pub(crate) fn tied_to_this_process(program: &str) -> Command {
    static SETPRIV_WORKS: LazyLock<bool> = LazyLock::new(|| {
        let probe = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
        probe.is_ok_and(|status| status.success())
    });
    if *SETPRIV_WORKS {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        command
    } else {
        Command::new(program)
    }
}

/// As a person would type it.
pub(crate) fn command_line(program: &str, arguments: &[String]) -> String {
    let quoted: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    format!("{program} {}", quoted.join(" "))
}

fn forward(stream: impl Read + Send + 'static, prefix: &'static str, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if sender.send(format!("{prefix}{}", line.trim_end_matches('\r'))).is_err() {
                break;
            }
        }
    });
}

/// Whether QEMU says that it ends by a known fault of its own: 10.0.2, emulating several processors, at times looks up a place in a map of memory that has just been replaced.
fn is_fault_of_qemu(printed: &str) -> bool {
    printed.starts_with("qemu: ") && printed.contains("iotlb_to_section: Assertion `section_index <")
}

/// The guest ends QEMU with `2 * byte + 1`; anything else is not its word.
fn ended(status: ExitStatus) -> Result<Ended, String> {
    match status.code() {
        Some(33) => Ok(Ended::Success),
        Some(35) => Ok(Ended::Failure),
        Some(0) => Err("it powered off without saying how it went".into()),
        _ => Err(format!("QEMU ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, ended, is_fault_of_qemu};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn only_the_one_assertion_of_qemus_own_counts_as_its_fault() {
        let said = "qemu-system-x86_64: system/physmem.c:2678: iotlb_to_section: Assertion `section_index < d->map.sections_nb' failed.";

        assert!(is_fault_of_qemu(&format!("qemu: {said}")));
        assert!(!is_fault_of_qemu(said), "a guest printed it");
        assert!(!is_fault_of_qemu("qemu: qemu-system-x86_64: hw/x.c:1: f: Assertion `x' failed."));
    }

    #[test]
    fn only_the_guests_own_word_counts_as_an_end() {
        let exited = |code: i32| ended(ExitStatus::from_raw(code << 8));
        assert_eq!(exited(33), Ok(Ended::Success));
        assert_eq!(exited(35), Ok(Ended::Failure));
        assert!(exited(0).is_err() && exited(1).is_err());
        assert!(ended(ExitStatus::from_raw(9)).is_err(), "killed");
    }
}
