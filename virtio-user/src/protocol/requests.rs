//! What a back-end says by itself, on a channel of its own.
//!
//! Only one such message is agreed on: the configuration changed. It is remembered until somebody asks; the configuration is fetched later, when no other answer is waited for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use zerocopy::IntoBytes;

use super::fault::{Cause, Fault, Step};
use super::message::{CONFIG_CHANGE_MSG, Header, REPLY, VERSION};
use super::socket::{Received, Socket};

/// Messages that are served at once: a back-end that says more has to wait until somebody asks again.
const AT_ONCE_MAX: usize = 64;
/// The longest message, in bytes behind its header.
const BYTES_MAX: u32 = 256;
/// The answer to a message: a number.
const VERDICT_BYTES: u32 = 8;
/// What is answered to what was not agreed on.
const REFUSED: u64 = 1;

/// Our end of the channel.
#[derive(Debug)]
pub(super) struct BackEndRequests {
    socket: Socket,
    config_changed: bool,
    /// Whether there may be more that was not served yet.
    has_more: bool,
}

impl BackEndRequests {
    /// Both ends of a new channel: ours, and the back-end's.
    pub(super) fn open() -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: Socket::new(ours), config_changed: false, has_more: false }, theirs))
    }

    /// Whether the configuration changed since this was last asked.
    pub(super) fn take_config_change(&mut self) -> bool {
        std::mem::take(&mut self.config_changed)
    }

    /// Whether it would say so.
    pub(super) const fn config_change_is_pending(&self) -> bool {
        self.config_changed
    }

    /// Whether it was left off in the middle when it was last served: nothing tells anew of what came before that.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Serves what has come; `false` if the channel was closed.
    ///
    /// Work: waits only for the rest of a message that has begun, or until its answer is read, within the deadline.
    pub(super) fn serve(&mut self, deadline: Instant, limit: Duration) -> Result<bool, Fault> {
        self.has_more = false;
        for _ in 0..AT_ONCE_MAX {
            let mut header = Header { request: 0, flags: 0, bytes: 0 };
            match self.receive(header.as_mut_bytes(), deadline, limit)? {
                Came::All => {}
                Came::Nothing => return Ok(true),
                Came::End => return Ok(false),
            }
            if !header.is_request() {
                return Err(fault(Cause::Flags(header.flags)));
            }
            let length = usize::try_from(header.bytes).unwrap_or(usize::MAX);
            let mut payload = [0; BYTES_MAX as usize];
            let Some(payload) = payload.get_mut(..length) else {
                return Err(fault(Cause::Size { bytes: header.bytes, possible: BYTES_MAX }));
            };
            while let Came::Nothing = self.receive(payload, deadline, limit)? {
                self.wait(PollFlags::IN, deadline, Cause::NoAnswer(limit))?;
            }
            let is_known = header.request == CONFIG_CHANGE_MSG;
            self.config_changed |= is_known;
            if header.needs_reply() {
                let verdict = if is_known { 0 } else { REFUSED };
                self.answer(header.request, verdict, deadline, limit)?;
            }
        }
        self.has_more = true;
        Ok(true)
    }

    fn answer(&self, request: u32, verdict: u64, deadline: Instant, limit: Duration) -> Result<(), Fault> {
        let header = Header { request, flags: VERSION | REPLY, bytes: VERDICT_BYTES };
        let message = [header.as_bytes(), verdict.as_bytes()].concat();
        let mut left: &[u8] = &message;
        while !left.is_empty() {
            match self.socket.send(left, &[]) {
                Ok(sent) => left = left.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => self.wait(PollFlags::OUT, deadline, Cause::NotRead(limit))?,
                // It does not wait for the answer any more.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Receives all of it, or nothing.
    fn receive(&self, into: &mut [u8], deadline: Instant, limit: Duration) -> Result<Came, Fault> {
        let whole = into.len();
        let mut room = into;
        while !room.is_empty() {
            match self.socket.receive(room) {
                Ok(Received::Bytes(bytes)) => room = room.get_mut(bytes..).unwrap_or_default(),
                Ok(Received::End) => return Ok(Came::End),
                Ok(Received::FileDescriptors) => return Err(fault(Cause::FileDescriptors)),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if room.len() == whole => return Ok(Came::Nothing),
                Err(Errno::WOULDBLOCK) => self.wait(PollFlags::IN, deadline, Cause::NoAnswer(limit))?,
                Err(error) => return Err(fault(error.into())),
            }
        }
        Ok(Came::All)
    }

    fn wait(&self, what: PollFlags, deadline: Instant, late: Cause) -> Result<(), Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(fault(late));
        }
        let limit = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&self.socket, what)], limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(fault(error.into())),
        }
    }
}

/// What was there to be received.
enum Came {
    All,
    Nothing,
    End,
}

fn fault(cause: Cause) -> Fault {
    Fault { step: Step::REQUEST_OF_BACK_END, cause }
}

impl AsFd for BackEndRequests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
