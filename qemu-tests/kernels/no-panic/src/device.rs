//! A device and a kernel's memory, of which the compiler knows nothing: every answer may be any.

use core::alloc::Layout;
use core::hint::black_box;
use core::ptr::NonNull;

use virtio_guest::hal::{
    AccessWidth, DeviceAddress, Direction, DmaBuffer, DmaError, DmaRegion, Hal, MapError,
};
use virtio_guest::raw::{Doorbell, MappedBuffer, Notification};
use virtio_guest::transport::{InterruptCause, QueueError, QueueSetup, Transport};
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::DeviceFeatures;
use virtio_guest::wire::status::Status;

bitflags::bitflags! {
    /// No features of its own.
    #[derive(Clone, Copy, Debug)]
    pub struct Features: u128 {}
}

impl DeviceFeatures for Features {}

/// Memory somewhere.
#[derive(Clone, Copy, Debug)]
pub struct AnyMemory;

/// An address that the compiler cannot guess.
fn anywhere() -> NonNull<u8> {
    black_box(NonNull::dangling())
}

// SAFETY: this program is linked and never run, so nothing is ever accessed.
unsafe impl Hal for AnyMemory {
    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        if black_box(false) {
            return Err(DmaError);
        }
        Ok(DmaRegion { pointer: anywhere(), device_address: DeviceAddress(black_box(0)), layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        black_box(region);
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
        black_box(buffer);
        if black_box(false) { Err(MapError) } else { Ok(DeviceAddress(black_box(0))) }
    }

    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, _: Direction) {
        black_box((address, buffer));
    }
}

/// A page of that memory.
#[derive(Debug)]
pub struct Page(NonNull<[u8]>);

// SAFETY: as for `AnyMemory`.
unsafe impl DmaBuffer for Page {
    fn bytes(&mut self) -> NonNull<[u8]> {
        self.0
    }
}

/// A page, mapped, perhaps.
pub fn page() -> Option<MappedBuffer<AnyMemory, Page>> {
    let bytes = NonNull::slice_from_raw_parts(anywhere(), black_box(4096));
    MappedBuffer::map(&AnyMemory, Page(bytes), Direction::DeviceWritable).ok()
}

/// A device that says anything.
#[derive(Debug)]
pub struct AnyDevice;

fn notify(context: usize, notification: u32) {
    black_box((context, notification));
}

// SAFETY: as for `AnyMemory`.
unsafe impl Transport for AnyDevice {
    fn device_type(&self) -> DeviceType {
        DeviceType(black_box(2))
    }
    fn device_features(&mut self) -> u128 {
        black_box(u128::MAX)
    }
    fn set_driver_features(&mut self, features: u128) {
        black_box(features);
    }
    fn status(&self) -> Status {
        Status::from_bits_retain(black_box(0))
    }
    fn set_status(&mut self, status: Status) {
        black_box(status);
    }
    fn config_generation(&self) -> Option<u32> {
        black_box(Some(0))
    }
    fn config_bytes(&self) -> usize {
        black_box(0)
    }
    fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
        black_box((offset, width));
        black_box(0)
    }
    fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
        black_box((offset, width, value));
    }
    fn queue_size_max(&mut self, index: u16) -> u16 {
        black_box(index)
    }
    fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
        black_box(setup);
        let notification = Notification { queue: index, carries_position: black_box(true) };
        if black_box(false) {
            return Err(QueueError::AlreadyEnabled);
        }
        Ok(Doorbell::function(notify, black_box(0), notification))
    }
    fn start_queue_reset(&mut self, index: u16) {
        black_box(index);
    }
    fn queue_reset_is_done(&mut self, index: u16) -> bool {
        black_box(index);
        black_box(true)
    }
    fn acknowledge_interrupt(&self) -> InterruptCause {
        black_box(InterruptCause::default())
    }
}
