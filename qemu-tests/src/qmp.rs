//! QEMU's control protocol: one command, one answer; events are kept aside.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long QEMU may take to answer,
const LIMIT: Duration = Duration::from_secs(10);
/// and, when it starts, until it answers for the first time.
const CONNECTION_LIMIT: Duration = Duration::from_secs(20);

/// A connection to a machine.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    events: Vec<Value>,
    command: String,
}

impl Qmp {
    /// Connects, and leaves negotiation behind. `command` is QEMU's command line, for messages.
    pub(crate) fn connect(socket: &Path, command: &str) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).map_err(|error| format!("no QMP connection: {error}"))?;
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        let mut qmp = Self { stream: BufReader::new(stream), events: Vec::new(), command: command.into() };
        let greeting = qmp.try_receive()?;
        assert!(greeting.get("QMP").is_some(), "QEMU greets: {greeting}");
        qmp.try_execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Connects to a process that was started with this socket, once it answers there.
    pub(crate) fn of_process(process: &mut Child, socket: &Path, command: &str) -> Result<Self, String> {
        let start = Instant::now();
        loop {
            let is_over = process.try_wait().expect("it was started").is_some();
            match Self::connect(socket, command) {
                Ok(qmp) => return Ok(qmp),
                Err(problem) if is_over || start.elapsed() > CONNECTION_LIMIT => return Err(problem),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Executes a command and returns its result.
    ///
    /// # Panics
    /// If QEMU refuses it or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        let done = self.try_execute(command, arguments);
        done.unwrap_or_else(|problem| panic!("{problem}\n{}", self.command))
    }

    /// Sends a command upon which the guest ends its machine, maybe before QEMU has answered; nobody waits for the answer.
    ///
    /// # Panics
    /// If QEMU does not read it.
    pub fn execute_last(&mut self, command: &str, arguments: &Value) {
        let request = json!({ "execute": command, "arguments": arguments });
        let sent = self.send(&request);
        sent.unwrap_or_else(|error| panic!("QEMU does not read {request}: {error}\n{}", self.command));
    }

    fn try_execute(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.send(&request).map_err(|error| format!("QEMU does not read {request}: {error}"))?;
        loop {
            let mut answer = self.try_receive()?;
            if answer.get("event").is_some() {
                self.events.push(answer);
            } else if let Some(error) = answer.get("error") {
                return Err(format!("QEMU refuses {request}: {error}"));
            } else {
                return Ok(answer["return"].take());
            }
        }
    }

    /// Has the process end; an error if it does not say that it will.
    pub(crate) fn quit(&mut self) -> Result<(), String> {
        self.send(&json!({ "execute": "quit" })).map_err(|error| error.to_string())?;
        while self.try_receive()?.get("event").is_some() {}
        Ok(())
    }

    /// Stops the next write to a drive that has [`breakpoints`](crate::DiskDevice::breakpoints), until it is let go on by this name.
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn stop_next_write(&mut self, drive: &str, name: &str) {
        self.debug(drive, &format!("break write_aio {name}"));
    }

    /// Lets a write go on that was stopped.
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn let_go_on(&mut self, drive: &str, name: &str) {
        self.debug(drive, &format!("resume {name}"));
    }

    /// Has a drive execute a command of `qemu-io`, which says something only if it cannot.
    fn debug(&mut self, drive: &str, command: &str) {
        let line = format!("qemu-io {drive} \"{command}\"");
        let said = self.execute("human-monitor-command", &json!({ "command-line": line }));
        assert_eq!(said, "", "{line}\n{}", self.command);
    }

    /// Waits for an event about the device with this id, unless it came already.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn wait_for(&mut self, event: &str, device: &str) {
        let is_it = |seen: &Value| seen["event"] == event && seen["data"]["device"] == device;
        while !self.events.iter().any(is_it) {
            let next = self.receive();
            self.events.push(next);
        }
    }

    /// Names of the events that came while answers were waited for.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| event["event"].as_str())
    }

    /// In one piece: QEMU may have ended once it has seen the last brace.
    fn send(&mut self, request: &Value) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes())
    }

    fn receive(&mut self) -> Value {
        self.try_receive().unwrap_or_else(|problem| panic!("{problem}\n{}", self.command))
    }

    fn try_receive(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        read.map_err(|error| format!("QEMU does not answer in time: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("QEMU says {line:?}: {error}"))
    }
}
