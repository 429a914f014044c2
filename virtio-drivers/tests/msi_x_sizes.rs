//! MSI-X tables of any size that the specification of PCI allows.
//!
//! Spec: §4.1.5.1.2.2 Driver Requirements: MSI-X Vector Configuration.

mod support;

use support::{Mapper, Pci, claim, message};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, Wants};
use virtio_guest::transport::Transport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::pci::{DRIVER_OK, PciDevice};

const VERSION_1: u128 = 1 << 32;

#[test]
fn a_table_of_one_to_2048_entries_is_used_up_to_its_last_one() {
    for entries in [1, 2, 3, 64, 1000, 2047, 2048] {
        let device = PciDevice::builder()
            .device_id(0x107e)
            .features(VERSION_1)
            .queue_sizes(&[4])
            .msi_x(entries)
            .build();
        let mut transport = Pci::open(claim(&device), &Mapper(device.clone())).unwrap();
        let messages: Vec<_> = (0..u32::from(entries)).map(message).collect();

        assert_eq!(transport.msi_x_entries(), entries);
        transport.enable_msi_x(&messages).unwrap();
        assert_eq!(transport.vectors(), entries);

        let negotiating = Negotiating::begin(&mut transport, Attempts(10)).unwrap();
        let mut installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();
        installing.route_vectors(1);
        let running = installing.start();
        assert_ne!(device.status() & DRIVER_OK, 0);
        device.raise_config();
        assert_eq!(device.take_messages().len(), 1, "{entries} entries");
        drop(running);
        device.assert_driver_was_correct();
    }
}
