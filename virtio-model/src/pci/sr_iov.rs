//! A physical function with virtual ones.
//!
//! PCI Express Base Specification, chapter 9. Around a [`PciDevice`] that is the physical function: an extended configuration space with the SR-IOV capability in it, and
//! further devices that are the virtual functions. What a driver must not do (write number or BARs while functions are enabled, touch them before their time)
//! ends up in [`SrIovDevice::driver_errors`]. Time passes when a test says so.
//!
//! ```text
//!   routing id 0x100      physical function: 256 bytes of the device, then the list of extended capabilities
//!   0x100 + offset        virtual function 0: no ids and no BARs of its own
//!        + stride         virtual function 1 ...
//! ```

use super::{Completion, PciDevice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the capability is.
pub const CAPABILITY: u16 = 0x140;
/// The physical function's routing id: bus 1, device 0, function 0.
pub const ROUTING_ID: u16 = 0x100;

const CONTROL: u16 = CAPABILITY + 0x08;
const TOTAL: u16 = CAPABILITY + 0x0c;
const COUNT: u16 = CAPABILITY + 0x10;
const PLACES: u16 = CAPABILITY + 0x14;
const DEVICE_ID: u16 = CAPABILITY + 0x18;
const SUPPORTED_PAGES: u16 = CAPABILITY + 0x1c;
const PAGE: u16 = CAPABILITY + 0x20;
const FIRST_BAR: u16 = CAPABILITY + 0x24;
const BARS: u16 = 6;
const END: u16 = CAPABILITY + 0x40;

const ENABLE: u32 = 1;
const MEMORY_SPACE: u32 = 1 << 3;
/// How long virtual functions are to be left alone, and the capability.
const ENABLE_MILLIS: u64 = 100;
const DISABLE_MILLIS: u64 = 1000;

/// What the device does wrong, beside what is poked into its registers.
#[derive(Debug, Clone, Default)]
pub struct SrIovLies {
    /// How long it takes until a virtual function answers, in reads of its header.
    pub answers: Completion,
    /// Writing the number has no effect.
    pub ignores_count: bool,
    /// Enabling has no effect.
    pub ignores_enable: bool,
    /// This register of a BAR tells its size, and keeps its address.
    pub keeps_address: Option<u16>,
    /// What the BARs of virtual functions read, which have none.
    pub own_bars: u32,
    /// The physical function is gone: it reads all ones.
    pub gone: bool,
    /// There is some other function at this routing id.
    pub neighbour: Option<u16>,
}

#[derive(Debug)]
struct Inner {
    physical: PciDevice,
    virtuals: Vec<PciDevice>,
    extended: Vec<u8>,
    /// Which bits of the BARs can be written.
    bar_masks: [u32; BARS as usize],
    lies: SrIovLies,
    reads_left: u32,
    now_millis: u64,
    /// When functions were enabled or disabled last.
    switched_millis: Option<u64>,
    writes: Vec<(u16, u32)>,
    errors: Vec<String>,
}

/// A physical function and its virtual ones; clones are handles to the same.
#[derive(Debug, Clone)]
pub struct SrIovDevice(Arc<Mutex<Inner>>);

impl SrIovDevice {
    /// A physical function with these virtual ones, at offset 0x80 and stride 2. Each has one BAR, number 4, of 16 KiB: prefetchable, with 64 bits.
    /// The physical function's own list should have the capability that PCI Express functions have.
    pub fn new(physical: PciDevice, virtuals: Vec<PciDevice>) -> Self {
        let count = u32::try_from(virtuals.len()).expect("few functions");
        let id = virtuals.first().map_or(0, |function| function.config_read(0) >> 16);
        let inner = Inner {
            physical,
            virtuals,
            extended: vec![0; 4096],
            bar_masks: [0; BARS as usize],
            lies: SrIovLies::default(),
            reads_left: 0,
            now_millis: 0,
            switched_millis: None,
            writes: Vec::new(),
            errors: Vec::new(),
        };
        let device = Self(Arc::new(Mutex::new(inner)));
        // Alternative routing ids first in the list, then SR-IOV.
        device.poke(0x100, 0x000e | 1 << 16 | u32::from(CAPABILITY) << 20);
        device.poke(CAPABILITY, 0x0010 | 1 << 16);
        device.poke(TOTAL, count << 16 | count);
        device.poke(PLACES, 2 << 16 | 0x80);
        device.poke(DEVICE_ID, id << 16);
        device.poke(SUPPORTED_PAGES, 0b101);
        device.poke(PAGE, 1);
        device.set_bar(4, 0xc, !0x3fff);
        device.set_bar(5, 0, !0);
        device
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Overwrites a word behind the first 256 bytes.
    pub fn poke(&self, offset: u16, value: u32) {
        self.lock().put(offset, value);
    }

    /// Changes a BAR of the virtual functions: what its lowest bits read, and which bits can be written.
    pub fn set_bar(&self, index: u16, low: u32, mask: u32) {
        let mut inner = self.lock();
        inner.put(FIRST_BAR + 4 * index, low);
        inner.bar_masks[usize::from(index)] = mask;
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut SrIovLies)) {
        change(&mut self.lock().lies);
    }

    /// Lets time pass.
    pub fn pass(&self, millis: u32) {
        self.lock().now_millis += u64::from(millis);
    }

    /// Everything that was written to the capability: offset in it, and value.
    pub fn writes(&self) -> Vec<(u16, u32)> {
        self.lock().writes.clone()
    }

    /// Whether virtual functions are enabled, and how many.
    pub fn enabled(&self) -> Option<u16> {
        let inner = self.lock();
        inner.is_enabled().then(|| (inner.word(COUNT) & 0xffff) as u16)
    }

    /// What the driver did wrong, with this capability and these virtual functions.
    pub fn driver_errors(&self) -> Vec<String> {
        self.lock().errors.clone()
    }

    /// Reads a word of configuration space of the function with this routing id.
    pub fn config_read(&self, id: u16, offset: u16) -> u32 {
        self.lock().config_read(id, offset)
    }

    /// Writes one.
    pub fn config_write(&self, id: u16, offset: u16, value: u32) {
        self.lock().config_write(id, offset, value);
    }

    /// The virtual function that answers at a memory address, the BAR, and the offset in it.
    pub fn memory_at(&self, address: u64) -> Option<(PciDevice, u8, u64)> {
        let inner = self.lock();
        let on = ENABLE | MEMORY_SPACE;
        if inner.word(CONTROL) & on != on {
            return None;
        }
        (0..BARS).find_map(|index| {
            let (base, bytes) = inner.bar(index)?;
            let offset = address.checked_sub(base)?;
            let number = usize::try_from(offset / bytes).ok()?;
            let count = usize::try_from(inner.word(COUNT) & 0xffff).ok()?;
            let function = inner.virtuals.get(number).filter(|_| number < count)?;
            Some((function.clone(), u8::try_from(index).ok()?, offset % bytes))
        })
    }
}

impl Inner {
    fn word(&self, offset: u16) -> u32 {
        let at = usize::from(offset);
        let bytes = self.extended.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(u32::MAX, u32::from_le_bytes)
    }

    fn put(&mut self, offset: u16, value: u32) {
        let at = usize::from(offset);
        self.extended[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    fn is_enabled(&self) -> bool {
        self.word(CONTROL) & ENABLE != 0
    }

    /// Whether so much time is over since functions were enabled or disabled.
    fn rested(&self, millis: u64) -> bool {
        self.switched_millis.is_none_or(|at| self.now_millis - at >= millis)
    }

    /// Address and size of a BAR, 64-bit or not.
    fn bar(&self, index: u16) -> Option<(u64, u64)> {
        let low = self.word(FIRST_BAR + 4 * index);
        let mask = self.bar_masks[usize::from(index)];
        let is_64 = low & 0b110 == 0b100;
        let high = if is_64 { self.word(FIRST_BAR + 4 * (index + 1)) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !0xf);
        (mask != 0 && address != 0).then(|| (address, u64::from(!mask) + 1))
    }

    /// The number of the virtual function at a routing id.
    fn number(&self, id: u16) -> Option<usize> {
        let places = self.word(PLACES);
        let (offset, stride) = (places & 0xffff, places >> 16);
        let beyond = u32::from(id).checked_sub(u32::from(ROUTING_ID) + offset)?;
        let number = beyond.checked_div(stride).unwrap_or(0);
        let is_one = number < self.word(COUNT) & 0xffff && beyond == number * stride;
        usize::try_from(number).ok().filter(|number| is_one && *number < self.virtuals.len())
    }

    fn config_read(&mut self, id: u16, offset: u16) -> u32 {
        if id == ROUTING_ID {
            if (CAPABILITY..END).contains(&offset) && !self.is_enabled() && !self.rested(DISABLE_MILLIS) {
                self.complain("the capability was read too soon after disabling");
            }
            if self.lies.gone {
                return u32::MAX;
            }
            return if offset < 0x100 { self.physical.config_read(offset) } else { self.word(offset) };
        }
        if self.lies.neighbour == Some(id) {
            return 0;
        }
        let Some(number) = self.number(id).filter(|_| self.is_enabled()) else { return u32::MAX };
        if !self.rested(ENABLE_MILLIS) {
            self.complain("a virtual function was read too soon after enabling");
        }
        match self.lies.answers {
            Completion::Never => return u32::MAX,
            Completion::AfterReads(_) if self.reads_left > 0 => {
                self.reads_left -= 1;
                return u32::MAX;
            }
            _ => {}
        }
        match offset {
            0x00 => u32::MAX,
            0x10..0x28 => self.lies.own_bars,
            0x100.. => 0,
            _ => self.virtuals[number].config_read(offset),
        }
    }

    fn config_write(&mut self, id: u16, offset: u16, value: u32) {
        if id == ROUTING_ID {
            match offset {
                0..0x100 => self.physical.config_write(offset, value),
                CAPABILITY..END => self.capability_write(offset, value),
                _ => self.complain(format!("write at {offset:#x}")),
            }
            return;
        }
        match self.number(id).filter(|_| self.is_enabled()) {
            Some(_) if (0x10..0x28).contains(&offset) => {
                self.complain("a BAR of a virtual function was written");
            }
            Some(number) => self.virtuals[number].config_write(offset, value),
            None => self.complain(format!("write to the function {id:#x}, which is not there")),
        }
    }

    fn capability_write(&mut self, offset: u16, value: u32) {
        self.writes.push((offset - CAPABILITY, value));
        if self.lies.keeps_address == Some(offset - CAPABILITY) && ![0, u32::MAX].contains(&value) {
            return;
        }
        match offset {
            CONTROL => self.control_write(value),
            _ if self.is_enabled() => self.complain(format!("write at {offset:#x} while enabled")),
            COUNT if !self.lies.ignores_count => self.put(COUNT, value & 0xffff),
            PAGE => self.put(PAGE, value),
            FIRST_BAR.. => {
                let index = (offset - FIRST_BAR) / 4;
                let Some(mask) = self.bar_masks.get(usize::from(index)).copied() else {
                    self.complain(format!("write at {offset:#x}, behind the BARs"));
                    return;
                };
                let old = self.word(offset);
                self.put(offset, old & !mask | value & mask);
            }
            _ => {}
        }
    }

    fn control_write(&mut self, value: u32) {
        let was_enabled = self.is_enabled();
        if value & ENABLE != 0 && self.lies.ignores_enable {
            return;
        }
        self.put(CONTROL, value & 0x1f);
        if self.is_enabled() == was_enabled {
            return;
        }
        if self.is_enabled() {
            let (count, total) = (self.word(COUNT) & 0xffff, self.word(TOTAL) >> 16);
            if count == 0 || count > total {
                self.complain(format!("{count} functions enabled, of {total}"));
            }
            if self
                .bar_masks
                .iter()
                .zip(0..)
                .any(|(mask, index)| *mask != 0 && *mask != u32::MAX && self.bar(index).is_none())
            {
                self.complain("functions enabled with BARs that have no address");
            }
            if let Completion::AfterReads(reads) = self.lies.answers {
                self.reads_left = reads;
            }
        }
        self.switched_millis = Some(self.now_millis);
    }
}
