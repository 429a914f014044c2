//! The line that is being typed: what each key does to it, and what the screen shows of that.

use alloc::string::String;

/// Longest line, in characters: one row of a terminal, with the prompt.
const LINE_MAX: usize = 76;

/// See the module's head.
#[derive(Default)]
pub struct Editor {
    line: String,
    state: State,
}

/// What came before the next byte.
#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Key,
    /// CR, which has ended the line: LF behind it is part of the same key.
    Return,
    /// ESC: a key that has a name (arrows, for instance) is several bytes.
    Escape,
    /// `ESC [` and what follows, until a letter or `~`.
    Sequence,
}

/// What a byte made of the line.
pub enum Typed {
    /// This is to be shown.
    Shown(&'static str),
    /// The line has this character more.
    Character(char),
    /// The line is over.
    Line(String),
}

impl Editor {
    /// Takes a byte from the keyboard.
    pub fn take(&mut self, byte: u8) -> Typed {
        let before = core::mem::take(&mut self.state);
        match (before, byte) {
            (State::Escape, b'[') | (State::Sequence, ..=b'?' | 0x7f..) => self.state = State::Sequence,
            (State::Escape | State::Sequence, _) | (State::Return, b'\n') => {}
            (_, 0x1b) => self.state = State::Escape,
            (_, b'\r' | b'\n') => {
                self.state = if byte == b'\r' { State::Return } else { State::Key };
                return Typed::Line(core::mem::take(&mut self.line));
            }
            // Ctrl-C: another line instead.
            (_, 0x03) => {
                self.line.clear();
                return Typed::Line(String::new());
            }
            // Backspace, as either kind of terminal sends it: one step back, a blank over the character, and back again.
            (_, 0x08 | 0x7f) if self.line.pop().is_some() => return Typed::Shown("\x08 \x08"),
            (_, b' '..=b'~') if self.line.len() < LINE_MAX => {
                self.line.push(byte.into());
                return Typed::Character(byte.into());
            }
            // What a line cannot hold: the bell says so.
            (_, 0x08 | b' '..) => return Typed::Shown("\x07"),
            _ => {}
        }
        Typed::Shown("")
    }
}
