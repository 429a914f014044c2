//! Message-signaled interrupts: what a device writes, and where to.
//!
//! PCI Local Bus Specification 3.0, §6.8. A kernel allocates messages at its interrupt controller; a transport hands them to the device
//! ([`PciTransport::enable_msi_x`](crate::transport::pci::PciTransport::enable_msi_x)).

/// A write that a device makes instead of raising a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    address: u64,
    data: u32,
}

impl MsiMessage {
    /// The message of writing `data` (32 bits) to `address`, as the device sees addresses: where the interrupt controller takes messages.
    ///
    /// # Safety
    /// The device writes there whenever it likes, for as long as it has the message: that raises an interrupt which the kernel is prepared for, and does nothing else.
    pub const unsafe fn new(address: u64, data: u32) -> Self {
        Self { address, data }
    }

    /// Where to.
    pub const fn address(self) -> u64 {
        self.address
    }

    /// What.
    pub const fn data(self) -> u32 {
        self.data
    }
}
