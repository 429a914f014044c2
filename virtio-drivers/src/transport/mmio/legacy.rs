//! What is different with version 1, the interface of before the specification.
//!
//! Spec: §4.2.4 Legacy interface. A queue's place is the number of its first page; its areas follow each other (§2.7.2). The configuration space
//! is accessed byte by byte, in the guest's own byte order.

use super::registers::MmioTransport;
use crate::transport::{QueueError, QueueSetup, legacy_page};
use crate::wire::mmio::register;

/// Tells the device of the selected queue. Every queue tells the page size, too: it is forgotten with a reset.
pub(super) fn set_up_queue(transport: &MmioTransport, setup: &QueueSetup) -> Result<(), QueueError> {
    if transport.read(register::QUEUE_PFN) != 0 {
        return Err(QueueError::AlreadyEnabled);
    }
    let page = legacy_page::number(setup.addresses)?;
    transport.write(register::GUEST_PAGE_SIZE, u32::from(legacy_page::BYTES));
    transport.write(register::QUEUE_SIZE, u32::from(setup.size));
    transport.write(register::QUEUE_ALIGN, u32::from(legacy_page::BYTES));
    transport.write(register::QUEUE_PFN, page);
    Ok(())
}
