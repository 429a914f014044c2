//! A platform for tests: memory that a device reaches only as it was allowed to.
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
//! The modelled device is behind a PCI function: [`claim`] and [`Mapper`] are to it what a kernel is to a real one. Several functions and bridges are reached by [`segment`], [`claim_on`] and
//! [`BusMapper`].
//!
//! ```
//! use virtio_guest::hal::{Attempts, Direction};
//! use virtio_guest::lifecycle::{Negotiating, Wants};
//! use virtio_guest::raw::MappedBuffer;
//! use virtio_guest::ring::{Chain, QueueSettings, Storage};
//! use virtio_guest::transport::pci::PciTransport;
//! # use virtio_guest::wire::block::BlockFeatures as WatchdogFeatures;
//! use virtio_model::pci::PciDevice;
//! use virtio_test_hal::{Mapper, TestHal, claim};
//!
//! // A device of type 62 that offers VERSION_1 and has one queue.
//! let device = PciDevice::builder().device_id(0x107e).features(1 << 32).queue_sizes(&[8]).build();
//! let hal = TestHal::default();
//!
//! // The driver brings it up and has something for it.
//! let transport = PciTransport::open(claim(&device), &Mapper(device.clone())).unwrap();
//! let installing = Negotiating::begin(transport, Attempts(10)).unwrap();
//! let mut installing = installing.negotiate(Wants::<WatchdogFeatures>::none()).unwrap();
//! let mut storage = Storage::<MappedBuffer<TestHal, Box<[u8]>>, 8>::new();
//! let settings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 0 };
//! let queue = installing.install_queue(0, &hal, &settings, &mut storage).unwrap();
//! let running = installing.start();
//! let mut queue = running.activate(queue);
//! let buffer = MappedBuffer::map(&hal, Box::from(*b"to the device"), Direction::DeviceReadable).unwrap();
//! queue.make_available(Chain::default(), buffer).unwrap();
//! assert!(queue.publish() && device.notifications(0) == 1);
//!
//! // The device serves the chain: it reads what it may read, and is stopped where it may not write.
//! let mut other_side = device.split_queue(0, &hal.space).unwrap().unwrap();
//! let chain = other_side.pop().unwrap().unwrap();
//! assert_eq!(chain.read_all(&hal.space).unwrap(), b"to the device");
//! assert!(hal.space.write(chain.segments[0].addr, b"x").is_err());
//! hal.space.clear_faults();
//! other_side.complete(chain.head, 0).unwrap();
//!
//! // The driver takes the chain back, and ends: nobody did anything wrong, and nothing is left.
//! let used = queue.take_used().unwrap().unwrap();
//! assert_eq!(*used.payload.unmap(), *b"to the device");
//! let (_, reset) = running.reset(Attempts(10)).unwrap();
//! assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
//! device.assert_driver_was_correct();
//! hal.assert_all_returned();
//! ```

mod bus;
mod domain;
mod hal;
mod mmio;
mod pci;
pub mod sr_iov;

pub use bus::{BusAccess, BusMapper, apertures, claim_on, segment};
pub use hal::TestHal;
pub use mmio::registers;
pub use pci::{ConfigSpace, MESSAGE_ADDRESS, Mapper, claim, message};
