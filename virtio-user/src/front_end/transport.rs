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

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Doorbell;
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport, VectorRefused};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::status::Status;

use super::config::{CardConfig, register};
use super::vhost_user::{InstalledQueue, Reset, VhostUser};

/// Most descriptors of the control queue.
const COMMANDS_MAX: u16 = 64;

impl VhostUser {
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
// told of that it has stopped, and so may not touch the memory; or if it hung up, which the kernel does for a process that ends once its memory is gone. One that lives and hangs up (or closes one
// direction, where this side has closed the other), or says that it stopped, and goes on writing does so in memory that nobody has a reference to (`memory`): that spoils data, and nothing else. `queue_reset_is_done` never is. `set_up_queue` fails before the addresses are sent, or when the back-end said that it stopped the queue, or
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
        self.queues.push(InstalledQueue { index, bell, is_stopped: false });
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
