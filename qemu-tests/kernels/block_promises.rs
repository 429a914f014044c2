//! Everything the block driver promises, on the disk and in the DMA domain that a test kernel names; printed for the host.
//!
//! Command line: `seed=N`, the seed of what is written; `requests=N`, how many further requests to send, in bursts;
//! `singles=N`, how many to send one by one; `queue=N`, the most descriptors to use; `interrupts=msi-x|line|polling`, how to learn of what is done (polling, unless it says otherwise);
//! `registers=config-space`, to reach PCI devices through configuration space alone.

#[path = "pattern.rs"]
pub mod pattern;

use alloc::string::{String, ToString};
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};

use example_platform::devices::{Device, Interrupts, Waiting, Wiring};
use example_platform::pci::PciAccess;
use example_platform::{command_line, println};
use pattern::SECTOR;
use spin::{Mutex, Once};
use virtio_guest::device::block::{Block, HANDLED, RequestError, Sector, Settings, Storage};
use virtio_guest::hal::{Hal, Patience};
use virtio_guest::lifecycle::{VectorRouting, Wants};
use virtio_guest::transport::AnyTransport;

type Disk<'s, H> = Block<'s, AnyTransport<PciAccess>, H>;

/// The wiring of the disk, from when it is connected on.
static WIRING: Once<Wiring> = Once::new();

fn wiring() -> &'static Wiring {
    WIRING.get().expect("the disk is connected")
}

/// Waits that lasted until their deadline: a device that answers, and interrupts, leaves none.
static IN_VAIN: AtomicU64 = AtomicU64::new(0);

/// A wait that is counted if it lasts until its deadline. The driver looks once more then, so that the call itself may succeed.
struct Counted(Waiting);

impl Patience for Counted {
    fn keep_waiting(&mut self) -> bool {
        let goes_on = self.0.keep_waiting();
        IN_VAIN.fetch_add(u64::from(!goes_on), Ordering::Relaxed);
        goes_on
    }
}

fn patience() -> Counted {
    Counted(wiring().patience(10_000))
}

pub fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

