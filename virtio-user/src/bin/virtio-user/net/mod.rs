//! `virtio-user net`: a port of a back-end, and a network card at it.

mod forward;
mod numbered;
mod ping;
mod receive;
mod speech;
mod taken;
mod transmit;

use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use virtio_guest::device::net::{FramePool, MacAddress, PLAIN, PoolSettings};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::ring::Layout;
use virtio_user::SharedMemory;
use virtio_user::memory::SharedHal;
use virtio_user::session::{Card, CardSettings};

use crate::connection::Connection;
use crate::failure::Failure;

/// Frames that are handed over together.
const BURST: usize = 32;
/// Descriptors of a queue,
const DESCRIPTORS: u16 = 256;
/// and buffers behind it.
const BUFFERS: u32 = 1024;

/// What `virtio-user net` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Transmits numbered frames
    #[command(after_help = "Example:\n  virtio-user net transmit /tmp/port --seconds 5 --bytes 64")]
    Transmit(transmit::Options),
    /// Receives frames, and says which of the numbered ones are missing
    #[command(after_help = "Example:\n  virtio-user net receive /tmp/port --count 1000000")]
    Receive(receive::Options),
    /// Hands on what comes in at one port to the other one, both ways
    #[command(after_help = "Example:\n  virtio-user net forward /tmp/port0 /tmp/port1")]
    Forward(forward::Options),
    /// Asks a station for an answer (ARP, then ICMP), and answers those that ask
    #[command(
        after_help = "Example:\n  virtio-user net ping /tmp/port 10.0.0.1 --from 10.0.0.2\n  virtio-user net ping /tmp/port --from 10.0.0.1 --seconds 60        only answers"
    )]
    Ping(ping::Options),
}

/// What all commands ask of a card.
#[derive(Clone, Debug, Args)]
pub struct OfCard {
    /// The card's address (without: any)
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub mac: Option<MacAddress>,
    #[command(flatten)]
    pub connection: Connection,
}

/// Does what was asked for.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Transmit(options) => transmit::run(&options),
        Command::Receive(options) => receive::run(&options),
        Command::Forward(options) => forward::run(&options),
        Command::Ping(options) => ping::run(&options),
    }
}

/// A card's address, as it is written.
pub fn address(text: &str) -> Result<MacAddress, String> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2)).collect();
    let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("{text} is no address such as 52:54:00:12:34:56"))
}

/// Any address that nobody else has.
fn any_address() -> MacAddress {
    let [a, b, c, d, ..] = fastrand::u64(..).to_ne_bytes();
    [0x52, 0x54, a, b, c, d]
}

/// Frames for each of a card's pairs of queues.
pub fn pools<'p>(memory: &SharedMemory, pairs: u16) -> Result<Vec<FramePool<'p, SharedHal>>, Failure> {
    (0..pairs).map(|_| pool(memory)).collect()
}

/// Frames.
pub fn pool<'p>(memory: &SharedMemory) -> Result<FramePool<'p, SharedHal>, Failure> {
    FramePool::new(&memory.hal(), PoolEntries::allocate(BUFFERS), PoolSettings::default())
        .map_err(|_| Failure::with("the shared memory is too small", "share more with --memory MIB"))
}

impl OfCard {
    /// The card's address.
    pub fn address(&self) -> MacAddress {
        self.mac.unwrap_or_else(any_address)
    }

    /// A card at the port with this socket, which receives into frames of these pools.
    pub fn connect<'p>(
        &self,
        socket: &Path,
        memory: &SharedMemory,
        pools: &'p [FramePool<'p, SharedHal>],
        mac: MacAddress,
    ) -> Result<Card<'p>, Failure> {
        let connection = &self.connection;
        let front_end = virtio_user::Settings { mac: Some(mac), ..connection.settings() };
        let settings = CardSettings {
            front_end,
            descriptors: DESCRIPTORS,
            wants: Wants::features(PLAIN).without(connection.unwanted()),
            wait: connection.wait(),
        };
        let supplies = pools.iter().filter_map(FramePool::supply);
        let mut card = Card::connect(connection.back_end(socket)?, memory, supplies, settings)?;
        let layout = card.queues(0).map(|(receive, _)| receive.active_path().layout);
        connection.check_layout(layout == Some(Layout::Packed))?;
        Ok(card)
    }

    /// Lets time pass when nothing was done.
    pub fn rest(&self, card: &mut Card<'_>) {
        if self.connection.interrupts {
            card.wait(Duration::from_millis(100));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// How many in each second.
#[derive(Debug)]
pub struct Rate {
    what: &'static str,
    start: Instant,
    said: Instant,
    said_count: u64,
    looks: u32,
}

impl Rate {
    /// From now on.
    pub fn new(what: &'static str) -> Self {
        let now = Instant::now();
        Self { what, start: now, said: now, said_count: 0, looks: 0 }
    }

    /// So many there have been. Says so once in a second; and whether more time than this has gone by.
    pub fn is_over(&mut self, count: u64, limit: Option<Duration>) -> bool {
        // The clock is asked now and then.
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(16) {
            return false;
        }
        let now = Instant::now();
        if now - self.said >= Duration::from_secs(1) {
            let rate = per_second(count - self.said_count, now - self.said);
            eprintln!("{} {rate:.0} frames/s", self.what);
            (self.said, self.said_count) = (now, count);
        }
        limit.is_some_and(|limit| now - self.start >= limit)
    }

    /// All in all.
    pub fn total(&self, count: u64) -> impl Display + use<> {
        let time = self.start.elapsed();
        let (what, rate, seconds) = (self.what, per_second(count, time), time.as_secs_f64());
        format!("{what} {count} frames in {seconds:.2} s, {rate:.0} frames/s")
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}
