//! A Unix socket: bytes and file descriptors, without ever waiting.
//!
//! File descriptors go out and never come in: there is no room for any, so the kernel closes those that somebody sends, and says that there were some.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    Shutdown,
};

/// How often is received at once what nobody wants.
const DISCARDED_MAX: usize = 256;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// What came.
pub(super) enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing: the other end was closed.
    End,
    /// File descriptors, which are closed again.
    FileDescriptors,
}

impl Socket {
    /// One end of a connection.
    pub(crate) const fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends what there is room for, with file descriptors beside the first byte.
    ///
    /// # Errors
    /// - `WOULDBLOCK`: there is no room now.
    pub(super) fn send(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(Errno::INVAL);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut beside, flags)
    }

    /// Receives what is there, at most as much as there is room for.
    ///
    /// # Errors
    /// - `WOULDBLOCK`: nothing is there now.
    pub(super) fn receive(&self, into: &mut [u8]) -> Result<Received, Errno> {
        let mut beside = RecvAncillaryBuffer::default();
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let message = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(into)], &mut beside, flags)?;
        Ok(match message.bytes {
            _ if message.flags.contains(ReturnFlags::CTRUNC) => Received::FileDescriptors,
            0 => Received::End,
            bytes => Received::Bytes(bytes),
        })
    }

    /// What there is at the socket: something to be received ([`IN`](PollFlags::IN)), or another end that was closed ([`HUP`](PollFlags::HUP)).
    pub(super) fn ready(&self) -> PollFlags {
        let mut files = [PollFd::new(&self.0, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while poll(&mut files, Some(&now)) == Err(Errno::INTR) {}
        files.iter().map(PollFd::revents).fold(PollFlags::empty(), PollFlags::union)
    }

    /// Throws away what there is to be received, within a bound.
    pub(super) fn discard(&self) {
        let mut bytes = [0; 1024];
        for _ in 0..DISCARDED_MAX {
            match self.receive(&mut bytes) {
                Ok(Received::Bytes(_) | Received::FileDescriptors) => {}
                Ok(Received::End) | Err(_) => return,
            }
        }
    }

    /// Says that nothing more will be sent: whoever reads that closes the other end.
    pub(super) fn end(&self) {
        // A socket whose other end is closed has no use for it.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
