//! A modelled console with one port or several, its driver, and whoever is at the other end.

use std::sync::Arc;

use virtio_guest::device::console::{
    Console, Control, ControlSlots, HANDLED, PortEvent, ReceiveQueue, Settings, Slots, Starting,
    TransmitQueue,
};
use virtio_guest::hal::{Attempts, MapMmio};
use virtio_guest::lifecycle::{Interrupt, Interrupts, QueueSignal, Signals, Wants};
use virtio_model::pci::PciDevice;

use super::{Either, Mapper, Meddler, TestHal, claim, message};

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;

/// Vectors of a function: for the configuration, and for the queues of three ports and of control.
const VECTORS: u16 = 9;

/// The driver of one port,
pub type Single = Console<'static, Either, TestHal>;
/// and the parts of that of several.
pub type ControlHalf = Control<'static, Either, TestHal>;
pub type Receive = ReceiveQueue<'static, TestHal>;
pub type Transmit = TransmitQueue<'static, TestHal>;

/// What a bench is made with.
#[derive(Clone, Copy)]
pub struct Make {
    /// Ports that the device can have; 0 for a device without `MULTIPORT`.
    pub ports: u16,
    /// Features of the transport and the ring.
    pub ring: u128,
    /// Through the legacy interface.
    pub legacy: bool,
    /// Descriptors of each queue.
    pub queue_size: u16,
    /// What the kernel chose.
    pub settings: Settings,
}

impl Default for Make {
    fn default() -> Self {
        let settings = Settings {
            ports_max: 3,
            receive_buffers: 4,
            transmit_buffers: 4,
            buffer_bytes: 16,
            drop_attempts: Attempts(5),
            ..Settings::default()
        };
        Self { ports: 0, ring: 0, legacy: false, queue_size: 16, settings }
    }
}

impl Make {
    /// The same, with each kind of ring. Under miri, which is slow, with one.
    pub fn each_ring(self) -> impl Iterator<Item = Self> {
        let rings = [0, EVENT_IDX | IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED | EVENT_IDX];
        rings.into_iter().skip(if cfg!(miri) { 3 } else { 0 }).map(move |ring| Self { ring, ..self })
    }

    /// The same, with interrupts.
    pub fn notified(self) -> Self {
        Self { settings: Settings { notifications: true, ..self.settings }, ..self }
    }

    /// The device, and memory that either interface can be told of.
    pub fn device(&self) -> Other {
        let Self { ports, ring, legacy, queue_size, settings } = *self;
        let console = virtio_model::Console::new().with_size(80, 25).with_emergency_write();
        let console = if ports > 0 { console.with_ports(ports.into()) } else { console };
        let queues = if ports > 0 { 2 + 2 * usize::from(ports) } else { 2 };
        let builder = console.builder().with_features(ring).queue_sizes(&vec![queue_size; queues]);
        let builder = if settings.notifications { builder.msi_x(VECTORS) } else { builder };
        let device = if legacy { builder.device_id(0x1003).legacy().build() } else { builder.build() };
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        Other { console, device, hal, handlers: Arc::new(Vec::new()) }
    }

    /// A console of one port, and its driver.
    pub fn start(self) -> SingleBench {
        let other = self.device();
        let transport = other.open(self.settings.notifications);
        self.start_on(other, transport)
    }

    /// The same, of a device that does this before each access to its registers, once the meddler begins.
    pub fn start_meddled(self, meddle: impl FnMut(&Other) + Send + 'static) -> (SingleBench, Meddler) {
        let other = self.device();
        let meddler = other.meddler(meddle);
        let transport = other.open_through(&meddler, self.settings.notifications);
        (self.start_on(other, transport), meddler)
    }

    fn start_on(self, mut other: Other, transport: Either) -> SingleBench {
        let slots = Slots::allocate(self.queue_size);
        let wants = Wants::features(HANDLED);
        let settings = &self.settings;
        let mut console =
            Console::start_with(transport, other.hal.clone(), slots, settings, wants, Attempts(10))
                .expect("the console starts");
        if settings.notifications {
            let interrupts = console.connect_interrupts(signals()).expect("nobody else has them");
            other.handlers = handlers(interrupts);
        }
        SingleBench { other, console }
    }

    /// A console of as many ports as can be, none of which is there, and its driver.
    pub fn start_ports(self) -> PortsBench {
        let other = self.device();
        let transport = other.open(self.settings.notifications);
        self.start_ports_on(other, transport)
    }

    /// The same, of a device that does this before each access to its registers, once the meddler begins.
    pub fn start_ports_meddled(self, meddle: impl FnMut(&Other) + Send + 'static) -> (PortsBench, Meddler) {
        let other = self.device();
        let meddler = other.meddler(meddle);
        let transport = other.open_through(&meddler, self.settings.notifications);
        (self.start_ports_on(other, transport), meddler)
    }

    fn start_ports_on(self, mut other: Other, transport: Either) -> PortsBench {
        let wants = Wants::features(HANDLED);
        let mut starting =
            Starting::begin(transport, &self.settings, wants, Attempts(10)).expect("it begins");
        let slots = || Slots::allocate(self.queue_size);
        let count = starting.ports();
        let idle: Vec<_> = (0..count)
            .map(|_| starting.install_port(&other.hal, slots()).expect("the port installs"))
            .collect();
        let control = ControlSlots::allocate(self.queue_size, count);
        starting.install_control(&other.hal, control).expect("the control queues install");
        let mut control = starting.start().expect("the control queues are installed");
        let ports = idle.into_iter().map(|port| control.activate(port)).collect();
        if self.settings.notifications {
            let interrupts = control.connect_interrupts(signals()).expect("nobody else has them");
            other.handlers = handlers(interrupts);
        }
        PortsBench { other, control, ports }
    }
}

