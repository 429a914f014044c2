//! The device's side: what the specification of the calculator would say, on a modelled PCI function.

use virtio_model::AddressSpace;
use virtio_model::pci::PciDevice;
use virtio_model::queue::DeviceQueue;

use std::cell::RefCell;

/// Modern functions have this and their type for a device id (§4.1.2.1).
const DEVICE_ID_BASE: u16 = 0x1040;
const VERSION_1: u128 = 1 << 32;
const QUEUE_SIZE: u16 = 8;

/// A calculator.
pub struct Device {
    /// The function that it is.
    pub function: PciDevice,
    /// Its end of the queue, once the driver has enabled it.
    queue: RefCell<Option<DeviceQueue>>,
}

impl Device {
    /// One that adds up to so many numbers.
    pub fn new(terms_max: u32) -> Self {
        Self::of_type(super::driver::DEVICE_TYPE.0, terms_max)
    }

    /// The same as a device of another type.
    pub fn of_type(device_type: u16, terms_max: u32) -> Self {
        let function = PciDevice::builder()
            .device_id(DEVICE_ID_BASE + device_type)
            .features(VERSION_1 | super::driver::CalculatorFeatures::LIMIT.bits())
            .queue_sizes(&[QUEUE_SIZE])
            .config(terms_max.to_le_bytes())
            .build();
        Self { function, queue: RefCell::new(None) }
    }

    /// Adds what was handed in.
    pub fn serve(&self, memory: &AddressSpace) {
        self.with_queue(memory, |queue| {
            while let Some(chain) = queue.pop().expect("the driver keeps the protocol") {
                let numbers = chain.read_all(memory).expect("the device may read it");
                let numbers = numbers
                    .chunks_exact(4)
                    .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                let sum: u64 = numbers.map(u64::from).sum();
                let written =
                    chain.write_all(memory, &sum.to_le_bytes()).expect("the device may write there");
                queue.complete(chain.head, written).expect("the ring is there");
            }
        });
    }

    /// Lies.
    #[cfg(test)]
    pub fn return_what_it_was_never_given(&self, memory: &AddressSpace) {
        self.with_queue(memory, |queue| {
            queue.complete(QUEUE_SIZE - 1, 8).expect("the ring is there");
        });
    }

    fn with_queue(&self, memory: &AddressSpace, work: impl FnOnce(&mut DeviceQueue)) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_none() {
            *queue = self
                .function
                .device_queue(0, memory)
                .map(|queue| queue.expect("the driver set it up rightly"));
        }
        if let Some(queue) = &mut *queue {
            work(queue);
        }
    }
}
