//! MSI-X: a table of messages in a BAR, its switches, and the messages that were sent.
//!
//! PCI Local Bus Specification 3.0, §6.8.2; spec: §4.1.5.1.2 MSI-X Vector Configuration. The table is where the capability says, the switches are in the
//! capability itself. A message is one write of 32 bits; the test's side sees each as address and data. What is masked is withheld, and not sent later.

use super::config_space::ConfigSpace;
use super::state::State;

/// Bytes of an entry: address (8), data (4), control (4).
const ENTRY_BYTES: u64 = 16;
/// The control word's only bit.
const MASKED: u32 = 1;

/// One entry of the table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    data: u32,
    control: u32,
}

impl Entry {
    /// As it is when the function gets power.
    const NEW: Self = Self { address: 0, data: 0, control: MASKED };
}

/// The table, and what became of it.
#[derive(Debug)]
pub(crate) struct MsiX {
    bar: u8,
    table: u64,
    pending: u64,
    entries: Vec<Entry>,
    /// Vectors below this one are granted.
    pub(super) granted: u16,
    /// So many registers may hold a vector at a time.
    pub(super) registers: usize,
    /// Registers whose vector was not read back: a queue's, or the configuration's.
    unread: Vec<Option<u16>>,
    pub(super) messages: Vec<(u64, u32)>,
    pub(super) withheld: usize,
}

impl MsiX {
    /// The table that configuration space speaks of, all masked.
    pub(super) fn new(space: &ConfigSpace) -> Option<Self> {
        let at = space.msi_x()?;
        let entries = (space.read(at) >> 16 & 0x7ff) + 1;
        let [table, pending] = [4, 8].map(|word| space.read(at + word));
        Some(Self {
            bar: u8::try_from(table & 7).unwrap_or(0),
            table: u64::from(table & !7),
            pending: u64::from(pending & !7),
            entries: vec![Entry::NEW; usize::try_from(entries).unwrap_or(0)],
            granted: u16::MAX,
            registers: usize::MAX,
            unread: Vec::new(),
            messages: Vec::new(),
            withheld: 0,
        })
    }

    /// Where an access is within the table, or behind its end in the bits that say what is pending.
    pub(super) fn locate(&self, bar: u8, offset: u64, width: u64) -> Option<u64> {
        let entries = self.entries.len() as u64;
        let table = self.table..self.table + ENTRY_BYTES * entries;
        let pending = self.pending..self.pending + entries.div_ceil(64) * 8;
        let is_inside = |range: &std::ops::Range<u64>| offset >= range.start && offset + width <= range.end;
        if bar != self.bar {
            None
        } else if is_inside(&table) {
            Some(offset - table.start)
        } else {
            is_inside(&pending).then(|| ENTRY_BYTES * entries + (offset - pending.start))
        }
    }

    /// Forgets all messages; those that were sent are on their way.
    pub(super) fn forget(&mut self) {
        self.entries.fill(Entry::NEW);
        self.unread.clear();
    }

    fn entry(&self, within: u64) -> Option<Entry> {
        self.entries.get(usize::try_from(within / ENTRY_BYTES).ok()?).copied()
    }

    fn read(&self, within: u64) -> u32 {
        let Some(entry) = self.entry(within) else { return 0 };
        match within % ENTRY_BYTES {
            0 => half(entry.address),
            4 => half(entry.address >> 32),
            8 => entry.data,
            _ => entry.control,
        }
    }

    /// Writes a word of the table; tells what was wrong with that. `is_on` is whether unmasked entries are being used.
    fn write(&mut self, within: u64, value: u32, is_on: bool) -> Option<String> {
        let index = usize::try_from(within / ENTRY_BYTES).ok()?;
        let Some(entry) = self.entries.get_mut(index) else {
            return Some("pending bits written".into());
        };
        let word = within % ENTRY_BYTES;
        let is_used = is_on && entry.control & MASKED == 0;
        match word {
            0 => entry.address = entry.address & !u64::from(u32::MAX) | u64::from(value),
            4 => entry.address = entry.address & u64::from(u32::MAX) | u64::from(value) << 32,
            8 => entry.data = value,
            _ => entry.control = value,
        }
        if word == 12 && value & !MASKED != 0 {
            return Some(format!("reserved bits of the control word of MSI-X entry {index} written"));
        }
        if word == 0 && !value.is_multiple_of(4) {
            return Some(format!("MSI-X entry {index} has the odd address {value:#x}"));
        }
        (is_used && word != 12).then(|| format!("MSI-X entry {index} changed while it was not masked"))
    }
}

