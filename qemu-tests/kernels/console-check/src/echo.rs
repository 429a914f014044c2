//! A console with one port: so many bytes come in, and go out again.
//!
//! In one of three ways: with calls that never wait (the program sleeps by itself), with calls that do, or with a task.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Interrupts, Wiring};
use example_platform::interrupts::{idle, wait};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::console::{Console, HANDLED, ReceiveQueue, Settings, Storage, TransmitQueue};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::{QueueSignal, Signals, Wants};
use virtio_guest::ring::Rearmed;

use crate::executor::Executor;
use crate::pattern::checksum;
use crate::{LIMIT_MILLIS, argument, ensure};

static SIGNALS: Signals<2> = Signals::new();

/// What is waited for.
#[derive(Clone, Copy)]
enum Wanted {
    Bytes,
    Room,
}

/// Both queues, and what has come through them.
struct Port<'w> {
    receive: ReceiveQueue<'static, Dma>,
    transmit: TransmitQueue<'static, Dma>,
    wiring: &'w Wiring,
    received: Vec<u8>,
}

impl Port<'_> {
    /// Sleeps until there is something to read, or room to write, unless it is there now.
    fn sleep(&mut self, wanted: Wanted, patience: &mut impl Patience) -> Result<(), String> {
        let rearmed = match wanted {
            Wanted::Bytes => self.receive.rearm(),
            Wanted::Room => self.transmit.rearm(),
        };
        if rearmed == Rearmed::Quiet && self.wiring.kind != Interrupts::None {
            wait(clock::now() + Duration::from_secs(1));
        }
        ensure(patience.keep_waiting(), "the host sends all it is to send, in time")
    }

    /// With calls that never wait.
    fn look(&mut self, bytes: usize) -> Result<(), String> {
        let mut piece = [0; 700];
        while self.received.len() < bytes {
            let mut patience = clock::within_millis(LIMIT_MILLIS);
            let count = loop {
                match self.receive.read(&mut piece).map_err(|broken| broken.to_string())? {
                    0 => self.sleep(Wanted::Bytes, &mut patience)?,
                    count => break count,
                }
            };
            let mut left = piece.get(..count).unwrap_or(&[]);
            self.received.extend(left);
            while !left.is_empty() {
                match self.transmit.write(left).map_err(|broken| broken.to_string())? {
                    0 => self.sleep(Wanted::Room, &mut patience)?,
                    count => left = left.get(count..).unwrap_or(&[]),
                }
            }
            self.transmit.flush().map_err(|broken| broken.to_string())?;
        }
        self.transmit.drain_blocking(self.wiring.patience(LIMIT_MILLIS)).map_err(|error| error.to_string())
    }

    /// With calls that wait.
    fn block(&mut self, bytes: usize) -> Result<(), String> {
        let mut piece = [0; 700];
        while self.received.len() < bytes {
            let count = self.receive.read_blocking(&mut piece, self.wiring.patience(LIMIT_MILLIS));
            let read = piece.get(..count.map_err(|error| error.to_string())?).unwrap_or(&[]);
            self.received.extend(read);
            let written = self.transmit.write_all_blocking(read, self.wiring.patience(LIMIT_MILLIS));
            written.map_err(|error| error.to_string())?;
            self.transmit.flush().map_err(|broken| broken.to_string())?;
        }
        self.transmit.drain_blocking(self.wiring.patience(LIMIT_MILLIS)).map_err(|error| error.to_string())
    }

    /// As a task.
    async fn await_all(&mut self, bytes: usize, signals: [&QueueSignal; 2]) -> Result<(), String> {
        let [received, sent] = signals;
        let mut piece = [0; 700];
        while self.received.len() < bytes {
            let count = self.receive.read_some(&mut piece, received).await;
            let read = piece.get(..count.map_err(|error| error.to_string())?).unwrap_or(&[]);
            self.received.extend(read);
            self.transmit.write_all(read, sent).await.map_err(|error| error.to_string())?;
            self.transmit.flush().map_err(|broken| broken.to_string())?;
        }
        self.transmit.drained(sent).await.map_err(|error| error.to_string())
    }
}

pub fn run() -> Result<(), String> {
    let bytes =
        argument("bytes").and_then(|word| word.parse().ok()).ok_or("no bytes= on the command line")?;
    let mut device = devices::take_console()?;
    println!("console at {}", device.place);
    let prepared = device.prepare(Interrupts::asked_for()?, &[0, 0])?;
    let storage: &'static mut Storage<128> = Box::leak(Box::default());
    let settings = Settings { notifications: prepared.kind != Interrupts::None, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(LIMIT_MILLIS));
    let console = Console::start_with(device.transport, DMA, storage, &settings, wants, patience);
    let (mut control, receive, transmit) = console.map_err(|failed| failed.to_string())?.split();
    let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS))?;
    println!("interrupts: {} ({:?})", wiring.kind.name(), control.vectors());
    println!("features: {:?}, path: {:?}", control.features(), receive.active_path());
    println!("size: {:?}", control.size().map_err(|error| error.to_string())?);
    println!("echo: ready");

    let before = idle();
    let mut port = Port { receive, transmit, wiring: &wiring, received: Vec::with_capacity(bytes) };
    match argument("way") {
        Some("looking") => port.look(bytes)?,
        Some("blocking") => port.block(bytes)?,
        Some("tasks") => {
            let interrupts = control.interrupts().ok_or("the console does not interrupt")?;
            let signals =
                [port.receive.index(), port.transmit.index()].map(|index| interrupts.queue_signal(index));
            let [Some(received), Some(sent)] = signals else { return Err("a queue has no signal".into()) };
            let mut tasks = Executor::new();
            tasks.spawn("echo".into(), port.await_all(bytes, [received, sent]));
            tasks.run()?;
        }
        other => return Err(alloc::format!("way={other:?} is not known")),
    }
    let Port { receive, transmit, received, .. } = port;
    println!("received: {} bytes, checksum {:016x}", received.len(), checksum(&received));
    println!("transmitted: {:?}", transmit.statistics());
    let halted = idle().time.saturating_sub(before.time);
    println!("interrupts that arrived: {}, halted: {} ms", wiring.arrived(), halted.as_millis());

    let down =
        control.take_down(clock::within_millis(LIMIT_MILLIS)).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    receive.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    transmit.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    Ok(())
}
