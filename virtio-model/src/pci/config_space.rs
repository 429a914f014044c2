//! The 256 bytes of configuration space, accessed by double words.
//!
//! PCI type 0 header, then the capability list. Only COMMAND, the BARs, the interrupt line, the switches of MSI-X and
//! the window capability can be written. The list is laid out when the device is built.

use super::bar::Bar;
use super::capability::{Capability, MSI, MSI_X, cfg_type};

const COMMAND_IO: u16 = 1 << 0;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_BUS_MASTER: u16 = 1 << 2;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;

const STATUS_CAPABILITY_LIST: u16 = 1 << 4;
const FIRST_CAPABILITY: u8 = 0x40;
const INTERRUPT_LINE: u16 = 0x3c;
const BARS: std::ops::Range<u16> = 0x10..0x28;

/// An access through the window capability (`cfg_type` 5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowAccess {
    pub(crate) bar: u8,
    pub(crate) offset: u64,
    pub(crate) width: u8,
}

/// Configuration space of one function.
#[derive(Debug)]
pub(crate) struct ConfigSpace {
    bytes: [u8; 256],
    bars: [Option<Bar>; 6],
    window: Option<u16>,
    msi_x: Option<u16>,
    /// Where the capability of the older kind of messages is. Only its switch works.
    msi: Option<u16>,
    pub(crate) bar_writes_while_decoding: usize,
}

impl ConfigSpace {
    pub(crate) fn new(
        ids: (u16, u16),
        class_and_revision: u32,
        bars: [Option<Bar>; 6],
        capabilities: &[Capability],
    ) -> Self {
        let mut space = Self {
            bytes: [0; 256],
            bars,
            window: None,
            msi_x: None,
            msi: None,
            bar_writes_while_decoding: 0,
        };
        space.put(0x00, &ids.0.to_le_bytes());
        space.put(0x02, &ids.1.to_le_bytes());
        space.put(0x08, &class_and_revision.to_le_bytes());
        space.put(0x2c, &ids.0.to_le_bytes());
        space.put(0x2e, &0x1100u16.to_le_bytes());
        space.put(0x3c, &[0, 1]);
        if !capabilities.is_empty() {
            space.put(0x06, &STATUS_CAPABILITY_LIST.to_le_bytes());
            space.put_list(capabilities);
        }
        space
    }

    /// Lays the capabilities out in order and links them.
    fn put_list(&mut self, capabilities: &[Capability]) {
        let mut places = Vec::new();
        let mut free = FIRST_CAPABILITY;
        for entry in capabilities {
            let at = entry.at.unwrap_or(free);
            places.push(at);
            let len = (entry.body.len() + 2).next_multiple_of(4);
            let end = usize::from(at) + len;
            free = u8::try_from(end.min(0xfc)).unwrap_or(0xfc);
        }
        self.put(0x34, &[places[0]]);
        for (index, entry) in capabilities.iter().enumerate() {
            let after = places.get(index + 1).copied().unwrap_or(0);
            let at = usize::from(places[index]);
            self.put(at, &[entry.id, entry.next.unwrap_or(after)]);
            self.put(at + 2, &entry.body);
            if entry.cfg_type() == Some(cfg_type::PCI_WINDOW) && entry.body.len() >= 18 {
                self.window = Some(u16::from(places[index]));
            }
            if entry.id == MSI_X && entry.body.len() >= 10 && self.msi_x.is_none() {
                self.msi_x = Some(u16::from(places[index]));
            }
            if entry.id == MSI && self.msi.is_none() {
                self.msi = Some(u16::from(places[index]));
            }
        }
    }