impl State {
    pub(crate) fn msi_x_is_on(&self) -> bool {
        self.config_space.msi_x_control() & 0x8000 != 0
    }

    fn msi_x_is_masked(&self) -> bool {
        self.config_space.msi_x_control() & 0x4000 != 0
    }

    pub(super) fn table_read(&mut self, within: u64, width: u8) -> u32 {
        if width != 4 {
            self.complain(format!("read of {width} bytes of the MSI-X table"));
        }
        self.msi_x.as_ref().map_or(0, |msi_x| msi_x.read(within))
    }

    pub(super) fn table_write(&mut self, within: u64, width: u8, value: u32) {
        if width != 4 {
            self.complain(format!("write of {width} bytes of the MSI-X table"));
            return;
        }
        let is_on = self.msi_x_is_on() && !self.msi_x_is_masked();
        let complaint = self.msi_x.as_mut().and_then(|msi_x| msi_x.write(within, value, is_on));
        if let Some(complaint) = complaint {
            self.complain(complaint);
        }
    }

    /// The vector that sticks when the driver writes one to the register of a queue, or of the configuration.
    pub(super) fn granted_vector(&mut self, register: Option<u16>, vector: u16) -> u16 {
        use super::queue::NO_VECTOR;
        if vector == NO_VECTOR {
            self.vector_is_read(register);
            return NO_VECTOR;
        }
        let is_on = self.msi_x_is_on();
        let in_use = self.vectors_in_use(register);
        let Some(msi_x) = self.msi_x.as_mut().filter(|_| is_on) else {
            self.complain(format!("vector {vector} written with MSI-X off"));
            return NO_VECTOR;
        };
        msi_x.unread.push(register);
        let is_granted = vector < msi_x.granted && in_use < msi_x.registers;
        if usize::from(vector) >= msi_x.entries.len() {
            self.complain(format!("vector {vector} is not in the MSI-X table"));
            return NO_VECTOR;
        }
        if is_granted { vector } else { NO_VECTOR }
    }

    /// Registers that hold a vector, without this one.
    fn vectors_in_use(&self, without: Option<u16>) -> usize {
        let queues = (0..).zip(&self.queues).map(|(index, queue)| (Some(index), queue.vector));
        let registers = std::iter::once((None, self.config_vector)).chain(queues);
        registers
            .filter(|(register, vector)| *register != without && *vector != super::queue::NO_VECTOR)
            .count()
    }

    /// The driver looked at what became of a vector that it had written.
    pub(super) fn vector_is_read(&mut self, register: Option<u16>) {
        if let Some(msi_x) = &mut self.msi_x {
            msi_x.unread.retain(|unread| *unread != register);
        }
    }

    pub(super) fn forget_unread_vectors(&mut self) {
        if let Some(msi_x) = &mut self.msi_x {
            msi_x.unread.clear();
        }
    }

    /// Spec: §4.1.5.1.2.2 Driver Requirements: MSI-X Vector Configuration.
    pub(super) fn check_vectors_were_read(&mut self) {
        if self.msi_x.as_ref().is_some_and(|msi_x| !msi_x.unread.is_empty()) {
            self.complain("a vector was written and not read back");
            self.forget_unread_vectors();
        }
    }

    /// Sends the message of a vector, if there is one and it is not masked.
    pub(super) fn send(&mut self, vector: u16) {
        let is_masked = self.msi_x_is_masked();
        let can_write = self.config_space.is_bus_master();
        let Some(msi_x) = &mut self.msi_x else { return };
        let Some(entry) = msi_x.entries.get(usize::from(vector)) else { return };
        if is_masked || entry.control & MASKED != 0 || !can_write {
            msi_x.withheld += 1;
        } else {
            msi_x.messages.push((entry.address, entry.data));
        }
    }
}

/// The low 32 bits.
fn half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}
