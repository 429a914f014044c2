//! The driver side of crate `virtio-driver` (libblkio): its `Virtqueue`, and a read request of its block queue.
//!
//! It publishes each chain by itself, and has no indirect tables. The queue takes the context as its per-request data, which it keeps in memory that the
//! device can write; the block queue keeps contexts in a list of its own, and writes a request header.

use std::ptr::NonNull;

use libblkio::virtqueue::{Virtqueue, VirtqueueLayout};
use libblkio::{
    VirtioBlkConfig, VirtioBlkQueue, VirtioBlkReqBuf, VirtioFeatureFlags, VirtioTransport, iovec,
};

use crate::case::Case;
use crate::device::Areas;
use crate::driver::{Contexts, Driver, Turn, fail};
use crate::memory::zeroed_bytes;
use crate::transport::ring_doorbell;
use crate::vhost;

fn features(case: &Case) -> VirtioFeatureFlags {
    let mut features = VirtioFeatureFlags::VERSION_1;
    features.set(VirtioFeatureFlags::RING_PACKED, case.mode.packed);
    features.set(VirtioFeatureFlags::RING_EVENT_IDX, case.mode.event_index);
    features
}

fn buffer(len: u32) -> iovec {
    let bytes = zeroed_bytes(len as usize, 64);
    iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

/// Its queue, with chains of `N` buffers.
pub struct Libblkio<const N: usize> {
    queue: Virtqueue<'static, u64>,
    areas: Areas,
    buffers: [iovec; N],
    readable: usize,
    contexts: Contexts,
}

impl<const N: usize> Libblkio<N> {
    /// Makes its queue.
    ///
    /// # Panics
    /// It refuses.
    pub fn new(case: &Case) -> Self {
        let features = features(case);
        let connected = vhost::connect::<VirtioBlkConfig, u64>(features.bits(), vhost::CONNECTED);
        let (transport, back_end) = connected.expect("the back end says yes");
        back_end.end().expect("the front end is connected");
        let layout = VirtqueueLayout::new::<u64>(1, case.queue_size().into(), features);
        let memory = zeroed_bytes(layout.expect("it has a layout").end_offset, 4096);
        let queue = Virtqueue::new(transport.iova_translator(), memory, case.queue_size(), features);
        let queue = queue.expect("it makes a queue");
        let area = |pointer: *const u8| NonNull::new(pointer.cast_mut()).expect("inside of the memory");
        let areas = Areas {
            descriptor_area: area(queue.desc_table_ptr()),
            driver_area: area(queue.driver_area_ptr()),
            device_area: area(queue.device_area_ptr()),
            size: case.queue_size(),
        };
        let buffers = std::array::from_fn(|index| {
            buffer(case.shape.length(u16::try_from(index).expect("few segments")))
        });
        Self { queue, areas, buffers, readable: case.shape.readable().into(), contexts: Contexts::default() }
    }
}

impl<const N: usize> Driver for Libblkio<N> {
    #[inline]
    fn rounds(&mut self, rounds: u64, burst: u16, mut turn: Turn<'_>) {
        let Self { queue, buffers, readable, contexts, .. } = self;
        for _ in 0..rounds {
            for _ in 0..burst {
                let added = queue.add_request(|request, add_descriptor| {
                    *request = contexts.next();
                    for (index, buffer) in buffers.iter().enumerate() {
                        add_descriptor(*buffer, index >= *readable)?;
                    }
                    Ok(())
                });
                if let Err(error) = added {
                    fail(&error);
                }
            }
            if queue.avail_notif_needed() {
                ring_doorbell();
            }
            turn.published(burst);
            let mut left = burst;
            while left > 0 {
                match queue.completions().next() {
                    Some(completion) => {
                        contexts.came_back(completion.req);
                        left -= 1;
                    }
                    None => turn.wait(),
                }
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

/// Its block queue, with read requests: header, one buffer, status.
pub struct LibblkioBlock {
    queue: VirtioBlkQueue<'static, u64>,
    areas: Areas,
    buffer: iovec,
    contexts: Contexts,
}

impl LibblkioBlock {
    /// Makes its queue.
    ///
    /// # Panics
    /// It refuses.
    pub fn new(case: &Case) -> Self {
        let features = features(case).bits();
        let connected = vhost::connect::<VirtioBlkConfig, VirtioBlkReqBuf>(features, vhost::QUEUE_ENABLED);
        let (transport, back_end) = connected.expect("the back end says yes");
        // The queues are in its memory, so it stays.
        let transport = Box::leak(Box::new(transport));
        let queues = VirtioBlkQueue::setup_queues(transport, 1, case.queue_size());
        let queue = queues.expect("it makes a queue").pop().expect("one queue");
        let areas = back_end.end().expect("the queue is enabled").expect("it has a place");
        Self { queue, areas, buffer: buffer(case.shape.length(1)), contexts: Contexts::default() }
    }
}

impl Driver for LibblkioBlock {
    #[inline]
    fn rounds(&mut self, rounds: u64, burst: u16, mut turn: Turn<'_>) {
        for _ in 0..rounds {
            for _ in 0..burst {
                // SAFETY: one buffer, which is never freed, and which nobody but the device may access.
                let added = unsafe { self.queue.readv(0, &raw const self.buffer, 1, self.contexts.next()) };
                if let Err(error) = added {
                    fail(&error);
                }
            }
            if self.queue.avail_notif_needed() {
                ring_doorbell();
            }
            turn.published(burst);
            let mut left = burst;
            while left > 0 {
                match self.queue.completions().next() {
                    Some(completion) => {
                        self.contexts.came_back(completion.context);
                        left -= 1;
                    }
                    None => turn.wait(),
                }
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
