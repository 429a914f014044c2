//! A console with several ports, served by one loop: it asks each for what came, and sleeps when none has anything.
//!
//! Port 0 takes commands, a line each: `end` is one. Each other port sends back what comes in. What happens to ports is said on the machine's serial port: `port 3: opened`.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::interrupts::{idle, wait};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::console::{
    Control, ControlStorage, HANDLED, PortEvent, ReceiveQueue, Settings, Starting, Storage, TransmitQueue,
};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::ring::Rearmed;

use crate::{LIMIT_MILLIS, ensure};

/// Ports at most.
const PORTS_MAX: u16 = 9;
/// Their queues, and those of control messages.
const QUEUES_MAX: usize = 2 * PORTS_MAX as usize + 2;
/// How much is taken from a port before the next one has its turn.
const PIECE_BYTES: usize = 1500;
/// How long nothing at all may happen.
const SILENCE: Duration = Duration::from_millis(LIMIT_MILLIS);

static SIGNALS: Signals<QUEUES_MAX> = Signals::new();

/// A port's queues, and what is on its way back.
struct Port {
    receive: ReceiveQueue<'static, Dma>,
    transmit: TransmitQueue<'static, Dma>,
    /// What came in and did not go out yet, from `sent` on.
    piece: Vec<u8>,
    sent: usize,
    bytes: u64,
}

impl Port {
    /// Takes what came, if what came before is gone, and sends on what there is room for. Says whether there was anything to do.
    fn turn(&mut self) -> Result<bool, String> {
        let mut was_busy = false;
        if self.sent == self.piece.len() {
            self.sent = 0;
            self.piece.resize(PIECE_BYTES, 0);
            let count = self.receive.read(&mut self.piece).map_err(|broken| broken.to_string())?;
            self.piece.truncate(count);
            was_busy = count > 0;
        }
        let left = self.piece.get(self.sent..).unwrap_or(&[]);
        if !left.is_empty() {
            let count = self.transmit.write(left).map_err(|broken| broken.to_string())?;
            self.transmit.flush().map_err(|broken| broken.to_string())?;
            self.sent += count;
            self.bytes += count as u64;
            was_busy |= count > 0;
        }
        Ok(was_busy)
    }

    /// Asks for an interrupt by the queue that is waited for, and says whether there is nothing to do yet.
    fn is_quiet(&mut self) -> bool {
        let has_room = self.sent == self.piece.len();
        let rearmed = if has_room { self.receive.rearm() } else { self.transmit.rearm() };
        rearmed == Rearmed::Quiet
    }
}

/// What is on its way through a port is of no use to whoever is there next.
fn forget(ports: &mut [Port], number: u16) -> Result<(), String> {
    let Some(port) = ports.get_mut(usize::from(number)) else { return Ok(()) };
    (port.sent, port.piece) = (0, alloc::vec![0; PIECE_BYTES]);
    while port.receive.read(&mut port.piece).map_err(|broken| broken.to_string())? > 0 {}
    port.piece.clear();
    Ok(())
}

/// Says what happened, and opens ports that are there.
fn handle(
    event: &PortEvent,
    control: &mut Control<'static, Way, Dma>,
    ports: &mut [Port],
) -> Result<(), String> {
    match *event {
        PortEvent::Added(port) => {
            println!("port {port}: added");
            control.open_port(port).map_err(|error| error.to_string())?;
        }
        PortEvent::Removed(port) => {
            forget(ports, port)?;
            println!("port {port}: removed");
        }
        PortEvent::Named(port) => {
            let name = control.port(port).and_then(|port| port.name).unwrap_or("");
            println!("port {port}: named {name}");
        }
        PortEvent::Opened(port) => println!("port {port}: opened"),
        PortEvent::Closed(port) => {
            forget(ports, port)?;
            println!("port {port}: closed");
        }
        PortEvent::Console(port) => println!("port {port}: is a console"),
        PortEvent::Resized(port) => println!("port {port}: resized"),
    }
    Ok(())
}

/// A line that came in through port 0.
fn command(port: &mut Port, line: &mut Vec<u8>) -> Result<Option<String>, String> {
    let mut byte = [0];
    while port.receive.read(&mut byte).map_err(|broken| broken.to_string())? == 1 {
        if byte == *b"\n" {
            let words = String::from_utf8_lossy(line).into_owned();
            line.clear();
            return Ok(Some(words));
        }
        line.extend(byte);
    }
    Ok(None)
}

pub fn run() -> Result<(), String> {
    let mut device = devices::take_console()?;
    println!("console at {}", device.place);
    let prepared = device.prepare(Interrupts::asked_for()?, &[0; QUEUES_MAX])?;
    let patience = || clock::within_millis(LIMIT_MILLIS);
    let notifications = prepared.kind != Interrupts::None;
    let settings = Settings { ports_max: PORTS_MAX, notifications, ..Settings::default() };
    let mut console = Starting::begin(device.transport, &settings, Wants::features(HANDLED), patience())
        .map_err(|error| error.to_string())?;
    let mut idle_ports = Vec::new();
    for _ in 0..console.ports() {
        let storage: &'static mut Storage<128> = Box::leak(Box::default());
        idle_ports.push(console.install_port(&DMA, storage).map_err(|failed| failed.to_string())?);
    }
    let storage: &'static mut ControlStorage<{ PORTS_MAX as usize }> = Box::leak(Box::default());
    console.install_control(&DMA, storage).map_err(|failed| failed.to_string())?;
    let mut control = console.start().map_err(|failed| failed.to_string())?;
    let mut ports = Vec::new();
    for port in idle_ports {
        let (receive, transmit) = control.activate(port);
        ports.push(Port { receive, transmit, piece: Vec::new(), sent: 0, bytes: 0 });
    }
    let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS))?;
    println!("interrupts: {} ({:?})", wiring.kind.name(), control.vectors());
    println!("features: {:?}, ports at most: {}", control.features(), control.ports_max());
    println!("ports: ready");

    let before = idle();
    serve(&mut control, &mut ports, &wiring)?;
    for (number, port) in ports.iter().enumerate() {
        println!("port {number}: {} bytes went back", port.bytes);
    }
    println!("counts: {:?}", control.counts());
    println!("interrupts that arrived: {}, sleeps: {}", wiring.arrived(), idle().sleeps - before.sleeps);

    let down = control.take_down(patience()).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    for Port { receive, transmit, .. } in ports {
        receive.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
        transmit.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    }
    Ok(())
}

/// The loop.
fn serve(
    control: &mut Control<'static, Way, Dma>,
    ports: &mut [Port],
    wiring: &Wiring,
) -> Result<(), String> {
    let (mut line, mut last_busy) = (Vec::new(), clock::now());
    loop {
        let mut was_busy = false;
        while let Some(event) = control.next_event().map_err(|error| error.to_string())? {
            handle(&event, control, ports)?;
            was_busy = true;
        }
        let Some((first, others)) = ports.split_first_mut() else { return Err("no port".into()) };
        if let Some(words) = command(first, &mut line)? {
            ensure(words == "end", "port 0 is told to end")?;
            return Ok(());
        }
        for port in others.iter_mut() {
            was_busy |= port.turn()?;
        }
        let is_quiet = control.rearm_events() == Rearmed::Quiet
            && first.receive.rearm() == Rearmed::Quiet
            && others.iter_mut().all(Port::is_quiet);
        if was_busy {
            last_busy = clock::now();
        } else if clock::since(last_busy) > SILENCE {
            return Err("nothing happened for a long time".into());
        } else if is_quiet && wiring.kind != Interrupts::None {
            wait(clock::now() + SILENCE);
        }
    }
}
