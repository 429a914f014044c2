//! Virtio over PCI as it was before version 1: all registers are ports of the first BAR.
//!
//! Spec: §4.1.4.10 Legacy Interfaces: A Note on PCI Device Layout, §4.1.5.1.3.1 Legacy Interface: A Note on Virtqueue Configuration. Devices with a transitional id have this interface, alone
//! (QEMU: `disable-modern=on`) or beside the modern one, which is to be preferred.
//!
//! What follows from it: 32 features, so no packed ring; no FEATURES_OK; queues have the size that the device says, or none; a queue's place is a page number, and its areas
//! follow each other (§2.7.2); the configuration has no generation, the byte order of the guest, and another place when MSI-X is on.

use core::fmt;

use pci_types::{ConfigRegionAccess, PciAddress};

use super::endpoint::{Endpoint, IO_SPACE, MEMORY_SPACE};
use super::msi_x::MsiXError;
use super::open::{OpenError, identify};
use crate::hal::{AccessWidth, MapMmio, MsiMessage};
use crate::raw::{
    AreaPlacement, Doorbell, Notification, PciFunction, Registers, first_port_bar, has_port_bar, memory_bars,
};
use crate::transport::{
    Interface, InterruptCause, InterruptLine, QueueError, QueueSetup, Transport, VectorRefused, bytewise,
    legacy_page,
};
use crate::wire::device_type::DeviceType;
use crate::wire::pci::legacy as register;
use crate::wire::status::Status;

/// Transitional devices have these ids, and revision 0 (§4.1.2.3).
const TRANSITIONAL_IDS: core::ops::RangeInclusive<u16> = 0x1000..=0x103f;

/// A legacy virtio device behind PCI. [`LegacyPciTransport::open`] makes one. `A` is how the kernel reaches configuration space.
pub struct LegacyPciTransport<A> {
    device_type: DeviceType,
    endpoint: Endpoint<A>,
    registers: Registers,
    line: InterruptLine,
}

impl<A: ConfigRegionAccess> LegacyPciTransport<A> {
    /// Opens a claimed function through its legacy interface. It does not interrupt yet, nor access memory before it is brought up.
    ///
    /// # Errors
    /// - [`OpenError::NotLegacy`]: it has no such interface, or this machine is big-endian, as all of the interface would be.
    /// - Others of [`OpenError`]; the device was not touched beyond its configuration space.
    pub fn open(mut function: PciFunction<A>, mapper: &impl MapMmio) -> Result<Self, OpenError> {
        let device_type = identify(&function)?;
        if !Self::is_transitional(&function) || cfg!(target_endian = "big") {
            return Err(OpenError::NotLegacy);
        }
        let ports = match first_port_bar(&mut function) {
            Some(ports) => ports,
            None if has_port_bar(&function) => return Err(OpenError::PortsWithoutAddress),
            None => return Err(OpenError::NotLegacy),
        };
        let registers = ports.map(mapper);
        let registers = registers.ok_or(OpenError::NotMapped { physical_address: ports.port().into() })?;
        if registers.size_bytes() < register::DEVICE_CONFIG {
            return Err(OpenError::NotLegacy);
        }
        let bars = memory_bars(&mut function);
        let endpoint = Endpoint::new(function, &bars, mapper, IO_SPACE | MEMORY_SPACE);
        let line = InterruptLine::pci(registers.share(), register::ISR_STATUS);
        Ok(Self { device_type, endpoint, registers, line })
    }

    /// Whether a function's id is one of those that devices with a legacy interface have.
    pub(in crate::transport) fn is_transitional(function: &PciFunction<A>) -> bool {
        TRANSITIONAL_IDS.contains(&function.ids().1)
    }

    /// Where the function is on the bus.
    pub const fn address(&self) -> PciAddress {
        self.endpoint.address()
    }

    /// Messages that the function has room for; 0 if it has no MSI-X.
    pub fn msi_x_entries(&self) -> u16 {
        self.endpoint.msi_x_entries()
    }

    /// Has the function send messages instead of using its line, as [`PciTransport::enable_msi_x`](super::PciTransport::enable_msi_x) does.
    ///
    /// # Errors
    /// See [`MsiXError`]; nothing was changed.
    pub fn enable_msi_x(&mut self, messages: &[MsiMessage]) -> Result<(), MsiXError> {
        self.endpoint.enable_msi_x(messages)
    }

    fn read_word(&self, offset: usize) -> u16 {
        (self.registers.read(offset, AccessWidth::Word) & 0xffff) as u16
    }