    /// Overwrites bytes, read-only or not; what does not fit is cut off.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        for (target, byte) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *target = *byte;
        }
    }

    pub(crate) fn read(&self, offset: u16) -> u32 {
        if BARS.contains(&offset) {
            return self.read_bar(usize::from((offset - BARS.start) / 4));
        }
        let at = usize::from(offset);
        let bytes = self.bytes.get(at..at + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(u32::MAX, u32::from_le_bytes)
    }

    /// Writes what can be written; tells what was wrong with it.
    pub(crate) fn write(&mut self, offset: u16, value: u32) -> Result<(), String> {
        if BARS.contains(&offset) {
            if self.command() & (COMMAND_IO | COMMAND_MEMORY) != 0 {
                self.bar_writes_while_decoding += 1;
            }
            return self.write_bar(usize::from((offset - BARS.start) / 4), value);
        }
        let bytes = value.to_le_bytes();
        if offset == 0x04 {
            let writable = COMMAND_IO | COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE;
            let command = u16::from_le_bytes([bytes[0], bytes[1]]) & writable;
            self.put(0x04, &command.to_le_bytes());
        } else if offset == INTERRUPT_LINE {
            self.put(usize::from(INTERRUPT_LINE), &bytes[..1]);
        } else if self.msi_x == Some(offset) {
            let [.., switches] = bytes;
            let at = usize::from(offset) + 3;
            let control = self.bytes[at] & 0x3f | switches & 0xc0;
            self.put(at, &[control]);
        } else if self.msi == Some(offset) {
            let at = usize::from(offset) + 2;
            let control = self.bytes[at] & !1 | bytes[2] & 1;
            self.put(at, &[control]);
        } else if let Some(window) = self.window {
            let at = usize::from(offset);
            match offset.wrapping_sub(window) {
                4 => self.put(at, &bytes[..1]),
                8 | 12 => self.put(at, &bytes),
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets all that was written, as a function does without power.
    pub(super) fn forget(&mut self) {
        self.put(0x04, &[0; 2]);
        self.put(usize::from(INTERRUPT_LINE), &[0]);
        self.bars.iter_mut().flatten().for_each(Bar::forget);
        for (capability, offset, kept) in [(self.msi_x, 3, 0x3f), (self.msi, 2, !1)] {
            if let Some(at) = capability.map(|at| usize::from(at) + offset) {
                self.bytes[at] &= kept;
            }
        }
        if let Some(at) = self.window.map(usize::from) {
            self.put(at + 4, &[0]);
            self.put(at + 8, &[0; 12]);
        }
    }

    /// Where the MSI-X capability is.
    pub(super) fn msi_x(&self) -> Option<u16> {
        self.msi_x
    }

    /// Its control word, with the switches; 0 if there is none.
    pub(super) fn msi_x_control(&self) -> u16 {
        let at = self.msi_x.map(usize::from);
        at.map_or(0, |at| u16::from_le_bytes([self.bytes[at + 2], self.bytes[at + 3]]))
    }

    /// Whether the function may raise its line: it has a pin, and is not kept from it.
    pub(super) fn may_raise_line(&self) -> bool {
        self.bytes[0x3d] != 0 && self.command() & COMMAND_INTX_DISABLE == 0
    }

    /// What an access to `offset` means, if it is the data field of the window capability.
    pub(crate) fn window_access(&self, offset: u16) -> Option<WindowAccess> {
        let window = self.window?;
        (offset == window + 16).then(|| WindowAccess {
            bar: self.bytes[usize::from(window) + 4],
            offset: u64::from(self.read(window + 8)),
            width: u8::try_from(self.read(window + 12)).unwrap_or(0),
        })
    }

    /// Keeps what was read or written through the window: its first bytes, the others stay what they were.
    pub(crate) fn store_window_data(&mut self, offset: u16, width: u8, value: u32) {
        let width = usize::from(width).min(4);
        self.put(usize::from(offset), &value.to_le_bytes()[..width]);
    }

    pub(crate) fn command(&self) -> u16 {
        u16::from_le_bytes([self.bytes[4], self.bytes[5]])
    }

    /// What is not behind PCI reaches memory without being told.
    pub(crate) fn make_bus_master(&mut self) {
        self.put(0x04, &COMMAND_BUS_MASTER.to_le_bytes());
    }

    /// Whether the function may reach memory.
    pub(crate) fn is_bus_master(&self) -> bool {
        self.command() & COMMAND_BUS_MASTER != 0
    }

    pub(crate) fn bar(&self, index: u8) -> Option<Bar> {
        self.bars.get(usize::from(index)).copied().flatten()
    }

    /// Whether the space that `bar` lies in is being decoded.
    pub(crate) fn decodes(&self, bar: Bar) -> bool {
        let needed = if bar.is_io() { COMMAND_IO } else { COMMAND_MEMORY };
        self.command() & needed != 0
    }

    /// The BAR and the offset in it that a CPU access to `address` reaches.
    pub(crate) fn bar_at(&self, address: u64, io: bool) -> Option<(u8, u64)> {
        (0..6).find_map(|index| {
            let bar = self.bar(index).filter(|bar| bar.is_io() == io && bar.address() != 0)?;
            let offset = address.checked_sub(bar.address())?;
            (offset < bar.size()).then_some((index, offset))
        })
    }

    fn read_bar(&self, register: usize) -> u32 {
        match (self.bars[register], register.checked_sub(1).and_then(|before| self.bars[before])) {
            (Some(bar), _) => bar.read_low(),
            (None, Some(below)) if below.is_64_bit() => below.read_high(),
            // No BAR: what a test put there, whatever is written.
            _ => {
                let at = usize::from(BARS.start) + 4 * register;
                u32::from_le_bytes([0, 1, 2, 3].map(|byte| self.bytes[at + byte]))
            }
        }
    }

    fn write_bar(&mut self, register: usize, value: u32) -> Result<(), String> {
        let below = register.checked_sub(1);
        let sized = value == u32::MAX;
        let bar = if let Some(bar) = &mut self.bars[register] {
            let is_aligned = bar.is_aligned(value);
            bar.write_low(value);
            (!sized && !is_aligned).then_some(register)
        } else {
            let below = below.and_then(|before| self.bars[before].as_mut()).filter(|bar| bar.is_64_bit());
            if let Some(bar) = below {
                bar.write_high(value);
            }
            None
        };
        bar.map_or(Ok(()), |index| Err(format!("BAR {index} cannot have the address {value:#x}")))
    }
}
