//! Buffers that are mapped for one request: the device writes to them while they are mapped, and to nothing else.
//!
//! The disk is driven by hand here, for its driver does not send what it should not.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use example_platform::iommu::{Domain, Unit};
use example_platform::pci::PciAccess;
use example_platform::{clock, println};
use pci_types::PciAddress;
use virtio_guest::hal::{Direction, Patience};
use virtio_guest::lifecycle::{Negotiating, Running, Wants};
use virtio_guest::raw::{MappedBuffer, Payload, Segment, SegmentVisitor};
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots, Virtqueue};
use virtio_guest::transport::AnyTransport;
use virtio_guest::wire::block::{BlockFeatures, REQUEST_HEADER_BYTES, request, request_status};

use crate::block_promises::{ensure, pattern};
use crate::expect_fault;

/// Sectors that the driver wrote before.
const FIRST: u64 = 3;
const COUNT: u64 = 5;
const BYTES: usize = COUNT as usize * pattern::SECTOR;
/// Larger, so that the domain's addresses come round soon.
const ROOM: usize = 512 << 10;
/// The specification's number for a page that the domain does not let a function write to.
const NOT_WRITABLE: u8 = 5;

type Mapped = MappedBuffer<Domain, Vec<u8>>;

/// What the device is told to be mapped for it to write to, which need not be true.
struct Claimed(Segment);

// SAFETY: not sound at all, but that the IOMMU keeps the device from what is not mapped: this is what is tested.
unsafe impl Payload for Claimed {
    fn segment_count(&self) -> usize {
        1
    }

    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        visitor.segment(&self.0);
    }
}

/// What the requests here carry: one of them.
type Load = (Option<Mapped>, Option<Claimed>);

/// A disk without a driver.
struct Disk {
    device: Running<AnyTransport<PciAccess>, BlockFeatures>,
    queue: Virtqueue<'static, Domain, Load>,
}

impl Disk {
    fn start(transport: AnyTransport<PciAccess>, domain: &Domain) -> Result<Self, String> {
        let patience = || clock::within_millis(1000);
        let device = Negotiating::begin(transport, patience()).map_err(|error| error.to_string())?;
        let device = device.negotiate(Wants::<BlockFeatures>::none());
        let mut device = device.map_err(|error| error.to_string())?;
        let memory_bytes = REQUEST_HEADER_BYTES + 1;
        let settings = QueueSettings { size_max: 16, indirect_segments: 0, memory_bytes };
        let queue = device.install_queue(0, domain, &settings, Slots::allocate(16));
        let queue = queue.map_err(|failed| failed.error.to_string())?;
        let device = device.start();
        let queue = device.activate(queue);
        Ok(Self { device, queue })
    }

    /// Has the sectors read to what is mapped, or claimed to be. Gives it back, with the status.
    fn read(&mut self, load: Load) -> Result<(Load, u8), String> {
        let mut header = [0; REQUEST_HEADER_BYTES];
        header[..4].copy_from_slice(&request::IN.to_le_bytes());
        header[8..].copy_from_slice(&FIRST.to_le_bytes());
        let mut status = [request_status::NOT_WRITTEN];
        let written = self.queue.write_memory(0, &header);
        written
            .and_then(|()| self.queue.write_memory(header.len(), &status))
            .map_err(|error| error.to_string())?;
        let header = Portion { offset: 0, len: REQUEST_HEADER_BYTES as u32 };
        let last = Portion { offset: header.len, len: 1 };
        let chain = Chain { readable: &[header], writable: &[last] };
        self.queue.make_available(chain, load).map_err(|refused| refused.reason.to_string())?;
        self.queue.publish();
        let mut patience = clock::within_millis(1000);
        loop {
            if let Some(used) = self.queue.take_used().map_err(|broken| broken.to_string())? {
                let read = self.queue.read_memory(REQUEST_HEADER_BYTES, &mut status);
                return read.map(|()| (used.payload, status[0])).map_err(|error| error.to_string());
            }
            if !patience.keep_waiting() {
                return Err("the disk does not answer".into());
            }
        }
    }

