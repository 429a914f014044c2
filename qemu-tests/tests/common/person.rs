//! A person at a terminal: types, one key after the other, and looks at the screen.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

/// How long a person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between keys.
const PAUSE: Duration = Duration::from_millis(4);

/// See the module's head.
pub struct Person {
    terminal: UnixStream,
    rows: Vec<Vec<u8>>,
    column: usize,
    /// Times that the bell rang.
    pub bells: usize,
}

impl Person {
    /// Sits down at this end of a console.
    pub fn at(terminal: UnixStream) -> Self {
        terminal.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self { terminal, rows: vec![Vec::new()], column: 0, bells: 0 }
    }

    /// Presses keys.
    pub fn type_keys(&mut self, keys: &str) {
        for key in keys.bytes() {
            self.terminal.write_all(&[key]).expect("the terminal is connected");
            thread::sleep(PAUSE);
        }
    }

    /// Looks at the screen until its last row is this one. If it takes too long, what is there instead.
    pub fn wait_for_row(&mut self, row: &str) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while self.rows.last().is_none_or(|last| last != row.as_bytes()) {
            if Instant::now() > end || !self.look() {
                return Err(format!("the last row is not {row:?}:\n{}", self.screen()));
            }
        }
        Ok(())
    }

    /// Looks at the screen until the terminal is switched off.
    pub fn watch_to_the_end(&mut self) {
        while self.look() {}
    }

    /// What is on the screen, row by row.
    pub fn screen(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|row| String::from_utf8_lossy(row)).collect();
        rows.join("\n")
    }

    /// Takes what comes next. Says whether there was anything.
    fn look(&mut self) -> bool {
        let mut bytes = [0; 256];
        let count = self.terminal.read(&mut bytes).unwrap_or(0);
        bytes[..count].iter().for_each(|byte| self.show(*byte));
        count > 0
    }

    /// As a terminal does: a carriage return goes to the row's begin, a line feed one row down, a backspace one character back.
    fn show(&mut self, byte: u8) {
        match byte {
            b'\r' => self.column = 0,
            b'\n' => {
                let blanks = vec![b' '; self.column];
                self.rows.push(blanks);
            }
            0x08 => self.column = self.column.saturating_sub(1),
            0x07 => self.bells += 1,
            _ => {
                let row = self.rows.last_mut().expect("there is always one");
                if self.column == row.len() {
                    row.push(byte);
                } else {
                    row[self.column] = byte;
                }
                self.column += 1;
            }
        }
        // What was wiped out is blank, and does not count.
        if byte == 0x08 {
            let (row, column) = (self.rows.last_mut().expect("there is always one"), self.column);
            if row[column..].iter().all(|byte| *byte == b' ') {
                row.truncate(column);
            }
        }
    }
}

/// Whether text is as expected, where `#` stands for a number.
pub fn is_like(text: &str, expected: &str) -> bool {
    let mut rest = text;
    for (index, piece) in expected.split('#').enumerate() {
        if index > 0 {
            let without = rest.trim_start_matches(|character: char| character.is_ascii_digit());
            if without.len() == rest.len() {
                return false;
            }
            rest = without;
        }
        let Some(after) = rest.strip_prefix(piece) else { return false };
        rest = after;
    }
    rest.is_empty()
}
