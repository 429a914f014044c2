//! A message and its answer, within a deadline; and what the back-end asks meanwhile.
//!
//! After a [`Fault`] that is no refusal nobody knows where the next message begins: nothing more is sent, and the back-end is told so. What it had is its own until it hangs up.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::fault::{Cause, Fault, Step};
use super::features::ProtocolFeatures;
use super::message::{
    CONFIG_BYTES_MAX, ConfigHead, Header, MemoryTable, NEED_REPLY, QueueAddresses, QueueState, Request,
    VERSION,
};
use super::requests::BackEndRequests;
use super::socket::{Received, Socket};
use crate::memory::Region;
use crate::patience::deadline;

/// A back-end that is listened to.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    answer_limit: Duration,
    /// Until when everything is to be said and answered, if there is such a time.
    end: Option<Instant>,
    agreed: ProtocolFeatures,
    requests: Option<BackEndRequests>,
    /// Nothing more is said, after what was not understood.
    is_over: bool,
}

/// How long something may take, and until when that is.
#[derive(Clone, Copy)]
struct Term {
    limit: Duration,
    deadline: Instant,
}

/// Where an answer goes.
type Answer<'b> = &'b mut [u8];

impl Connection {
    /// A back-end at the other end of a socket, which was asked nothing yet.
    pub(crate) const fn new(socket: Socket, answer_limit: Duration) -> Self {
        let agreed = ProtocolFeatures::empty();
        Self { socket, answer_limit, end: None, agreed, requests: None, is_over: false }
    }

    /// No wait goes beyond this time from now on, if there is one.
    pub(crate) const fn end_by(&mut self, end: Option<Instant>) {
        self.end = end;
    }

    /// How long the back-end may take for the next message, or answer.
    fn term(&self) -> Term {
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        let limit = left.map_or(self.answer_limit, |left| left.min(self.answer_limit));
        Term { limit, deadline: deadline(limit) }
    }

    /// Its socket.
    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Looks, while nothing is asked, whether the back-end has hung up.
    ///
    /// Who was asked nothing has nothing to say. And a socket on its way in a message is not closed when its owner ends: one that lies here unread, and may be the back-end's own, is thrown away.
    pub(crate) fn has_hung_up(&mut self) -> Result<bool, Fault> {
        let mut ready = self.socket.ready();
        if ready.contains(PollFlags::IN) && !ready.contains(PollFlags::HUP) {
            if !self.is_over {
                let cause = match self.socket.receive(&mut [0]) {
                    Ok(Received::Bytes(_)) => Cause::Unasked,
                    Ok(Received::End) => Cause::HungUp,
                    Ok(Received::FileDescriptors) => Cause::FileDescriptors,
                    Err(Errno::INTR | Errno::WOULDBLOCK) => return Ok(false),
                    Err(error) => error.into(),
                };
                return Err(self.over(Step::BETWEEN, cause));
            }
            self.socket.discard();
            ready = self.socket.ready();
        }
        Ok(ready.contains(PollFlags::HUP))
    }

    /// Whether nothing more can be said to it.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// What was agreed on of the protocol.
    pub(crate) const fn agreed(&self) -> ProtocolFeatures {
        self.agreed
    }

    /// Asks for a number.
    pub(crate) fn ask(&mut self, request: Request) -> Result<u64, Fault> {
        let step = Step::of(request, None);
        let mut number = 0u64;
        self.question(step, request, &[])?;
        self.answer(step, request, number.as_mut_bytes())?;
        Ok(number)
    }

    /// Says a number.
    pub(crate) fn tell(&mut self, request: Request, number: u64) -> Result<(), Fault> {
        self.order(Step::of(request, None), request, number.as_bytes(), None)
    }

    /// Says something that is said without a number.
    pub(crate) fn command(&mut self, request: Request, file: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
        self.order(Step::of(request, None), request, &[], file)
    }

    /// Says which features of the protocol are agreed on; they hold from the next message on.
    pub(crate) fn agree(&mut self, features: ProtocolFeatures) -> Result<(), Fault> {
        self.tell(Request::SetProtocolFeatures, features.bits())?;
        self.agreed = features;
        Ok(())
    }

    /// Says a number for a queue.
    pub(crate) fn tell_queue(&mut self, request: Request, queue: u16, value: u32) -> Result<(), Fault> {
        let state = QueueState { queue: queue.into(), value };
        self.order(Step::of(request, Some(queue)), request, state.as_bytes(), None)
    }

    /// Stops a queue, and says where it was.
    pub(crate) fn stop_queue(&mut self, queue: u16) -> Result<u32, Fault> {
        let request = Request::GetVringBase;
        let step = Step::of(request, Some(queue));
        let mut state = QueueState { queue: queue.into(), value: 0 };
        self.question(step, request, state.as_bytes())?;
        self.answer(step, request, state.as_mut_bytes())?;
        if state.queue != u32::from(queue) {
            return Err(self.over(step, Cause::Senseless("it is about another queue")));
        }
        Ok(state.value)
    }

