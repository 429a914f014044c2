//! A transport that differs from the one inside in what it says of queues.

use super::Pci;
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{AreaPlacement, Doorbell};
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::status::Status;

/// See the module's head.
pub struct Altered {
    inner: Pci,
    /// Queues have their real size at the first look, and at most this at later ones.
    pub later_size: u16,
    /// How areas are to be placed.
    pub placement: AreaPlacement,
    looks: usize,
}

impl Altered {
    /// The transport as it is.
    pub fn new(inner: Pci) -> Self {
        Self { inner, later_size: u16::MAX, placement: AreaPlacement::Separate, looks: 0 }
    }
}

// SAFETY: everything goes to the one transport inside.
unsafe impl Transport for Altered {
    fn device_type(&self) -> DeviceType {
        self.inner.device_type()
    }
    fn device_features(&mut self) -> u128 {
        self.inner.device_features()
    }
    fn set_driver_features(&mut self, features: u128) {
        self.inner.set_driver_features(features);
    }
    fn status(&self) -> Status {
        self.inner.status()
    }
    fn set_status(&mut self, status: Status) {
        self.inner.set_status(status);
    }
    fn config_generation(&self) -> Option<u32> {
        self.inner.config_generation()
    }
    fn config_bytes(&self) -> usize {
        self.inner.config_bytes()
    }
    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        self.inner.read_config(offset, width)
    }
    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        self.inner.write_config(offset, width, value);
    }
    fn queue_size_max(&mut self, index: u16) -> u16 {
        self.looks += 1;
        let size = self.inner.queue_size_max(index);
        if self.looks > 1 { size.min(self.later_size) } else { size }
    }
    fn area_placement(&self) -> AreaPlacement {
        self.placement
    }
    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        self.inner.set_up_queue(index, setup)
    }
    fn start_queue_reset(&mut self, index: u16) {
        self.inner.start_queue_reset(index);
    }
    fn queue_reset_is_done(&mut self, index: u16) -> bool {
        self.inner.queue_reset_is_done(index)
    }
    fn acknowledge_interrupt(&self) -> InterruptCause {
        self.inner.acknowledge_interrupt()
    }
}
