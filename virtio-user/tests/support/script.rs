//! A back-end that follows a script: honest, but for one message.
//!
//! It speaks in bytes of its own, and shares nothing with the crate that is tested. It has a disk's or a card's features and no rings: nobody is served.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::iter;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// Numbers of messages.
pub mod request {
    pub const GET_FEATURES: u32 = 1;
    pub const SET_FEATURES: u32 = 2;
    pub const SET_OWNER: u32 = 3;
    pub const SET_MEM_TABLE: u32 = 5;
    pub const SET_VRING_NUM: u32 = 8;
    pub const SET_VRING_ADDR: u32 = 9;
    pub const SET_VRING_BASE: u32 = 10;
    pub const GET_VRING_BASE: u32 = 11;
    pub const SET_VRING_KICK: u32 = 12;
    pub const SET_VRING_CALL: u32 = 13;
    pub const GET_PROTOCOL_FEATURES: u32 = 15;
    pub const SET_PROTOCOL_FEATURES: u32 = 16;
    pub const GET_QUEUE_NUM: u32 = 17;
    pub const SET_VRING_ENABLE: u32 = 18;
    pub const NET_SET_MTU: u32 = 20;
    pub const SET_BACKEND_REQ_FD: u32 = 21;
    pub const GET_CONFIG: u32 = 24;
    pub const SET_CONFIG: u32 = 25;
    pub const RESET_DEVICE: u32 = 34;
}
use request::*;

/// Says "version 1", "an answer", and "answer this".
const VERSION: u32 = 1;
const REPLY: u32 = 4;
const NEED_REPLY: u32 = 8;

/// `VERSION_1`, `PROTOCOL_FEATURES`, indirect descriptors, the event index; and a disk's `SEG_MAX`, `FLUSH` and `CONFIG_WCE`.
pub const DISK: u64 = 1 << 32 | 1 << 30 | 1 << 28 | 1 << 29 | 1 << 2 | 1 << 9 | 1 << 11;
/// The same; and a card's `MRG_RXBUF`, `GUEST_ANNOUNCE`, `CTRL_VQ` and `MTU`.
pub const CARD: u64 = 1 << 32 | 1 << 30 | 1 << 28 | 1 << 29 | 1 << 15 | 1 << 21 | 1 << 17 | 1 << 3;
/// `MQ`, `REPLY_ACK`, `MTU`, `BACKEND_REQ`, `CONFIG`, `RESET_DEVICE`; also some that nobody wants: `LOG_SHMFD`, `PAGEFAULT`, `STATUS`.
pub const PROTOCOL: u64 = 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 13 | 1 << 1 | 1 << 8 | 1 << 16;

/// What it does wrong when the chosen message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing.
    Honest,
    /// It closes the socket.
    HangsUp,
    /// It closes the socket in the middle of its answer.
    HangsUpInTheMiddle,
    /// It answers after so long.
    IsLate(Duration),
    /// It stops in the middle of its answer.
    StopsInTheMiddle(Duration),
    /// It answers with so many bytes.
    SaysSize(u32),
    /// It answers with these flags.
    SaysFlags(u32),
    /// It answers another message.
    AnswersOther(u32),
    /// It sends file descriptors along.
    SendsFiles,
    /// It answers, and says something else at once.
    SaysMore,
    /// It answers, sends the socket itself along with something else, and ends.
    EndsInAMessage,
    /// It refuses.
    Refuses(u64),
}

/// How it is, and what comes in.
#[derive(Clone, Debug)]
pub struct Script {
    pub features: u64,
    pub protocol: u64,
    pub queues: u64,
    /// The message at which it does something else.
    pub at: u32,
    pub deed: Deed,
    pub config: Arc<Mutex<Vec<u8>>>,
}

impl Script {
    /// An honest one with these features.
    pub fn honest(features: u64) -> Self {
        let mut config = vec![0; 60];
        config[..8].copy_from_slice(&2048u64.to_le_bytes());
        config[12..16].copy_from_slice(&32u32.to_le_bytes());
        let protocol = PROTOCOL & !if features == CARD { 1 << 9 } else { 0 };
        Self {
            features,
            protocol,
            queues: 1,
            at: 0,
            deed: Deed::Honest,
            config: Arc::new(Mutex::new(config)),
        }
    }
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub request: u32,
    pub payload: Vec<u8>,
    /// File descriptors beside it.
    pub files: usize,
}

/// A back-end that follows a script, for one connection after the other.
pub struct Scripted {
    folder: tempfile::TempDir,
    came: Arc<Mutex<Vec<Message>>>,
    channel: Arc<Mutex<Option<UnixStream>>>,
    now: Arc<Mutex<Plan>>,
    connection: Arc<Mutex<Option<UnixStream>>>,
    memory: Arc<Mutex<Option<Memory>>>,
    _thread: JoinHandle<()>,
}

