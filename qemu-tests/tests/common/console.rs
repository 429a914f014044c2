//! The host's ends of a console's ports: what is sent there, and what comes back.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use qemu_tests::Qmp;
use qemu_tests::pattern::{SECTOR, fill};
use serde_json::{Value, json};

/// How long the guest may take to answer.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Most bytes that are on their way there and back. QEMU drops what a console port sends when its socket is full, so they are fewer than a socket has room for.
pub const WINDOW_BYTES: usize = 32 << 10;
const PIECE_BYTES: usize = 4096;

/// Bytes that follow from a seed.
pub fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count.next_multiple_of(SECTOR)];
    for (sector, into) in (0..).zip(bytes.chunks_mut(SECTOR)) {
        fill(seed, sector, into);
    }
    bytes.truncate(count);
    bytes
}

/// Sends all of it, and takes as much that comes back.
pub fn exchange(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let (mut back, mut sent) = (Vec::with_capacity(bytes.len()), 0);
    let mut piece = vec![0; PIECE_BYTES];
    while back.len() < bytes.len() {
        while sent < bytes.len() && sent - back.len() + PIECE_BYTES <= WINDOW_BYTES {
            let end = bytes.len().min(sent + PIECE_BYTES);
            stream.write_all(&bytes[sent..end])?;
            sent = end;
        }
        let most = PIECE_BYTES.min(bytes.len() - back.len());
        match stream.read(&mut piece[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => back.extend_from_slice(&piece[..count]),
        }
    }
    Ok(back)
}

/// Where two runs of bytes differ first.
pub fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).position(|(one, other)| one != other);
    common.or((one.len() != other.len()).then(|| one.len().min(other.len())))
}

/// Waits until QEMU has taken the connection at its end of this port's socket.
pub fn wait_until_connected(qmp: &mut Qmp, port: u32) {
    let end = Instant::now() + LIMIT;
    let is_connected = |sockets: Value| {
        let label = json!(format!("port{port}"));
        let socket = sockets.as_array().expect("a list").iter().find(|socket| socket["label"] == label);
        let file = socket.and_then(|socket| socket["filename"].as_str()).expect("it has that socket");
        !file.starts_with("disconnected:")
    };
    while !is_connected(qmp.execute("query-chardev", &json!({}))) {
        assert!(Instant::now() < end, "QEMU does not take the connection of port {port}");
        thread::sleep(Duration::from_millis(5));
    }
}
