//! The least transport that brings up one queue: it remembers where the queue is, and counts who comes by later.
//!
//! Spec: §4 Virtio Transport Options. The device behind it is a [`RawDevice`](crate::device::RawDevice), which only needs the addresses.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::{Doorbell, Notification};
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::status::Status;

use crate::device::Areas;
use crate::memory::place;

static REGISTER_ACCESSES: AtomicU64 = AtomicU64::new(0);
static DOORBELLS: AtomicU64 = AtomicU64::new(0);

/// How often any transport's register was read or written so far.
pub fn register_accesses() -> u64 {
    REGISTER_ACCESSES.load(Ordering::Relaxed)
}

/// How often any doorbell was rung so far.
pub fn doorbells() -> u64 {
    DOORBELLS.load(Ordering::Relaxed)
}

/// Counts a notification.
pub fn ring_doorbell() {
    DOORBELLS.fetch_add(1, Ordering::Relaxed);
}

/// See the module's head.
#[derive(Debug)]
pub struct LeastTransport {
    features: u128,
    queue_size: u16,
    status: Status,
    areas: &'static Mutex<Option<Areas>>,
}

impl LeastTransport {
    /// A device with these features and one queue. Where the queue is put is found in the second value.
    pub fn new(features: u128, queue_size: u16) -> (Self, &'static Mutex<Option<Areas>>) {
        let areas = Box::leak(Box::new(Mutex::new(None)));
        (Self { features, queue_size, status: Status::empty(), areas }, areas)
    }
}

fn count() {
    REGISTER_ACCESSES.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: there is no device but the one in this process, which uses the queue only when the benchmark tells it to; nothing is freed after a reset.
unsafe impl Transport for LeastTransport {
    fn device_type(&self) -> DeviceType {
        DeviceType(0x3e)
    }

    fn device_features(&mut self) -> u128 {
        count();
        self.features
    }

    fn set_driver_features(&mut self, _: u128) {
        count();
    }

    fn status(&self) -> Status {
        count();
        self.status
    }

    fn set_status(&mut self, status: Status) {
        count();
        self.status = status;
    }

    fn config_generation(&self) -> Option<u32> {
        count();
        Some(0)
    }

    fn config_bytes(&self) -> usize {
        0
    }

    fn read_config(&self, _: usize, _: AccessWidth) -> u32 {
        count();
        u32::MAX
    }

    fn write_config(&mut self, _: usize, _: AccessWidth, _: u32) {
        count();
    }

    fn queue_size_max(&mut self, _: u16) -> u16 {
        count();
        self.queue_size
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        count();
        *self.areas.lock().expect("nobody panicked") = Some(Areas {
            descriptor_area: place(setup.addresses.descriptor_area().0),
            driver_area: place(setup.addresses.driver_area().0),
            device_area: place(setup.addresses.device_area().0),
            size: setup.size,
        });
        let notification = Notification { queue: index, carries_position: false };
        Ok(Doorbell::function(|_, _| ring_doorbell(), 0, notification))
    }

    fn start_queue_reset(&mut self, _: u16) {
        count();
    }

    fn queue_reset_is_done(&mut self, _: u16) -> bool {
        count();
        false
    }

    fn acknowledge_interrupt(&self) -> InterruptCause {
        count();
        InterruptCause::default()
    }
}