fn signals() -> &'static Signals<8> {
    Box::leak(Box::new(Signals::new()))
}

fn handlers(interrupts: &Interrupts<'static>) -> Arc<Vec<Interrupt<'static>>> {
    Arc::new((0..VECTORS).map_while(|vector| interrupts.vector(vector)).collect())
}

/// The device's side of a bench.
#[derive(Clone)]
pub struct Other {
    /// The device.
    pub console: virtio_model::Console,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// Handlers of its vectors.
    handlers: Arc<Vec<Interrupt<'static>>>,
}

impl Other {
    /// Opens the function.
    pub fn open(&self, vectors: bool) -> Either {
        self.open_through(&Mapper(self.device.clone()), vectors)
    }

    fn meddler(&self, mut meddle: impl FnMut(&Self) + Send + 'static) -> Meddler {
        let other = self.clone();
        Meddler::new(&self.device, move |_, _| meddle(&other))
    }

    fn open_through(&self, mapper: &impl MapMmio, vectors: bool) -> Either {
        let mut transport = Either::open_pci(claim(&self.device), mapper).expect("it opens");
        if vectors {
            let messages: Vec<_> = (0..VECTORS.into()).map(message).collect();
            transport.enable_msi_x(&messages).expect("it has vectors");
        }
        transport
    }

    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.console.serve(&self.device, &self.hal.space);
        for (_, vector) in self.device.take_messages() {
            if let Some(handler) = self.handlers.get(vector as usize) {
                handler.handle();
            }
        }
    }

    /// A patience during which the device works.
    pub fn while_it_works(&self, mut attempts: u32) -> impl FnMut() -> bool + use<> {
        let other = self.clone();
        move || {
            other.serve();
            attempts = attempts.saturating_sub(1);
            attempts > 0
        }
    }
}

/// A console of one port, and its driver.
pub struct SingleBench {
    /// The device.
    pub other: Other,
    /// The driver.
    pub console: Single,
}

impl SingleBench {
    /// All bytes that have come, while the device works.
    pub fn received(&mut self, limit: usize) -> Vec<u8> {
        let Self { other, console } = self;
        received(other, console.receive_queue(), limit)
    }

    /// Ends it: nothing is left, and the driver did nothing wrong.
    pub fn end(self) {
        let Self { other, console } = self;
        console.close(Attempts(10)).expect("it resets");
        other.device.assert_driver_was_correct();
        other.hal.assert_all_returned();
    }
}

/// A console of several ports, and its driver.
pub struct PortsBench {
    /// The device.
    pub other: Other,
    /// The driver's control half,
    pub control: ControlHalf,
    /// and the queues of each port.
    pub ports: Vec<(Receive, Transmit)>,
}

impl PortsBench {
    /// All that the driver tells of, while both sides work until neither has more to say.
    pub fn events(&mut self) -> Vec<PortEvent> {
        let mut events = Vec::new();
        for _ in 0..4 {
            self.other.serve();
            while let Some(event) = self.control.next_event().expect("the device keeps to the protocol") {
                events.push(event);
            }
        }
        events
    }

    /// Adds a port, and opens it on both sides.
    pub fn add_open(&mut self, port: u16) {
        self.other.console.add_port(port.into());
        assert_eq!(self.events(), [PortEvent::Added(port)]);
        self.other.console.open_port(port.into());
        self.control.open_port(port).expect("it is there");
        assert_eq!(self.events(), [PortEvent::Opened(port)]);
    }

    /// Whether bytes go both ways through a port.
    pub fn is_connected(&mut self, port: u16) -> bool {
        let Self { other, ports, .. } = self;
        let (receive, transmit) = &mut ports[usize::from(port)];
        let mut into = [0; 5];
        other.console.send(port.into(), b"there");
        transmit.write(b"here").expect("the queue works");
        transmit.flush().expect("the queue works");
        other.serve();
        let count = receive.read(&mut into).expect("the queue works");
        into[..count] == *b"there" && other.console.take_sent_bytes(port.into()) == b"here"
    }

    /// Ends it: nothing is left, and the driver did nothing wrong.
    pub fn end(self) {
        let Self { other, control, ports } = self;
        let down = control.take_down(Attempts(10)).expect("it resets");
        for (receive, transmit) in ports {
            receive.reclaim(&down.reset).expect("of this bring-up");
            transmit.reclaim(&down.reset).expect("of this bring-up");
        }
        other.device.assert_driver_was_correct();
        other.hal.assert_all_returned();
    }
}

/// Bytes that come through a port, up to so many, while the device works.
pub fn received(other: &Other, queue: &mut Receive, limit: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut into = [0; 23];
    for _ in 0..limit + 4 {
        other.serve();
        let room = into.len().min(limit - all.len());
        let count = queue.read(&mut into[..room]).expect("the device keeps to the protocol");
        all.extend_from_slice(&into[..count]);
    }
    all
}

/// The signal of a queue.
pub fn signal<'s>(interrupts: Option<&Interrupts<'s>>, queue: u16) -> &'s QueueSignal {
    interrupts.and_then(|all| all.queue_signal(queue)).expect("it interrupts")
}

/// So many bytes, none of which is like its neighbour.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}
