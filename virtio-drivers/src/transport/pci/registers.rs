//! An opened function's registers: the [`Transport`] verbs as accesses to them.
//!
//! Spec: §4.1.4.3 Common configuration structure layout, §4.1.4.4 Notification structure layout, §4.1.4.5 ISR status capability,
//! §4.1.5 PCI-specific Initialization And Device Operation. Every register is accessed with its own width; 64-bit fields as two halves.

use crate::hal::{AccessWidth, DeviceAddress};
use crate::raw::{Doorbell, Notification, Registers};
use crate::transport::{InterruptCause, QueueError, QueueSetup, Transport};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::pci::{IsrStatus, common};
use crate::wire::status::Status;

/// The register windows of one device.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) common: Registers,
    pub(super) notify: Registers,
    pub(super) notify_multiplier: u32,
    pub(super) isr: Registers,
    pub(super) device: Option<Registers>,
}

/// A modern virtio device behind PCI. [`PciTransport::open`] makes one.
#[derive(Debug)]
pub struct PciTransport {
    device_type: DeviceType,
    windows: Windows,
}

impl PciTransport {
    pub(super) const fn new(device_type: DeviceType, windows: Windows) -> Self {
        Self { device_type, windows }
    }

    fn read_word(&self, offset: usize) -> u16 {
        (self.windows.common.read(offset, AccessWidth::Word) & 0xffff) as u16
    }

    fn write_word(&self, offset: usize, value: u16) {
        self.windows.common.write(offset, AccessWidth::Word, u32::from(value));
    }

    fn write_address(&self, offset: usize, DeviceAddress(address): DeviceAddress) {
        let low = (address & 0xffff_ffff) as u32;
        let high = (address >> 32) as u32;
        self.windows.common.write(offset, AccessWidth::Long, low);
        self.windows.common.write(offset + 4, AccessWidth::Long, high);
    }

    /// Whether the common configuration has the 16-bit field at `offset`: later features added some at its end.
    fn has_word(&self, offset: usize) -> bool {
        self.windows.common.size_bytes() >= offset + AccessWidth::Word.bytes()
    }

    /// The doorbell of the selected queue `index`, which must be inside of the notification structure.
    fn selected_doorbell(&self, index: u16, features: CommonFeatures) -> Option<Doorbell> {
        let place = u64::from(self.read_word(common::QUEUE_NOTIFY_OFF));
        let offset = usize::try_from(place * u64::from(self.windows.notify_multiplier)).ok()?;
        let queue = if features.contains(CommonFeatures::NOTIF_CONFIG_DATA) {
            self.read_word(common::QUEUE_NOTIF_CONFIG_DATA)
        } else {
            index
        };
        let carries_position = features.contains(CommonFeatures::NOTIFICATION_DATA);
        let notification = Notification { queue, carries_position };
        Doorbell::register(&self.windows.notify, offset, notification.width(), notification)
    }
}

#[expect(unsafe_code, reason = "the promise of the trait")]
// SAFETY: claiming the function made the device behind it ours alone, and all windows are its own, since its BARs decode nothing else. Its status register
// reads 0 after a reset only when the reset is complete (§4.1.4.3.1), and so do reset and enable of a queue; a removed device reads all ones. A queue's addresses are written
// to these registers only, and after the last check.
unsafe impl Transport for PciTransport {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn device_features(&mut self) -> u128 {
        (0..4).fold(0, |features, word| {
            self.windows.common.write(common::DEVICE_FEATURE_SELECT, AccessWidth::Long, word);
            let bits = self.windows.common.read(common::DEVICE_FEATURE, AccessWidth::Long);
            features | u128::from(bits) << (32 * word)
        })
    }

    fn set_driver_features(&mut self, features: u128) {
        for word in 0..4 {
            let bits = (features >> (32 * word) & 0xffff_ffff) as u32;
            self.windows.common.write(common::DRIVER_FEATURE_SELECT, AccessWidth::Long, word);
            self.windows.common.write(common::DRIVER_FEATURE, AccessWidth::Long, bits);
        }
    }

    fn supported_features(&self) -> CommonFeatures {
        let mut features = CommonFeatures::all();
        features.set(CommonFeatures::NOTIF_CONFIG_DATA, self.has_word(common::QUEUE_NOTIF_CONFIG_DATA));
        features.set(CommonFeatures::RING_RESET, self.has_word(common::QUEUE_RESET));
        features
    }

    fn status(&self) -> Status {
        let bits = self.windows.common.read(common::DEVICE_STATUS, AccessWidth::Byte);
        Status::from_bits_retain((bits & 0xff) as u8)
    }

    fn set_status(&mut self, status: Status) {
        self.windows.common.write(common::DEVICE_STATUS, AccessWidth::Byte, u32::from(status.bits()));
    }

    fn config_generation(&self) -> Option<u32> {
        Some(self.windows.common.read(common::CONFIG_GENERATION, AccessWidth::Byte))
    }

    fn config_bytes(&self) -> usize {
        self.windows.device.as_ref().map_or(0, Registers::size_bytes)
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        self.windows.device.as_ref().map_or(u32::MAX, |device| device.read(offset, width))
    }

    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        if let Some(device) = &self.windows.device {
            device.write(offset, width, value);
        }
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        if index >= self.read_word(common::NUM_QUEUES) {
            return 0;
        }
        self.write_word(common::QUEUE_SELECT, index);
        self.read_word(common::QUEUE_SIZE)
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if self.queue_size_max(index) < setup.size {
            return Err(QueueError::Absent);
        }
        if self.read_word(common::QUEUE_ENABLE) != 0 {
            return Err(QueueError::AlreadyEnabled);
        }
        let doorbell =
            self.selected_doorbell(index, setup.features).ok_or(QueueError::DoorbellOutOfBounds)?;

        self.write_word(common::QUEUE_SIZE, setup.size);
        self.write_address(common::QUEUE_DESC, setup.addresses.descriptor_area());
        self.write_address(common::QUEUE_DRIVER, setup.addresses.driver_area());
        self.write_address(common::QUEUE_DEVICE, setup.addresses.device_area());
        self.write_word(common::QUEUE_ENABLE, 1);
        Ok(doorbell)
    }

    fn start_queue_reset(&mut self, index: u16) {
        self.write_word(common::QUEUE_SELECT, index);
        self.write_word(common::QUEUE_RESET, 1);
    }

    fn queue_reset_is_done(&mut self, index: u16) -> bool {
        self.write_word(common::QUEUE_SELECT, index);
        self.read_word(common::QUEUE_RESET) == 0 && self.read_word(common::QUEUE_ENABLE) == 0
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        let bits = self.windows.isr.read(0, AccessWidth::Byte);
        let status = IsrStatus::from_bits_retain((bits & 0xff) as u8);
        if bits == 0xff {
            // All ones: the device is gone, and so is its reason.
            return InterruptCause::default();
        }
        InterruptCause {
            used_buffer: status.contains(IsrStatus::QUEUE),
            configuration_change: status.contains(IsrStatus::CONFIGURATION),
        }
    }
}
