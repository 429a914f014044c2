//! What is different with version 1, the interface of before the specification.
//!
//! Spec: §4.2.4 Legacy interface. A queue's place is the number of its first page; its areas follow each other (§2.7.2). The configuration space is accessed byte by byte,
//! in the guest's own byte order.

use super::registers::MmioTransport;
use crate::hal::{AccessWidth, DeviceAddress};
use crate::raw::Registers;
use crate::transport::{QueueError, QueueSetup};
use crate::wire::mmio::register;

/// Bytes of the pages that queues are counted in; also where a used ring may start.
pub(super) const PAGE_BYTES: u16 = 4096;

/// Tells the device of the selected queue. Every queue tells the page size, too: it is forgotten with a reset.
pub(super) fn set_up_queue(transport: &MmioTransport, setup: &QueueSetup) -> Result<(), QueueError> {
    if transport.read(register::QUEUE_PFN) != 0 {
        return Err(QueueError::AlreadyEnabled);
    }
    let DeviceAddress(address) = setup.addresses.descriptor_area();
    let page_bytes = u64::from(PAGE_BYTES);
    let page = match u32::try_from(address / page_bytes) {
        // Page 0 says that there is no queue.
        Ok(page @ 1..) if address.is_multiple_of(page_bytes) => page,
        _ => return Err(QueueError::AddressOutOfReach),
    };
    transport.write(register::GUEST_PAGE_SIZE, u32::from(PAGE_BYTES));
    transport.write(register::QUEUE_SIZE, u32::from(setup.size));
    transport.write(register::QUEUE_ALIGN, u32::from(PAGE_BYTES));
    transport.write(register::QUEUE_PFN, page);
    Ok(())
}

/// Reads a field byte by byte.
pub(super) fn read_config(registers: &Registers, offset: usize, width: AccessWidth) -> u32 {
    (0..width.bytes()).fold(0, |value, byte| {
        let bits = registers.read(offset.saturating_add(byte), AccessWidth::Byte);
        value | (bits & 0xff) << (8 * byte)
    })
}

/// Writes a field byte by byte.
pub(super) fn write_config(registers: &Registers, offset: usize, width: AccessWidth, value: u32) {
    for byte in 0..width.bytes() {
        registers.write(offset.saturating_add(byte), AccessWidth::Byte, value >> (8 * byte) & 0xff);
    }
}
