//! One connection: a request, its answer, the end.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use smoltcp::socket::tcp::Socket;

use super::contents;
use super::page::{Answer, Wish, understand};

/// The longest request, without what it carries.
const REQUEST_BYTES_MAX: usize = 4096;

/// How far it is.
pub struct Connection {
    name: String,
    state: State,
}

enum State {
    /// A request is read.
    Reading(Vec<u8>),
    /// What was sent with it is read: so much is left.
    Summing(u64, Sha256),
    /// It is answered: so many bytes are out.
    Answering(Answer, u64),
    /// The other side is still to say that it has everything.
    Closing { is_last: bool },
}

/// What came of a look at a connection.
pub enum Turn {
    /// Nothing to tell.
    Quiet,
    /// This was answered, from the first byte to the last.
    Served(String),
    /// The last one was.
    Last,
}

impl Connection {
    pub const fn new() -> Self {
        Self { name: String::new(), state: State::Reading(Vec::new()) }
    }

    /// Goes on as far as the socket lets it.
    pub fn turn(&mut self, socket: &mut Socket<'_>, port: u16, about: &str) -> Result<Turn, String> {
        if !socket.is_open() {
            let was_last = matches!(self.state, State::Closing { is_last: true });
            self.state = State::Reading(Vec::new());
            socket.listen(port).map_err(|error| error.to_string())?;
            return Ok(if was_last { Turn::Last } else { Turn::Quiet });
        }
        if let State::Reading(_) | State::Summing(..) = self.state {
            self.read(socket, about)?;
        }
        let State::Answering(answer, sent) = &mut self.state else { return Ok(Turn::Quiet) };
        let head_bytes = answer.head.len() as u64;
        let end = head_bytes + answer.file_bytes;
        while socket.can_send() && *sent < end {
            let from = *sent;
            let bytes = socket.send(|room| {
                let bytes = fill(answer, from, room);
                (bytes, bytes)
            });
            *sent += bytes.map_err(|error| error.to_string())? as u64;
        }
        let is_done = *sent == end;
        if is_done || !socket.may_send() {
            let is_last = answer.is_last;
            socket.close();
            self.state = State::Closing { is_last };
        }
        Ok(if is_done { Turn::Served(core::mem::take(&mut self.name)) } else { Turn::Quiet })
    }

    fn read(&mut self, socket: &mut Socket<'_>, about: &str) -> Result<(), String> {
        while socket.can_recv() {
            let next = socket.recv(|bytes| match &mut self.state {
                State::Reading(request) => {
                    let before = request.len();
                    let taken = bytes.len().min(REQUEST_BYTES_MAX - before);
                    request.extend(bytes.iter().take(taken));
                    match understand(request, about) {
                        Some(asked) => {
                            self.name = asked.name;
                            // What comes after the head is for whoever sums it.
                            let taken = asked.bytes.saturating_sub(before);
                            (
                                taken,
                                Some(match asked.wish {
                                    Wish::Answer(answer) => State::Answering(answer, 0),
                                    Wish::Sum(bytes) => State::Summing(bytes, Sha256::new()),
                                }),
                            )
                        }
                        None if request.len() == REQUEST_BYTES_MAX => {
                            let answer =
                                Answer::text("431 Request Header Fields Too Large", "shorter, please\n");
                            (taken, Some(State::Answering(answer, 0)))
                        }
                        None => (taken, None),
                    }
                }
                State::Summing(left, digest) => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    digest.update(bytes.get(..taken).unwrap_or_default());
                    *left -= taken as u64;
                    (taken, None)
                }
                State::Answering(..) | State::Closing { .. } => (0, None),
            });
            if let Some(state) = next.map_err(|error| error.to_string())? {
                self.state = state;
            }
            if let State::Summing(0, digest) = &mut self.state {
                let sum = contents::in_hex(core::mem::take(digest));
                self.state = State::Answering(Answer::text("200 OK", &alloc::format!("{sum}  -\n")), 0);
            }
            if matches!(self.state, State::Answering(..)) {
                return Ok(());
            }
        }
        if socket.may_send() && !socket.may_recv() {
            // The other side has nothing more to say, and has not asked for anything.
            socket.close();
        }
        Ok(())
    }
}

/// The answer's bytes from `from` on, as many as there is room for.
fn fill(answer: &Answer, from: u64, room: &mut [u8]) -> usize {
    let head = usize::try_from(from).ok().and_then(|from| answer.head.get(from..)).unwrap_or_default();
    if !head.is_empty() {
        let bytes = head.len().min(room.len());
        for (into, byte) in room.iter_mut().zip(head) {
            *into = *byte;
        }
        return bytes;
    }
    let position = from - answer.head.len() as u64;
    let left = usize::try_from(answer.file_bytes - position).unwrap_or(usize::MAX);
    let bytes = left.min(room.len());
    contents::fill(position, room.get_mut(..bytes).unwrap_or_default());
    bytes
}
