//! The device's registers, wherever a transport has them: what is honest, and what comes of reading and writing them.
//!
//! Spec: §2.1, §2.4.1 (until a reset is complete the device is told nothing else), §4.1.4.3, §4.2.2. Answers are judged as the driver sees them: a reset is complete when the status reads 0, whoever
//! lied. Over PCI the function has to be there, too: its command register, which is asked next, does not read all ones.

use super::device::{CONFIG_BYTES, Device, Habit, QUEUES, Queue, Unconfirmed};
use super::windows::Kind;
use super::world::World;

/// A register, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    Magic,
    Version,
    DeviceType,
    DeviceFeatureSelect,
    DeviceFeatures,
    DriverFeatureSelect,
    DriverFeatures,
    ConfigVector,
    Queues,
    Status,
    Generation,
    QueueSelect,
    QueueSize,
    /// MMIO has one register for the largest size, and one for the size.
    QueueSizeMax,
    QueueVector,
    QueueEnable,
    QueueNotifyOffset,
    QueueNotifyData,
    QueueReset,
    /// Half of the address of an area.
    Area {
        area: usize,
        high: bool,
    },
    /// Legacy: where a queue is, by the number of a page; and what that depends on.
    Page,
    PageBytes,
    QueueAlign,
    Notify,
    /// Why the device interrupts; over PCI reading it is all.
    Interrupt,
    InterruptAcknowledge,
    SharedMemorySelect,
    /// A quarter of length and address.
    SharedMemory(usize),
    /// The configuration space, from this byte on.
    Config(usize),
}

fn half(long: u64, high: bool) -> u32 {
    ((if high { long >> 32 } else { long }) & 0xffff_ffff) as u32
}

/// In the device status.
const DRIVER_OK: u8 = 4;

impl Device {
    /// What is in a register out of habit.
    fn wrong(&mut self, register: Register) -> Option<u32> {
        match (self.habit, register) {
            (Habit::Restless, Register::Generation | Register::Config(_)) => {
                self.changes += 1;
                Some(self.changes)
            }
            (Habit::Stuck, Register::Status) if self.awaits_reset => Some(DRIVER_OK.into()),
            (Habit::Stuck, Register::QueueReset) => Some(1),
            _ => None,
        }
    }
}

impl World {
    /// What is in a register.
    fn honest(&mut self, register: Register, bytes: usize) -> u32 {
        let device = &mut self.device;
        if let Some(shown) = device.wrong(register) {
            self.has_lied = true;
            return shown;
        }
        match register {
            Register::Magic => 0x7472_6976,
            Register::Version => 2 - u32::from(device.is_legacy),
            Register::DeviceType => device.device_type.into(),
            Register::DeviceFeatures => match device.device_feature_select {
                word @ 0..4 => (device.offered >> (32 * word) & 0xffff_ffff) as u32,
                _ => 0,
            },
            Register::ConfigVector => device.config_vector.into(),
            Register::Queues => QUEUES.into(),
            Register::Status => device.status.into(),
            Register::QueueSize => device.selected().map_or(0, |queue| queue.size.into()),
            Register::QueueSizeMax => device.selected().map_or(0, |queue| queue.size_max.into()),
            Register::QueueVector => device.selected().map_or(0, |queue| queue.vector.into()),
            Register::QueueEnable | Register::Page => {
                device.selected().map_or(0, |queue| queue.enabled.into())
            }
            Register::QueueNotifyOffset | Register::QueueNotifyData => device.queue_select.into(),
            Register::Generation | Register::Interrupt | Register::QueueReset => 0,
            Register::SharedMemory(quarter) => {
                let (address, bytes) = device.shared_memory;
                half([bytes, address][quarter / 2], quarter % 2 == 1)
            }
            Register::Config(from) => (0..bytes).rev().fold(0, |value, byte| {
                let at = (from + byte) % CONFIG_BYTES;
                value << 8 | u32::from(device.config[at])
            }),
            _ => panic!("{register:?} is not to be read"),
        }
    }

    /// The driver reads a register of so many bytes.
    pub(crate) fn read(&mut self, register: Register, bytes: usize) -> u32 {
        self.spend();
        let honest = self.honest(register, bytes);
        let shown = self.answer(honest, bytes);
        let device = &mut self.device;
        device.unconfirmed = None;
        match register {
            Register::Status if shown & 0xff == 0 && device.status == 0 => {
                self.was_reset(Unconfirmed::Device)
            }
            Register::QueueReset => {
                if let Some(queue) = device.selected() {
                    queue.is_reset = queue.awaits_reset && shown == 0;
                }
            }
            Register::QueueEnable => {
                let index = device.queue_select;
                let Some(queue) = device.selected() else { return shown };
                if queue.is_reset && shown == 0 {
                    self.was_reset(Unconfirmed::Queue(index));
                }
            }
            // Legacy PCI devices are not told a size: the queue has the one that was shown.
            Register::QueueSize if device.is_legacy => {
                if let Some(queue) = device.selected().filter(|queue| !queue.enabled) {
                    queue.size = (shown & 0xffff) as u16;
                }
            }
            _ => {}
        }
        shown
    }

