//! A platform for tests of drivers: memory that a device reaches only as it was allowed to.
//!
//! A driver that works with identity-mapped memory on the author's machine may fail behind an IOMMU, with bounce buffers, or in a confidential guest. With
//! [`TestHal`] under it, a test sees that before users do:
//!
//! - **Addresses** that the device is given are unlike the pointers that they stand for, and no two regions are neighbours: an address used on the wrong side, or
//!   one byte too far, is a fault.
//! - **Directions** are kept: every mapped buffer is bounced, into memory that the device may only read or only write. What it wrote is in the buffer after
//!   `unmap`, and not before.
//! - **Lifetimes** are kept: what was unmapped or freed is a fault for the device; undoing something twice, or as something else than it was, is a panic.
//! - **Everything is counted**, so that a test can say that nothing is left; and allocations and mappings can be made to fail after so many.
//!
//! The device's side of it is an [`AddressSpace`](virtio_model::AddressSpace), which the devices of `virtio-model` work on.
//!
//! ```
//! use virtio_guest::hal::Direction;
//! use virtio_guest::raw::{DmaMemory, MappedBuffer, Payload};
//! use virtio_test_hal::TestHal;
//!
//! let hal = TestHal::default();
//! let ring = DmaMemory::allocate(&hal, 64, 16).unwrap();
//! let buffer = MappedBuffer::map(&hal, Box::from(*b"to the device"), Direction::DeviceReadable).unwrap();
//!
//! // The device's side: it reads what it may read, and is stopped where it may not write.
//! let segment = buffer.segment(0).unwrap();
//! let mut seen = [0; 13];
//! hal.space.read(segment.address.0, &mut seen).unwrap();
//! assert_eq!(seen, *b"to the device");
//! assert!(hal.space.write(segment.address.0, b"x").is_err());
//! hal.space.clear_faults();
//!
//! assert_eq!((hal.dma_regions(), hal.mapped_buffers()), (1, 1));
//! assert_eq!(*buffer.unmap(), *b"to the device");
//! drop(ring);
//! hal.assert_all_returned();
//! ```

mod hal;

pub use hal::TestHal;
