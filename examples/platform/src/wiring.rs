//! How devices interrupt: by message, by their line, or not at all.
//!
//! A program says before its driver starts what it wants. Then there are two kinds of drivers:
//!
//! ```text
//!   blocking calls, one queue     Device::connect ─▶ Wiring ─▶ start, with Wiring::patience for each call
//!   with an interrupt half        Device::prepare ─▶ Prepared ─▶ start ─▶ Prepared::attach ─▶ Wiring
//! ```
//!
//! The second has objects for its handlers ([`lifecycle::Interrupts`](virtio_guest::lifecycle::Interrupts)), which exist once the device is up.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use virtio_guest::device::block::Control;
use virtio_guest::hal::{MsiMessage, Patience};
use virtio_guest::lifecycle::{self, Interrupt, Signals};
use virtio_guest::transport::Transport;

use crate::clock::{self, Deadline};
use crate::devices::{Device, Way};
use crate::interrupts::{Line, Sleep, Source};

/// How a program learns that a device is done with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// Messages.
    Messages,
    /// The device's interrupt line.
    Line,
    /// Not at all: it looks again and again.
    None,
}

impl Interrupts {
    /// In the words that a command line has for it.
    const NAMES: [(&str, Self); 3] =
        [("msi-x", Self::Messages), ("line", Self::Line), ("polling", Self::None)];

    /// What the command line asks for with `interrupts=`; an error names a word that it does not know.
    pub fn asked_for() -> Result<Option<Self>, String> {
        let mut words = crate::command_line().split_ascii_whitespace();
        let Some(word) = words.find_map(|word| word.strip_prefix("interrupts=")) else { return Ok(None) };
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, kind)| Some(kind)).ok_or_else(|| alloc::format!("interrupts={word} is not known"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Patience for so many milliseconds from now on: asleep if something interrupts the processor that waits.
    pub fn patience(self, millis: u64) -> Waiting {
        match self {
            Self::None => Waiting::Looking(clock::within_millis(millis)),
            Self::Messages | Self::Line => Waiting::Sleeping(Sleep::within_millis(millis)),
        }
    }

    /// Tries what is wanted, or else all of them from the best to the last resort.
    fn choose<R>(wanted: Option<Self>, mut attempt: impl FnMut(Self) -> Option<R>) -> Result<R, String> {
        let chosen = match wanted {
            Some(way) => attempt(way),
            None => [Self::Messages, Self::Line, Self::None].into_iter().find_map(attempt),
        };
        let name = wanted.map_or("", Self::name);
        chosen.ok_or_else(|| {
            alloc::format!("interrupts={name}: this device or this machine does not have them")
        })
    }
}

/// What a device interrupts with.
#[derive(Debug)]
pub struct Wiring {
    /// How.
    pub kind: Interrupts,
    /// One per message, or one for the line.
    pub sources: Vec<Source>,
}

/// Interrupts that were chosen, for a driver that is to start.
#[derive(Debug)]
pub struct Prepared {
    /// How it will interrupt: unless it is not at all, start the driver with `Settings::notifications`.
    pub kind: Interrupts,
    messages: Vec<Source>,
    line: Option<Line>,
}

impl Device {
    /// Connects the device's interrupts before it is started: for a driver with one queue. With `wanted` that way and no other, else the best that device and machine have.
    ///
    /// # Errors
    /// The wanted way is not there.
    pub fn connect(&mut self, wanted: Option<Interrupts>) -> Result<Wiring, String> {
        self.connect_at(wanted, 0)
    }

    /// The same, for a driver that waits on this processor ([`cpus`](crate::cpus)), which was started: lines are only there for the one that booted.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_at(&mut self, wanted: Option<Interrupts>, processor: usize) -> Result<Wiring, String> {
        Interrupts::choose(wanted, |kind| {
            let sources = match kind {
                Interrupts::Messages => self.connect_messages(&[processor; 2]),
                Interrupts::Line if processor != 0 => None,
                Interrupts::Line => self.connect_line().map(|source| alloc::vec![source]),
                Interrupts::None => Some(Vec::new()),
            }?;
            Some(Wiring { kind, sources })
        })
    }

    /// Chooses interrupts for a driver that has objects for its handlers: a message for the configuration, which the boot processor takes, and one for each queue, which the processor takes
    /// whose number is there in `queues`; or the line, if that is the boot processor each time. Processors were started.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn prepare(&mut self, wanted: Option<Interrupts>, queues: &[usize]) -> Result<Prepared, String> {
        let line = self.line().filter(|_| queues.iter().all(|processor| *processor == 0));
        Interrupts::choose(wanted, |kind| {
            let messages = match kind {
                Interrupts::Messages => self.connect_messages(&[&[0], queues].concat())?,
                Interrupts::Line => line.map(|_| Vec::new())?,
                Interrupts::None => Vec::new(),
            };
            Some(Prepared { kind, messages, line })
        })
    }

    /// A message for each of these processors, or as many as the device can send: the first for the configuration, the others for queues; a single one for both.
    fn connect_messages(&mut self, processors: &[usize]) -> Option<Vec<Source>> {
        let address = self.address()?;
        let count = usize::from(self.transport.msi_x_entries());
        let messages = processors.iter().take(count).map(|at| Source::message_at(address, *at));
        let messages = messages.collect::<Option<Vec<(Source, MsiMessage)>>>()?;
        let (sources, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        self.transport.enable_msi_x(&messages).ok()?;
        Some(sources)
    }

    fn connect_line(&mut self) -> Option<Source> {
        let line = self.line()?;
        Source::line(line, self.transport.use_interrupt_line()?)
    }
}