impl Scripted {
    pub fn start(script: Script) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let connections = iter::from_fn(move || Some(listener.accept().expect("a connection").0));
        Self::serve(script, folder, connections)
    }

    /// One that connects to a front-end's socket.
    pub fn connect(script: Script, socket: &Path) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let connection = UnixStream::connect(socket).expect("somebody listens");
        Self::serve(script, folder, iter::once(connection))
    }

    fn serve(
        script: Script,
        folder: tempfile::TempDir,
        connections: impl Iterator<Item = UnixStream> + Send + 'static,
    ) -> Self {
        let (came, channel, connection) = <(Arc<Mutex<Vec<_>>>, Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
        let (log, theirs, current) = (came.clone(), channel.clone(), connection.clone());
        let memory = Arc::<Mutex<Option<Memory>>>::default();
        let shared = memory.clone();
        let now = Arc::new(Mutex::new(Plan { at: script.at, deed: script.deed, once_after: None }));
        let deeds = now.clone();
        let thread = thread::spawn(move || {
            for stream in connections {
                *current.lock().unwrap() = Some(stream.try_clone().expect("the same socket"));
                let mut actor = Actor {
                    script: script.clone(),
                    stream,
                    log: log.clone(),
                    channel: theirs.clone(),
                    deeds: deeds.clone(),
                    memory: shared.clone(),
                };
                while actor.act().is_some() {}
                *current.lock().unwrap() = None;
                *theirs.lock().unwrap() = None;
            }
        });
        Self { folder, came, channel, now, connection, memory, _thread: thread }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What came until now.
    pub fn came(&self) -> Vec<Message> {
        self.came.lock().unwrap().clone()
    }

    /// The messages that came, by their numbers.
    pub fn requests(&self) -> Vec<u32> {
        self.came().iter().map(|message| message.request).collect()
    }

    /// The back-end's own channel, once it was given one.
    pub fn channel(&self) -> UnixStream {
        self.channel.lock().unwrap().as_ref().expect("it was given one").try_clone().expect("the same socket")
    }

    /// Has it do something else at another message from now on.
    pub fn change(&self, at: u32, deed: Deed) {
        *self.now.lock().unwrap() = Plan { at, deed, once_after: None };
    }

    /// Has it do something once, at another message, when so many of them have come from now on.
    pub fn change_once(&self, at: u32, deed: Deed, after: u32) {
        *self.now.lock().unwrap() = Plan { at, deed, once_after: Some(after) };
    }

    /// Says that it has used so many of a split queue's buffers, whatever it was given.
    pub fn say_used(&self, queue: u32, count: u16) {
        let of_queue = |message: &&Message| message.request == SET_VRING_ADDR && number(message, 0) == queue;
        let came = self.came();
        let used = came.iter().rfind(of_queue).expect("it was told where the queue is");
        let place = u64::from(number(used, 20)) << 32 | u64::from(number(used, 16));
        let memory = self.memory.lock().unwrap();
        let Memory { file, start } = memory.as_ref().expect("it was given the memory");
        file.write_all_at(&count.to_le_bytes(), place + 2 - start).expect("a place in the memory");
    }

    /// Hangs up.
    pub fn hang_up(&self) {
        if let Some(stream) = &*self.connection.lock().unwrap() {
            stream.shutdown(std::net::Shutdown::Both).expect("a connection");
        }
    }
}

/// The memory that it was given, and where that begins for the front-end.
struct Memory {
    file: File,
    start: u64,
}

/// Four bytes of what a message says.
fn number(message: &Message, at: usize) -> u32 {
    u32::from_ne_bytes(message.payload[at..at + 4].try_into().unwrap())
}

/// A message's bytes.
pub fn message(request: u32, flags: u32, payload: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(payload.len()).unwrap();
    let head = [request, flags, bytes].map(u32::to_ne_bytes).concat();
    [head, payload.to_vec()].concat()
}

/// Sends bytes with a file descriptor beside them.
pub fn send_with_file(stream: &UnixStream, bytes: &[u8], file: &impl AsFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    assert!(beside.push(SendAncillaryMessage::ScmRights(&files)));
    rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut beside, SendFlags::empty()).expect("sent");
}

/// What it does wrong, and when.
struct Plan {
    at: u32,
    deed: Deed,
    /// Once, when so many of these messages have come; or at each.
    once_after: Option<u32>,
}

impl Plan {
    fn next(&mut self, request: u32) -> Deed {
        if request != self.at {
            return Deed::Honest;
        }
        match &mut self.once_after {
            None => self.deed,
            Some(0) => std::mem::replace(&mut self.deed, Deed::Honest),
            Some(left) => {
                *left -= 1;
                Deed::Honest
            }
        }
    }
}

