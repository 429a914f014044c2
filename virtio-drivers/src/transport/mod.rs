//! Transports: how a driver's control path reaches a device.
//!
//! Spec: §4 Virtio Transport Options. A transport knows registers (or a socket), not rings and not device types. The data path does not
//! come by here: all it gets is a [`Doorbell`] per queue.

mod any;
mod bytewise;
mod delegate;
mod interrupt;
mod legacy_page;
pub mod mmio;
pub mod pci;

pub use any::AnyTransport;
pub use interrupt::{InterruptCause, InterruptLine, VectorRefused};

use crate::hal::AccessWidth;
use crate::raw::{AreaPlacement, Doorbell, QueueAddresses};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::status::Status;

/// Where a queue is, and how many descriptors it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Descriptors.
    pub size: u16,
    /// The three areas.
    pub addresses: QueueAddresses,
    /// What was agreed on: says what a notification is made of.
    pub features: CommonFeatures,
}

/// A queue could not be set up; the device was not told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The device has no such queue.
    #[error("the device has no such queue")]
    Absent,
    /// The queue is in use already, though the device was reset and nobody enabled it.
    #[error("the queue is enabled already")]
    AlreadyEnabled,
    /// The device places the queue's doorbell outside of its notification registers.
    #[error("the device places the queue's doorbell outside of its notification registers")]
    DoorbellOutOfBounds,
    /// The queue's memory is where a legacy device cannot be told of it: its pages are counted with 32 bits, from 1 on. Memory below 16 TiB helps.
    #[error("the queue's memory is where the device cannot be told of it")]
    AddressOutOfReach,
}

/// Which interface a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The specification's.
    Modern,
    /// That of before version 1: 32 feature bits, no FEATURES_OK, no configuration generation.
    ///
    /// Spec: §3.1.2 Legacy Interface: Device Initialization, §2.2.3 Legacy Interface: A Note on Feature Bits.
    Legacy,
}

/// A shared memory region of a device, which the device, not the driver, has allocated.
///
/// Behind PCI it is inside of one of the function's BARs. Behind MMIO the device may name any address: a kernel that does not trust it compares that with its own memory map
/// before it maps anything there.
///
/// Spec: §2.10 Shared Memory Regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    /// Where it is.
    pub physical_address: u64,
    /// Bytes of it, at least one; the last one has an address.
    pub size_bytes: u64,
}

impl SharedMemory {
    /// A region as a device describes it: `None` if that is all ones, empty, or goes beyond the last address.
    pub(crate) const fn new(physical_address: u64, size_bytes: u64) -> Option<Self> {
        let is_there = size_bytes > 0 && size_bytes != u64::MAX && physical_address != u64::MAX;
        match physical_address.checked_add(size_bytes) {
            Some(_) if is_there => Some(Self { physical_address, size_bytes }),
            _ => None,
        }
    }
}

/// The control path to one device. Object-safe, so a kernel can keep devices of several transports in one list: `Box<dyn Transport>` (with the feature `alloc`) and
/// `&mut dyn Transport` are transports.
///
/// Callers go through [`lifecycle`](crate::lifecycle), which makes the calls in the specification's order.
///
/// # Safety
///
/// Memory is given to the device, and taken away from it, on the word of this trait. The implementor promises:
///
/// - All methods speak to one device, which nobody else drives.
/// - [`status`](Transport::status) gives an empty status after an empty status was written only if the device is reset: it no longer accesses any
///   memory that it learned of before. A device that is gone or does not answer gives anything else.
/// - [`queue_reset_is_done`](Transport::queue_reset_is_done) is true after [`start_queue_reset`](Transport::start_queue_reset) only if the device no longer
///   accesses that queue, nor the memory that it learned of through it.
/// - [`set_up_queue`](Transport::set_up_queue) gives the addresses to no other device, and to none at all if it returns an error.
#[expect(unsafe_code, reason = "the contract that memory rests on; see the safety section")]
pub unsafe trait Transport {
    /// What kind of device this is.
    fn device_type(&self) -> DeviceType;