    /// Says where a queue is.
    pub(crate) fn place_queue(&mut self, queue: u16, addresses: &QueueAddresses) -> Result<(), Fault> {
        let request = Request::SetVringAddr;
        self.order(Step::of(request, Some(queue)), request, addresses.as_bytes(), None)
    }

    /// Hands over the file by which one side notifies the other of a queue's buffers.
    pub(crate) fn hand_over(
        &mut self,
        request: Request,
        queue: u16,
        file: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        let number = u64::from(queue);
        self.order(Step::of(request, Some(queue)), request, number.as_bytes(), Some(file))
    }

    /// Says which memory both sides use, and hands over its file.
    pub(crate) fn share(&mut self, region: &Region<'_>) -> Result<(), Fault> {
        let table = MemoryTable {
            regions: 1,
            padding: 0,
            device_address: region.address,
            bytes: region.bytes,
            user_address: region.address,
            file_offset: 0,
        };
        let request = Request::SetMemTable;
        self.order(Step::of(request, None), request, table.as_bytes(), Some(region.file))
    }

    /// Reads the first bytes of the configuration space; `false` if the back-end says that there are not so many.
    pub(crate) fn read_config(&mut self, into: &mut [u8]) -> Result<bool, Fault> {
        let request = Request::GetConfig;
        let step = Step::of(request, None);
        let mut message = [0; size_of::<ConfigHead>() + CONFIG_BYTES_MAX];
        let bytes = into.len().min(CONFIG_BYTES_MAX);
        let head = ConfigHead { offset: 0, bytes: u32::try_from(bytes).unwrap_or_default(), flags: 0 };
        let length = size_of::<ConfigHead>() + bytes;
        let message = message.get_mut(..length).unwrap_or_default();
        put(message, 0, head.as_bytes());
        self.question(step, request, message)?;
        let received = self.answer_of(step, request, message, &[0, size_of::<ConfigHead>(), length])?;
        let Ok((said, config)) = ConfigHead::read_from_prefix(message) else { return Ok(false) };
        if received == 0 || (received < length && said.bytes == 0) {
            return Ok(false);
        }
        if received < length || said.bytes != head.bytes || said.offset != 0 {
            return Err(self.over(step, Cause::Senseless("it is about other bytes")));
        }
        put(into, 0, config);
        Ok(true)
    }

    /// Writes bytes of the configuration space.
    pub(crate) fn write_config(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let request = Request::SetConfig;
        let head = ConfigHead { offset, bytes: u32::try_from(bytes.len()).unwrap_or_default(), flags: 0 };
        let message = [head.as_bytes(), bytes].concat();
        self.order(Step::of(request, None), request, &message, None)
    }

    /// Gives the back-end a channel for what it has to say.
    pub(crate) fn open_requests(&mut self) -> Result<(), Fault> {
        let request = Request::SetBackendReqFd;
        let pair = BackEndRequests::open();
        let (requests, theirs) = pair.map_err(|error| self.over(Step::of(request, None), error.into()))?;
        self.command(request, Some(theirs.as_fd()))?;
        self.requests = Some(requests);
        Ok(())
    }

