//! The device-specific configuration of a disk: 96 bytes, most of them 0.
//!
//! Spec: §5.2.4 Device configuration layout. A test changes fields before it builds the device,
//! or makes new bytes for [`PciDevice::set_config`](crate::pci::PciDevice::set_config) later.

/// The fields of the configuration that the model can fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskConfig {
    /// Capacity in units of 512 bytes.
    pub capacity_sectors: u64,
    /// Largest data segment in bytes.
    pub size_max: u32,
    /// Largest number of data segments in a request.
    pub seg_max: u32,
    /// Block size in bytes.
    pub blk_size: u32,
    /// 1 if the cache is in write-back mode.
    pub writeback: u8,
    /// The number of request queues.
    pub num_queues: u16,
}

/// The length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 96;

impl DiskConfig {
    /// The bytes that a driver reads.
    pub fn bytes(&self) -> [u8; CONFIG_BYTES] {
        let mut bytes = [0; CONFIG_BYTES];
        bytes[0x00..0x08].copy_from_slice(&self.capacity_sectors.to_le_bytes());
        bytes[0x08..0x0c].copy_from_slice(&self.size_max.to_le_bytes());
        bytes[0x0c..0x10].copy_from_slice(&self.seg_max.to_le_bytes());
        bytes[0x14..0x18].copy_from_slice(&self.blk_size.to_le_bytes());
        bytes[0x20] = self.writeback;
        bytes[0x22..0x24].copy_from_slice(&self.num_queues.to_le_bytes());
        bytes
    }
}
