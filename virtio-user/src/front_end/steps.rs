//! The steps of a device's life, as messages to its back-end: agreeing, queues, and the way down.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use virtio_guest::raw::Doorbell;
use virtio_guest::transport::{QueueError, QueueSetup};
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::NetFeatures;
use virtio_guest::wire::status::Status;

use super::control_bell::{ControlBell, Service, use_pairs};
use super::control_queue::ControlQueue;
use super::doorbell::Bell;
use super::vhost_user::{Reset, VhostUser};
use crate::protocol::{Cause, Fault, PROTOCOL_FEATURES, ProtocolFeatures, QueueAddresses, Request, Step};

/// Where a packed ring begins: at its first descriptor, with both wrap counters set.
const PACKED_BASE: u32 = 0x8000_8000;
/// How long a reset waits at most for a back-end to hang up that was told that nobody is listening.
const HANG_UP_LIMIT: Duration = Duration::from_secs(1);

impl VhostUser {
    /// Steps that the driver takes with this status, and had not taken before.
    pub(super) fn takes(&self, status: Status, step: Status) -> bool {
        status.contains(step) && !self.told.contains(step)
    }

    /// Tells the back-end what was agreed on, and of the memory.
    pub(super) fn agree(&mut self) -> Result<(), Fault> {
        let mut state = self.shared.lock();
        // All features that back-ends know of have numbers below 64.
        let accepted = u64::try_from(self.accepted & u128::from(u64::MAX)).unwrap_or_default();
        let enables = if self.offer.enables_queues { PROTOCOL_FEATURES } else { 0 };
        let has_mtu = self.has_agreed(self.accepted, NetFeatures::MTU);
        let (back_end, mtu, memory) = (self.offer.back_end, self.settings.mtu, &self.memory);
        state.with(|connection| {
            connection.tell(Request::SetFeatures, accepted & back_end | enables)?;
            if let Some(mtu) = mtu.filter(|_| has_mtu && connection.agreed().contains(ProtocolFeatures::MTU))
            {
                connection.tell(Request::NetSetMtu, mtu.into())?;
            }
            connection.share(&memory.region())
        })
    }

    /// Enables queues, or disables them. A back-end that did not agree to that has them enabled all the time.
    fn enable_queues(&mut self, is_enabled: bool) -> Result<(), Fault> {
        if !self.offer.enables_queues {
            return Ok(());
        }
        let mut state = self.shared.lock();
        for queue in &self.queues {
            state.with(|connection| {
                connection.tell_queue(Request::SetVringEnable, queue.index, is_enabled.into())
            })?;
        }
        Ok(())
    }

    /// Enables the queues; of a card with several pairs those of the first, and the others when it is told to.
    pub(super) fn enable_at_first(&mut self) -> Result<(), Fault> {
        if !self.has_agreed(self.accepted, NetFeatures::MQ) {
            return self.enable_queues(true);
        }
        let queues: Vec<u16> = self.queues.iter().map(|queue| queue.index).collect();
        use_pairs(&self.shared, &queues, 1)?;
        if let Some(commands) = self.commands {
            commands.begin(queues);
        }
        Ok(())
    }

    /// The number of the control queue, if the driver wants it: behind those of all pairs that may be used.
    pub(super) fn control_queue(&self) -> Option<u16> {
        let has = |feature| self.has_agreed(self.accepted, feature);
        has(NetFeatures::CTRL_VQ).then(|| if has(NetFeatures::MQ) { self.offer.queues } else { 2 })
    }

    /// Takes over the control queue.
    pub(super) fn serve_commands(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if self.commands.is_some() {
            return Err(QueueError::AlreadyEnabled);
        }
        let call = self.shared.lock().files.vector(self.vector_of(index)).map_err(|_| QueueError::Absent)?;
        let queue = ControlQueue::new(&self.memory, setup).ok_or(QueueError::Absent)?;
        let service = Service { queue: Some(queue), device: self.shared.clone(), call, queues: Vec::new() };
        let bell = ControlBell::take(service);
        self.commands = Some(bell);
        Ok(bell.doorbell(index))
    }

    /// The vector of a queue. Without one it has a file that nobody reads.
    fn vector_of(&self, index: u16) -> u16 {
        let vector = self.routes.iter().find(|(queue, _)| *queue == index).map(|(_, vector)| *vector);
        vector.unwrap_or_else(|| index.saturating_add(1))
    }