/// A number from the command line.
pub fn argument(name: &str) -> Option<u64> {
    command_line().split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// What the driver keeps: too much for the stack.
static STORAGE: Mutex<Storage<1024>> = Mutex::new(Storage::new());

/// Has the driver keep its promises, on a disk whose addresses are those of `dma`. Gives the way to the disk back. To be called once.
pub fn check<H: Hal>(mut device: Device, dma: &H) -> Result<AnyTransport<PciAccess>, String> {
    let seed = argument("seed").ok_or("no seed= on the command line")?;
    println!("disk at {}", device.place);
    let wiring = device.connect(Some(Interrupts::asked_for()?.unwrap_or(Interrupts::None)))?;
    let notifications = wiring.kind != Interrupts::None;
    WIRING.call_once(|| wiring);
    let mut storage = STORAGE.lock();
    // Small requests, where many are wanted.
    let request_bytes = if argument("requests").is_some() { SECTOR as u32 } else { 4096 };
    let queue_size_max = argument("queue").map_or(u16::MAX, |size| size as u16);
    let settings = Settings { request_bytes, queue_size_max, notifications, ..Settings::default() };

    let mut disk = Block::start_with(
        device.transport,
        dma.clone(),
        &mut *storage,
        &settings,
        Wants::features(HANDLED),
        patience(),
    )
    .map_err(|error| error.to_string())?;
    describe(&mut disk);
    refusals(&mut disk)?;
    reads(&mut disk).map_err(|error| error.to_string())?;
    if disk.is_read_only() {
        let refused = disk.write_blocking(Sector(0), &[0; SECTOR], patience());
        ensure(refused == Err(RequestError::ReadOnly), "a read-only disk is not asked to write")?;
        println!("write refused: read-only");
    } else {
        writes(&mut disk, seed)?;
    }

    if let Some(requests) = argument("requests") {
        bursts(&mut disk, requests)?;
    }
    if let Some(requests) = argument("singles") {
        for _ in 0..requests {
            disk.read_blocking(Sector(0), &mut [0; SECTOR], patience()).map_err(|error| error.to_string())?;
        }
    }
    interrupts(&disk)?;

    let closed = disk.close(patience()).map_err(|failed| failed.error.to_string())?;
    let again = Block::start(closed.transport, dma.clone(), closed.storage, patience());
    let again = again.map_err(|error| error.to_string())?;
    println!("second bring-up: {} sectors", again.capacity_sectors());
    let closed = again.close(patience()).map_err(|failed| failed.error.to_string())?;
    Ok(closed.transport)
}

/// Reads the same sectors again and again, each as a burst of requests.
fn bursts<H: Hal>(disk: &mut Disk<'_, H>, requests: u64) -> Result<(), String> {
    let mut expected = vec![0; 256 * SECTOR];
    disk.read_blocking(Sector(0), &mut expected, patience()).map_err(|error| error.to_string())?;
    let sent = disk.statistics().chains;
    let mut read = vec![0; expected.len()];
    while disk.statistics().chains - sent < requests {
        read.fill(0);
        disk.read_blocking(Sector(0), &mut read, patience()).map_err(|error| error.to_string())?;
        ensure(read == expected, "each burst reads the same")?;
    }
    let statistics = disk.statistics();
    println!(
        "bursts: {} requests, {} notifications",
        statistics.chains - sent,
        statistics.notifications_sent
    );
    Ok(())
}

/// What interrupts did, and whether they came in the way that was asked for.
fn interrupts<H: Hal>(disk: &Disk<'_, H>) -> Result<(), String> {
    let (wiring, vectors) = (wiring(), disk.active_paths().vectors);
    // Where the host was quick, nothing was waited for yet; but something was sent.
    let mut patience = wiring.patience(1000);
    while wiring.kind != Interrupts::None && wiring.arrived() == 0 && patience.keep_waiting() {}
    let (arrived, calls) = (wiring.arrived(), disk.statistics().notifications_sent);
    println!(
        "interrupts: {} vectors={vectors:?} arrived={arrived} notifications={calls}",
        wiring.kind.name()
    );
    let expected = match wiring.kind {
        Interrupts::Messages => vectors != VectorRouting::NoVectors && arrived > 0,
        Interrupts::Line => vectors == VectorRouting::NoVectors && arrived > 0,
        Interrupts::None => arrived == 0,
    };
    ensure(expected, "the disk interrupts in the way that was asked for")?;
    ensure(IN_VAIN.load(Ordering::Relaxed) == 0, "nobody waits until a deadline")
}

fn describe<H: Hal>(disk: &mut Disk<'_, H>) {
    let paths = disk.active_paths();
    println!("capacity: {} sectors", disk.capacity_sectors());
    println!(
        "paths: layout={:?} in_order={} event_index={} indirect={} access_platform={} queue_size={} read_only={}",
        paths.ring.layout,
        paths.ring.in_order,
        paths.ring.event_index,
        paths.ring.indirect_segments.is_some(),
        paths.access_platform,
        paths.queue_size,
        disk.is_read_only()
    );
    match disk.device_id_blocking(patience()) {
        Ok(id) => println!("id: {id}"),
        Err(error) => println!("no id: {error}"),
    }
}

fn refusals<H: Hal>(disk: &mut Disk<'_, H>) -> Result<(), String> {
    let capacity = disk.capacity_sectors();
    let sent = disk.statistics().chains;
    let mut buffer = [0; 2 * SECTOR];
    let mut read =
        |sector, bytes: usize| disk.read_blocking(Sector(sector), &mut buffer[..bytes], patience()).err();
    ensure(read(0, 0) == Some(RequestError::Empty), "an empty buffer is refused")?;
    ensure(
        read(0, 100) == Some(RequestError::NotWholeSectors { bytes: 100 }),
        "part of a sector is refused",
    )?;
    for (sector, sectors) in [(capacity, 1), (capacity.saturating_sub(1), 2), (u64::MAX, 1)] {
        let expected = RequestError::OutOfRange { sector, sectors, capacity_sectors: capacity };
        ensure(read(sector, sectors as usize * SECTOR) == Some(expected), "a range past the end is refused")?;
    }
    ensure(disk.statistics().chains == sent, "the device was not asked")?;
    println!("refusals: ok");
    Ok(())
}

fn reads<H: Hal>(disk: &mut Disk<'_, H>) -> Result<(), RequestError> {
    for (first, count) in pattern::ranges_read(disk.capacity_sectors()) {
        let mut whole = vec![0; count as usize * SECTOR];
        disk.read_blocking(Sector(first), &mut whole, patience())?;
        println!("read {first} {count} {:016x}", pattern::checksum(&whole));

        let mut pieces = vec![0; whole.len()];
        let (head, rest) = pieces.split_at_mut(whole.len() / 3);
        let (middle, tail) = rest.split_at_mut(1);
        disk.read_vectored_blocking(Sector(first), &mut [head, middle, &mut [], tail], patience())?;
        println!("read {first} {count} {:016x}", pattern::checksum(&pieces));
    }
    Ok(())
}

fn writes<H: Hal>(disk: &mut Disk<'_, H>, seed: u64) -> Result<(), String> {
    for (first, count) in pattern::ranges_written(disk.capacity_sectors()) {
        let mut bytes = vec![0; count as usize * SECTOR];
        for (sector, into) in (first..).zip(bytes.chunks_mut(SECTOR)) {
            pattern::fill(seed, sector, into);
        }
        let (head, tail) = bytes.split_at(77);
        disk.write_vectored_blocking(Sector(first), &[head, &[], tail], patience())
            .map_err(|error| error.to_string())?;
        let mut back = vec![0; bytes.len()];
        disk.read_blocking(Sector(first), &mut back, patience()).map_err(|error| error.to_string())?;
        ensure(back == bytes, "what was written is read")?;
        println!("wrote {first} {count}");
    }
    disk.flush_blocking(patience()).map_err(|error| error.to_string())
}
