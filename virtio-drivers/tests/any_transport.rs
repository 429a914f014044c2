//! Devices of all transports in one list: as one type without a heap, and in boxes.
//!
//! Spec: §4 Virtio Transport Options. A driver does not know what it is behind, and a transport of transports adds nothing to them.

mod support;

use support::{ConfigSpace, EitherBench, Mapper, TestHal, claim, message};
use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, VectorRouting, Wants};
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::transport::pci::{LegacyPciTransport, MsiXError, PciTransport};
use virtio_guest::transport::{AnyTransport, Interface, SharedMemory, Transport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::{Bar, Capability, PciDevice};
use virtio_test_hal::registers;

type Any = AnyTransport<ConfigSpace>;

const PATIENCE: Attempts = Attempts(10);
const REGION: SharedMemory = SharedMemory { physical_address: 0x40_0000_0000, size_bytes: 0x1000 };

fn mmio(device: &MmioDevice) -> MmioTransport {
    MmioTransport::open(registers(device, 0x200)).unwrap().expect("not empty")
}

/// A disk behind each transport, its device, and the way to that.
fn each() -> Vec<(Disk, PciDevice, Any)> {
    let disks = [(); 4].map(|()| Disk::with_sectors(8));
    let [modern, legacy, mmio_modern, mmio_legacy] = [0, 1, 2, 3].map(|at| disks[at].builder());
    let region = Capability::shared_memory(1, 2, 0, REGION.size_bytes);
    let modern = modern.bar(2, Bar::memory64(0x1000, REGION.physical_address)).msi_x(2);
    let modern = modern.edit_capabilities(|list| list.push(region)).build();
    let legacy = legacy.device_id(0x1001).legacy().msi_x(3).build();
    let mmio_modern = MmioDevice::new(mmio_modern.build(), 2);
    let mmio_legacy = MmioDevice::legacy(mmio_legacy.build(), 2);
    mmio_modern.add_region(1, REGION.physical_address, REGION.size_bytes);
    let open = |device: &PciDevice| Any::open_pci(claim(device), &Mapper(device.clone())).unwrap();
    let transports = [open(&modern), open(&legacy), mmio(&mmio_modern).into(), mmio(&mmio_legacy).into()];
    let devices = [modern, legacy, mmio_modern.device().clone(), mmio_legacy.device().clone()];
    let list = disks.into_iter().zip(devices).zip(transports);
    list.map(|((disk, device), transport)| (disk, device, transport)).collect()
}

/// Brings a disk up, uses it, and drops it.
fn use_disk(disk: &Disk, device: &PciDevice, transport: impl Transport) {
    let hal = TestHal::default();
    hal.put_memory_at(0x7_0000_0000);
    let serving = || disk.serve(device, &hal.space) > 0;
    let mut storage = Storage::<16>::new();
    let mut block = Block::start(transport, hal.clone(), &mut storage, PATIENCE).unwrap();
    block.write_blocking(Sector(3), &[0xa5; 512], serving).unwrap();
    let mut sector = [0; 512];
    block.read_blocking(Sector(3), &mut sector, serving).unwrap();
    assert_eq!(sector, [0xa5; 512]);
    drop(block);
    device.assert_driver_was_correct();
    hal.assert_all_returned();
}

#[test]
fn disks_behind_all_transports_are_one_list() {
    let list = each();
    let interfaces: Vec<_> = list.iter().map(|(.., transport)| transport.interface()).collect();
    assert_eq!(interfaces, [Interface::Modern, Interface::Legacy, Interface::Modern, Interface::Legacy]);
    for (disk, device, transport) in list {
        use_disk(&disk, &device, transport);
    }
}

#[test]
fn disks_behind_all_transports_are_boxes_of_one_kind() {
    for (disk, device, transport) in each() {
        let mut boxed: Box<dyn Transport> = match transport {
            Any::Pci(transport) => Box::new(transport),
            Any::LegacyPci(transport) => Box::new(transport),
            Any::Mmio(transport) => Box::new(transport),
        };
        use_disk(&disk, &device, &mut *boxed);
        use_disk(&disk, &device, boxed);
    }
}

/// What does not change a device, of each transport.
fn answers(transport: &mut dyn Transport) -> String {
    let config: Vec<_> =
        (0..8).map(|at| transport.read_config(at, virtio_guest::hal::AccessWidth::Byte)).collect();
    format!(
        "{:?} {:?} {:x} {:?} {:?} {config:?} {} {:?} {:?} {} {} {:?} {:?}",
        transport.device_type(),
        transport.interface(),
        transport.device_features(),
        transport.supported_features(),
        transport.status(),
        transport.config_bytes(),
        transport.config_generation(),
        transport.area_placement(),
        transport.queue_size_max(0),
        transport.queue_size_is_fixed(),
        transport.shared_memory(1),
        transport.vectors(),
    )
}

/// Nothing that a transport says is lost on the way through references, boxes, and the type for all of them.
#[test]
fn a_transport_of_transports_says_what_the_one_inside_says() {
    for (at, (.., mut transport)) in each().into_iter().enumerate() {
        if transport.msi_x_entries() > 0 {
            transport.enable_msi_x(&[message(1)]).unwrap();
        }
        let expected = match &mut transport {
            Any::Pci(inner) => answers(inner),
            Any::LegacyPci(inner) => answers(inner),
            Any::Mmio(inner) => answers(inner),
        };
        assert_eq!(expected.contains(&format!("{REGION:?}")), at % 2 == 0, "{expected}");

        let mut boxed: Box<dyn Transport> = Box::new(&mut transport);
        assert_eq!(answers(&mut boxed), expected);
        drop(boxed);
        assert_eq!(answers(&mut transport), expected);
        assert!(!format!("{transport:?}").is_empty());
    }
}

/// Interrupts, too: vectors and lines are those of the transport inside.
#[test]
fn a_transport_of_transports_interrupts_as_the_one_inside_does() {
    for bench in EitherBench::each(|builder| builder.msi_x(4)) {
        let mut transport = bench.open();
        transport.enable_msi_x(&[message(0), message(1), message(2)]).unwrap();
        let mut boxed: Box<dyn Transport> = Box::new(transport);
        for expected in [VectorRouting::PerQueue, VectorRouting::NoVectors] {
            let negotiating = Negotiating::begin(&mut boxed, PATIENCE).unwrap();
            let mut installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();
            assert_eq!(installing.route_vectors(2), expected);
            drop(installing);
            boxed.disable_vectors();
        }
        let line = boxed.use_interrupt_line().expect("there is one");
        bench.device.raise_used(0);
        assert!(line.acknowledge().used_buffer && !boxed.acknowledge_interrupt().used_buffer);
        bench.device.assert_driver_was_correct();
    }
}

#[test]
fn messages_are_for_devices_behind_pci() {
    let entries: Vec<_> = each().iter().map(|(.., transport)| transport.msi_x_entries()).collect();
    assert_eq!(entries, [2, 3, 0, 0]);
    let (.., mut mmio) = each().pop().expect("there are four");
    assert_eq!(mmio.enable_msi_x(&[message(0)]), Err(MsiXError::Absent));
}

#[test]
fn each_transport_becomes_the_one_type_for_all() {
    let device = Disk::with_sectors(8).builder().device_id(0x1001).transitional().build();
    let mapper = || Mapper(device.clone());
    let modern: Any = PciTransport::open(claim(&device), &mapper()).unwrap().into();
    let legacy: Any = LegacyPciTransport::open(claim(&device), &mapper()).unwrap().into();
    assert_eq!((modern.interface(), legacy.interface()), (Interface::Modern, Interface::Legacy));
}
