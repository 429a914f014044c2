//! Where the guest sleeps: its disk's function, the messages that the function sends, and the objects that their handlers have at the moment.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;

use example_platform::devices;
use example_platform::interrupts::{Sleep, Source};
use example_platform::pci::PciAccess;
use example_platform::{MMIO, println};
use spin::Mutex;
use virtio_guest::device::block::Settings;
use virtio_guest::hal::{MsiMessage, Patience};
use virtio_guest::lifecycle::{Interrupt, Interrupts, Signals};
use virtio_guest::raw::PciFunction;
use virtio_guest::transport::AnyTransport;
use virtio_guest::wire::device_type::DeviceType;

use crate::ensure;
use crate::function::Function;

/// The way to the disk.
pub type Transport = AnyTransport<PciAccess>;

/// How long the guest sleeps, by its own clock: it stands still while the machine is stopped.
const ASLEEP_MILLIS: u64 = 1000;
const PATIENCE_MILLIS: u64 = 5000;
/// A message for the configuration, and one for the queue.
const MESSAGES: usize = 2;

/// The driver's interrupts, for as long as the program runs.
pub static SIGNALS: Signals = Signals::new();
/// What the handlers have: another object after each sleep.
static OBJECTS: [Mutex<Option<Interrupt<'static>>>; MESSAGES] = [const { Mutex::new(None) }; MESSAGES];

/// See the module's head.
pub struct Bed {
    function: Function,
    loses_power: bool,
    sources: Vec<Source>,
    messages: Vec<MsiMessage>,
    sleeps: Cell<usize>,
}

/// What the driver is started with.
pub fn settings() -> Settings {
    Settings { notifications: true, request_bytes: 1024, ..Settings::default() }
}

/// How long a call may take.
pub fn patience() -> impl Patience {
    Sleep::within_millis(PATIENCE_MILLIS)
}

/// What a message's handler does: what the object does that it has. Says whether there was a cause.
fn handle(object: &Mutex<Option<Interrupt<'static>>>) -> bool {
    object.lock().as_ref().is_some_and(|interrupt| {
        let cause = interrupt.handle();
        cause.used_buffer || cause.configuration_change
    })
}

impl Bed {
    /// Opens the disk, and has its messages handled.
    pub fn make(loses_power: bool) -> Result<(Self, Transport), String> {
        // SAFETY: this program is all there is, and it opens the disk once.
        let device = unsafe { devices::open_first(DeviceType::BLOCK) }?.ok_or("no virtio block device")?;
        let address = device.address().ok_or("the disk is not behind PCI")?;
        let function = Function::find(address).ok_or("the disk is not behind a port")?;
        let (mut sources, mut messages) = (Vec::new(), Vec::new());
        for object in &OBJECTS {
            let (source, message) = Source::message(address).ok_or("this machine has no messages")?;
            source.attach(move || handle(object))?;
            sources.push(source);
            messages.push(message);
        }
        let mut transport = device.transport;
        transport.enable_msi_x(&messages).map_err(|error| error.to_string())?;
        Ok((Self { function, loses_power, sources, messages, sleeps: Cell::new(0) }, transport))
    }

    /// Gives the handlers the objects of a driver that is up. Those that they had stay outside.
    pub fn connect(interrupts: &Interrupts<'static>) -> Result<(), String> {
        for (vector, object) in (0..).zip(&OBJECTS) {
            let interrupt = interrupts.vector(vector).ok_or("the disk has too few vectors")?;
            let old = object.lock().replace(interrupt);
            let cause = old.map(|old| old.handle()).unwrap_or_default();
            ensure(!cause.used_buffer && !cause.configuration_change, "an object from before has no cause")?;
        }
        Ok(())
    }

    /// Sleeps, with the driver down. Gives a way to the disk for the next one.
    pub fn sleep(&self, mut transport: Transport) -> Result<Transport, String> {
        let (number, arrived) = (self.sleeps.get() + 1, self.arrived());
        self.sleeps.set(number);
        if self.loses_power {
            let addresses = self.function.addresses();
            self.function.lose_power();
            ensure(!self.function.has_configuration(), "a function without power forgets its configuration")?;
            rest(number);
            self.function.give_addresses(addresses);
            transport = self.open_again(transport)?;
        } else {
            rest(number);
        }
        ensure(self.arrived() == arrived, "a disk that is down does not interrupt")?;
        Ok(transport)
    }

    /// The transport from before goes; its function has addresses again.
    fn open_again(&self, _from_before: Transport) -> Result<Transport, String> {
        // SAFETY: the driver that had the function is gone, and its transport goes; the BARs have the addresses that they had.
        let function = unsafe { PciFunction::claim(PciAccess, self.function.address()) };
        let mut transport = AnyTransport::open_pci(function, &MMIO).map_err(|error| error.to_string())?;
        transport.enable_msi_x(&self.messages).map_err(|error| error.to_string())?;
        Ok(transport)
    }

    /// How often the guest slept.
    pub fn sleeps(&self) -> usize {
        self.sleeps.get()
    }

    /// How many interrupts had a cause.
    pub fn arrived(&self) -> u64 {
        self.sources.iter().map(Source::arrived).sum()
    }
}

/// Halts the processor for a while, and says so.
fn rest(number: usize) {
    println!("asleep {number}");
    let mut rest = Sleep::within_millis(ASLEEP_MILLIS);
    while rest.keep_waiting() {}
    println!("awake {number}");
}
