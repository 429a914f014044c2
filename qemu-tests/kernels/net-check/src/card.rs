//! A network card that is up, with a pair of queues for each of some processors.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Device, Interrupts, Way, Wiring};
use example_platform::interrupts::wait;
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::net::{
    Control, ControlStorage, Frame, FramePool, HANDLED, Offload, PLAIN, PairStorage, PoolSettings,
    ReceiveQueue, Settings, Starting, TransmitError, TransmitQueue,
};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::{Condition, Signals, VectorRouting, Wants};
use virtio_guest::raw::PoolStorage;
use virtio_guest::ring::Rearmed;

use crate::frames::{Host, Packet};
use crate::{argument, ensure, number};

/// Most pairs of queues.
pub const PAIRS_MAX: usize = 4;
/// Their queues, and that of commands.
const QUEUES_MAX: usize = 2 * PAIRS_MAX + 1;
/// Buffers of each pair: enough for a full ring, and for frames of 64 KiB beside it. Chains of 32 for such frames take all of them but 16, which are left for answers.
const BUFFERS: usize = 33 * 32 + 16;
/// How long the card may take for something.
pub const LIMIT_MILLIS: u64 = 5000;

static SIGNALS: Signals<QUEUES_MAX> = Signals::new();

/// A pair of queues, which one processor uses.
pub struct Pair {
    pub receive: ReceiveQueue<'static, Dma>,
    pub transmit: TransmitQueue<'static, Dma>,
    /// What its processor waits for.
    pub interrupts: Interrupts,
    /// Who this machine is.
    pub own: Host,
}

/// See the module's head.
pub struct Card {
    pub control: Control<'static, Way, Dma>,
    pub pairs: Vec<Pair>,
    pub wiring: Wiring,
    link_is_up: bool,
}

/// A card that was started, without interrupts as yet.
struct Started {
    control: Control<'static, Way, Dma>,
    queues: Vec<(ReceiveQueue<'static, Dma>, TransmitQueue<'static, Dma>)>,
    own: Host,
}

/// Sleeps until there may be something to do, at most for so long.
pub fn nap(interrupts: Interrupts, longest: Duration) {
    match interrupts {
        Interrupts::None => core::hint::spin_loop(),
        Interrupts::Messages | Interrupts::Line => wait(clock::now() + longest),
    }
}

impl Pair {
    /// Asks for interrupts, and says whether there is nothing to do yet: no frame came, and if there is no room for any, none was sent that would be.
    pub fn is_quiet(&mut self) -> bool {
        let is_starved = self.receive.in_flight() == 0;
        self.receive.rearm() == Rearmed::Quiet && (!is_starved || self.transmit.rearm() == Rearmed::Quiet)
    }

    /// Sends a frame; waits for room.
    pub fn send(&mut self, frame: Frame<'static, Dma>) -> Result<(), String> {
        let mut patience = clock::within_millis(LIMIT_MILLIS);
        let mut next = frame;
        loop {
            match self.transmit.transmit(next) {
                Ok(()) => return Ok(()),
                Err(refused) if refused.error == TransmitError::Full && patience.keep_waiting() => {
                    next = refused.frame;
                }
                Err(refused) => return Err(refused.error.to_string()),
            }
            self.transmit.reap().map_err(|broken| broken.to_string())?;
        }
    }

    /// Sends bytes, with what is left to the card.
    pub fn send_bytes(&mut self, bytes: &[u8], offload: Offload) -> Result<(), String> {
        let mut patience = clock::within_millis(LIMIT_MILLIS);
        let mut frame = loop {
            match self.receive.supply().frame_for(bytes.len()) {
                Some(frame) => break frame,
                // Frames that were sent come back.
                None if patience.keep_waiting() => {
                    self.transmit.reap().map_err(|broken| broken.to_string())?;
                }
                None => return Err("no frame of that length is free".into()),
            }
        };
        frame.append(bytes).map_err(|error| error.to_string())?;
        frame.set_offload(offload);
        self.send(frame)
    }

    /// Waits until everything was sent.
    pub fn drain(&mut self) -> Result<(), String> {
        let mut patience = clock::within_millis(LIMIT_MILLIS);
        while self.transmit.in_flight() > 0 && patience.keep_waiting() {
            self.transmit.reap().map_err(|broken| broken.to_string())?;
        }
        ensure(self.transmit.in_flight() == 0, "everything is sent")
    }

    /// Answers a packet, from this card's own address, whatever it was sent to.
    pub fn answer(&mut self, packet: &Packet, words: String) -> Result<(), String> {
        let mut answer = packet.answer(words.into_bytes());
        answer.from.mac = self.own.mac;
        self.send_packet(&answer)
    }

    /// Sends a packet, finished.
    pub fn send_packet(&mut self, packet: &Packet) -> Result<(), String> {
        self.send_bytes(&packet.frame(), Offload::default())
    }
}

