//! virtio over PCI: ids, capabilities, the common configuration structure.
//!
//! Spec: §4.1 Virtio Over PCI Bus.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::device_type::DeviceType;

/// The PCI vendor id of virtio devices.
#[doc(alias = "PCI_VENDOR_ID_REDHAT_QUMRANET")]
pub const VENDOR_ID: u16 = 0x1af4;

/// The device type behind a PCI vendor and device id, modern or transitional; `None` if this is no virtio device.
///
/// ```
/// use virtio_guest::wire::{device_type::DeviceType, pci::device_type};
///
/// assert_eq!(device_type(0x1af4, 0x1042), Some(DeviceType::BLOCK)); // modern
/// assert_eq!(device_type(0x1af4, 0x1001), Some(DeviceType::BLOCK)); // transitional
/// assert_eq!(device_type(0x8086, 0x1001), None);
/// ```
///
/// Spec: §4.1.2 PCI Device Discovery.
pub const fn device_type(vendor_id: u16, device_id: u16) -> Option<DeviceType> {
    if vendor_id != VENDOR_ID {
        return None;
    }
    match device_id {
        0x1000 => Some(DeviceType::NETWORK),
        0x1001 => Some(DeviceType::BLOCK),
        0x1002 => Some(DeviceType::BALLOON),
        0x1003 => Some(DeviceType::CONSOLE),
        0x1004 => Some(DeviceType::SCSI),
        0x1005 => Some(DeviceType::ENTROPY),
        0x1009 => Some(DeviceType::NINE_P),
        0x1041..=0x107f => Some(DeviceType(device_id - 0x1040)),
        _ => None,
    }
}

/// The PCI capability id under which all virtio structures are announced.
#[doc(alias = "PCI_CAP_ID_VNDR")]
pub const CAPABILITY_ID: u8 = 0x09;

/// A virtio structure capability, as it stands in PCI configuration space.
///
/// Spec: §4.1.4 Virtio Structure PCI Capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_pci_cap")]
pub struct Capability {
    /// [`CAPABILITY_ID`].
    pub capability_id: u8,
    /// Offset of the next capability.
    pub next: u8,
    /// Bytes of this capability.
    pub length: u8,
    /// Which structure: one of the numbers in [`structure`].
    pub structure: u8,
    /// Which BAR the structure is in: 0 to 5, others are reserved.
    pub bar: u8,
    /// Tells several structures of one type apart.
    pub id: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// Where in the BAR the structure starts, in bytes.
    pub structure_offset: U32,
    /// Bytes of the structure.
    pub structure_length: U32,
}

/// Bytes of a capability of which nothing but the structure's place is needed.
pub const CAPABILITY_BYTES: u8 = 16;
/// Bytes of a notification capability: the place, and the multiplier.
pub const NOTIFY_CAPABILITY_BYTES: u8 = 20;

/// Bytes of a capability for the access window: the place, and the window.
pub const CONFIG_ACCESS_CAPABILITY_BYTES: u8 = 20;
/// Bytes of a shared memory capability: the place, and the upper halves of offset and length.
pub const SHARED_MEMORY_CAPABILITY_BYTES: u8 = 24;

/// Byte offsets in a capability for the access window: the fields that say what the next access to the data is.
///
/// Spec: §4.1.4.9 PCI configuration access capability.
#[doc(alias = "virtio_pci_cfg_cap")]
pub mod config_access {
    /// Which BAR (u8).
    pub const BAR: u8 = 4;
    /// Where in it, a multiple of the width (u32).
    pub const OFFSET: u8 = 8;
    /// Its width: 1, 2 or 4 bytes (u32).
    pub const LENGTH: u8 = 12;
    /// Reading it reads the register, writing it writes the register; of as many of its first bytes as are accessed.
    #[doc(alias = "pci_cfg_data")]
    pub const DATA: u8 = 16;
}

/// Numbers of the virtio structures.
pub mod structure {
    /// Common configuration.
    #[doc(alias = "VIRTIO_PCI_CAP_COMMON_CFG")]
    pub const COMMON_CONFIG: u8 = 1;
    /// Notifications.
    #[doc(alias = "VIRTIO_PCI_CAP_NOTIFY_CFG")]
    pub const NOTIFY: u8 = 2;
    /// Interrupt status.
    #[doc(alias = "VIRTIO_PCI_CAP_ISR_CFG")]
    pub const ISR: u8 = 3;
    /// Device-specific configuration.
    #[doc(alias = "VIRTIO_PCI_CAP_DEVICE_CFG")]
    pub const DEVICE_CONFIG: u8 = 4;
    /// Window onto the BARs through configuration space.
    #[doc(alias = "VIRTIO_PCI_CAP_PCI_CFG")]
    pub const PCI_CONFIG_ACCESS: u8 = 5;
    /// Shared memory region.
    #[doc(alias = "VIRTIO_PCI_CAP_SHARED_MEMORY_CFG")]
    pub const SHARED_MEMORY: u8 = 8;
    /// Vendor data.
    #[doc(alias = "VIRTIO_PCI_CAP_VENDOR_CFG")]
    pub const VENDOR: u8 = 9;
}

