//! A process of the benchmark: started, talked to by lines, and ended with its value.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// As many of its last lines as a failure shows.
const SHOWN_LINES: usize = 20;
/// How long it may take to end once nothing more will be typed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// See the module's head. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: VecDeque<String>,
    command: String,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// It is not there, or there are no processes left.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = started.map_err(|error| format!("{shown}: {error}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stream) = process.stdout.take() {
            forward(stream, sender.clone());
        }
        if let Some(stream) = process.stderr.take() {
            forward(stream, sender);
        }
        let input = process.stdin.take();
        Ok(Self { process, input, lines, said: VecDeque::new(), command: shown })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it while `act` runs.
    pub fn paused<R>(&self, act: impl FnOnce() -> R) -> R {
        // It is this process's own child that nobody has waited for, so the number is its own.
        let own = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let send = |signal| own.map(|id| kill_process(id, signal));
        let _ = send(Signal::STOP);
        let result = act();
        let _ = send(Signal::CONT);
        result
    }

    /// Types a line.
    ///
    /// # Errors
    /// It takes none any more.
    pub fn type_line(&mut self, line: &str) -> Result<(), String> {
        let written = self.input.as_mut().map(|input| writeln!(input, "{line}").and_then(|()| input.flush()));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failed(&format!("it does not take {line:?}"))),
        }
    }

    /// Waits until it says a line that is looked for.
    ///
    /// # Errors
    /// It ends before, or takes too long: with its command line and what it said last.
    pub fn wait_for<R>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&str) -> Option<R>,
    ) -> Result<R, String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = look(&line);
                    self.remember(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failed(&format!("no {what} within {} seconds", limit.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failed(&format!("it ended before {what}")));
                }
            }
        }
    }

    /// Tells it that nothing more will be typed, and waits until it has ended with success.
    ///
    /// # Errors
    /// It does not.
    pub fn end(mut self) -> Result<(), String> {
        drop(self.input.take());
        let deadline = Instant::now() + END_LIMIT;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.failed(&format!("it ended with {status}"))),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(self.failed("it does not end")),
                Err(error) => return Err(self.failed(&error.to_string())),
            }
        }
    }

    fn remember(&mut self, line: String) {
        if self.said.len() == SHOWN_LINES {
            self.said.pop_front();
        }
        self.said.push_back(line);
    }

    /// Why it failed, with all that helps.
    pub fn failed(&mut self, why: &str) -> String {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
            self.remember(line);
        }
        let said: Vec<&str> = self.said.iter().map(String::as_str).collect();
        format!("{why}\n{}\nit said at last:\n{}", self.command, said.join("\n"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What it prints, line by line, until it ends or nobody listens.
fn forward(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
}