/// The bytes of a frame.
pub fn bytes(frame: &Frame<'static, Dma>) -> Result<Vec<u8>, String> {
    let mut bytes = alloc::vec![0; frame.len()];
    frame.read(0, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

impl Started {
    fn new(transport: Way, pairs: u16, notifications: bool) -> Result<Self, String> {
        let settings = Settings { pairs_max: pairs, notifications, ..Settings::default() };
        let features = if argument("features") == Some("plain") { PLAIN } else { HANDLED };
        let patience = clock::within_millis(LIMIT_MILLIS);
        let card = Starting::begin(transport, &settings, Wants::features(features), patience);
        let mut card = card.map_err(|error| error.to_string())?;
        ensure(card.pairs() == pairs, "the card has a pair of queues for each processor")?;
        let mut installed = Vec::new();
        for _ in 0..pairs {
            let storage = Box::leak(Box::new(PoolStorage::<BUFFERS>::new()));
            let pool = FramePool::new(&DMA, storage, PoolSettings::default());
            let pool = Box::leak(Box::new(pool.map_err(|error| error.to_string())?));
            let supply = pool.supply().ok_or("a new pool has its supply")?;
            let storage: &'static mut PairStorage<'static, Dma, 256> = Box::leak(Box::default());
            installed.push(card.install_pair(&DMA, storage, supply).map_err(|failed| failed.to_string())?);
        }
        let storage: &'static mut ControlStorage = Box::leak(Box::default());
        card.install_control(&DMA, storage).map_err(|failed| failed.to_string())?;
        let control = card.start();
        let number = u8::try_from(number("number", 2)?).map_err(|error| error.to_string())?;
        let own = Host { mac: control.mac(), number };
        let queues = installed.into_iter().map(|pair| control.activate(pair)).collect();
        Ok(Self { control, queues, own })
    }
}

/// Takes the first card.
pub fn take() -> Result<Device, String> {
    let device = devices::take_network_cards()?.remove(0);
    println!("card at {}", device.place);
    Ok(device)
}

impl Card {
    /// Brings the first card up, with a pair for each processor.
    pub fn start(processors: usize) -> Result<Self, String> {
        Self::bring_up(take()?, processors)
    }

    /// The same for a card that was taken before.
    pub fn bring_up(mut device: Device, processors: usize) -> Result<Self, String> {
        let pairs = u16::try_from(processors).map_err(|error| error.to_string())?;
        // Both queues of a pair interrupt its processor; commands are waited for by the first.
        let queues: Vec<usize> = (0..processors).flat_map(|processor| [processor; 2]).chain([0]).collect();
        let prepared = device.prepare(Interrupts::asked_for()?, &queues)?;
        let Started { mut control, queues, own } =
            Started::new(device.transport, pairs, prepared.kind != Interrupts::None)?;
        let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS))?;
        let interrupts = match control.vectors() {
            VectorRouting::PerQueue => wiring.kind,
            _ if processors == 1 => wiring.kind,
            _ => Interrupts::None,
        };
        println!("interrupts: {} ({:?})", interrupts.name(), control.vectors());
        println!("features: {:?}", control.features());
        if pairs > 1 {
            let patience = clock::within_millis(LIMIT_MILLIS);
            control.set_pairs(pairs, patience).map_err(|error| error.to_string())?;
        }
        let pairs = queues.into_iter().map(|(receive, transmit)| Pair { receive, transmit, interrupts, own });
        let pairs: Vec<Pair> = pairs.collect();
        if let Some(pair) = pairs.first() {
            println!("paths: {:?}", pair.receive.active_path());
        }
        Ok(Self { control, pairs, wiring, link_is_up: true })
    }

    /// Whether its link went down or came up since this was last asked. A card that interrupts says when to look; at another's registers one has to.
    pub fn link_change(&mut self) -> Result<Option<bool>, String> {
        if self.wiring.kind != Interrupts::None {
            let Some(condition) = self.control.take_configuration_change() else { return Ok(None) };
            ensure(condition == Condition::Live, "a card whose link changes is alive")?;
        }
        let is_up = self.control.link().map_err(|error| error.to_string())?.is_up;
        if self.link_is_up == is_up {
            return Ok(None);
        }
        self.link_is_up = is_up;
        println!("link: {}", if is_up { "up" } else { "down" });
        Ok(Some(is_up))
    }

    /// Resets it and starts it anew, with new queues: what is in the old ones is lost. For a card with one pair that does not interrupt.
    pub fn reset(self, pairs: Vec<Pair>) -> Result<Self, String> {
        let Self { control, wiring, link_is_up, .. } = self;
        ensure(wiring.kind == Interrupts::None, "a card that is reset does not interrupt")?;
        let transport = take_down(control, pairs)?;
        let Started { control, queues, own } = Started::new(transport, 1, false)?;
        let interrupts = Interrupts::None;
        let pairs = queues.into_iter().map(|(receive, transmit)| Pair { receive, transmit, interrupts, own });
        println!("reset");
        Ok(Self { control, pairs: pairs.collect(), wiring, link_is_up })
    }

    /// Takes it down: everything is sent, and every queue gives back what it was lent.
    pub fn end(self, mut pairs: Vec<Pair>) -> Result<(), String> {
        pairs.iter_mut().try_for_each(Pair::drain)?;
        println!("interrupts that arrived: {}", self.wiring.arrived());
        take_down(self.control, pairs).map(drop)
    }
}

/// Resets a card, and has every queue give back what it was lent. Gives the way to it.
fn take_down(control: Control<'static, Way, Dma>, pairs: Vec<Pair>) -> Result<Way, String> {
    let patience = clock::within_millis(LIMIT_MILLIS);
    let down = control.take_down(patience).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    for Pair { receive, transmit, .. } in pairs {
        let counts = receive.counts();
        println!(
            "pair {}: {} frames received, {} malformed",
            receive.pair(),
            counts.frames,
            counts.malformed
        );
        receive.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
        transmit.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    }
    Ok(down.transport)
}