    /// Registers say that a reset is complete. Over PCI, configuration space has to confirm that there is a function at all.
    fn was_reset(&mut self, what: Unconfirmed) {
        self.device.unconfirmed = Some(what);
        let is_pci = self.windows.iter().any(|window| window.kind != Kind::Mmio);
        if !is_pci {
            self.confirm_reset();
        }
    }

    /// What registers said last about a reset is so: the device has no memory any more, or that of one queue less.
    pub(crate) fn confirm_reset(&mut self) {
        let device = &mut self.device;
        match device.unconfirmed.take() {
            Some(Unconfirmed::Device) => {
                device.awaits_reset = false;
                device.forget();
                self.memory.return_all();
            }
            Some(Unconfirmed::Queue(index)) => {
                device.queues.get_mut(usize::from(index)).into_iter().for_each(Queue::forget);
                self.memory.return_queue(index);
            }
            None => {}
        }
    }

    /// The driver writes a register.
    pub(crate) fn write(&mut self, register: Register, value: u32) {
        self.spend();
        let device = &mut self.device;
        device.unconfirmed = None;
        // An interrupt may come at any time, and acknowledging it is no harm.
        if !matches!(register, Register::Status | Register::InterruptAcknowledge) {
            assert!(!device.awaits_reset, "{register:?} is written during a reset");
        }
        let word = (value & 0xffff) as u16;
        match register {
            Register::DeviceFeatureSelect => device.device_feature_select = value,
            Register::DriverFeatureSelect => device.driver_feature_select = value,
            Register::DriverFeatures => self.accept(value),
            Register::ConfigVector => device.config_vector = word,
            Register::Status => self.set_status(value),
            Register::QueueSelect => device.queue_select = word,
            Register::QueueSize => {
                if let Some(queue) = device.selected() {
                    assert!(!queue.enabled, "the size of a queue in use changes");
                    queue.size = word;
                }
            }
            Register::QueueVector => {
                if let Some(queue) = device.selected() {
                    queue.vector = word;
                }
            }
            Register::QueueEnable => {
                assert_eq!(value, 1, "queues are enabled, and not disabled");
                self.device.enable(&mut self.memory);
            }
            Register::QueueReset => {
                assert_eq!(value, 1, "asks for a reset of the queue");
                if let Some(queue) = device.selected() {
                    queue.awaits_reset = true;
                }
            }
            Register::Area { area, high } => {
                let Some(queue) = device.selected() else { return };
                assert!(!queue.enabled, "a queue in use is placed elsewhere");
                let address = &mut queue.addresses[area];
                let kept = if high { *address & 0xffff_ffff } else { *address >> 32 << 32 };
                *address = kept | if high { u64::from(value) << 32 } else { value.into() };
            }
            Register::Page => {
                self.device.place(value);
                self.device.enable(&mut self.memory);
            }
            Register::PageBytes | Register::QueueAlign => assert_eq!(value, 4096, "{register:?}"),
            Register::Notify => self.notified(value),
            Register::InterruptAcknowledge => assert!(value & !3 == 0 && value != 0, "what is handled"),
            Register::SharedMemorySelect | Register::Config(_) => {}
            _ => panic!("{register:?} is not to be written"),
        }
    }

    /// A word of what the driver accepts, which is some of what it was shown.
    fn accept(&mut self, bits: u32) {
        let device = &mut self.device;
        let word = if device.is_legacy { 0 } else { device.driver_feature_select };
        assert!(word < 4, "features have four words");
        let kept = device.accepted & !(0xffff_ffff << (32 * word));
        device.accepted = kept | u128::from(bits) << (32 * word);
        assert!(
            device.accepted & !device.offered == 0 || self.has_lied,
            "nothing is accepted that is not offered"
        );
    }

    fn set_status(&mut self, value: u32) {
        let device = &mut self.device;
        let status = (value & 0xff) as u8;
        // A reset may be asked for again; nothing else may be said.
        assert!(status == 0 || !device.awaits_reset, "status {status:#04x} is written during a reset");
        let is_forward = device.status & !status == 0;
        assert!(status == 0 || is_forward || self.has_lied, "{:#04x} becomes {status:#04x}", device.status);
        device.awaits_reset = status == 0;
        device.status = status;
        if status & DRIVER_OK != 0 && device.habit == Habit::StuckLater {
            device.habit = Habit::Stuck;
        }
    }

    /// The driver says that chains are available.
    pub(crate) fn notified(&mut self, notification: u32) {
        assert!(!self.device.awaits_reset, "a notification during a reset");
        assert!(
            self.device.queues.iter().any(|queue| queue.enabled),
            "a notification, and there is no queue"
        );
        if self.answer(1, 1) == 1 {
            self.device.serve(&self.memory, (notification & 0xffff) as u16);
        }
    }
}
