//! A transport that waits, uncounted, until the device is done with what it was notified of: rcore's calls that wait find it done then.

use guest_measure::mark::{Mark, mark};
use guest_measure::outside::outside;
use guest_measure::watch::Watch;
use rcore::PhysAddr;
use rcore::transport::pci::PciTransport;
use rcore::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The queue that is waited for, once it is set up.
pub static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// See the module's head.
#[derive(Debug)]
pub struct Waiting(pub PciTransport);

impl Transport for Waiting {
    #[inline]
    fn notify(&mut self, queue: u16) {
        self.0.notify(queue);
        outside(|| {
            if let Some(watch) = WATCH.lock().as_mut() {
                // Whoever waits for longer is told of it by the driver, which finds nothing.
                let _ = watch.wait(1);
            }
            // Here the device comes to rest.
            mark(Mark::Submit);
        });
    }

    fn device_type(&self) -> DeviceType {
        self.0.device_type()
    }

    fn read_device_features(&mut self) -> u64 {
        self.0.read_device_features()
    }

    fn write_driver_features(&mut self, features: u64) {
        self.0.write_driver_features(features);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.0.max_queue_size(queue)
    }

    fn get_status(&self) -> DeviceStatus {
        self.0.get_status()
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.0.set_status(status);
    }

    fn set_guest_page_size(&mut self, bytes: u32) {
        self.0.set_guest_page_size(bytes);
    }

    fn requires_legacy_layout(&self) -> bool {
        self.0.requires_legacy_layout()
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.0.queue_set(queue, size, descriptors, driver_area, device_area);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.0.queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.0.queue_used(queue)
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.0.ack_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.0.read_config_generation()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> rcore::Result<T> {
        self.0.read_config_space(offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> rcore::Result<()> {
        self.0.write_config_space(offset, value)
    }
}