    fn select(&self, index: u16) {
        self.registers.write(register::QUEUE_SELECT, AccessWidth::Word, index.into());
    }

    /// Where the device's configuration begins.
    fn config_offset(&self) -> usize {
        if self.endpoint.vectors() > 0 { register::DEVICE_CONFIG_WITH_MSIX } else { register::DEVICE_CONFIG }
    }
}

impl<A: ConfigRegionAccess> fmt::Debug for LegacyPciTransport<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyPciTransport")
            .field("address", &self.address())
            .field("device_type", &self.device_type)
            .field("vectors", &self.endpoint.vectors())
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}

#[expect(unsafe_code, reason = "the promise of the trait")]
// SAFETY: claiming the function made the device behind it ours alone, and the ports are its own, since its BARs decode nothing else. A legacy device resets itself while its
// status is written (§4.1.4.10), and reads 0 then; a removed one reads all ones, or 0 where configuration space, which is asked then, has all ones. There is no reset of single
// queues. A queue's page is written to these registers only, and after the last check.
unsafe impl<A: ConfigRegionAccess> Transport for LegacyPciTransport<A> {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn interface(&self) -> Interface {
        Interface::Legacy
    }

    fn device_features(&mut self) -> u128 {
        self.registers.read(register::DEVICE_FEATURES, AccessWidth::Long).into()
    }

    fn set_driver_features(&mut self, features: u128) {
        let features = (features & 0xffff_ffff) as u32;
        self.registers.write(register::DRIVER_FEATURES, AccessWidth::Long, features);
    }

    fn status(&self) -> Status {
        self.endpoint.judge(self.registers.read(register::DEVICE_STATUS, AccessWidth::Byte))
    }

    /// The first step that is not a reset follows one, so nothing from before is in the device any more, and it may access memory.
    fn set_status(&mut self, status: Status) {
        if !status.is_empty() {
            self.endpoint.let_access_memory();
        }
        self.registers.write(register::DEVICE_STATUS, AccessWidth::Byte, status.bits().into());
    }

    fn config_generation(&self) -> Option<u32> {
        None
    }

    fn config_bytes(&self) -> usize {
        self.registers.size_bytes().saturating_sub(self.config_offset())
    }

    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        bytewise::read(&self.registers, offset.saturating_add(self.config_offset()), width)
    }

    /// With one access, as fields need that count from the moment in which they are written (§5.5.6.1.1): any width does here (§4.1.4.10).
    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        self.registers.write(offset.saturating_add(self.config_offset()), width, value);
    }

    fn queue_size_max(&mut self, index: u16) -> u16 {
        self.select(index);
        // All ones: there is no device any more.
        match self.read_word(register::QUEUE_SIZE) {
            u16::MAX => 0,
            size => size,
        }
    }

    fn queue_size_is_fixed(&self) -> bool {
        true
    }

    fn area_placement(&self) -> AreaPlacement {
        AreaPlacement::Contiguous { align: legacy_page::BYTES }
    }

    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        if self.queue_size_max(index) != setup.size {
            return Err(QueueError::Absent);
        }
        if self.registers.read(register::QUEUE_PAGE, AccessWidth::Long) != 0 {
            return Err(QueueError::AlreadyEnabled);
        }
        let page = legacy_page::number(setup.addresses)?;
        let notification = Notification { queue: index, carries_position: false };
        let doorbell =
            Doorbell::register(&self.registers, register::QUEUE_NOTIFY, AccessWidth::Word, notification)
                .ok_or(QueueError::DoorbellOutOfBounds)?;
        self.registers.write(register::QUEUE_PAGE, AccessWidth::Long, page);
        Ok(doorbell)
    }

    /// Never asked for: `RING_RESET` is no feature of a legacy device.
    fn start_queue_reset(&mut self, _: u16) {}

    fn queue_reset_is_done(&mut self, _: u16) -> bool {
        false
    }

    /// With vectors the status is not used, and not to be read (§4.1.4.5.2).
    fn acknowledge_interrupt(&self) -> InterruptCause {
        if self.vectors() > 0 { InterruptCause::default() } else { self.line.acknowledge() }
    }

    fn vectors(&self) -> u16 {
        self.endpoint.vectors()
    }

    fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
        self.endpoint.set_vector(&self.registers, register::CONFIG_MSIX_VECTOR, vector)
    }

    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        self.select(index);
        self.endpoint.set_vector(&self.registers, register::QUEUE_MSIX_VECTOR, vector)
    }

    fn disable_vectors(&mut self) {
        self.endpoint.disable_msi_x();
    }

    fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.endpoint.use_line().then(|| self.line.share())
    }
}
