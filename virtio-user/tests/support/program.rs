//! The program, started as a person would.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes as long, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

/// What it did.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// A program that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    pub fn start<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_virtio-user"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the program starts"))
    }

    /// Waits until it ends. It says little enough for a pipe.
    pub fn end(mut self) -> Said {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("it was started") {
                break status.code();
            }
            if start.elapsed() > LIMIT {
                self.0.kill().expect("it was there");
                let said = self.said(None);
                panic!("it does not end: {said:?}");
            }
            thread::sleep(Duration::from_millis(5));
        };
        self.said(status)
    }

    fn said(&mut self, status: Option<i32>) -> Said {
        let read = |from: &mut dyn Read| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("what it said");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let output = read(self.0.stdout.as_mut().expect("piped"));
        let errors = read(self.0.stderr.as_mut().expect("piped"));
        Said { status, output, errors }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it to its end. Words are separated by blanks.
pub fn run(words: &str) -> Said {
    Program::start(words.split_ascii_whitespace()).end()
}

impl Said {
    /// It did its work.
    pub fn done(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// It said what stood in the way, and what to do next.
    pub fn failed(self, why: &str, next: &str) {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert!(self.errors.contains(why), "{why}: {self:?}");
        assert!(next.is_empty() || self.errors.contains(&format!("next: {next}")), "{next}: {self:?}");
    }
}