    /// The channel on which the back-end says things by itself.
    pub(crate) fn requests(&self) -> Option<BorrowedFd<'_>> {
        Some(self.requests.as_ref()?.as_fd())
    }

    /// Whether the back-end said that its configuration changed, and nobody asked since.
    pub(crate) fn config_change_is_pending(&self) -> bool {
        self.requests.as_ref().is_some_and(BackEndRequests::config_change_is_pending)
    }

    /// Whether there may be more that the back-end said by itself, and that was not read yet, though somebody was told of it.
    pub(crate) fn has_more_requests(&self) -> bool {
        self.requests.as_ref().is_some_and(BackEndRequests::has_more)
    }

    /// Reads what the back-end said by itself, and says whether its configuration changed since this was last asked.
    pub(crate) fn config_changed(&mut self) -> Result<bool, Fault> {
        self.listen(self.term())?;
        Ok(self.requests.as_mut().is_some_and(BackEndRequests::take_config_change))
    }

    /// Sends a message that is not answered by its kind, and if that was agreed on waits until the back-end says that it did what was asked.
    fn order(
        &mut self,
        step: Step,
        request: Request,
        payload: &[u8],
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Fault> {
        if !self.agreed.contains(ProtocolFeatures::REPLY_ACK) {
            return self.send(step, request, VERSION, payload, file);
        }
        let mut verdict = 0u64;
        self.send(step, request, VERSION | NEED_REPLY, payload, file)?;
        self.answer(step, request, verdict.as_mut_bytes())?;
        if verdict == 0 { Ok(()) } else { Err(Fault { step, cause: Cause::Refused(verdict) }) }
    }

    fn question(&mut self, step: Step, request: Request, payload: &[u8]) -> Result<(), Fault> {
        self.send(step, request, VERSION, payload, None)
    }

    fn send(
        &mut self,
        step: Step,
        request: Request,
        flags: u32,
        payload: &[u8],
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Fault> {
        if self.is_over {
            return Err(Fault { step, cause: Cause::HungUp });
        }
        let bytes = u32::try_from(payload.len()).unwrap_or_default();
        let header = Header { request: request.number(), flags, bytes };
        let message = [header.as_bytes(), payload].concat();
        let mut left: &[u8] = &message;
        let mut files = file.as_slice();
        let term = self.term();
        while !left.is_empty() {
            match self.socket.send(left, files) {
                Ok(sent) => (left, files) = (left.get(sent..).unwrap_or_default(), &[]),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    self.wait(step, PollFlags::OUT, term, Cause::NotRead(term.limit))?;
                }
                Err(error) => return Err(self.over(step, error.into())),
            }
        }
        Ok(())
    }

    /// Receives an answer of exactly that length.
    fn answer(&mut self, step: Step, request: Request, into: Answer<'_>) -> Result<(), Fault> {
        let possible = [into.len()];
        self.answer_of(step, request, into, &possible).map(|_| ())
    }

    /// Receives an answer of one of these lengths.
    fn answer_of(
        &mut self,
        step: Step,
        request: Request,
        into: Answer<'_>,
        possible: &[usize],
    ) -> Result<usize, Fault> {
        let term = self.term();
        let mut header = Header { request: 0, flags: 0, bytes: 0 };
        self.receive(step, header.as_mut_bytes(), term)?;
        if header.request != request.number() {
            return Err(self.over(step, Cause::OtherMessage(header.request)));
        }
        if !header.is_reply() {
            return Err(self.over(step, Cause::Flags(header.flags)));
        }
        let length = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        let Some(into) = into.get_mut(..length).filter(|_| possible.contains(&length)) else {
            let possible = possible.iter().max().copied().unwrap_or_default();
            let possible = u32::try_from(possible).unwrap_or(u32::MAX);
            return Err(self.over(step, Cause::Size { bytes: header.bytes, possible }));
        };
        self.receive(step, into, term)?;
        Ok(length)
    }

    fn receive(&mut self, step: Step, into: &mut [u8], term: Term) -> Result<(), Fault> {
        let mut room = into;
        while !room.is_empty() {
            match self.socket.receive(room) {
                Ok(Received::Bytes(bytes)) => room = room.get_mut(bytes..).unwrap_or_default(),
                Ok(Received::End) => return Err(self.over(step, Cause::HungUp)),
                Ok(Received::FileDescriptors) => return Err(self.over(step, Cause::FileDescriptors)),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    self.wait(step, PollFlags::IN, term, Cause::NoAnswer(term.limit))?;
                }
                Err(error) => return Err(self.over(step, error.into())),
            }
        }
        Ok(())
    }

    /// Waits until the socket is ready; a back-end may have to say something first, and wait for an answer itself.
    fn wait(&mut self, step: Step, what: PollFlags, term: Term, late: Cause) -> Result<(), Fault> {
        let left = term.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.over(step, late));
        }
        let nobody = &self.socket;
        let requests = self.requests.as_ref().map_or(nobody.as_fd(), AsFd::as_fd);
        let asks = if self.requests.is_some() { PollFlags::IN } else { PollFlags::empty() };
        let mut files = [PollFd::new(&self.socket, what), PollFd::new(&requests, asks)];
        let limit = Timespec::try_from(left).ok();
        match poll(&mut files, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(self.over(step, error.into())),
        }
        let [_, requests] = &files;
        if asks.is_empty() || requests.revents().is_empty() {
            return Ok(());
        }
        self.listen(term)
    }

    /// Serves what the back-end has to say by itself.
    fn listen(&mut self, Term { limit, deadline }: Term) -> Result<(), Fault> {
        let Some(requests) = &mut self.requests else { return Ok(()) };
        match requests.serve(deadline, limit) {
            Ok(true) => Ok(()),
            Ok(false) => {
                // It closed the channel; the connection itself says whether it is still there.
                self.requests = None;
                Ok(())
            }
            Err(fault) => {
                self.end();
                Err(fault)
            }
        }
    }

    fn over(&mut self, step: Step, cause: Cause) -> Fault {
        self.end();
        Fault { step, cause }
    }

    /// Says nothing more.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
        self.socket.end();
        self.requests = None;
    }
}

/// Copies as many bytes as there is room for.
fn put(into: &mut [u8], offset: usize, bytes: &[u8]) {
    for (place, byte) in into.iter_mut().skip(offset).zip(bytes) {
        *place = *byte;
    }
}
