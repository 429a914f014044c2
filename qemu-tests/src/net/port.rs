//! A port of a bridge in the test's own hands: it sends and receives whole frames.
//!
//! Its tap offers the host no offload. So the host finishes what comes out here: it segments, and computes checksums, as for any network that knows nothing of either. What goes in may be unfinished; its
//! header says what is to be done, as `struct virtio_net_hdr` of Linux's `linux/virtio_net.h` does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::{Setter, ioctl};

/// Linux's `TUNSETIFF`.
const ATTACH: rustix::ioctl::Opcode = 0x4004_54ca;
/// `IFF_TAP`, `IFF_NO_PI` and `IFF_VNET_HDR`: frames, nothing before them but the header.
const FRAMES_WITH_HEADERS: u16 = 0x0002 | 0x1000 | 0x4000;
/// Bytes of the header.
const HEADER: usize = 10;
/// Bytes of the longest frame with its header.
const FRAME_MAX: usize = HEADER + 14 + 65536;

/// The part of Linux's `struct ifreq` that the request reads, and its length.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// What is still to be done about a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// Where a checksum starts, and how far behind that it is put.
    pub checksum: Option<(u16, u16)>,
    /// What kind of segments it is cut into (`VIRTIO_NET_HDR_GSO_…`), bytes of each segment's payload, and bytes of the headers before.
    pub segments: Option<(u8, u16, u16)>,
}

impl FrameHeader {
    fn to_bytes(self) -> [u8; HEADER] {
        let (kind, size, header_len) = self.segments.unwrap_or_default();
        let (start, offset) = self.checksum.unwrap_or_default();
        let mut bytes = [0; HEADER];
        let numbers = [header_len, size, start, offset].map(u16::to_ne_bytes);
        let front = [self.checksum.is_some().into(), kind];
        for (into, byte) in bytes.iter_mut().zip(front.into_iter().chain(numbers.concat())) {
            *into = byte;
        }
        bytes
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Port {
    file: File,
}

impl Port {
    /// Attaches to a tap of the namespace that this thread is in.
    #[expect(unsafe_code, reason = "the standard library has no way to attach to a tap")]
    pub(crate) fn open(interface: &str) -> Self {
        let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
        let mut name = [0; 16];
        name.iter_mut().zip(interface.bytes()).for_each(|(into, byte)| *into = byte);
        let request = InterfaceRequest { name, flags: FRAMES_WITH_HEADERS, rest: [0; 22] };
        // SAFETY: the request's number belongs to a structure with this layout, which it reads and writes back to a copy.
        let attach = unsafe { Setter::<ATTACH, InterfaceRequest>::new(request) };
        // SAFETY: the file is a tun device, and the request does nothing but attach it to an interface.
        unsafe { ioctl(&file, attach) }.expect("the tap is there, and nobody's");
        Self { file }
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the kernel does not take it.
    pub fn send(&mut self, header: FrameHeader, frame: &[u8]) {
        let bytes = [&header.to_bytes(), frame].concat();
        let written = self.file.write(&bytes).unwrap_or_else(|error| panic!("{header:?}: {error}"));
        assert_eq!(written, bytes.len(), "a frame is sent in one piece");
    }

    /// The next frame, if one comes by then.
    ///
    /// # Panics
    /// If the kernel leaves something to be done about it.
    pub fn receive(&mut self, until: Instant) -> Option<Vec<u8>> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a short time");
        let ready = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&left)).expect("a file");
        if ready == 0 {
            return None;
        }
        let mut bytes = vec![0; FRAME_MAX];
        let length = self.file.read(&mut bytes).expect("a frame is there");
        bytes.truncate(length);
        let frame = bytes.split_off(HEADER.min(length));
        // Its checksum is to be computed, or it is to be segmented.
        let [flags, kind] = [0, 1].map(|at| bytes.get(at).copied().unwrap_or_default());
        assert_eq!((flags & 1, kind), (0, 0), "the host finishes what comes out of a plain port");
        Some(frame)
    }

    /// The next frame that is `wanted`, within this time. Others are dropped.
    pub fn receive_one<R>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&[u8]) -> Option<R>,
    ) -> Option<R> {
        let until = Instant::now() + within;
        loop {
            if let Some(found) = wanted(&self.receive(until)?) {
                return Some(found);
            }
        }
    }
}
