//! QEMU's control protocol: one command, one answer; events are kept aside.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// How long QEMU may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

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
        let greeting = qmp.receive();
        assert!(greeting.get("QMP").is_some(), "QEMU greets: {greeting}");
        qmp.execute("qmp_capabilities", &json!({}));
        Ok(qmp)
    }

    /// Executes a command and returns its result.
    ///
    /// # Panics
    /// If QEMU refuses it or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}").expect("QEMU reads");
        loop {
            let mut answer = self.receive();
            if answer.get("event").is_some() {
                self.events.push(answer);
            } else if let Some(error) = answer.get("error") {
                panic!("QEMU refuses {request}: {error}\n{}", self.command);
            } else {
                return answer["return"].take();
            }
        }
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

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        read.unwrap_or_else(|error| panic!("QEMU does not answer in time: {error}\n{}", self.command));
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("QEMU says {line:?}: {error}\n{}", self.command))
    }
}
