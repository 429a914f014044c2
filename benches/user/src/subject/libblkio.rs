//! The disk of crate `virtio-driver` (libblkio).
//!
//! It publishes each request by itself; whether the back-end wants to be notified is asked once for all that were handed in together.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use libblkio::{
    QueueNotifier, VhostUser, VirtioBlkConfig, VirtioBlkFeatureFlags, VirtioBlkQueue, VirtioBlkReqBuf,
    VirtioFeatureFlags, VirtioTransport, iovec,
};
use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, memfd_create};

use super::disk::{Disk, QUEUE_SIZE, REQUEST_BYTES, RequestQueue, connected};
use crate::line::BlockLine;

/// One of its queues, and the buffers that go through it.
pub struct Queue {
    requests: VirtioBlkQueue<'static, u16>,
    notifier: Box<dyn QueueNotifier>,
    /// The first buffer; the others follow it.
    first: *mut u8,
    /// Buffers that are not in flight.
    free: Vec<u16>,
    write: bool,
    kicks: u64,
}

/// Connects it.
pub fn start(line: BlockLine, socket: &Path) -> Result<Disk<Queue>, String> {
    let wanted = VirtioFeatureFlags::VERSION_1.bits()
        | VirtioFeatureFlags::RING_EVENT_IDX.bits()
        | VirtioBlkFeatureFlags::MQ.bits();
    let socket = socket.to_str().ok_or("the socket's path is no text")?;
    // Queues are in its memory, and the device may use both for as long as there is this process.
    let transport = Box::leak(Box::new(connected(|| Transport::new(socket, wanted))?));
    let queues = VirtioBlkQueue::setup_queues(transport, line.queues.into(), QUEUE_SIZE);
    let queues = queues.map_err(|error| format!("libblkio's queues: {error}"))?;
    let each = line.depth / line.queues;
    let bytes = usize::from(line.depth) * REQUEST_BYTES;
    let buffers = memory(transport, bytes).map_err(|error| format!("libblkio's memory: {error}"))?;
    let queue = |(index, mut queue): (usize, VirtioBlkQueue<'static, u16>)| {
        queue.set_used_notif_enabled(false);
        let first = buffers.wrapping_add(index * usize::from(each) * REQUEST_BYTES);
        let notifier = transport.get_submission_notifier(index);
        Queue { requests: queue, notifier, first, free: (0..each).collect(), write: line.write, kicks: 0 }
    };
    Ok(Disk::new(line, queues.into_iter().enumerate().map(queue).collect()))
}

type Transport = VhostUser<VirtioBlkConfig, VirtioBlkReqBuf>;

/// Memory that the back-end has, too, for ever.
fn memory(transport: &mut Transport, bytes: usize) -> std::io::Result<*mut u8> {
    let file = File::from(memfd_create("buffers", MemfdFlags::CLOEXEC)?);
    file.set_len(bytes as u64)?;
    // SAFETY: nobody shortens a file without a name, and the bytes are only ever the back-end's.
    let memory = Box::leak(Box::new(unsafe { MmapMut::map_mut(&file) }?));
    transport.map_mem_region(memory.as_ptr() as usize, bytes, file.as_raw_fd(), 0)?;
    Ok(memory.as_mut_ptr())
}

impl RequestQueue for Queue {
    #[inline]
    fn submit(&mut self, count: usize, mut place: impl FnMut() -> u64) -> Result<(), String> {
        for _ in 0..count {
            let index = self.free.pop().ok_or("all buffers are out")?;
            let base = self.first.wrapping_add(usize::from(index) * REQUEST_BYTES);
            let buffer = iovec { iov_base: base.cast(), iov_len: REQUEST_BYTES };
            let offset = place() * REQUEST_BYTES as u64;
            let submitted = if self.write {
                // SAFETY: one buffer, inside of memory that is never freed and that nobody else uses.
                unsafe { self.requests.writev(offset, &raw const buffer, 1, index) }
            } else {
                // SAFETY: as above.
                unsafe { self.requests.readv(offset, &raw const buffer, 1, index) }
            };
            submitted.map_err(|error| format!("libblkio refuses: {error}"))?;
        }
        if self.requests.avail_notif_needed() {
            self.kicks += 1;
            self.notifier.notify().map_err(|error| format!("libblkio does not notify: {error}"))?;
        }
        Ok(())
    }

    #[inline]
    fn complete(&mut self) -> Result<usize, String> {
        let before = self.free.len();
        for completion in self.requests.completions() {
            if completion.ret != 0 {
                return Err(format!("a request failed: {}", completion.ret));
            }
            self.free.push(completion.context);
        }
        Ok(self.free.len() - before)
    }

    fn kicks(&self) -> u64 {
        self.kicks
    }
}
