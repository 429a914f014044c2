//! Interrupts that a program handles itself: on the processor that they are for, while that waits, and at no other time.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use example_platform::devices::{self, Interrupts};
use example_platform::interrupts::{Idle, Source, idle, wait};
use example_platform::pci::PciAccess;
use example_platform::{DMA, clock, cpus, println};
use spin::{Mutex, Once};
use virtio_guest::device::block::{Block, HANDLED, Sector, Settings, Storage};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::Wants;
use virtio_guest::transport::{AnyTransport, Transport};
use virtio_guest::wire::device_type::DeviceType;

type Way = AnyTransport<PciAccess>;

/// Processors that wait for a disk each, the first one for nothing, and one more is never started.
const PROCESSORS: usize = 3;
/// As many reads as there are at least, and at most.
const READS: u64 = 8;
const READS_MAX: u64 = 100;
const LIMIT_MILLIS: u64 = 10_000;
/// How long the first processor waits for nothing, again and again, while others' disks interrupt.
const UNDISTURBED: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(20);

/// What happens at a processor.
struct Seen {
    waits: AtomicBool,
    handled: AtomicU64,
    /// Handlers' time.
    handling: Mutex<Duration>,
    disk: Mutex<Option<Way>>,
    idle: Once<Idle>,
}

static SEEN: [Seen; PROCESSORS] = [const {
    Seen {
        waits: AtomicBool::new(false),
        handled: AtomicU64::new(0),
        handling: Mutex::new(Duration::ZERO),
        disk: Mutex::new(None),
        idle: Once::new(),
    }
}; PROCESSORS];

/// The first promise that was broken.
static BROKEN: Once<String> = Once::new();

fn ensure(holds: bool, promise: &str) {
    if !holds {
        BROKEN.call_once(|| promise.to_string());
    }
}

fn verdict() -> Result<(), String> {
    BROKEN.get().map_or(Ok(()), |promise| Err(alloc::format!("broken promise: {promise}")))
}

/// A handler that takes some time, and sees to it that it runs where and when it should.
fn handled_at(processor: usize) {
    ensure(cpus::current() == processor, "a message is handled by the processor that it is for");
    ensure(SEEN[processor].waits.load(Ordering::SeqCst), "a handler runs while its processor waits");
    let start = clock::now();
    let mut work = clock::within_millis(1);
    while work.keep_waiting() {}
    *SEEN[processor].handling.lock() += clock::since(start);
    SEEN[processor].handled.fetch_add(1, Ordering::SeqCst);
}

/// Patience that sleeps, but looks for a while first whether something interrupts all the same.
struct Nap(Duration);

impl Nap {
    fn new() -> Self {
        Self(clock::now() + Duration::from_millis(LIMIT_MILLIS))
    }
}

impl Patience for Nap {
    fn keep_waiting(&mut self) -> bool {
        let seen = &SEEN[cpus::current()];
        let before = seen.handled.load(Ordering::SeqCst);
        let mut look = clock::within_millis(2);
        while look.keep_waiting() {}
        let unchanged = seen.handled.load(Ordering::SeqCst) == before;
        ensure(unchanged, "nothing interrupts a program that does not wait");
        let spent = || idle().time + *seen.handling.lock();
        let (start, before) = (clock::now(), spent());
        seen.waits.store(true, Ordering::SeqCst);
        wait(self.0);
        seen.waits.store(false, Ordering::SeqCst);
        let most = before + clock::since(start);
        ensure(spent() <= most, "a processor is halted or runs a handler, not both");
        let in_time = clock::now() < self.0;
        ensure(in_time, "an interrupt ends a wait");
        in_time
    }
}

/// Reads sectors, asleep meanwhile, as long as that is said. Some reads are done before their caller can fall asleep.
fn read_while(transport: Way, goes_on: impl Fn() -> bool) -> Result<(), String> {
    let settings = Settings { notifications: true, ..Settings::default() };
    let storage: &'static mut Storage<256> = Box::leak(Box::default());
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(LIMIT_MILLIS));
    let disk = Block::start_with(transport, DMA, storage, &settings, wants, patience);
    let mut disk = disk.map_err(|error| error.to_string())?;
    for _ in (0..READS_MAX).take_while(|read| *read < READS || goes_on()) {
        let read = disk.read_blocking(Sector(0), &mut [0; 512], Nap::new());
        read.map_err(|error| error.to_string())?;
    }
    disk.close(clock::within_millis(LIMIT_MILLIS)).map(|_| ()).map_err(|failed| failed.error.to_string())
}

