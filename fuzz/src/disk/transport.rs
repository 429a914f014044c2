//! The disk's registers: a transport without a bus. They are honest; the configuration behind them need not be.
//!
//! Spec: §4 Virtio Transport Options, §2.5.1 (generations).

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{Doorbell, Notification};
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport, VectorRefused};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::status::Status;
use virtio_model::DeviceQueue;
use virtio_model::setup::Setup;

use super::device::{CONFIG_BYTES, QUEUES};
use super::world;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Registers;

/// Vectors that the device has: one for the configuration, one for each queue.
const VECTORS: u16 = QUEUES as u16 + 1;

// SAFETY: there is one device, and when it says that it is reset it has forgotten its queues.
unsafe impl Transport for Registers {
    fn device_type(&self) -> DeviceType {
        DeviceType::BLOCK
    }

    fn device_features(&mut self) -> u128 {
        world::with(|world| world.device.offered)
    }

    fn set_driver_features(&mut self, features: u128) {
        world::with(|world| {
            assert_eq!(features & !world.device.offered, 0, "nothing is accepted that was not offered");
            world.device.accepted = features;
        });
    }

    fn status(&self) -> Status {
        world::with(|world| {
            let device = &mut world.device;
            if device.status != 0 || device.is_stuck {
                return Status::from_bits_retain(device.status | u8::from(device.is_stuck));
            }
            device.forget();
            world.memory.return_all();
            Status::from_bits_retain(0)
        })
    }

    fn set_status(&mut self, status: Status) {
        world::with(|world| world.device.status = status.bits());
    }

    fn config_generation(&self) -> Option<u32> {
        world::act();
        Some(world::with(|world| {
            let device = &mut world.device;
            device.generation = device.generation.wrapping_add(device.is_restless.into());
            device.generation
        }))
    }

    fn config_bytes(&self) -> usize {
        CONFIG_BYTES
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        let bytes = width.bytes();
        assert!(offset.is_multiple_of(bytes), "the configuration is accessed with aligned registers");
        world::with(|world| {
            world.device.config[offset..offset + bytes]
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
    }

    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        let bytes = width.bytes();
        world::with(|world| {
            world.device.config[offset..offset + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        });
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        world::with(|world| world.device.queues.get(usize::from(index)).map_or(0, |queue| queue.size_max))
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        let agreed = |feature| setup.features.contains(feature);
        let ring = Setup {
            size: setup.size,
            descriptor_area: setup.addresses.descriptor_area().0,
            driver_area: setup.addresses.driver_area().0,
            device_area: setup.addresses.device_area().0,
            event_idx: agreed(CommonFeatures::EVENT_IDX),
            indirect: agreed(CommonFeatures::INDIRECT_DESC),
            in_order: agreed(CommonFeatures::IN_ORDER),
        };
        world::with(|world| {
            let queue = world.device.queues.get_mut(usize::from(index)).ok_or(QueueError::Absent)?;
            let packed = agreed(CommonFeatures::RING_PACKED);
            let ring = DeviceQueue::new(&world.memory.hal.space, ring, packed).expect("a sound queue");
            (queue.ring, queue.is_awake) = (Some(ring), true);
            world.memory.lend();
            Ok(())
        })?;
        let carries_position = agreed(CommonFeatures::NOTIFICATION_DATA);
        Ok(Doorbell::function(notified, 0, Notification { queue: index, carries_position }))
    }

    fn start_queue_reset(&mut self, _: u16) {}

    fn queue_reset_is_done(&mut self, _: u16) -> bool {
        false
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        InterruptCause::default()
    }

    fn vectors(&self) -> u16 {
        VECTORS
    }

    fn set_config_vector(&mut self, _: u16) -> Result<(), VectorRefused> {
        Ok(())
    }

    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        world::with(|world| {
            let queue = world.device.queues.get_mut(usize::from(index)).ok_or(VectorRefused)?;
            queue.vector = vector;
            Ok(())
        })
    }
}

fn notified(_: usize, notification: u32) {
    world::with(|world| {
        let queue = world.device.queues.get_mut(usize::from((notification & 0xffff) as u16));
        let queue = queue.expect("a notification of a queue that there is");
        assert!(queue.ring.is_some(), "a notification of a queue that the device knows of");
        queue.is_awake = true;
    });
}
