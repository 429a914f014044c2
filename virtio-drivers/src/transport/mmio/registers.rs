//! A device's registers: the [`Transport`] verbs as accesses to them.
//!
//! Spec: §4.2.2 MMIO Device Register Layout, §4.2.3 MMIO-specific Initialization And Device Operation. All registers are accessed with 32 bits, the configuration
//! space with the width of its fields; 64-bit values as two halves.

use super::legacy;
use crate::hal::{AccessWidth, DeviceAddress};
use crate::raw::{AreaPlacement, Doorbell, Notification, Registers};
use crate::transport::{
    Interface, InterruptCause, InterruptLine, QueueError, QueueSetup, SharedMemory, Transport, bytewise,
    legacy_page,
};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::mmio::register;
use crate::wire::status::Status;

/// A word of features.
const WORD: u128 = 0xffff_ffff;

/// A virtio device behind MMIO. [`MmioTransport::open`] makes one.
#[derive(Debug)]
pub struct MmioTransport {
    device_type: DeviceType,
    interface: Interface,
    registers: Registers,
    line: InterruptLine,
}

impl MmioTransport {
    pub(super) const fn new(device_type: DeviceType, interface: Interface, registers: Registers) -> Self {
        let line = InterruptLine::mmio(registers.share());
        Self { device_type, interface, registers, line }
    }

    pub(super) fn read(&self, register: usize) -> u32 {
        self.registers.read(register, AccessWidth::Long)
    }

    pub(super) fn write(&self, register: usize, value: u32) {
        self.registers.write(register, AccessWidth::Long, value);
    }

    fn write_address(&self, register: usize, DeviceAddress(address): DeviceAddress) {
        self.write(register, (address & 0xffff_ffff) as u32);
        self.write(register + 4, (address >> 32) as u32);
    }

    /// Reads two halves; the low one first.
    fn read_long(&self, register: usize) -> u64 {
        let low = self.read(register);
        u64::from(self.read(register + 4)) << 32 | u64::from(low)
    }

    /// The doorbell of a queue: one register for all of them, 32 bits wide whatever is written to it.
    fn doorbell(&self, index: u16, features: CommonFeatures) -> Option<Doorbell> {
        let carries_position = features.contains(CommonFeatures::NOTIFICATION_DATA);
        let notification = Notification { queue: index, carries_position };
        Doorbell::register(&self.registers, register::QUEUE_NOTIFY, AccessWidth::Long, notification)
    }

    /// Feature words that there are: a legacy device has one.
    const fn feature_words(&self) -> u32 {
        match self.interface {
            Interface::Modern => 4,
            Interface::Legacy => 1,
        }
    }
}

#[expect(unsafe_code, reason = "the promise of the trait")]
// SAFETY: who mapped the registers promised that they are one device's, and the driver's alone. Its status register reads 0 after a reset only when the reset is complete
// (§4.2.3.1.1 and §2.4), and so does the reset of a queue (§4.2.2.1); a removed device reads all ones. A queue's addresses are written to these registers only, and after
// the last check.
unsafe impl Transport for MmioTransport {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn interface(&self) -> Interface {
        self.interface
    }

    /// There are devices (QEMU's) that take any selector but 0 for 1. They show their second word three times, though no feature has a bit of the last one.
    fn device_features(&mut self) -> u128 {
        let features = (0..self.feature_words()).fold(0, |features, word| {
            self.write(register::DEVICE_FEATURES_SEL, word);
            features | u128::from(self.read(register::DEVICE_FEATURES)) << (32 * word)
        });
        let (second, last) = (features >> 32 & WORD, features >> 96);
        if second == last { features & (WORD << 32 | WORD) } else { features }
    }

    /// The last word first, so that a device that knows two words only keeps what belongs into the second.
    fn set_driver_features(&mut self, features: u128) {
        for word in (0..self.feature_words()).rev() {
            self.write(register::DRIVER_FEATURES_SEL, word);
            self.write(register::DRIVER_FEATURES, (features >> (32 * word) & WORD) as u32);
        }
    }

    fn status(&self) -> Status {
        Status::from_bits_retain((self.read(register::STATUS) & 0xff) as u8)
    }

    fn set_status(&mut self, status: Status) {
        self.write(register::STATUS, u32::from(status.bits()));
    }

    fn config_generation(&self) -> Option<u32> {
        match self.interface {
            Interface::Modern => Some(self.read(register::CONFIG_GENERATION)),
            Interface::Legacy => None,
        }
    }

    fn config_bytes(&self) -> usize {
        self.registers.size_bytes().saturating_sub(register::CONFIG)
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        let offset = offset.saturating_add(register::CONFIG);
        match self.interface {
            Interface::Modern => self.registers.read(offset, width),
            Interface::Legacy => bytewise::read(&self.registers, offset, width),
        }
    }

    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        let offset = offset.saturating_add(register::CONFIG);
        match self.interface {
            Interface::Modern => self.registers.write(offset, width, value),
            Interface::Legacy => bytewise::write(&self.registers, offset, width, value),
        }
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        self.write(register::QUEUE_SEL, u32::from(index));
        // What is more than a queue can have is as much as it can have.
        u16::try_from(self.read(register::QUEUE_SIZE_MAX)).unwrap_or(u16::MAX)
    }

    fn area_placement(&self) -> AreaPlacement {
        match self.interface {
            Interface::Modern => AreaPlacement::Separate,
            Interface::Legacy => AreaPlacement::Contiguous { align: legacy_page::BYTES },
        }
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if self.queue_size_max(index) < setup.size {
            return Err(QueueError::Absent);
        }
        let doorbell = self.doorbell(index, setup.features).ok_or(QueueError::DoorbellOutOfBounds)?;
        if self.interface == Interface::Legacy {
            legacy::set_up_queue(self, setup)?;
            return Ok(doorbell);
        }
        if self.read(register::QUEUE_READY) != 0 {
            return Err(QueueError::AlreadyEnabled);
        }
        self.write(register::QUEUE_SIZE, u32::from(setup.size));
        self.write_address(register::QUEUE_DESC, setup.addresses.descriptor_area());
        self.write_address(register::QUEUE_DRIVER, setup.addresses.driver_area());
        self.write_address(register::QUEUE_DEVICE, setup.addresses.device_area());
        self.write(register::QUEUE_READY, 1);
        Ok(doorbell)
    }

    fn start_queue_reset(&mut self, index: u16) {
        self.write(register::QUEUE_SEL, u32::from(index));
        self.write(register::QUEUE_RESET, 1);
    }

    fn queue_reset_is_done(&mut self, index: u16) -> bool {
        self.write(register::QUEUE_SEL, u32::from(index));
        self.read(register::QUEUE_RESET) == 0 && self.read(register::QUEUE_READY) == 0
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        self.line.acknowledge()
    }

    fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        Some(self.line.share())
    }

    fn shared_memory(&mut self, id: u8) -> Option<SharedMemory> {
        if self.interface == Interface::Legacy {
            return None;
        }
        self.write(register::SHM_SEL, u32::from(id));
        let size_bytes = self.read_long(register::SHM_LEN);
        let physical_address = self.read_long(register::SHM_BASE);
        SharedMemory::new(physical_address, size_bytes)
    }
}