    /// Which interface the device has: what follows for features, status and configuration is the caller's business.
    fn interface(&self) -> Interface {
        Interface::Modern
    }

    /// The features that the device offers, all 128 bits.
    fn device_features(&mut self) -> u128;

    /// Writes the features that the driver accepts, all 128 bits.
    fn set_driver_features(&mut self, features: u128);

    /// Which device-independent features can be had over this transport, as far as it is the transport's business. No others are accepted.
    ///
    /// Without what is PCI's alone, unless a transport says otherwise: `SR_IOV` is for functions with that capability (§6.1); doorbells that are rung by another name than
    /// the queue's index (`NOTIF_CONFIG_DATA`), and administration queues, are in the PCI registers.
    fn supported_features(&self) -> CommonFeatures {
        CommonFeatures::all()
            - (CommonFeatures::SR_IOV | CommonFeatures::ADMIN_VQ | CommonFeatures::NOTIF_CONFIG_DATA)
    }

    /// Reads the device status.
    fn status(&self) -> Status;

    /// Writes the device status; an empty one asks for a reset.
    fn set_status(&mut self, status: Status);

    /// A number that changes whenever the configuration space may have changed; `None` if the interface has no such thing.
    fn config_generation(&self) -> Option<u32>;

    /// Bytes of configuration space that there are.
    fn config_bytes(&self) -> usize;

    /// Reads one register of the configuration space; all ones if it is not there.
    fn read_config(&self, offset: usize, width: AccessWidth) -> u32;

    /// Writes one register of the configuration space; without effect if it is not there.
    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32);

    /// The largest size of a queue that is not enabled yet; 0 if the device has no such queue.
    fn queue_size_max(&mut self, index: u16) -> u16;

    /// Whether a queue has its largest size, or none: legacy PCI devices are not told a size.
    fn queue_size_is_fixed(&self) -> bool {
        false
    }

    /// How the areas of queues are to be placed.
    fn area_placement(&self) -> AreaPlacement {
        AreaPlacement::Separate
    }

    /// Tells the device where a queue is and enables it, and says where its notifications go.
    ///
    /// # Errors
    /// See [`QueueError`]; the device was told nothing.
    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError>;

    /// Asks the device to reset one queue; only with `RING_RESET` agreed on.
    fn start_queue_reset(&mut self, index: u16);

    /// Whether the reset that was asked for is complete: the queue is as before it was set up. Devices that are gone never say so.
    fn queue_reset_is_done(&mut self, index: u16) -> bool;

    /// Asks why the device interrupted, which also makes it stop. Spurious interrupts have no cause; nor have vectors, each of which says by itself what happened.
    fn acknowledge_interrupt(&self) -> InterruptCause;

    /// Interrupt vectors that the device may be told to use; 0 if it has none, or they are off.
    fn vectors(&self) -> u16 {
        0
    }

    /// Has the device send this vector when the configuration changes; forgotten with a reset.
    ///
    /// # Errors
    /// - [`VectorRefused`]: the device read back that it has none; it sends nothing.
    ///
    /// Spec: §4.1.5.1.2 MSI-X Vector Configuration.
    fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
        let _ = vector;
        Err(VectorRefused)
    }

    /// Has the device send this vector when a queue has used buffers; forgotten with a reset, of the device or of the queue.
    ///
    /// # Errors
    /// - [`VectorRefused`]: as above.
    fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
        let _ = (index, vector);
        Err(VectorRefused)
    }

    /// Takes all vectors away from the device, so that it uses its line, if it is allowed to.
    fn disable_vectors(&mut self) {}

    /// Allows the device to use its interrupt line, and gives what a handler of that line needs; `None` if there is no line, or vectors are used instead.
    fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        None
    }

    /// Where the shared memory region with this number is, if the device has one. The number is the device type's to say (§5).
    fn shared_memory(&mut self, id: u8) -> Option<SharedMemory> {
        let _ = id;
        None
    }
}
