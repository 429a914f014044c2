//! The device's registers: as much of a transport as a queue needs, without a bus.
//!
//! Spec: §4 Virtio Transport Options. Resets take as long as the script says. With the answer that one is done the device has given back all memory.

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{Doorbell, Notification};
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::status::Status;
use virtio_model::setup::Setup;

use crate::witness::Witness;
use crate::world::{self, World};

/// The registers of the current life's device.
#[derive(Debug)]
pub(crate) struct Registers;

impl World {
    /// Whether the reset that was asked for is done; then the device has nothing any more.
    fn reset_is_done(&mut self) -> bool {
        if let Some(left) = self.device.reset_delay.checked_sub(1) {
            self.device.reset_delay = left;
            return false;
        }
        self.device.forget();
        self.memory.return_all();
        true
    }
}

// SAFETY: there is one device, and when it says that it is reset it has forgotten its queue.
unsafe impl Transport for Registers {
    fn device_type(&self) -> DeviceType {
        DeviceType::BLOCK
    }

    fn device_features(&mut self) -> u128 {
        world::with(|world| world.device.features)
    }

    fn set_driver_features(&mut self, features: u128) {
        world::with(|world| assert_eq!(features, world.device.features, "all that is offered is handled"));
    }

    fn status(&self) -> Status {
        world::with(|world| {
            let is_being_reset = world.device.status == 0;
            let shown = if is_being_reset && !world.reset_is_done() {
                Status::DRIVER_OK.bits()
            } else {
                world.device.status
            };
            Status::from_bits_retain(shown)
        })
    }

    fn set_status(&mut self, status: Status) {
        world::with(|world| world.device.status = status.bits());
    }

    fn config_generation(&self) -> Option<u32> {
        Some(0)
    }

    fn config_bytes(&self) -> usize {
        0
    }

    fn read_config(&self, _: usize, _: AccessWidth) -> u32 {
        u32::MAX
    }

    fn write_config(&mut self, _: usize, _: AccessWidth, _: u32) {}

    fn queue_size_max(&mut self, _: u16) -> u16 {
        world::with(|world| world.device.size_max)
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        let agreed = |feature| setup.features.contains(feature);
        let queue = Setup {
            size: setup.size,
            descriptor_area: setup.addresses.descriptor_area().0,
            driver_area: setup.addresses.driver_area().0,
            device_area: setup.addresses.device_area().0,
            event_idx: agreed(CommonFeatures::EVENT_IDX),
            indirect: agreed(CommonFeatures::INDIRECT_DESC),
            in_order: agreed(CommonFeatures::IN_ORDER),
        };
        world::with(|world| {
            let packed = agreed(CommonFeatures::RING_PACKED);
            world.memory.lend_queue();
            world.device.set_up(&world.memory, queue, packed);
            world.witness = Witness::new(queue, packed);
        });
        let notification =
            Notification { queue: index, carries_position: agreed(CommonFeatures::NOTIFICATION_DATA) };
        Ok(Doorbell::function(notified, 0, notification))
    }

    fn start_queue_reset(&mut self, _: u16) {}

    fn queue_reset_is_done(&mut self, _: u16) -> bool {
        world::with(World::reset_is_done)
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        InterruptCause::default()
    }
}

fn notified(_: usize, _: u32) {
    world::with(|world| {
        assert!(world.device.queue.is_some(), "a notification for a queue that is not there");
        world.device.notifications += 1;
        world.device.sleeps = false;
    });
}
