//! Capabilities and registers of the PCI transport.
//!
//! Linux's header for them is not part of virtio-bindings.

use std::mem::offset_of;

use pci_types::capability::PciCapabilityAddress;
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_bindings::virtio_mmio as linux_mmio;
use virtio_guest::wire::pci::{self, Capability, IsrStatus, common, structure};
use virtio_spec::pci::{Cap, CapCfgType, CapData, CommonCfg, CommonCfgVolatileFieldAccess, NotifyCap};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Spec: §4.1.4 Virtio Structure PCI Capabilities.
#[test]
fn structures_have_the_numbers_that_virtio_spec_gives_them() {
    for (ours, theirs) in [
        (structure::COMMON_CONFIG, CapCfgType::Common),
        (structure::NOTIFY, CapCfgType::Notify),
        (structure::ISR, CapCfgType::Isr),
        (structure::DEVICE_CONFIG, CapCfgType::Device),
        (structure::PCI_CONFIG_ACCESS, CapCfgType::Pci),
        (structure::SHARED_MEMORY, CapCfgType::SharedMemory),
        (structure::VENDOR, CapCfgType::Vendor),
    ] {
        assert_eq!(ours, theirs.into());
    }
}

/// Configuration space with nothing but one capability, from 0 on.
struct OneCapability([u8; 20]);

impl ConfigRegionAccess for OneCapability {
    unsafe fn read(&self, _address: PciAddress, offset: u16) -> u32 {
        let bytes = &self.0[usize::from(offset)..][..4];
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }

    unsafe fn write(&self, _address: PciAddress, _offset: u16, _value: u32) {}
}

/// Spec: §4.1.4 Virtio Structure PCI Capabilities.
#[test]
fn virtio_spec_reads_from_a_capability_what_we_put_in() {
    let capability = Capability {
        capability_id: pci::CAPABILITY_ID,
        next: 0x50,
        length: pci::NOTIFY_CAPABILITY_BYTES,
        structure: structure::NOTIFY,
        bar: 4,
        id: 3,
        padding: [0; 2],
        structure_offset: U32::new(0x0123_4567),
        structure_length: U32::new(0x89ab_cdef),
    };
    let mut space = OneCapability([0; 20]);
    space.0[..usize::from(pci::CAPABILITY_BYTES)].copy_from_slice(capability.as_bytes());
    space.0[16] = 4;

    let address = PciAddress::new(0, 0, 0, 0);
    let read = CapData::read(PciCapabilityAddress { address, offset: 0 }, &space).expect("virtio's");

    assert_eq!(read.cfg_type, CapCfgType::Notify);
    assert_eq!((read.bar, read.id), (4, 3));
    assert_eq!((read.offset.to_ne(), read.length.to_ne()), (0x0123_4567, 0x89ab_cdef));
    assert_eq!(read.notify_off_multiplier.map(virtio_spec::le32::to_ne), Some(4));
    assert_eq!(size_of::<Capability>(), size_of::<Cap>());
    assert_eq!(usize::from(pci::CAPABILITY_BYTES), size_of::<Cap>());
    assert_eq!(usize::from(pci::NOTIFY_CAPABILITY_BYTES), size_of::<NotifyCap>());
    assert_eq!(offset_of!(Capability, next), offset_of!(Cap, cap_next));
    assert_eq!(offset_of!(Capability, length), offset_of!(Cap, cap_len));
}

/// Spec: §4.1.4.3 Common configuration structure layout.
#[test]
fn common_registers_are_where_virtio_spec_has_them() {
    let ours = [
        common::DEVICE_FEATURE_SELECT,
        common::DEVICE_FEATURE,
        common::DRIVER_FEATURE_SELECT,
        common::DRIVER_FEATURE,
        common::NUM_QUEUES,
        common::DEVICE_STATUS,
        common::CONFIG_GENERATION,
        common::QUEUE_SELECT,
        common::QUEUE_SIZE,
        common::QUEUE_ENABLE,
        common::QUEUE_NOTIFY_OFF,
        common::QUEUE_DESC,
        common::QUEUE_DESC + 4,
        common::QUEUE_DRIVER,
        common::QUEUE_DRIVER + 4,
        common::QUEUE_DEVICE,
        common::QUEUE_DEVICE + 4,
        common::QUEUE_NOTIF_CONFIG_DATA,
        common::QUEUE_RESET,
    ];
    let theirs = offsets!(
        CommonCfg: device_feature_select, device_feature, driver_feature_select, driver_feature, num_queues, device_status,
        config_generation, queue_select, queue_size, queue_enable, queue_notify_off, queue_desc_low, queue_desc_high,
        queue_driver_low, queue_driver_high, queue_device_low, queue_device_high, queue_notif_config_data, queue_reset,
    );

    assert_eq!(ours, theirs);
    assert_eq!(common::BASE_BYTES as usize, common::QUEUE_NOTIF_CONFIG_DATA, "up to the first field added");
}

/// Spec: §4.1.4.5 ISR status capability; §4.2.2 has the same bits.
#[test]
fn interrupt_causes_are_what_virtio_spec_and_linux_say() {
    use virtio_spec::pci::IsrStatus as Theirs;
    assert_eq!(IsrStatus::QUEUE.bits(), Theirs::QUEUE_INTERRUPT.bits());
    assert_eq!(IsrStatus::CONFIGURATION.bits(), Theirs::DEVICE_CONFIGURATION_INTERRUPT.bits());
    assert_eq!(u32::from(IsrStatus::QUEUE.bits()), linux_mmio::VIRTIO_MMIO_INT_VRING);
    assert_eq!(u32::from(IsrStatus::CONFIGURATION.bits()), linux_mmio::VIRTIO_MMIO_INT_CONFIG);
}
