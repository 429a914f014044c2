//! A process of a back-end: started by a test, followed in its log, and ended with it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{command_line, tied_to_this_process};

/// How long it may take to do something that it was asked for: to start, to answer, to end.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// As many lines of its log as a failure shows.
const SHOWN_LINES_MAX: usize = 40;

/// A running back-end, or a part of one. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    command: String,
    log: PathBuf,
}

impl Process {
    /// Starts it, with all that it leaves behind in a folder: its log, too, under this name.
    ///
    /// # Panics
    /// If the program is not there, with what to do about it.
    pub(super) fn start(whole: &[String], folder: &Path, name: &str) -> Self {
        let Some((program, arguments)) = whole.split_first() else { panic!("no program for {name}") };
        let command = command_line(program, arguments);
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("a file in the back-end's folder");
        let started = tied_to_this_process(program)
            .args(arguments)
            // Where DPDK and Open vSwitch put what they would have under /run, /var and /etc.
            .envs(
                ["RUNTIME_DIRECTORY", "OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"]
                    .map(|name| (name, folder)),
            )
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => missing(program),
            Err(error) => panic!("{command}: {error}"),
        };
        let input = child.stdin.take().expect("piped");
        Self { child, input, command, log }
    }

    /// All that it said until now.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said something about what is looked for: in what it said after the first so many bytes.
    ///
    /// # Panics
    /// With its command line and its log, if it ends before, or takes too long.
    pub(super) fn wait_for<R>(
        &mut self,
        what: &str,
        after: usize,
        mut look: impl FnMut(&str) -> Option<R>,
    ) -> R {
        let start = Instant::now();
        loop {
            let is_over = self.child.try_wait().expect("it was started");
            if let Some(found) = self.said().get(after..).and_then(&mut look) {
                return found;
            }
            if let Some(status) = is_over {
                self.fail(&format!("it ended with {status} before {what}"));
            }
            if start.elapsed() > LIMIT {
                self.fail(&format!("no {what} within {} seconds", LIMIT.as_secs()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types a line, and says how much it had said before.
    ///
    /// # Panics
    /// With its command line and its log, if it takes none.
    pub(super) fn type_line(&mut self, line: &str) -> usize {
        let before = self.said().len();
        if let Err(error) = writeln!(self.input, "{line}") {
            self.fail(&format!("it does not take {line:?}: {error}"));
        }
        before
    }

    /// Kills it at once (SIGKILL): it tidies nothing up.
    ///
    /// # Panics
    /// If it had ended by itself.
    pub(super) fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().expect("it was started") {
            self.fail(&format!("it had ended by itself, with {status}"));
        }
        self.child.kill().expect("it was there");
        self.child.wait().expect("it was started");
    }

    /// Waits until it ends with success, as it was asked to.
    ///
    /// # Panics
    /// With its command line and its log, if it does not.
    pub(super) fn end(mut self) {
        let start = Instant::now();
        loop {
            match self.child.try_wait().expect("it was started") {
                Some(status) if status.success() => return,
                Some(status) => self.fail(&format!("it ended with {status}")),
                None if start.elapsed() > LIMIT => self.fail("it does not end"),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Ends the test; what it said is shown when it is dropped.
    pub(super) fn fail(&self, why: &str) -> ! {
        panic!("the back-end failed: {why}\n{}", self.command)
    }
}

/// Says that a program is not there.
pub(super) fn missing(program: &str) -> ! {
    panic!("no {program} here: `make setup` installs it, or says what to install by hand")
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let skipped = lines.len().saturating_sub(SHOWN_LINES_MAX);
            let shown = lines.get(skipped..).unwrap_or_default().join("\n");
            eprintln!("--- {}\n--- it said ({skipped} lines before):\n{shown}\n---", self.command);
        }
    }
}
