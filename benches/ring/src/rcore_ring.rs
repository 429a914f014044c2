//! The driver side of crate `virtio-drivers` (rcore): `add`, `should_notify`, `pop_used` of its `VirtQueue`.
//!
//! It publishes each chain by itself, and wants its buffers again when it takes one back; they are kept ready for it here. It has no context: the operations
//! are kept in a list beside it, as its own drivers do, whose order the device keeps to.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use rcore::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use rcore::{BufferDirection, Error, Hal, PAGE_SIZE, PhysAddr, queue::VirtQueue};

use crate::case::Case;
use crate::device::Areas;
use crate::driver::{Contexts, Driver, Turn, fail};
use crate::memory::{device_address, place, zeroed, zeroed_bytes};
use crate::transport::ring_doorbell;

/// Its platform, of the same memory as ours; one for each shape of chain, so that each has code of its own.
struct Identity<const R: usize, const W: usize>;

// SAFETY: fresh zeroed pages that stay valid for ever; addresses are pointers.
unsafe impl<const R: usize, const W: usize> Hal for Identity<R, W> {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a layout");
        let pointer = zeroed(layout);
        (device_address(pointer), pointer)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        fail(&"there are no registers")
    }

    #[inline]
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        device_address(buffer.cast())
    }

    #[inline]
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Its transport, as far as a queue needs one.
#[derive(Debug, Default)]
struct LeastTransport {
    areas: Option<Areas>,
}

impl Transport for LeastTransport {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        0
    }

    fn write_driver_features(&mut self, _: u64) {}

    fn max_queue_size(&mut self, _: u16) -> u32 {
        u32::from(u16::MAX)
    }

    #[inline]
    fn notify(&mut self, _: u16) {
        ring_doorbell();
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }

    fn set_status(&mut self, _: DeviceStatus) {}

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        _: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.areas = Some(Areas {
            descriptor_area: place(descriptors),
            driver_area: place(driver_area),
            device_area: place(device_area),
            size: u16::try_from(size).expect("a queue size"),
        });
    }

    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, _: u16) -> bool {
        false
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T>(&self, _: usize) -> rcore::Result<T> {
        Err(Error::ConfigSpaceMissing)
    }

    fn write_config_space<T>(&mut self, _: usize, _: T) -> rcore::Result<()> {
        Err(Error::ConfigSpaceMissing)
    }
}

/// Its queue of `SIZE` descriptors, with chains of `R` buffers that the device reads and `W` that it writes.
pub struct Rcore<const R: usize, const W: usize, const SIZE: usize> {
    queue: Box<VirtQueue<Identity<R, W>, SIZE>>,
    transport: LeastTransport,
    areas: Areas,
    inputs: [&'static [u8]; R],
    /// Behind a pointer, for it asks for the list anew with each call, for as long as the call lasts.
    outputs: NonNull<[&'static mut [u8]; W]>,
    contexts: Contexts,
    /// The operations of a burst: token and context.
    in_flight: Vec<(u16, u64)>,
    _not_shared: PhantomData<*mut u8>,
}

impl<const R: usize, const W: usize, const SIZE: usize> Rcore<R, W, SIZE> {
    /// Makes its queue.
    ///
    /// # Panics
    /// It refuses.
    pub fn new(case: &Case) -> Self {
        let mut transport = LeastTransport::default();
        let queue = VirtQueue::new(&mut transport, 0, case.shape.indirect, case.mode.event_index);
        let queue = Box::new(queue.expect("it makes a queue"));
        let areas = transport.areas.expect("it sets the queue up");
        let buffer = |index: usize| {
            let len = case.shape.length(u16::try_from(index).expect("few segments"));
            zeroed_bytes(len as usize, 64)
        };
        let inputs = std::array::from_fn(|index| &*buffer(index));
        let outputs = std::array::from_fn(|index| buffer(R + index));
        Self {
            queue,
            transport,
            areas,
            inputs,
            outputs: NonNull::from(Box::leak(Box::new(outputs))),
            contexts: Contexts::default(),
            in_flight: vec![(0, 0); usize::from(case.burst)],
            _not_shared: PhantomData,
        }
    }
}

impl<const R: usize, const W: usize, const SIZE: usize> Driver for Rcore<R, W, SIZE> {
    #[inline]
    fn rounds(&mut self, rounds: u64, burst: u16, mut turn: Turn<'_>) {
        for _ in 0..rounds {
            let in_flight = &mut self.in_flight[..usize::from(burst)];
            for operation in &mut *in_flight {
                // SAFETY: the list is this queue's alone, and nobody else has it during the call.
                let outputs = unsafe { self.outputs.as_mut() };
                // SAFETY: the buffers are never freed, and nobody but the device may access them.
                match unsafe { self.queue.add(&self.inputs, outputs) } {
                    Ok(token) => *operation = (token, self.contexts.next()),
                    Err(error) => fail(&error),
                }
            }
            if self.queue.should_notify() {
                self.transport.notify(0);
            }
            turn.published(burst);
            for (token, context) in in_flight {
                loop {
                    // SAFETY: as above; the lifetimes that it asks for end with the call.
                    let outputs = unsafe { self.outputs.cast::<[&mut [u8]; W]>().as_mut() };
                    // SAFETY: the buffers that were added under this token.
                    match unsafe { self.queue.pop_used(*token, &self.inputs, outputs) } {
                        Ok(_) => break,
                        Err(Error::NotReady) => turn.wait(),
                        Err(error) => fail(&error),
                    }
                }
                self.contexts.came_back(*context);
            }
        }
    }

    fn areas(&self) -> Areas {
        self.areas
    }

    fn contexts(&self) -> &Contexts {
        &self.contexts
    }
}
