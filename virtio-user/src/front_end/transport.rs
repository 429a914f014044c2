//! The transport: what a driver asks of a device, as messages to its back-end.
//!
//! Spec: §2.1 Device Status Field, §3.1 Device Initialization, §4 Virtio Transport Options. The back-end is not told the status; it is kept here, and each of its steps is what it stands for:
//!
//! ```text
//!   FEATURES_OK      SET_FEATURES, NET_SET_MTU, SET_MEM_TABLE; the step is not taken if one of them is refused
//!   queue set-up     SET_VRING_NUM, _BASE, _ADDR, _CALL, _KICK
//!   DRIVER_OK        SET_VRING_ENABLE 1 of each queue
//!   reset            SET_VRING_ENABLE 0 and GET_VRING_BASE of each queue, RESET_DEVICE; or a hang-up
//! ```

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Doorbell;
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport, VectorRefused};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::NetFeatures;
use virtio_guest::wire::status::Status;

use super::config::{CardConfig, register};
use super::control_bell::{ControlBell, Service, use_pairs};
use super::control_queue::ControlQueue;
use super::doorbell::Bell;
use super::vhost_user::{InstalledQueue, Reset, VhostUser};
use crate::protocol::{Cause, Fault, PROTOCOL_FEATURES, ProtocolFeatures, QueueAddresses, Request, Step};

/// Where a packed ring begins: at its first descriptor, with both wrap counters set.
const PACKED_BASE: u32 = 0x8000_8000;
/// Most descriptors of the control queue.
const COMMANDS_MAX: u16 = 64;
/// How long a reset waits at most for a back-end to hang up that was told that nobody is listening.
const HANG_UP_LIMIT: Duration = Duration::from_secs(1);

impl VhostUser {
    /// Steps that the driver takes with this status, and had not taken before.
    fn takes(&self, status: Status, step: Status) -> bool {
        status.contains(step) && !self.told.contains(step)
    }

