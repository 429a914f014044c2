//! A bridge to another bus: its header, and what it passes on.
//!
//! PCI-to-PCI Bridge Architecture Specification 1.2, §3.2.5. Software says which buses are behind it, and which addresses; it passes on these and no others, once it is
//! switched on. A bridge may lie about the buses, or have no end of further bridges behind it.

use super::bar::Bar;
use super::bus::{Segment, Space};

const COMMAND: u16 = 0x04;
const BUSES: u16 = 0x18;
const PORTS: u16 = 0x1c;
const MEMORY: u16 = 0x20;
const PREFETCHABLE: u16 = 0x24;
const PREFETCHABLE_BASE_HIGH: u16 = 0x28;
const PREFETCHABLE_LIMIT_HIGH: u16 = 0x2c;
/// The type bits of the prefetchable window: 64-bit addresses.
const WIDE: u32 = 0x0001_0001;

/// A bridge, and everything behind it.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub(super) behind: Segment,
    pub(super) bars: [Option<Bar>; 2],
    pub(super) is_endless: bool,
    command: u32,
    buses: u32,
    says_buses: Option<u32>,
    several_functions: bool,
    ports: u32,
    memory: u32,
    /// The window, with its type bits; `None` if there is none.
    prefetchable: Option<(u32, u32)>,
    prefetchable_high: [u32; 2],
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            behind: Segment::default(),
            bars: [None; 2],
            is_endless: false,
            command: 0,
            buses: 0,
            says_buses: None,
            several_functions: false,
            ports: 0,
            memory: 0,
            prefetchable: Some((WIDE, WIDE)),
            prefetchable_high: [0; 2],
        }
    }
}

impl Bridge {
    /// A bridge with nothing behind it, which passes prefetchable memory above 4 GiB on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts something behind it.
    #[must_use]
    pub fn with(mut self, device: u8, function: u8, what: impl Into<super::bus::Function>) -> Self {
        self.behind.put(device, function, what.into());
        self
    }

    /// Gives it a BAR of its own, number 0 or 1.
    #[must_use]
    pub fn bar(mut self, index: usize, bar: Bar) -> Self {
        self.bars[index] = Some(bar);
        self
    }

    /// Its window for prefetchable memory is below 4 GiB.
    #[must_use]
    pub fn narrow(mut self) -> Self {
        self.prefetchable = Some((0, 0));
        self
    }

    /// It has no window for prefetchable memory.
    #[must_use]
    pub fn without_prefetchable(mut self) -> Self {
        self.prefetchable = None;
        self
    }

    /// Behind it is another bridge like this, and so on.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }

    /// It is one of several functions of its device.
    #[must_use]
    pub fn one_of_several(mut self) -> Self {
        self.several_functions = true;
        self
    }

    /// It has been told of these buses already: the one behind it, and the last one behind that.
    #[must_use]
    pub fn numbered(mut self, behind: u8, last: u8) -> Self {
        self.buses = u32::from_le_bytes([0, behind, last, 0]);
        self
    }

    /// Whatever it is told of buses, it says this.
    #[must_use]
    pub fn lying(mut self, behind: u8, last: u8) -> Self {
        self.says_buses = Some(u32::from_le_bytes([0, behind, last, 0]));
        self
    }

    /// The bus behind it, and the last one behind that.
    pub(super) fn buses(&self) -> (u8, u8) {
        let [_, behind, last, _] = self.says_buses.unwrap_or(self.buses).to_le_bytes();
        (behind, last)
    }

    pub(super) fn config_read(&self, offset: u16) -> u32 {
        match offset {
            0x00 => 0x0001_1b36,
            COMMAND => self.command,
            0x08 => 0x0604_0000,
            0x0c => 0x0001_0000 | u32::from(self.several_functions) << 23,
            0x10 | 0x14 => self.bars[usize::from(offset - 0x10) / 4].map_or(0, |bar| bar.read_low()),
            BUSES => self.says_buses.unwrap_or(self.buses),
            PORTS => self.ports,
            MEMORY => self.memory,
            PREFETCHABLE => self.prefetchable.map_or(0, |(window, _)| window),
            PREFETCHABLE_BASE_HIGH => self.prefetchable_high[0],
            PREFETCHABLE_LIMIT_HIGH => self.prefetchable_high[1],
            _ => 0,
        }
    }

    pub(super) fn config_write(&mut self, offset: u16, value: u32) {
        let is_wide = self.prefetchable.is_some_and(|(_, kind)| kind == WIDE);
        match offset {
            COMMAND => self.command = value & 0x0407,
            0x10 | 0x14 => {
                if let Some(bar) = &mut self.bars[usize::from(offset - 0x10) / 4] {
                    bar.write_low(value);
                }
            }
            BUSES => self.buses = value,
            PORTS => self.ports = value & 0xf0f0,
            MEMORY => self.memory = value & 0xfff0_fff0,
            PREFETCHABLE => {
                if let Some((window, kind)) = &mut self.prefetchable {
                    *window = value & 0xfff0_fff0 | *kind;
                }
            }
            PREFETCHABLE_BASE_HIGH if is_wide => self.prefetchable_high[0] = value,
            PREFETCHABLE_LIMIT_HIGH if is_wide => self.prefetchable_high[1] = value,
            _ => {}
        }
    }

    /// Whether the whole range gets through, from above to below.
    pub(super) fn passes(&self, space: Space, first: u64, last: u64) -> bool {
        self.windows().iter().any(|(of, base, limit)| *of == space && *base <= first && last <= *limit)
    }

    /// Whether any of the range gets through.
    pub(super) fn passes_some(&self, space: Space, first: u64, last: u64) -> bool {
        self.windows().iter().any(|(of, base, limit)| *of == space && *base <= last && first <= *limit)
    }

    /// The windows that are open.
    pub(super) fn windows(&self) -> Vec<(Space, u64, u64)> {
        let ports = (self.command & 1 != 0).then(|| (Space::Ports, self.port_window()));
        let memory = [Some(self.memory_window()), self.prefetchable_window()];
        let memory = memory.into_iter().flatten().filter(|_| self.command & 2 != 0);
        let all = ports.into_iter().chain(memory.map(|window| (Space::Memory, window)));
        all.map(|(space, (base, limit))| (space, base, limit))
            .filter(|(_, base, limit)| base <= limit)
            .collect()
    }

    /// Whether what is behind it may reach memory.
    pub(super) fn is_bus_master(&self) -> bool {
        self.command & 4 != 0
    }

    fn port_window(&self) -> (u64, u64) {
        let ports = u64::from(self.ports);
        ((ports & 0xf0) << 8, ports & 0xf000 | 0xfff)
    }

    fn memory_window(&self) -> (u64, u64) {
        megabytes(self.memory)
    }

    fn prefetchable_window(&self) -> Option<(u64, u64)> {
        let (window, kind) = self.prefetchable?;
        let (base, limit) = megabytes(window);
        let high = if kind == WIDE { self.prefetchable_high } else { [0; 2] };
        Some((base | u64::from(high[0]) << 32, limit | u64::from(high[1]) << 32))
    }
}

/// First and last address of a window of whole megabytes.
fn megabytes(window: u32) -> (u64, u64) {
    let window = u64::from(window);
    ((window & 0xfff0) << 16, window & 0xfff0_0000 | 0xf_ffff)
}
