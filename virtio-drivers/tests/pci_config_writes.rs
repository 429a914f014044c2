//! What a driver writes into the configuration space of its function, and what not.
//!
//! Spec: §4.1.4.1 Driver Requirements: Virtio Structure PCI Capabilities. All of a virtio capability is read-only but the data window of configuration accesses, which `config_window.rs` is about.

mod support;

use std::sync::{Arc, Mutex};

use pci_types::{ConfigRegionAccess, PciAddress};
use support::{Mapper, message};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, Wants};
use virtio_guest::raw::PciFunction;
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::pci::{PciDevice, VENDOR_SPECIFIC};

const VERSION_1: u128 = 1 << 32;
const CAPABILITIES: u16 = 0x34;
const COMMAND: u16 = 0x04;

/// Configuration space that notes where it is written.
struct Noted {
    device: PciDevice,
    writes: Arc<Mutex<Vec<u16>>>,
}

impl ConfigRegionAccess for Noted {
    unsafe fn read(&self, _: PciAddress, offset: u16) -> u32 {
        self.device.config_read(offset)
    }

    unsafe fn write(&self, _: PciAddress, offset: u16, value: u32) {
        self.writes.lock().unwrap().push(offset);
        self.device.config_write(offset, value);
    }
}

/// Where a function's virtio capabilities are.
fn virtio_capabilities(device: &PciDevice) -> Vec<std::ops::Range<u16>> {
    let [first, ..] = device.config_read(CAPABILITIES).to_le_bytes();
    let mut at = u16::from(first);
    let mut found = Vec::new();
    while at != 0 {
        let [id, next, len, _] = device.config_read(at).to_le_bytes();
        if id == VENDOR_SPECIFIC {
            found.push(at..at + u16::from(len));
        }
        at = u16::from(next);
    }
    found
}

#[test]
fn nothing_is_written_into_a_virtio_capability_in_a_whole_life() {
    let device =
        PciDevice::builder().device_id(0x107e).features(VERSION_1).queue_sizes(&[4]).msi_x(2).build();
    let writes = Arc::<Mutex<Vec<u16>>>::default();
    let access = Noted { device: device.clone(), writes: Arc::clone(&writes) };
    // SAFETY: the function is modelled, and reaches nothing but what the model is given, which is nothing here.
    let function = unsafe { PciFunction::claim(access, PciAddress::new(0, 0, 4, 0)) };
    let capabilities = virtio_capabilities(&device);
    assert!(capabilities.len() >= 4, "{capabilities:?}");

    let mut transport = PciTransport::open(function, &Mapper(device.clone())).unwrap();
    transport.enable_msi_x(&[message(0), message(1)]).unwrap();
    let installing = Negotiating::begin(transport, Attempts(10)).unwrap();
    let mut installing = installing.negotiate(Wants::<BlockFeatures>::none()).unwrap();
    installing.route_vectors(1);
    drop(installing.start().reset(Attempts(10)).unwrap());

    let writes = writes.lock().unwrap();
    assert!(writes.contains(&COMMAND), "{writes:x?}");
    let inside = writes.iter().find(|offset| capabilities.iter().any(|place| place.contains(offset)));
    assert_eq!(inside, None, "of {capabilities:x?}");
    device.assert_driver_was_correct();
}
