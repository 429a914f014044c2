//! The back-end: reads each message, and does what the script says.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{env, fs, process, thread};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::decision;

/// The one message that hands over a file that is kept: the back-end's own channel.
const SET_BACKEND_REQ_FD: u32 = 21;
/// Messages of more bytes than this are not the front-end's.
const BYTES_MAX: usize = 4096;

/// A back-end that takes one connection after the other.
#[derive(Debug)]
pub(super) struct BackEnd(PathBuf);

impl BackEnd {
    pub(super) fn start() -> Self {
        let path = env::temp_dir().join(format!("fuzz-vhost-user-{}", process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut connection = Connection { stream: stream.expect("a connection"), channel: None };
                while connection.serve().is_some() {}
            }
        });
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Waits until the last connection is over, and all its files are closed: one more is taken only then.
    pub(super) fn wait_until_idle(&self) {
        let mut last = UnixStream::connect(&self.0).expect("the back-end is there");
        last.shutdown(Shutdown::Write).expect("a connection");
        assert_eq!(last.read(&mut [0]).expect("a connection"), 0, "nobody is asked anything");
    }
}

/// One connection.
struct Connection {
    stream: UnixStream,
    channel: Option<UnixStream>,
}

impl Connection {
    /// Reads bytes and the files beside them.
    fn read(&self, into: &mut [u8], files: &mut Vec<OwnedFd>) -> Option<()> {
        let mut at = 0;
        while at < into.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut into[at..])];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = rustix::net::recvmsg(&self.stream, &mut parts, &mut beside, flags).ok()?;
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(more) = message {
                    files.extend(more);
                }
            }
            at += (got.bytes > 0).then_some(got.bytes)?;
        }
        Some(())
    }

    /// Serves a message; `None` when the connection is over.
    fn serve(&mut self) -> Option<()> {
        let (mut head, mut files) = ([0; 12], Vec::new());
        self.read(&mut head, &mut files)?;
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (request, flags, bytes) = (word(0), word(4), word(8) as usize);
        assert!(flags & !8 == 1 && bytes <= BYTES_MAX && files.len() <= 1, "a message as it is to be");
        let mut payload = vec![0; bytes];
        self.read(&mut payload, &mut files)?;
        if request == SET_BACKEND_REQ_FD {
            self.channel = files.pop().map(UnixStream::from);
        }
        self.speak();
        self.answer(request, flags & 8 != 0, &payload)
    }

    /// Says something of its own, or not.
    fn speak(&mut self) {
        let Some(channel) = &self.channel else { return };
        let deed = decision() % 32;
        // A change of the configuration, with or without an answer; any message; a half one; nothing more.
        let bytes = match deed {
            1 => message(2, 1, &[]),
            2 => message(2, 9, &[]),
            3 | 4 => {
                let (request, flags) = (u32::from(decision() % 12), u32::from(decision()));
                let length = usize::from(decision());
                message(request, flags, &vec![decision(); length])
            }
            5 => message(u32::from(decision()), 1, &[0; 16])[..usize::from(decision() % 28)].to_vec(),
            6 => [2, 1, u32::from_ne_bytes([decision(), decision(), decision(), decision()])]
                .map(u32::to_ne_bytes)
                .concat(),
            7 => {
                self.channel = None;
                return;
            }
            8 => message(2, 1, &[]).repeat(usize::from(decision())),
            _ => return,
        };
        if decision() % 8 == 1 {
            send_with_file(channel, &bytes);
        } else {
            let mut channel = channel;
            // Its other end may be closed.
            let _ = channel.write_all(&bytes);
        }
    }

    /// Answers, or not.
    fn answer(&mut self, request: u32, wants_verdict: bool, payload: &[u8]) -> Option<()> {
        let honest = match request {
            // Features that mean something to disks and to cards.
            1 => 0x1_7000_0e44_u64.to_ne_bytes().to_vec(),
            15 => 0x2239_u64.to_ne_bytes().to_vec(),
            17 => 2u64.to_ne_bytes().to_vec(),
            11 => payload.to_vec(),
            24 => config(payload),
            _ if wants_verdict => 0u64.to_ne_bytes().to_vec(),
            _ => return Some(()),
        };
        let deed = decision() % 32;
        let mut answer = message(request, 5, &honest);
        match deed {
            1 => return None,
            // Nothing is said any more, until the front-end has enough of it.
            2 if decision().is_multiple_of(8) => {
                let mut rest = [0; 64];
                while self.read(&mut rest, &mut Vec::new()).is_some() {}
                return None;
            }
            3 => {
                let length = u32::from_ne_bytes([decision(), decision(), decision() % 2 * 255, 0]);
                answer[8..12].copy_from_slice(&length.to_ne_bytes());
            }
            4 => answer[4] = decision(),
            5 => answer[0] = decision(),
            6 => {
                send_with_file(&self.stream, &answer);
                return Some(());
            }
            7 | 8 => {
                let bits = [decision(), decision(), decision(), decision(), decision(), decision()];
                for (byte, bits) in answer[12..].iter_mut().zip(bits) {
                    *byte ^= bits;
                }
            }
            9 => {
                let _ = self.stream.write_all(&answer[..usize::from(decision()) % answer.len()]);
                return None;
            }
            10 => answer = answer.repeat(2),
            11 => self.stream.shutdown(Shutdown::Read).ok()?,
            12 => {
                let _ = self.stream.write_all(&answer);
                self.stream.shutdown(Shutdown::Write).ok()?;
                return Some(());
            }
            13 => answer.truncate(12),
            14 => answer = vec![decision(); usize::from(decision())],
            _ => {}
        }
        self.stream.write_all(&answer).ok()
    }
}

/// A configuration that makes sense for a disk: its size, and how many segments a request can have.
fn config(asked: &[u8]) -> Vec<u8> {
    let mut answer = asked.to_vec();
    for place in [12, 24] {
        if let Some(byte) = answer.get_mut(place) {
            *byte = 64;
        }
    }
    answer
}

/// A message's bytes.
fn message(request: u32, flags: u32, payload: &[u8]) -> Vec<u8> {
    let head = [request, flags, payload.len() as u32].map(u32::to_ne_bytes).concat();
    [&head, payload].concat()
}

/// Sends bytes with a file beside them.
fn send_with_file(stream: &UnixStream, bytes: &[u8]) {
    let file = stream.as_fd();
    let files = [file];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if beside.push(SendAncillaryMessage::ScmRights(&files)) {
        let _ = rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL);
    }
}
