//! Windows of registers: each access is inside, aligned, as wide as the register, and goes to the device.
//!
//! Spec: §4.1.3.1, §4.2.2.2 (access widths), §4.1.4.3, §4.1.4.10 and §4.2.2 (where the registers are). The numbers are the specification's, put down here once more.

use virtio_guest::hal::{AccessWidth, RegisterHandler, RegisterWindow};

use super::registers::Register;
use super::world::{self, World};

/// A window that was mapped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) kind: Kind,
    pub(crate) size_bytes: usize,
}

/// What is behind a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The common configuration.
    Common,
    /// Doorbells.
    Notify,
    /// The interrupt status.
    Interrupt,
    /// The device's configuration, or messages.
    ConfigOrMessages,
    /// All of a legacy PCI device.
    Ports,
    /// All of a device behind MMIO.
    Mmio,
}

const BYTE: usize = 1;
const WORD: usize = 2;
const LONG: usize = 4;

impl Kind {
    /// The register at `offset`, which is so many bytes wide.
    fn register(self, offset: usize, bytes: usize) -> Register {
        let (register, width) = match self {
            Self::Common => common(offset),
            Self::Notify => (Register::Notify, bytes.max(WORD)),
            Self::Interrupt => (Register::Interrupt, BYTE),
            Self::ConfigOrMessages => (Register::Config(offset), bytes),
            Self::Ports => ports(offset, bytes),
            Self::Mmio => mmio(offset, bytes),
        };
        assert_eq!(bytes, width, "{register:?} is accessed with its width");
        register
    }
}

fn common(offset: usize) -> (Register, usize) {
    match offset {
        0x00 => (Register::DeviceFeatureSelect, LONG),
        0x04 => (Register::DeviceFeatures, LONG),
        0x08 => (Register::DriverFeatureSelect, LONG),
        0x0c => (Register::DriverFeatures, LONG),
        0x10 => (Register::ConfigVector, WORD),
        0x12 => (Register::Queues, WORD),
        0x14 => (Register::Status, BYTE),
        0x15 => (Register::Generation, BYTE),
        0x16 => (Register::QueueSelect, WORD),
        0x18 => (Register::QueueSize, WORD),
        0x1a => (Register::QueueVector, WORD),
        0x1c => (Register::QueueEnable, WORD),
        0x1e => (Register::QueueNotifyOffset, WORD),
        0x20..0x38 => (Register::Area { area: (offset - 0x20) / 8, high: offset & 4 != 0 }, LONG),
        0x38 => (Register::QueueNotifyData, WORD),
        0x3a => (Register::QueueReset, WORD),
        _ => panic!("there is no common configuration at {offset:#x}"),
    }
}

fn ports(offset: usize, bytes: usize) -> (Register, usize) {
    match offset {
        0x00 => (Register::DeviceFeatures, LONG),
        0x04 => (Register::DriverFeatures, LONG),
        0x08 => (Register::Page, LONG),
        0x0c => (Register::QueueSize, WORD),
        0x0e => (Register::QueueSelect, WORD),
        0x10 => (Register::Notify, WORD),
        0x12 => (Register::Status, BYTE),
        0x13 => (Register::Interrupt, BYTE),
        // These two are there with MSI-X on. The configuration may be accessed with any width (§4.1.4.10).
        0x14 if bytes == WORD => (Register::ConfigVector, WORD),
        0x16 if bytes == WORD => (Register::QueueVector, WORD),
        0x14.. => (Register::Config(offset - 0x14), bytes),
        _ => panic!("there is no port {offset:#x}"),
    }
}

fn mmio(offset: usize, bytes: usize) -> (Register, usize) {
    let register = match offset {
        0x000 => Register::Magic,
        0x004 => Register::Version,
        0x008 => Register::DeviceType,
        0x010 => Register::DeviceFeatures,
        0x014 => Register::DeviceFeatureSelect,
        0x020 => Register::DriverFeatures,
        0x024 => Register::DriverFeatureSelect,
        0x028 => Register::PageBytes,
        0x030 => Register::QueueSelect,
        0x034 => Register::QueueSizeMax,
        0x038 => Register::QueueSize,
        0x03c => Register::QueueAlign,
        0x040 => Register::Page,
        0x044 => Register::QueueEnable,
        0x050 => Register::Notify,
        0x060 => Register::Interrupt,
        0x064 => Register::InterruptAcknowledge,
        0x070 => Register::Status,
        0x080 | 0x084 => Register::Area { area: 0, high: offset & 4 != 0 },
        0x090 | 0x094 => Register::Area { area: 1, high: offset & 4 != 0 },
        0x0a0 | 0x0a4 => Register::Area { area: 2, high: offset & 4 != 0 },
        0x0ac => Register::SharedMemorySelect,
        0x0b0..0x0c0 => Register::SharedMemory((offset - 0x0b0) / 4),
        0x0c0 => Register::QueueReset,
        0x0fc => Register::Generation,
        0x100.. => return (Register::Config(offset - 0x100), bytes),
        _ => panic!("there is no register at {offset:#x}"),
    };
    (register, LONG)
}

impl World {
    /// Makes a window; `None` if there are too many, or the kernel has no room.
    pub(crate) fn map(&mut self, kind: Kind, size_bytes: usize) -> Option<RegisterWindow> {
        let handle = HANDLES.get(self.windows.len())?;
        if self.answer(1, BYTE) != 1 {
            return None;
        }
        self.windows.push(Window { kind, size_bytes });
        Some(RegisterWindow::Handler(handle))
    }

    /// The register that an access to a window is about.
    fn accessed(&self, window: usize, offset: usize, bytes: usize) -> Register {
        let Window { kind, size_bytes } = self.windows[window];
        let is_inside = offset.checked_add(bytes).is_some_and(|end| end <= size_bytes);
        assert!(is_inside, "{bytes} bytes at {offset:#x} are not inside of {kind:?}, of {size_bytes} bytes");
        assert!(offset.is_multiple_of(bytes), "{bytes} bytes at {offset:#x} are not aligned");
        kind.register(offset, bytes)
    }
}

/// A window's number: windows live as long as a kernel runs, and these are used again for each input.
struct Handle(usize);

static HANDLES: [Handle; 8] =
    [Handle(0), Handle(1), Handle(2), Handle(3), Handle(4), Handle(5), Handle(6), Handle(7)];

// SAFETY: each access goes to the current input's device. What is freed on the word of a lie is memory that the device would have reached through the model's
// address space alone.
unsafe impl RegisterHandler for Handle {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        world::with(|world| {
            let register = world.accessed(self.0, offset, width.bytes());
            world.read(register, width.bytes())
        })
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        world::with(|world| {
            let register = world.accessed(self.0, offset, width.bytes());
            assert!(u64::from(value) < 1 << (8 * width.bytes()), "{value:#x} is too much for {register:?}");
            world.write(register, value);
        });
    }
}
