//! The control queue of a network card, served in this process.
//!
//! Spec: §5.1.9.5 Control Virtqueue, §5.1.9.5.5 Device operation in multiqueue mode. Back-ends have no such queue: who drives them enables and disables rings with messages. So the driver's commands are carried out
//! here, inside of the call with which it notifies the device: when that returns they are answered. How many pairs of queues are used is all that can be set; every other command is refused.
//!
//! It works on the shared memory, which the back-end can write. Whatever it finds there it stays inside of that memory and ends.

use virtio_guest::transport::QueueSetup;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::control::{ControlHeader, ack, class, mq};
use virtio_model::{DeviceQueue, ModelError};
use zerocopy::FromBytes;
use zerocopy::little_endian::U16;

use crate::memory::{DeviceSide, SharedMemory};

/// The longest command that is read, in bytes. No driver has one for a device that can so little.
const COMMAND_BYTES_MAX: u64 = 4096;

/// The device side of the queue.
#[derive(Debug)]
pub(super) struct ControlQueue {
    queue: DeviceQueue,
    memory: DeviceSide,
}

impl ControlQueue {
    /// Takes over a queue that the driver has in `memory`. `None` if it cannot be there, or be a queue.
    pub(super) fn new(memory: &SharedMemory, setup: &QueueSetup) -> Option<Self> {
        let memory = memory.device_side();
        let QueueSetup { size, addresses, features } = *setup;
        let has = |feature| features.contains(feature);
        let queue = virtio_model::setup::Setup {
            size,
            descriptor_area: addresses.descriptor_area().0,
            driver_area: addresses.driver_area().0,
            device_area: addresses.device_area().0,
            event_idx: has(CommonFeatures::EVENT_IDX),
            indirect: has(CommonFeatures::INDIRECT_DESC),
            in_order: has(CommonFeatures::IN_ORDER),
        };
        let queue = DeviceQueue::new(memory.space(), queue, has(CommonFeatures::RING_PACKED)).ok()?;
        Some(Self { queue, memory })
    }

    /// Carries out what was made available, and says whether the driver wants an interrupt for it. `set_pairs` has the device use so many pairs of queues, and says whether it does.
    ///
    /// # Errors
    /// - [`ModelError`]: there is no sense in the queue. It is to be served no more.
    pub(super) fn serve(&mut self, mut set_pairs: impl FnMut(u16) -> bool) -> Result<bool, ModelError> {
        let mut wants_interrupt = false;
        loop {
            while let Some(chain) = self.queue.pop()? {
                let is_done = chain.readable_bytes() <= COMMAND_BYTES_MAX
                    && is_carried_out(&chain.read_all(self.memory.space())?, &mut set_pairs);
                let answer = if is_done { ack::OK } else { ack::ERR };
                let written = chain.write_all(self.memory.space(), &[answer])?;
                wants_interrupt |= self.queue.complete(chain.head, written)?;
            }
            if !self.queue.enable_notifications()? {
                return Ok(wants_interrupt);
            }
        }
    }
}

/// Carries out one command, and says whether it could be.
fn is_carried_out(command: &[u8], mut set_pairs: impl FnMut(u16) -> bool) -> bool {
    const SET_PAIRS: ControlHeader = ControlHeader { class: class::MQ, command: mq::VQ_PAIRS_SET };
    match ControlHeader::read_from_prefix(command) {
        Ok((SET_PAIRS, pairs)) => U16::read_from_bytes(pairs).is_ok_and(|pairs| set_pairs(pairs.get())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_pairs_is_set_as_it_was_asked_for() {
        let mut asked = Vec::new();
        let mut set = |pairs| {
            asked.push(pairs);
            pairs <= 2
        };

        assert!(is_carried_out(&[4, 0, 2, 0], &mut set));
        assert!(!is_carried_out(&[4, 0, 1, 2], &mut set));

        assert_eq!(asked, [2, 0x201]);
    }

    #[test]
    fn everything_else_is_refused() {
        let mut set = |pairs| -> bool { panic!("{pairs} pairs") };
        let others: [&[u8]; 8] = [
            &[],
            &[4],
            &[4, 0],
            &[4, 0, 1],
            &[4, 0, 1, 0, 0],
            &[4, 1, 1, 0],
            &[0, 0, 1],
            &[1, 1, 2, 0, 0, 0, 0, 1],
        ];

        for command in others {
            assert!(!is_carried_out(command, &mut set), "{command:?}");
        }
    }
}
