//! What the registers of a function read that is gone.
//!
//! Where QEMU has them: those of a modern device are in BAR 4, a page for each structure.

use alloc::vec::Vec;

use example_platform::pci::PciAccess;
use example_platform::{MMIO, println};
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

/// The BAR, and its bytes.
const BAR: u16 = 0x20;
const BAR_BYTES: usize = 0x4000;
/// Registers, each with its width.
const LOOKED_AT: [(&str, usize, AccessWidth); 6] = [
    ("features", 0x04, AccessWidth::Long),
    ("queues", 0x12, AccessWidth::Word),
    ("status", 0x14, AccessWidth::Byte),
    ("isr", 0x1000, AccessWidth::Byte),
    ("config", 0x2000, AccessWidth::Long),
    ("doorbell", 0x3000, AccessWidth::Word),
];
/// Words of configuration space: ids; command and status.
const WORDS: [(&str, u16); 2] = [("ids", 0x00), ("command", 0x04)];

/// A function, and the registers in its BAR.
pub struct FunctionRegisters {
    address: PciAddress,
    registers: Registers,
}

fn word(address: PciAddress, offset: u16) -> u32 {
    // SAFETY: this is the machine's configuration space, and reading a header has no side effects.
    unsafe { PciAccess.read(address, offset) }
}

impl FunctionRegisters {
    /// Where they are, as long as somebody can be asked; `None` if there are none, as of a legacy device.
    pub fn find(address: PciAddress) -> Option<Self> {
        let [low, high] = [BAR, BAR + 4].map(|offset| u64::from(word(address, offset)));
        let place = high << 32 | low & !0xf;
        if place == 0 {
            return None;
        }
        // SAFETY: the BAR is the disk's. These registers are read once the disk is gone, and its doorbell written, and nothing else.
        let registers = unsafe { Registers::map(&MMIO, place, BAR_BYTES) }?;
        Some(Self { address, registers })
    }

    /// Rings a doorbell that is not there any more, and says what everything reads.
    pub fn describe(&self) {
        self.registers.write(0x3000, AccessWidth::Word, 0);
        let registers = LOOKED_AT.map(|(name, offset, width)| (name, self.registers.read(offset, width)));
        let words = WORDS.map(|(name, offset)| (name, word(self.address, offset)));
        let all: Vec<_> = registers
            .into_iter()
            .chain(words)
            .map(|(name, value)| alloc::format!("{name}={value:#x}"))
            .collect();
        println!("registers: {}", all.join(" "));
    }
}
