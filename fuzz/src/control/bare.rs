//! Registers without a bus: a transport whose verbs are the device's registers, as they are.
//!
//! Spec: §4 Virtio Transport Options. What a transport of this crate would never say is in here, too: areas that cannot be placed, a configuration space whose length changes.

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{AreaPlacement, Doorbell, Notification};
use virtio_guest::transport::{
    Interface, InterruptCause, QueueError, QueueSetup, SharedMemory, Transport, VectorRefused,
};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::status::Status;

use super::device::{CONFIG_BYTES, Device};
use super::registers::Register;
use super::world::{self, World};
use crate::script::Script;

/// Drives a device that has no bus, as `bytes` say. Panics if a promise is broken.
pub fn config_and_status(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let device = Device::read(&mut script);
    let kind = script.detail();
    if device.is_legacy {
        world::begin(script, device);
        world::with(|world| world.memory.hal.put_memory_at(1 << 32));
    } else {
        world::begin(script, device);
    }
    super::live(Bare { kind, vectors: u16::from(kind % 5) });
    world::end();
}

/// See the module's head.
#[derive(Debug)]
struct Bare {
    /// What else differs.
    kind: u8,
    vectors: u16,
}

fn read(register: Register, bytes: usize) -> u32 {
    world::with(|world| world.read(register, bytes))
}

fn write(register: Register, value: u32) {
    world::with(|world| world.write(register, value));
}

impl World {
    /// What may be wrong with a queue.
    fn queue_error(&mut self) -> Option<QueueError> {
        match self.answer(0, 1) {
            1 => Some(QueueError::Absent),
            2 => Some(QueueError::AlreadyEnabled),
            3 => Some(QueueError::DoorbellOutOfBounds),
            4 => Some(QueueError::AddressOutOfReach),
            _ => None,
        }
    }
}

// SAFETY: there is one device, and what it learns of it reaches through the model's address space alone.
unsafe impl Transport for Bare {
    fn device_type(&self) -> DeviceType {
        DeviceType(world::with(|world| world.device.device_type))
    }

    fn interface(&self) -> Interface {
        let is_legacy = world::with(|world| world.device.is_legacy);
        if is_legacy { Interface::Legacy } else { Interface::Modern }
    }

    fn device_features(&mut self) -> u128 {
        (0..4).fold(0, |features, word| {
            write(Register::DeviceFeatureSelect, word);
            features | u128::from(read(Register::DeviceFeatures, 4)) << (32 * word)
        })
    }

    fn set_driver_features(&mut self, features: u128) {
        world::with(|world| {
            world.spend();
            let is_possible = !world.device.is_legacy || features >> 32 == 0;
            assert!(is_possible, "a legacy device has 32 features");
            world.device.accepted = features;
        });
    }

    fn supported_features(&self) -> CommonFeatures {
        CommonFeatures::from_bits_truncate(u128::MAX << (self.kind & 0x28))
    }

    fn status(&self) -> Status {
        Status::from_bits_retain((read(Register::Status, 1) & 0xff) as u8)
    }

    fn set_status(&mut self, status: Status) {
        write(Register::Status, status.bits().into());
    }

    fn config_generation(&self) -> Option<u32> {
        (self.interface() == Interface::Modern).then(|| read(Register::Generation, 4))
    }

    fn config_bytes(&self) -> usize {
        world::with(|world| world.answer(CONFIG_BYTES as u32, 2)) as usize
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        assert!(offset.is_multiple_of(width.bytes()), "the configuration is accessed with aligned registers");
        read(Register::Config(offset), width.bytes())
    }

    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        assert!(offset.is_multiple_of(width.bytes()), "the configuration is accessed with aligned registers");
        write(Register::Config(offset), value);
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        write(Register::QueueSelect, index.into());
        (read(Register::QueueSizeMax, 2) & 0xffff) as u16
    }

    fn queue_size_is_fixed(&self) -> bool {
        self.kind & 0x40 != 0
    }

    fn area_placement(&self) -> AreaPlacement {
        let align = 4096 << (self.kind >> 1 & 3);
        match self.interface() {
            Interface::Modern => AreaPlacement::Separate,
            Interface::Legacy => {
                AreaPlacement::Contiguous { align: world::with(|world| world.answer(align, 2)) as u16 }
            }
        }
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if let Some(error) = world::with(World::queue_error) {
            return Err(error);
        }
        let addresses =
            [setup.addresses.descriptor_area(), setup.addresses.driver_area(), setup.addresses.device_area()];
        world::with(|world| {
            world.spend();
            world.device.queue_select = index;
            let queue = world.device.selected().expect("only queues that there are, are set up");
            queue.size = setup.size;
            queue.addresses = addresses.map(|address| address.0);
        });
        write(Register::QueueEnable, 1);
        let carries_position = setup.features.contains(CommonFeatures::NOTIFICATION_DATA);
        Ok(Doorbell::function(notified, 0, Notification { queue: index, carries_position }))
    }

    fn start_queue_reset(&mut self, index: u16) {
        write(Register::QueueSelect, index.into());
        write(Register::QueueReset, 1);
    }

    fn queue_reset_is_done(&mut self, index: u16) -> bool {
        write(Register::QueueSelect, index.into());
        read(Register::QueueReset, 2) == 0 && read(Register::QueueEnable, 2) == 0
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        let bits = read(Register::Interrupt, 1);
        InterruptCause { used_buffer: bits & 1 != 0, configuration_change: bits & 2 != 0 }
    }

    fn vectors(&self) -> u16 {
        self.vectors
    }

    fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
        assert!(vector < self.vectors, "a vector that there is");
        write(Register::ConfigVector, vector.into());
        if read(Register::ConfigVector, 2) == u32::from(vector) { Ok(()) } else { Err(VectorRefused) }
    }

    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        assert!(vector < self.vectors, "a vector that there is");
        write(Register::QueueSelect, index.into());
        write(Register::QueueVector, vector.into());
        if read(Register::QueueVector, 2) == u32::from(vector) { Ok(()) } else { Err(VectorRefused) }
    }

    fn disable_vectors(&mut self) {
        self.vectors = 0;
    }

    fn shared_memory(&mut self, _: u8) -> Option<SharedMemory> {
        None
    }
}

fn notified(_: usize, notification: u32) {
    world::with(|world| {
        world.spend();
        world.notified(notification);
    });
}
