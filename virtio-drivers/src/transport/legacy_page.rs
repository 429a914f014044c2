//! How a legacy device is told of a queue: by the number of its first page.
//!
//! Spec: §2.7.2 Legacy Interfaces: A Note on Virtqueue Layout, §4.1.5.1.3.1, §4.2.4.

use super::QueueError;
use crate::hal::DeviceAddress;
use crate::raw::QueueAddresses;

/// Bytes of the pages that queues are counted in; also where a used ring may start.
pub(super) const BYTES: u16 = 4096;

/// The number of the page that a queue begins in. Page 0 says that there is no queue, so it is no queue's.
pub(super) fn number(addresses: QueueAddresses) -> Result<u32, QueueError> {
    let DeviceAddress(address) = addresses.descriptor_area();
    let bytes = u64::from(BYTES);
    match u32::try_from(address / bytes) {
        Ok(page @ 1..) if address.is_multiple_of(bytes) => Ok(page),
        _ => Err(QueueError::AddressOutOfReach),
    }
}