/// Byte offsets in the common configuration structure.
///
/// Spec: §4.1.4.3 Common configuration structure layout.
pub mod common {
    /// Which 32-bit word of the device's features is shown (u32).
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    /// That word (u32).
    pub const DEVICE_FEATURE: usize = 0x04;
    /// Which 32-bit word of the driver's features is written (u32).
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    /// That word (u32).
    pub const DRIVER_FEATURE: usize = 0x0c;
    /// The vector of configuration changes (u16).
    pub const CONFIG_MSIX_VECTOR: usize = 0x10;
    /// Number of queues, administration queues apart (u16).
    pub const NUM_QUEUES: usize = 0x12;
    /// Device status (u8).
    pub const DEVICE_STATUS: usize = 0x14;
    /// Configuration generation (u8).
    pub const CONFIG_GENERATION: usize = 0x15;
    /// Which queue the fields below are about (u16).
    pub const QUEUE_SELECT: usize = 0x16;
    /// Queue size: the largest after a reset, 0 if the queue does not exist (u16).
    pub const QUEUE_SIZE: usize = 0x18;
    /// The vector of the queue (u16).
    pub const QUEUE_MSIX_VECTOR: usize = 0x1a;
    /// Write 1 to enable the queue (u16).
    pub const QUEUE_ENABLE: usize = 0x1c;
    /// The queue's place among the notification addresses (u16), to be multiplied.
    pub const QUEUE_NOTIFY_OFF: usize = 0x1e;
    /// Address of the descriptor area (two u32, low half first).
    pub const QUEUE_DESC: usize = 0x20;
    /// Address of the driver area (two u32).
    pub const QUEUE_DRIVER: usize = 0x28;
    /// Address of the device area (two u32).
    pub const QUEUE_DEVICE: usize = 0x30;
    /// What to write to the doorbell instead of the queue's index, with `NOTIF_CONFIG_DATA` (u16).
    pub const QUEUE_NOTIF_CONFIG_DATA: usize = 0x38;
    /// Write 1 to reset the queue, with `RING_RESET`; reads 1 until that is done (u16).
    pub const QUEUE_RESET: usize = 0x3a;
    /// Bytes of the structure up to the fields that later features added.
    pub const BASE_BYTES: u32 = 0x38;
}

/// What a vector register reads if the device did not take the vector.
#[doc(alias = "VIRTIO_MSI_NO_VECTOR")]
pub const NO_VECTOR: u16 = 0xffff;

/// Ports of a legacy device, from the start of its first BAR.
///
/// Spec: §4.1.4.10 Legacy Interfaces: A Note on PCI Device Layout.
pub mod legacy {
    /// The features that the device offers (u32).
    #[doc(alias = "VIRTIO_PCI_HOST_FEATURES")]
    pub const DEVICE_FEATURES: usize = 0x00;
    /// The features that the driver accepts (u32).
    #[doc(alias = "VIRTIO_PCI_GUEST_FEATURES")]
    pub const DRIVER_FEATURES: usize = 0x04;
    /// The number of the page that the selected queue begins in; 0 if it is not set up (u32).
    #[doc(alias = "VIRTIO_PCI_QUEUE_PFN")]
    pub const QUEUE_PAGE: usize = 0x08;
    /// Its size; 0 if it does not exist (u16, read-only).
    #[doc(alias = "VIRTIO_PCI_QUEUE_NUM")]
    pub const QUEUE_SIZE: usize = 0x0c;
    /// Which queue that is (u16).
    #[doc(alias = "VIRTIO_PCI_QUEUE_SEL")]
    pub const QUEUE_SELECT: usize = 0x0e;
    /// The doorbell of all queues (u16).
    #[doc(alias = "VIRTIO_PCI_QUEUE_NOTIFY")]
    pub const QUEUE_NOTIFY: usize = 0x10;
    /// Device status (u8).
    #[doc(alias = "VIRTIO_PCI_STATUS")]
    pub const DEVICE_STATUS: usize = 0x12;
    /// Interrupt status; reading clears it (u8).
    #[doc(alias = "VIRTIO_PCI_ISR")]
    pub const ISR_STATUS: usize = 0x13;
    /// With MSI-X on: the vector of configuration changes (u16).
    #[doc(alias = "VIRTIO_MSI_CONFIG_VECTOR")]
    pub const CONFIG_MSIX_VECTOR: usize = 0x14;
    /// With MSI-X on: the vector of the selected queue (u16).
    #[doc(alias = "VIRTIO_MSI_QUEUE_VECTOR")]
    pub const QUEUE_MSIX_VECTOR: usize = 0x16;
    /// Where the device's configuration begins with MSI-X off.
    pub const DEVICE_CONFIG: usize = 0x14;
    /// Where it begins with MSI-X on.
    pub const DEVICE_CONFIG_WITH_MSIX: usize = 0x18;
}

bitflags::bitflags! {
    /// The ISR status register: why the device interrupts. Reading clears it.
    ///
    /// Spec: §4.1.4.5 ISR status capability.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct IsrStatus: u8 {
        /// A queue has used buffers.
        const QUEUE = 1;
        /// The configuration changed.
        const CONFIGURATION = 2;
        const _ = !0;
    }
}