    fn end(self) -> Result<(), String> {
        let reset = self.device.reset(clock::within_millis(1000));
        let (_, reset) = reset.map_err(|failed| failed.error.to_string())?;
        drop(self.queue.reclaim(&reset));
        Ok(())
    }
}

fn map(domain: &Domain, bytes: usize, direction: Direction) -> Result<(Mapped, Segment), String> {
    let mapped = MappedBuffer::map(domain, vec![0; bytes], direction);
    let mapped = mapped.map_err(|refused| refused.to_string())?;
    let mut found = None;
    mapped.visit_segments(&mut |segment: &Segment| found = Some(*segment));
    found.map(|segment| (mapped, segment)).ok_or_else(|| "a buffer of no segment".into())
}

/// Checks all of it, on a disk that is in the domain, with what the driver wrote from this seed.
pub(crate) fn check(
    unit: &Unit,
    domain: Domain,
    function: PciAddress,
    transport: AnyTransport<PciAccess>,
    seed: u64,
) -> Result<(), String> {
    let mut expected = vec![0; BYTES];
    for (sector, into) in (FIRST..).zip(expected.chunks_mut(pattern::SECTOR)) {
        pattern::fill(seed, sector, into);
    }
    let mut disk = Disk::start(transport, &domain)?;

    // Mapped: written to.
    let (mapped, first) = map(&domain, BYTES, Direction::DeviceWritable)?;
    let first_bytes = read_mapped(&mut disk, mapped)?;
    ensure(first_bytes == expected, "a mapped buffer is written to")?;

    // Not mapped any more: not written to.
    let (_, status) = disk.read((None, Some(Claimed(first))))?;
    println!("to a buffer that was unmapped: status {status}");
    expect_fault(unit, function, true, NOT_WRITABLE)?;

    // Mapped to be read: not written to.
    let (mapped, segment) = map(&domain, BYTES, Direction::DeviceReadable)?;
    let to_be_written = Segment { direction: Direction::DeviceWritable, ..segment };
    let (_, status) = disk.read((None, Some(Claimed(to_be_written))))?;
    println!("to a buffer that is mapped to be read: status {status}");
    expect_fault(unit, function, true, NOT_WRITABLE)?;
    ensure(
        mapped.unmap().iter().all(|byte| *byte == 0),
        "a buffer is not written to that is mapped to be read",
    )?;

    // The first address again, with other memory behind it: that is written to.
    let other = map_again(&domain, &first)?;
    ensure(read_mapped(&mut disk, other)? == expected, "an address means what is mapped there now")?;
    disk.end()
}

/// Maps and unmaps until the addresses come round: gives a buffer in the page that a segment was in.
fn map_again(domain: &Domain, wanted: &Segment) -> Result<Mapped, String> {
    const PAGE_BYTES: u64 = 4096;
    let pages = |segment: &Segment| {
        let start = segment.address.0 / PAGE_BYTES;
        start..(segment.address.0 + u64::from(segment.len)).div_ceil(PAGE_BYTES)
    };
    let page = pages(wanted).start;
    let mut next = pages(wanted).end;
    for rounds in 0..10_000 {
        let is_near = next <= page && page - next < 2 * ROOM as u64 / PAGE_BYTES;
        let bytes = if is_near { BYTES } else { ROOM };
        let (mapped, segment) = map(domain, bytes, Direction::DeviceWritable)?;
        if is_near && pages(&segment).contains(&page) {
            println!("the addresses came round after {rounds} buffers");
            return Ok(mapped);
        }
        next = pages(&segment).end;
    }
    Err("the addresses do not come round".into())
}

fn read_mapped(disk: &mut Disk, mapped: Mapped) -> Result<Vec<u8>, String> {
    let ((mapped, _), status) = disk.read((Some(mapped), None))?;
    ensure(status == request_status::OK, "the disk reads to a mapped buffer")?;
    mapped.map(Mapped::unmap).ok_or_else(|| "the buffer does not come back".into())
}