/// A disk interrupts in the way that was asked for, with a handler that counts at first not as a cause what it sees.
pub fn handlers() -> Result<(), String> {
    static IS_HEEDED: AtomicBool = AtomicBool::new(false);
    // SAFETY: this program is all there is, and it opens the disk once.
    let mut device = unsafe { devices::open_first(DeviceType::BLOCK) }?.ok_or("there is no disk")?;
    let elsewhere = device.connect_at(Some(Interrupts::Line), 1);
    ensure(elsewhere.is_err(), "lines interrupt the processor that booted");
    let (address, line, mut transport) = (device.address(), device.line(), device.transport);
    let is_cause = || {
        handled_at(0);
        IS_HEEDED.load(Ordering::SeqCst)
    };
    let source = match Interrupts::asked_for()?.ok_or("no interrupts= on the command line")? {
        Interrupts::Messages => {
            let (source, message) = address.and_then(Source::message).ok_or("there are no messages")?;
            transport.enable_msi_x(&[message]).map_err(|error| error.to_string())?;
            source.attach(is_cause)?;
            source
        }
        Interrupts::Line => {
            let register = transport.use_interrupt_line().ok_or("the device has no line")?;
            let handler = move || {
                let cause = register.acknowledge();
                (cause.used_buffer || cause.configuration_change) && is_cause()
            };
            let source = line.and_then(|line| Source::shared_line(line, handler));
            source.ok_or("the line is not to be had")?
        }
        Interrupts::None => return Err("nothing interrupts".into()),
    };
    ensure(source.attach(|| true).is_err(), "a source has one handler");
    let handled = || SEEN[0].handled.load(Ordering::SeqCst);
    read_while(transport, || {
        if handled() > 0 && !IS_HEEDED.load(Ordering::SeqCst) {
            ensure(source.arrived() == 0, "what its handler has no cause for is not counted");
            IS_HEEDED.store(true, Ordering::SeqCst);
        }
        source.arrived() == 0
    })?;
    ensure((1..handled()).contains(&source.arrived()), "what its handler has a cause for is counted");
    println!("handled: {}, with a cause: {}", handled(), source.arrived());
    verdict()
}

/// Each processor but the first has a disk, which sends its messages to it.
pub fn messages() -> Result<(), String> {
    // SAFETY: this program is all there is, and it opens the disks once.
    let mut disks = unsafe { devices::open_all(DeviceType::BLOCK) }?.into_iter();
    let mut wirings = Vec::new();
    for (processor, seen) in SEEN.iter().enumerate().skip(1) {
        let mut disk = disks.next().ok_or("there are too few disks")?;
        let address = disk.address().ok_or("the disk is no PCI function")?;
        let early = Source::message_at(address, processor);
        ensure(early.is_none(), "no message is for a processor that was not started");
        cpus::start(processor, read_own_disk)?;
        let wiring = disk.connect_at(Some(Interrupts::Messages), processor)?;
        let is_cause = move || {
            handled_at(processor);
            true
        };
        wiring.sources.iter().try_for_each(|source| source.attach(is_cause))?;
        wirings.push(wiring);
        *seen.disk.lock() = Some(disk.transport);
    }
    let end = clock::now() + UNDISTURBED;
    // On a busy host it may take longer until a processor is halted in time.
    while clock::now() < end || idle().sleeps == 0 {
        let until = clock::now() + NAP;
        wait(until);
        ensure(clock::now() >= until, "what interrupts another processor ends no wait");
    }
    let mut patience = clock::within_millis(LIMIT_MILLIS);
    while SEEN[1..].iter().any(|seen| !seen.idle.is_completed()) {
        if !patience.keep_waiting() {
            verdict()?;
            return Err("the processors do not come to an end".into());
        }
    }
    for (seen, wiring) in SEEN[1..].iter().zip(wirings) {
        let handled = seen.handled.load(Ordering::SeqCst);
        ensure(handled == wiring.arrived(), "each message is handled, and counted");
        ensure(handled > 0, "what is waited for interrupts");
        println!("{handled} interrupts, {:?}", seen.idle.get());
    }
    ensure(SEEN[0].handled.load(Ordering::SeqCst) == 0, "nothing is for the first processor");
    verdict()
}

/// What processors do that have a disk.
fn read_own_disk(processor: usize) {
    let seen = &SEEN[processor];
    let mut patience = clock::within_millis(LIMIT_MILLIS);
    let transport = loop {
        if let Some(transport) = seen.disk.lock().take() {
            break transport;
        }
        if !patience.keep_waiting() {
            return ensure(false, "a processor gets its disk");
        }
    };
    if let Err(error) = read_while(transport, || idle().sleeps == 0) {
        println!("processor {processor}: {error}");
        ensure(false, "a disk is read");
    }
    ensure(idle().sleeps > 0, "a processor that waits is halted");
    seen.idle.call_once(idle);
}
