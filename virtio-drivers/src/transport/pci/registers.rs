//! An opened function's registers: the [`Transport`] verbs as accesses to them.
//!
//! Spec: §4.1.4.3 Common configuration structure layout, §4.1.4.4 Notification structure layout, §4.1.4.5 ISR status capability,
//! §4.1.5 PCI-specific Initialization And Device Operation. Every register is accessed with its own width; 64-bit fields as two halves.

use core::fmt;

use pci_types::{ConfigRegionAccess, PciAddress};

use super::endpoint::Endpoint;
use super::msi_x::MsiXError;
use super::shared_memory::Regions;
use crate::hal::{AccessWidth, DeviceAddress, MsiMessage};
use crate::raw::{Doorbell, Notification, Registers};
use crate::transport::{
    InterruptCause, InterruptLine, QueueError, QueueSetup, SharedMemory, Transport, VectorRefused,
};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::pci::common;
use crate::wire::status::Status;

/// The register windows of one device.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) common: Registers,
    pub(super) notify: Registers,
    pub(super) notify_multiplier: u32,
    pub(super) notify_takes_positions: bool,
    pub(super) isr: Registers,
    pub(super) device: Option<Registers>,
}

/// A modern virtio device behind PCI. [`PciTransport::open`] makes one. `A` is how the kernel reaches configuration space.
pub struct PciTransport<A> {
    device_type: DeviceType,
    endpoint: Endpoint<A>,
    windows: Windows,
    regions: Regions,
    line: InterruptLine,
}

impl<A: ConfigRegionAccess> PciTransport<A> {
    pub(super) const fn new(
        device_type: DeviceType,
        endpoint: Endpoint<A>,
        windows: Windows,
        regions: Regions,
    ) -> Self {
        let line = InterruptLine::pci(windows.isr.share(), 0);
        Self { device_type, endpoint, windows, regions, line }
    }

    /// Where the function is on the bus.
    pub const fn address(&self) -> PciAddress {
        self.endpoint.address()
    }

    /// Messages that the function has room for; 0 if it has no MSI-X.
    pub fn msi_x_entries(&self) -> u16 {
        self.endpoint.msi_x_entries()
    }

    /// Has the function send messages instead of using its line. Vector n is the n-th of them. Which are sent when is said while the device
    /// comes up: [`Installing::route_vectors`](crate::lifecycle::Installing::route_vectors), or a driver's settings.
    ///
    /// # Errors
    /// See [`MsiXError`]; nothing was changed.
    pub fn enable_msi_x(&mut self, messages: &[MsiMessage]) -> Result<(), MsiXError> {
        self.endpoint.enable_msi_x(messages)
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

impl<A: ConfigRegionAccess> fmt::Debug for PciTransport<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciTransport")
            .field("address", &self.address())
            .field("device_type", &self.device_type)
            .field("vectors", &self.endpoint.vectors())
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

#[expect(unsafe_code, reason = "the promise of the trait")]
// SAFETY: claiming the function made the device behind it ours alone, and all windows are its own, since its BARs decode nothing else. Its status register
// reads 0 after a reset only when the reset is complete (§4.1.4.3.1), and so do reset and enable of a queue; a removed device reads all ones, or 0 where configuration space,
// which is asked then, has all ones. A queue's addresses are written to these registers only, and after the last check.
unsafe impl<A: ConfigRegionAccess> Transport for PciTransport<A> {
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
        features.set(CommonFeatures::SR_IOV, self.endpoint.has_sr_iov());
        features.set(CommonFeatures::RING_RESET, self.has_word(common::QUEUE_RESET));
        features.set(CommonFeatures::NOTIFICATION_DATA, self.windows.notify_takes_positions);
        features
    }

    fn status(&self) -> Status {
        self.endpoint.judge(self.windows.common.read(common::DEVICE_STATUS, AccessWidth::Byte))
    }

    /// The first step that is not a reset follows one, so nothing from before is in the device any more, and it may access memory.
    fn set_status(&mut self, status: Status) {
        if !status.is_empty() {
            self.endpoint.let_access_memory();
        }
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
        let is_done = self.read_word(common::QUEUE_RESET) == 0 && self.read_word(common::QUEUE_ENABLE) == 0;
        is_done && !self.endpoint.is_gone()
    }

    /// With vectors the status is not used, and not to be read (§4.1.4.5.2).
    fn acknowledge_interrupt(&self) -> InterruptCause {
        if self.vectors() > 0 { InterruptCause::default() } else { self.line.acknowledge() }
    }

    fn vectors(&self) -> u16 {
        self.endpoint.vectors()
    }

    fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
        self.endpoint.set_vector(&self.windows.common, common::CONFIG_MSIX_VECTOR, vector)
    }

    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        self.write_word(common::QUEUE_SELECT, index);
        self.endpoint.set_vector(&self.windows.common, common::QUEUE_MSIX_VECTOR, vector)
    }

    fn disable_vectors(&mut self) {
        self.endpoint.disable_msi_x();
    }

    fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.endpoint.use_line().then(|| self.line.share())
    }

    fn shared_memory(&mut self, id: u8) -> Option<SharedMemory> {
        self.regions.get(id)
    }
}
