//! Status bits and capabilities of the PCI transport.

use pci_types::capability::PciCapabilityAddress;
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_bindings::virtio_config as linux;
use virtio_model::PciDevice;
use virtio_model::pci::{self, Capability, STANDARD_BAR, cfg_type};
use virtio_spec::DeviceStatus;
use virtio_spec::pci::{Cap, CapCfgType, CapData};

/// The model's configuration space, for virtio-spec to read.
struct Space(PciDevice);

impl ConfigRegionAccess for Space {
    unsafe fn read(&self, _address: PciAddress, offset: u16) -> u32 {
        self.0.config_read(offset)
    }

    unsafe fn write(&self, _address: PciAddress, offset: u16, value: u32) {
        self.0.config_write(offset, value);
    }
}

/// The capabilities of a device, as virtio-spec reads them.
fn capabilities(device: &PciDevice) -> Vec<CapData> {
    let address = PciAddress::new(0, 0, 0, 0);
    let space = Space(device.clone());
    // The pointer to the first one is at 0x34 in every PCI header of type 0.
    let mut next = device.config_read(0x34) & 0xff;
    let mut found = Vec::new();
    while next != 0 {
        let place = PciCapabilityAddress { address, offset: u16::try_from(next).unwrap() };
        found.extend(CapData::read(place, &space));
        next = Cap::read(place, &space).expect("virtio's").cap_next.into();
    }
    found
}

/// Spec: §2.1 Device Status Field.
#[test]
fn status_bits_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (pci::ACKNOWLEDGE, linux::VIRTIO_CONFIG_S_ACKNOWLEDGE, DeviceStatus::ACKNOWLEDGE),
        (pci::DRIVER, linux::VIRTIO_CONFIG_S_DRIVER, DeviceStatus::DRIVER),
        (pci::DRIVER_OK, linux::VIRTIO_CONFIG_S_DRIVER_OK, DeviceStatus::DRIVER_OK),
        (pci::FEATURES_OK, linux::VIRTIO_CONFIG_S_FEATURES_OK, DeviceStatus::FEATURES_OK),
        (pci::NEEDS_RESET, linux::VIRTIO_CONFIG_S_NEEDS_RESET, DeviceStatus::DEVICE_NEEDS_RESET),
        (pci::FAILED, linux::VIRTIO_CONFIG_S_FAILED, DeviceStatus::FAILED),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, of_spec.bits());
    }
}

/// Spec: §4.1.4 Virtio Structure PCI Capabilities.
#[test]
fn structures_have_the_numbers_that_virtio_spec_gives_them() {
    for (ours, theirs) in [
        (cfg_type::COMMON, CapCfgType::Common),
        (cfg_type::NOTIFY, CapCfgType::Notify),
        (cfg_type::ISR, CapCfgType::Isr),
        (cfg_type::DEVICE, CapCfgType::Device),
        (cfg_type::PCI_WINDOW, CapCfgType::Pci),
        (cfg_type::SHARED_MEMORY, CapCfgType::SharedMemory),
    ] {
        assert_eq!(ours, theirs.into());
    }
}

/// Spec: §4.1.4 Virtio Structure PCI Capabilities.
#[test]
fn virtio_spec_finds_every_structure_of_a_device() {
    let device = PciDevice::builder()
        .config([0; 96])
        .edit_capabilities(|list| list.push(Capability::shared_memory(7, 2, 0x1_2345_6000, 0x6_7890_a000)))
        .build();

    let found: Vec<_> = capabilities(&device)
        .iter()
        .map(|found| (found.cfg_type, found.bar, found.offset.to_ne(), found.length.to_ne()))
        .collect();

    assert_eq!(
        found,
        [
            (CapCfgType::Common, STANDARD_BAR, 0x0000, 64),
            (CapCfgType::Isr, STANDARD_BAR, 0x1000, 1),
            (CapCfgType::Device, STANDARD_BAR, 0x2000, 96),
            (CapCfgType::Notify, STANDARD_BAR, 0x3000, 0x1000),
            (CapCfgType::Pci, 0, 0, 0),
            (CapCfgType::SharedMemory, 2, 0x1_2345_6000, 0x6_7890_a000),
        ]
    );
    assert_eq!(capabilities(&device)[3].notify_off_multiplier.map(virtio_spec::le32::to_ne), Some(4));
    assert_eq!(capabilities(&device)[5].id, 7);
}