impl Prepared {
    /// Connects a disk that is up with these signals, and has the platform call its handlers' objects. A disk that does not interrupt is left alone.
    ///
    /// # Errors
    /// The signals are in use, or nothing interrupts after all.
    pub fn attach<const QUEUES: usize>(
        self,
        disk: &mut Control<'static, Way>,
        signals: &'static Signals<QUEUES>,
    ) -> Result<Wiring, String> {
        self.attach_with(|| disk.connect_interrupts(signals))
    }

    /// The same for a driver of any kind: `connect` connects it with its signals. It is not called for a device that does not interrupt.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_with<'i, E: Display>(
        self,
        connect: impl FnOnce() -> Result<&'i lifecycle::Interrupts<'static>, E>,
    ) -> Result<Wiring, String> {
        let Self { mut kind, messages, line } = self;
        let mut sources = Vec::new();
        if kind == Interrupts::None {
            return Ok(Wiring { kind, sources });
        }
        let interrupts = connect().map_err(|error| error.to_string())?;
        for (vector, source) in (0..).zip(messages) {
            // A device may use fewer vectors than it was given.
            if let Some(interrupt) = interrupts.vector(vector) {
                source.attach(handler(interrupt))?;
                sources.push(source);
            }
        }
        // Also what is left to a device that takes none of its messages.
        if let Some(interrupt) = interrupts.line() {
            kind = Interrupts::Line;
            sources.extend(line.and_then(|line| Source::shared_line(line, handler(interrupt))));
        }
        if sources.is_empty() {
            return Err("the device does not interrupt in any way that this machine has".into());
        }
        Ok(Wiring { kind, sources })
    }
}

/// What the platform calls: wakes whoever waits, and says whether there was a cause.
fn handler(interrupt: Interrupt<'static>) -> impl Fn() -> bool + Send + Sync + 'static {
    move || {
        let cause = interrupt.handle();
        cause.used_buffer || cause.configuration_change
    }
}

impl Wiring {
    /// Patience for so many milliseconds from now on: asleep if something interrupts.
    pub fn patience(&self, millis: u64) -> Waiting {
        self.kind.patience(millis)
    }

    /// How many interrupts arrived so far.
    pub fn arrived(&self) -> u64 {
        self.sources.iter().map(Source::arrived).sum()
    }
}

/// A wait that looks again and again, or sleeps.
#[derive(Clone, Copy, Debug)]
pub enum Waiting {
    /// Looks.
    Looking(Deadline),
    /// Sleeps.
    Sleeping(Sleep),
}

impl Patience for Waiting {
    fn keep_waiting(&mut self) -> bool {
        match self {
            Self::Looking(deadline) => deadline.keep_waiting(),
            Self::Sleeping(sleep) => sleep.keep_waiting(),
        }
    }
}
