//! The control queue of a network card, served in this process.
//!
//! Spec: §5.1.9.5 Control Virtqueue, §5.1.9.5.5 Device operation in multiqueue mode. Back-ends have no such queue: who drives them enables and disables rings with messages. So the driver's commands are carried out
//! here, inside of the call with which it notifies the device: when that returns they are answered. How many pairs of queues are used is all that can be set; every other command is refused.
//!
//! It works on the shared memory, which the back-end can write. Whatever it finds there it stays inside of that memory and ends.

use virtio_guest::transport::QueueSetup;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::control::{ControlHeader, ack, class, mq};
use virtio_model::setup::Setup;
use virtio_model::{Chain, DeviceQueue, ModelError};
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
        let QueueSetup { size, addresses, features } = *setup;
        let has = |feature| features.contains(feature);
        let setup = Setup {
            size,
            descriptor_area: addresses.descriptor_area().0,
            driver_area: addresses.driver_area().0,
            device_area: addresses.device_area().0,
            event_idx: has(CommonFeatures::EVENT_IDX),
            indirect: has(CommonFeatures::INDIRECT_DESC),
            in_order: has(CommonFeatures::IN_ORDER),
        };
        Self::over(memory.device_side(), setup, has(CommonFeatures::RING_PACKED))
    }

    fn over(memory: DeviceSide, setup: Setup, is_packed: bool) -> Option<Self> {
        let queue = DeviceQueue::new(memory.space(), setup, is_packed).ok()?;
        Some(Self { queue, memory })
    }

    /// Carries out what was made available, and says whether the driver wants an interrupt for it. `set_pairs` has the device use so many pairs of queues, and says whether it does.
    ///
    /// Work: as many commands as the queue has descriptors, at most, whoever else writes there meanwhile.
    ///
    /// # Errors
    /// - [`ModelError`]: there is no sense in the queue. It is to be served no more.
    pub(super) fn serve(&mut self, mut set_pairs: impl FnMut(u16) -> bool) -> Result<bool, ModelError> {
        let mut wants_interrupt = false;
        for _ in 0..self.queue.size() {
            let Some(chain) = self.next()? else { break };
            let is_done = chain.readable_bytes() <= COMMAND_BYTES_MAX
                && is_carried_out(&chain.read_all(self.memory.space())?, &mut set_pairs);
            let answer = if is_done { ack::OK } else { ack::ERR };
            let written = chain.write_all(self.memory.space(), &[answer])?;
            wants_interrupt |= self.queue.complete(chain.head, written)?;
        }
        Ok(wants_interrupt)
    }

    /// The next command. If there is none the driver is to ring for the next one.
    fn next(&mut self) -> Result<Option<Chain>, ModelError> {
        let next = self.queue.pop()?;
        if next.is_none() && self.queue.enable_notifications()? {
            return self.queue.pop();
        }
        Ok(next)
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use virtio_model::AddressSpace;

    use super::*;
    use crate::memory::{MemorySettings, Pages};

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

    const SIZE: u16 = 4;
    /// Nothing here takes as long, unless something is wrong.
    const LIMIT: Duration = Duration::from_secs(10);
    /// Where things are in the memory: after the table the available ring, the used ring, command and answer.
    const DRIVER: u64 = 256;
    const DEVICE: u64 = 512;
    const COMMAND: u64 = 1024;
    const ANSWER: u64 = 2048;

    /// A split queue in whose ring there is one command, over and over.
    fn queue() -> (ControlQueue, AddressSpace, u64) {
        let memory = SharedMemory::new(&MemorySettings { bytes: 4096, pages: Pages::Ordinary }).unwrap();
        let start = memory.region().address;
        let setup = Setup {
            size: SIZE,
            descriptor_area: start,
            driver_area: start + DRIVER,
            device_area: start + DEVICE,
            event_idx: false,
            indirect: false,
            in_order: false,
        };
        let queue = ControlQueue::over(memory.device_side(), setup, false).unwrap();
        let space = queue.memory.space().clone();
        // Descriptor 0 is the command, and goes on with 1, which is the answer.
        let descriptors = [(start + COMMAND, 4_u32, 1_u16, 1_u16), (start + ANSWER, 1, 2, 0)];
        for (at, (address, len, flags, next)) in (start..).step_by(16).zip(descriptors) {
            space.write(at, &address.to_le_bytes()).unwrap();
            space.write(at + 8, &len.to_le_bytes()).unwrap();
            space.write(at + 12, &flags.to_le_bytes()).unwrap();
            space.write(at + 14, &next.to_le_bytes()).unwrap();
        }
        space.write(start + COMMAND, &[4, 0, 1, 0]).unwrap();
        (queue, space, start)
    }

    #[test]
    fn whoever_rings_is_not_kept_by_a_ring_that_never_ends() {
        let (mut queue, space, start) = queue();
        let (is_over, begun) = (AtomicBool::new(false), Instant::now());
        thread::scope(|scope| {
            // Somebody else adds as many commands as were answered, always.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
                    let mut used = [0; 2];
                    space.read(start + DEVICE + 2, &mut used).unwrap();
                    let available = u16::from_le_bytes(used).wrapping_add(SIZE);
                    space.write(start + DRIVER + 2, &available.to_le_bytes()).unwrap();
                }
            });
            let mut commands = 0;
            while commands < 50 && begun.elapsed() < LIMIT {
                let before = commands;
                queue
                    .serve(|_| {
                        commands += 1;
                        true
                    })
                    .unwrap();
                assert!(commands <= before + SIZE);
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(commands >= 50);
        });
    }

    #[test]
    fn a_queue_without_sense_is_an_error_and_nothing_is_carried_out() {
        let nonsense: [(u64, &[u8]); 4] = [
            (DRIVER + 2, &[5, 0]), // more than there can be
            (0, &[0xff; 8]),       // elsewhere
            (12, &[1, 0, 0, 0]),   // round and round
            (DRIVER + 4, &[9, 0]), // a descriptor that is none
        ];
        for (at, bytes) in nonsense {
            let (mut queue, space, start) = queue();
            space.write(start + DRIVER + 2, &[1, 0]).unwrap();
            space.write(start + at, bytes).unwrap();

            assert!(queue.serve(|pairs| panic!("{pairs} pairs")).is_err(), "{bytes:?}");
        }
    }
}
