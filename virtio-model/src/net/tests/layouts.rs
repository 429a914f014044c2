//! The network device over the other layouts and transports.

use super::super::header_bytes;
use super::{BUFFERS, Bench, MAC, Nic, Packet, QUEUES, bit, feature, frame};
use crate::mmio::MmioDevice;
use crate::packed::{Descriptor, Position, USED, WRITE};
use crate::pci::PciDevice;
use std::sync::atomic::Ordering::Relaxed;

/// Both rings of a pair, packed and in order.
#[test]
fn a_packed_ring_brings_packets_both_ways() {
    let bench = Bench::with_features(Nic::new(MAC), bit(34) | bit(35));
    let flags = Position::START.available_flags();
    let (receive, transmit) = (QUEUES, QUEUES + super::QUEUE_BYTES);
    let sent = [vec![0; 12], frame(60)].concat();
    bench.memory.write(BUFFERS + 0x1000, &sent).unwrap();
    Descriptor { addr: BUFFERS, len: 2048, id: 3, flags: flags | WRITE }
        .store(&bench.memory, receive, 0)
        .unwrap();
    Descriptor { addr: BUFFERS + 0x1000, len: 72, id: 5, flags }.store(&bench.memory, transmit, 0).unwrap();

    bench.arrive(Packet::new(frame(60)));

    let used = |ring| {
        let Descriptor { id, len, flags, .. } = Descriptor::load(&bench.memory, ring, 0, Relaxed).unwrap();
        (id, len, flags & USED != 0)
    };
    assert_eq!([used(receive), used(transmit)], [(3, 72, true), (5, 0, true)]);
    assert_eq!(bench.read(BUFFERS + 12, 60), frame(60));
    assert_eq!(bench.nic.take_transmitted()[0].frame, frame(60));
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.1.9.1 — a legacy header has the number of buffers only if they may be several.
#[test]
fn a_legacy_header_may_be_two_bytes_shorter() {
    assert_eq!(header_bytes(0), 10);
    assert_eq!(header_bytes(bit(feature::MRG_RXBUF)), 12);
    assert_eq!(header_bytes(bit(32)), 12);
}

/// Spec: §5.1.4 — what a driver reads, byte by byte or in words.
#[test]
fn the_configuration_is_the_same_behind_each_transport() {
    let device = PciDevice::network(&Nic::new(MAC));
    let modern = MmioDevice::new(device, 1);
    assert_eq!([modern.read(8, 4), modern.read(0x100, 4)], [1, u32::from_le_bytes([0x52, 0x54, 0, 1])]);
    assert_eq!(modern.read(0x106, 2), 1);
    modern.device().assert_driver_was_correct();
    modern.read(0x10a, 2);
    assert!(modern.device().driver_errors()[0].contains("feature 3 is not offered"));

    let legacy = MmioDevice::legacy(PciDevice::network(&Nic::new(MAC)), 1);
    assert_eq!([0x100, 0x105, 0x106].map(|at| legacy.read(at, 1)), [0x52, 3, 1]);
    legacy.device().assert_driver_was_correct();
}

/// Spec: §5.1.4.3 — where there is no command for it, an address is written.
#[test]
fn a_legacy_driver_may_write_the_address() {
    let nic = Nic::new(MAC);
    let legacy = MmioDevice::legacy(PciDevice::network(&nic), 1);
    for status in [0, 1, 3] {
        legacy.write(0x70, 4, status);
        assert_eq!(legacy.read(0x70, 4), status);
    }
    legacy.write(0x105, 1, 9);
    nic.serve(legacy.device(), &crate::memory::AddressSpace::new());

    assert_eq!(nic.config().mac, [0x52, 0x54, 0, 1, 2, 9]);
    legacy.device().assert_driver_was_correct();
    legacy.write(0x106, 1, 9);
    assert_eq!(legacy.device().driver_errors().len(), 1);
}
