//! A vhost-user back end that says yes to everything: crate `virtio-driver` has no other door to its queues.
//!
//! Its queues need a translator of addresses, whose result is of a type that it does not export, so nobody else can write one; that of its vhost-user transport
//! is the identity. Nothing of this is on the data path: rings are memory of this process, and the back end only hears where they are.
//!
//! Protocol: QEMU's `docs/interop/vhost-user.rst`, as much of it as that front end speaks.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::{env, fs, process, thread};

use libblkio::{ByteValued, VhostUser};

use crate::device::Areas;
use crate::memory::place;

const GET_FEATURES: u32 = 1;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const GET_PROTOCOL_FEATURES: u32 = 15;
const GET_MAX_MEM_SLOTS: u32 = 36;

const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// The back end has protocol features.
const PROTOCOL_FEATURES: u64 = 1 << 30;
/// `REPLY_ACK`, `CONFIG` and `CONFIGURE_MEM_SLOTS`.
const OFFERED_PROTOCOL_FEATURES: u64 = 1 << 3 | 1 << 9 | 1 << 15;

/// The last request of a front end that connects.
pub const CONNECTED: u32 = GET_MAX_MEM_SLOTS;

/// The last request of a front end that sets one queue up.
pub const QUEUE_ENABLED: u32 = 18;

/// A back end, which ends by itself when it has answered the last request it was told of: nothing of it runs during a measurement.
#[derive(Debug)]
pub struct BackEnd(JoinHandle<io::Result<Option<Areas>>>);

impl BackEnd {
    /// Waits for its end, and says where the queue is that was set up.
    ///
    /// # Errors
    /// The front end hung up before.
    ///
    /// # Panics
    /// The back end did.
    pub fn end(self) -> io::Result<Option<Areas>> {
        self.0.join().expect("it does not panic")
    }
}

/// A transport whose device has these features, and the back end behind it.
///
/// # Errors
/// There can be no socket in the folder for temporary files, or the front end does not like the back end.
pub fn connect<C: ByteValued, R: Copy>(
    features: u64,
    last_request: u32,
) -> io::Result<(VhostUser<C, R>, BackEnd)> {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("ring-bench-{}-{number}.socket", process::id()));
    let listener = UnixListener::bind(&path)?;
    let back_end = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        say_yes(stream, features, last_request)
    });
    let transport = path.to_str().map_or_else(
        || Err(io::Error::other("the folder for temporary files has a name that is no text")),
        |path| VhostUser::new(path, features),
    );
    fs::remove_file(&path)?;
    Ok((transport?, BackEnd(back_end)))
}

fn say_yes(mut stream: UnixStream, features: u64, last_request: u32) -> io::Result<Option<Areas>> {
    let mut areas = None;
    let mut size = 0;
    loop {
        let mut header = [0; 12];
        stream.read_exact(&mut header)?;
        let [request, flags, payload_bytes] = [0, 4, 8].map(|offset| u32_at(&header, offset));
        let mut payload = vec![0; payload_bytes as usize];
        stream.read_exact(&mut payload)?;
        match request {
            SET_VRING_NUM => size = u16::try_from(u32_at(&payload, 4)).unwrap_or(0),
            SET_VRING_ADDR => {
                let [descriptor_area, device_area, driver_area] =
                    [8, 16, 24].map(|offset| place(u64_at(&payload, offset)));
                areas = Some(Areas { descriptor_area, driver_area, device_area, size });
            }
            _ => {}
        }
        let answer = match request {
            GET_FEATURES => Some(features | PROTOCOL_FEATURES),
            GET_PROTOCOL_FEATURES => Some(OFFERED_PROTOCOL_FEATURES),
            GET_MAX_MEM_SLOTS => Some(8),
            _ => (flags & NEED_REPLY != 0).then_some(0),
        };
        if let Some(answer) = answer {
            let mut reply = Vec::new();
            for word in [request, VERSION | REPLY, 8] {
                reply.extend(word.to_ne_bytes());
            }
            reply.extend(answer.to_ne_bytes());
            stream.write_all(&reply)?;
        }
        if request == last_request {
            return Ok(areas);
        }
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}