struct Actor {
    script: Script,
    stream: UnixStream,
    log: Arc<Mutex<Vec<Message>>>,
    channel: Arc<Mutex<Option<UnixStream>>>,
    deeds: Arc<Mutex<Plan>>,
    memory: Arc<Mutex<Option<Memory>>>,
}

impl Actor {
    /// Reads bytes, and the file descriptors beside them.
    fn read(&self, into: &mut [u8]) -> Option<Vec<OwnedFd>> {
        let (mut files, mut at) = (Vec::new(), 0);
        while at < into.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut into[at..])];
            let got =
                rustix::net::recvmsg(&self.stream, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC).ok()?;
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(more) = message {
                    files.extend(more);
                }
            }
            if got.bytes == 0 {
                return None;
            }
            at += got.bytes;
        }
        Some(files)
    }

    /// Serves one message; `None` when the connection is over.
    fn act(&mut self) -> Option<()> {
        let mut head = [0; 12];
        let mut files = self.read(&mut head)?;
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let (request, flags) = (word(0), word(4));
        let mut payload = vec![0; word(8) as usize];
        files.extend(self.read(&mut payload)?);
        assert_eq!(flags & !NEED_REPLY, VERSION, "flags of message {request}");
        let came = Message { request, payload: payload.clone(), files: files.len() };
        self.log.lock().unwrap().push(came);
        if request == SET_BACKEND_REQ_FD {
            *self.channel.lock().unwrap() = files.pop().map(UnixStream::from);
        }
        if request == SET_MEM_TABLE {
            let start = u64::from_ne_bytes(payload[24..32].try_into().unwrap());
            *self.memory.lock().unwrap() = files.pop().map(|file| Memory { file: file.into(), start });
        }
        let deed = self.deeds.lock().unwrap().next(request);
        let mut answer = match request {
            GET_FEATURES => Some(self.script.features.to_ne_bytes().to_vec()),
            GET_PROTOCOL_FEATURES => Some(self.script.protocol.to_ne_bytes().to_vec()),
            GET_QUEUE_NUM => Some(self.script.queues.to_ne_bytes().to_vec()),
            GET_VRING_BASE => Some(payload),
            GET_CONFIG => Some(self.config(&payload)),
            _ if flags & NEED_REPLY != 0 => Some(0u64.to_ne_bytes().to_vec()),
            _ => None,
        };
        let (mut number, mut flags) = (request, VERSION | REPLY);
        match deed {
            Deed::Honest
            | Deed::SendsFiles
            | Deed::SaysMore
            | Deed::EndsInAMessage
            | Deed::StopsInTheMiddle(_)
            | Deed::HangsUpInTheMiddle => {}
            Deed::HangsUp => return None,
            Deed::IsLate(time) => thread::sleep(time),
            Deed::SaysSize(bytes) => {
                // What was announced follows, or a part of it.
                let head = [request, flags, bytes].map(u32::to_ne_bytes).concat();
                return self.stream.write_all(&[head, vec![0; bytes.min(4096) as usize]].concat()).ok();
            }
            Deed::SaysFlags(other) => flags = other,
            Deed::AnswersOther(other) => number = other,
            Deed::Refuses(verdict) => answer = Some(verdict.to_ne_bytes().to_vec()),
        }
        let Some(answer) = answer else { return Some(()) };
        let bytes = message(number, flags, &answer);
        match deed {
            Deed::SendsFiles => {
                send_with_file(&self.stream, &bytes, &File::open("/dev/null").expect("nothing"));
            }
            Deed::SaysMore => self.stream.write_all(&bytes.repeat(2)).ok()?,
            Deed::EndsInAMessage => {
                self.stream.write_all(&[&bytes[..], &[0; 16]].concat()).ok()?;
                send_with_file(&self.stream, &[0], &self.stream);
                return None;
            }
            Deed::HangsUpInTheMiddle => {
                self.stream.write_all(&bytes[..bytes.len() - 3]).ok()?;
                return None;
            }
            Deed::StopsInTheMiddle(time) => {
                self.stream.write_all(&bytes[..7]).ok()?;
                thread::sleep(time);
                self.stream.write_all(&bytes[7..]).ok()?;
            }
            _ => self.stream.write_all(&bytes).ok()?,
        }
        Some(())
    }

    /// The answer to a question for the configuration: as the storage daemon's, empty if more was asked for than there is.
    fn config(&self, asked: &[u8]) -> Vec<u8> {
        let config = self.script.config.lock().unwrap();
        let bytes = asked.len() - 12;
        match config.get(..bytes) {
            Some(config) => [&asked[..12], config].concat(),
            None => Vec::new(),
        }
    }
}
