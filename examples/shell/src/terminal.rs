//! The console as a terminal: lines that a person types, and text for the screen.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, clock, console, println};
use log::LevelFilter;
use spin::Mutex;
use virtio_guest::adapter::LogSink;
use virtio_guest::device::console::{
    Console, Control, HANDLED, ReceiveQueue, Settings, Storage, TransmitQueue,
};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::{Signals, Wants};

use crate::editor::{Editor, Typed};

/// How long the screen may take for something.
const PATIENCE_MILLIS: u64 = 5000;
/// How long a person may take: a day, and then the shell sleeps again.
const KEY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Where interrupt handlers say what happened: one for each queue.
static SIGNALS: Signals<2> = Signals::new();

/// See the module's head.
pub struct Terminal {
    control: Control<'static, Way, Dma>,
    receive: ReceiveQueue<'static, Dma>,
    /// What is logged goes the same way as what is said.
    log: &'static LogSink<Mutex<TransmitQueue<'static, Dma>>>,
    wiring: Wiring,
    editor: Editor,
}

impl Terminal {
    /// Brings the first console up, and has it show what is logged.
    pub fn bring_up() -> Result<Self, String> {
        let mut device = devices::take_console()?;
        println!("console at {}", device.place);
        let prepared = device.prepare(Interrupts::asked_for()?, &[0, 0])?;
        // As many descriptors as a legacy device of QEMU's has, lent for good.
        let storage: &'static mut Storage<128> = Box::leak(Box::default());
        let settings = Settings { notifications: prepared.kind != Interrupts::None, ..Settings::default() };
        let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(PATIENCE_MILLIS));
        let started = Console::start_with(device.transport, DMA, storage, &settings, wants, patience);
        let (mut control, receive, transmit) = started.map_err(|failed| failed.to_string())?.split();
        let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS))?;
        println!("interrupts: {}, path: {:?}", wiring.kind.name(), receive.active_path());

        let log: &'static _ = Box::leak(Box::new(LogSink::new(Mutex::new(transmit), LevelFilter::Info)));
        console::log_to(log);
        Ok(Self { control, receive, log, wiring, editor: Editor::default() })
    }

    /// Shows text. A new line on a screen takes two characters.
    pub fn say(&self, text: &str) -> Result<(), String> {
        let text = text.replace('\n', "\r\n");
        let mut transmit = self.log.queue().lock();
        let patience = self.wiring.patience(PATIENCE_MILLIS);
        transmit.write_all_blocking(text.as_bytes(), patience).map_err(|error| error.to_string())?;
        transmit.flush().map_err(|broken| broken.to_string())
    }

    /// Waits, asleep, until a line was typed. Whatever interrupts that sleep, there may be something for `meanwhile` to do.
    pub fn read_line(&mut self, prompt: &str, mut meanwhile: impl FnMut()) -> Result<String, String> {
        self.say(prompt)?;
        loop {
            let mut key = [0];
            let mut patience = self.wiring.patience(KEY_MILLIS);
            let waiting = || {
                meanwhile();
                patience.keep_waiting()
            };
            self.receive.read_blocking(&mut key, waiting).map_err(|error| error.to_string())?;
            match self.editor.take(key[0]) {
                Typed::Shown("") => {}
                Typed::Shown(text) => self.say(text)?,
                Typed::Character(character) => self.say(character.encode_utf8(&mut [0; 4]))?,
                Typed::Line(line) => {
                    self.say("\n")?;
                    return Ok(line);
                }
            }
        }
    }

    /// The way down. What the screen was to show is shown first; what the log has stays lent.
    pub fn take_down(self) -> Result<(), String> {
        let mut transmit = self.log.queue().lock();
        let patience = self.wiring.patience(PATIENCE_MILLIS);
        transmit.drain_blocking(patience).map_err(|error| error.to_string())?;
        println!("interrupts that arrived: {}, sent: {:?}", self.wiring.arrived(), transmit.statistics());
        let down = self.control.take_down(clock::within_millis(PATIENCE_MILLIS));
        let down = down.map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        self.receive.reclaim(&down.reset).map(|_| ()).map_err(|_| "the queue is of another bring-up".into())
    }
}