    /// Tells the back-end what was agreed on, and of the memory.
    fn agree(&mut self) -> Result<(), Fault> {
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
    fn enable_at_first(&mut self) -> Result<(), Fault> {
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
    fn control_queue(&self) -> Option<u16> {
        let has = |feature| self.has_agreed(self.accepted, feature);
        has(NetFeatures::CTRL_VQ).then(|| if has(NetFeatures::MQ) { self.offer.queues } else { 2 })
    }

    /// Takes over the control queue.
    fn serve_commands(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
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
        for queue in &self.queues {
            state.with(|connection| connection.stop_queue(queue.index))?;
        }
        unless_refused(state.with(|connection| {
            if connection.agreed().contains(ProtocolFeatures::RESET_DEVICE) {
                connection.command(Request::ResetDevice, None)?;
            }
            Ok(())
        }))
    }

    /// The driver asks for a reset.
    fn reset(&mut self) {
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
    fn tell_of_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<&'static Bell, QueueError> {
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

    /// A network card's configuration space.
    fn card_config(&self) -> Vec<u8> {
        CardConfig {
            mac: self.settings.mac.unwrap_or_default(),
            is_up: self.shared.lock().is_up(),
            pairs_max: self.offer.queues / 2,
            mtu: self.settings.mtu.unwrap_or_default(),
        }
        .to_bytes()
    }

    /// Uses the configuration space.
    fn with_config<R>(&self, act: impl FnOnce(&[u8]) -> R) -> R {
        if self.device_type == DeviceType::NETWORK {
            act(&self.card_config())
        } else {
            act(&self.shared.lock().config)
        }
    }
}

// SAFETY: The value has the only connection to its back-end, which plays one device. `status` is empty after an empty one was written only if the back-end said of each queue that it was
// told of that it has stopped, and so may not touch the memory; or if it hung up, which the kernel does for a process that ends once its memory is gone. One that says so and goes on
// writing does so in memory that nobody has a reference to (`memory`). `queue_reset_is_done` never is. `set_up_queue` fails before the addresses are sent, or when the back-end said that it stopped the queue, or
// hung up.
unsafe impl Transport for VhostUser {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn device_features(&mut self) -> u128 {
        self.offer.features
    }

    fn set_driver_features(&mut self, features: u128) {
        self.accepted = features;
    }

    fn supported_features(&self) -> CommonFeatures {
        CommonFeatures::VERSION_1
            | CommonFeatures::INDIRECT_DESC
            | CommonFeatures::EVENT_IDX
            | CommonFeatures::RING_PACKED
            | CommonFeatures::IN_ORDER
            | CommonFeatures::ORDER_PLATFORM
    }

    fn status(&self) -> Status {
        let mut state = self.shared.lock();
        state.look();
        match self.reset {
            Reset::UntilHangUp if !state.is_hung_up() => Status::REMOVED,
            Reset::NobodyThere => Status::REMOVED,
            _ if self.told.is_empty() || state.is_up() => self.told,
            _ => Status::REMOVED,
        }
    }

    fn set_status(&mut self, status: Status) {
        if status.is_empty() {
            return self.reset();
        }
        let mut reached = status;
        if self.takes(status, Status::FEATURES_OK) && self.agree().is_err() {
            reached.remove(Status::FEATURES_OK);
        }
        if self.takes(status, Status::DRIVER_OK) && self.enable_at_first().is_err() {
            reached.insert(Status::DEVICE_NEEDS_RESET);
        }
        self.told = reached;
    }

    fn config_generation(&self) -> Option<u32> {
        let mut state = self.shared.lock();
        state.refresh();
        Some(state.generation)
    }

    fn config_bytes(&self) -> usize {
        self.with_config(<[u8]>::len)
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        self.with_config(|config| register(config, offset, width))
    }

    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        let bytes = value.to_le_bytes();
        let Some(bytes) = bytes.get(..width.bytes()) else { return };
        let mut state = self.shared.lock();
        let end = offset.saturating_add(bytes.len());
        let Ok(place) = u32::try_from(offset) else { return };
        if self.device_type == DeviceType::NETWORK || state.config.get(offset..end).is_none() {
            return;
        }
        // What was refused is in the link, and the register reads as before.
        if state.with(|connection| connection.write_config(place, bytes)).is_ok()
            && let Some(register) = state.config.get_mut(offset..end)
        {
            register.copy_from_slice(bytes);
        }
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        match self.control_queue() {
            Some(control) if index == control => self.settings.queue_size_max.min(COMMANDS_MAX),
            Some(control) if index > control => 0,
            _ if index < self.offer.queues => self.settings.queue_size_max,
            _ => 0,
        }
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if self.control_queue() == Some(index) {
            return self.serve_commands(index, setup);
        }
        if index >= self.offer.queues {
            return Err(QueueError::Absent);
        }
        if self.queues.iter().any(|queue| queue.index == index) {
            return Err(QueueError::AlreadyEnabled);
        }
        let bell = self.tell_of_queue(index, setup)?;
        self.queues.push(InstalledQueue { index, bell });
        Ok(bell.doorbell(index))
    }

    fn start_queue_reset(&mut self, _: u16) {}

    fn queue_reset_is_done(&mut self, _: u16) -> bool {
        false
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        InterruptCause::default()
    }

    fn vectors(&self) -> u16 {
        self.vector_count()
    }

    fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
        // Changes of the configuration are said there, and nowhere else.
        if vector == 0 && self.vector_count() > 0 { Ok(()) } else { Err(VectorRefused) }
    }

    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        if vector >= self.vector_count() || self.shared.lock().files.vector(vector).is_err() {
            return Err(VectorRefused);
        }
        self.routes.retain(|(queue, _)| *queue != index);
        self.routes.push((index, vector));
        Ok(())
    }

    fn disable_vectors(&mut self) {
        self.routes.clear();
    }
}