    /// Has the back-end stop: with all queues stopped it may not touch the memory (vhost-user protocol, "Suspended device state").
    fn stop(&mut self) -> Result<(), Fault> {
        // What counts is that queues stop, whatever else is refused.
        let unless_refused = |done| match done {
            Err(Fault { cause: Cause::Refused(_), .. }) => Ok(()),
            done => done,
        };
        if self.told.contains(Status::DRIVER_OK) {
            unless_refused(self.enable_queues(false))?;
        }
        let mut state = self.shared.lock();
        for queue in &mut self.queues {
            state.with(|connection| connection.stop_queue(queue.index))?;
            queue.is_stopped = true;
        }
        unless_refused(state.with(|connection| {
            if connection.agreed().contains(ProtocolFeatures::RESET_DEVICE) {
                connection.command(Request::ResetDevice, None)?;
            }
            Ok(())
        }))
    }

    /// The driver asks for a reset.
    pub(super) fn reset(&mut self) {
        let (is_up, is_hung_up) = {
            let mut state = self.shared.lock();
            state.look();
            (state.is_up(), state.is_hung_up())
        };
        if self.told.is_empty() {
            if self.reset != Reset::UntilHangUp {
                self.reset = if is_up { Reset::Done } else { Reset::NobodyThere };
            } else if is_hung_up {
                // The one before is done, and there is nobody for another one.
                self.reset = Reset::Done;
            }
            return;
        }
        let stopped = self.stop().is_ok() && is_up;
        self.reset = if stopped || self.wait_for_hang_up() { Reset::Done } else { Reset::UntilHangUp };
        self.told = Status::empty();
        self.accepted = 0;
        // Whatever the back-end does, this one stops at once.
        self.end_commands();
        if self.reset == Reset::Done {
            self.forget_queues();
        }
    }

    /// Waits for a moment until a back-end hangs up that knows that nobody listens any more; whether it did.
    fn wait_for_hang_up(&self) -> bool {
        let limit = self.settings.answer_limit.min(HANG_UP_LIMIT);
        let start = Instant::now();
        loop {
            let mut state = self.shared.lock();
            state.look();
            if state.is_hung_up() {
                return true;
            }
            drop(state);
            if start.elapsed() >= limit {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Tells the back-end of a queue.
    pub(super) fn tell_of_queue(
        &mut self,
        index: u16,
        setup: &QueueSetup,
    ) -> Result<&'static Bell, QueueError> {
        let packed = setup.features.contains(CommonFeatures::RING_PACKED);
        // A back-end wants a file, also where its queue is to be looked at.
        let vector = self.vector_of(index);
        let mut state = self.shared.lock();
        let files = state.files.vector(vector).and_then(|call| Ok((call, Bell::take()?)));
        let (call, bell) = match files {
            Ok(files) => files,
            Err(error) => {
                let step = Step { name: "an eventfd", queue: Some(index) };
                state.note(Fault { step, cause: Cause::System(error) });
                return Err(QueueError::Absent);
            }
        };
        let addresses = QueueAddresses {
            queue: index.into(),
            flags: 0,
            descriptor_area: setup.addresses.descriptor_area().0,
            device_area: setup.addresses.device_area().0,
            driver_area: setup.addresses.driver_area().0,
            log: 0,
        };
        let mut knows_place = false;
        let told = state.with(|connection| {
            connection.tell_queue(Request::SetVringNum, index, setup.size.into())?;
            let base = if packed { PACKED_BASE } else { 0 };
            connection.tell_queue(Request::SetVringBase, index, base)?;
            knows_place = true;
            connection.place_queue(index, &addresses)?;
            connection.hand_over(Request::SetVringCall, index, call.as_fd())?;
            connection.hand_over(Request::SetVringKick, index, bell.kick.as_fd())
        });
        match told {
            Ok(()) => return Ok(bell),
            // It was not told where the queue is, or is gone.
            Err(_) if !knows_place || state.is_hung_up() => {}
            Err(_) => {
                let stopped = state.with(|connection| connection.stop_queue(index));
                if stopped.is_err() && !state.is_hung_up() {
                    // It may use the queue, and has it until the reset; the status says what became of it.
                    return Ok(bell);
                }
            }
        }
        bell.rest();
        Err(QueueError::Absent)
    }
}
