//! A PCI function's configuration space: what it reads, and what may be written to it.
//!
//! Spec: §4.1.4; PCI Local Bus Specification 3.0, §6.2.2 (command), §6.2.5.1 (BARs), §6.8.2 (MSI-X). Four things may be written: the command register, never a bit of the status beside it; BARs,
//! with decoding off, ones and then what was there; the control word of the MSI-X capability, and MSI switched off. Where the BARs are is what the function said while they were sized,
//! lies and all: nobody knows better.

use std::ops::Range;

use super::template::{self, BARS, BYTES, Interfaces};
use super::world::World;
use crate::script::Script;

/// Bytes of configuration space with extended capabilities, which are only read.
const EXTENDED_BYTES: usize = 4096;
const COMMAND: usize = 0x04;
const FIRST_BAR: usize = 0x10;
/// In the command register: ports and memory are decoded.
/// All of the command register; some bits are always 0 where there is a function.
const COMMAND_BITS: u32 = 0xffff;
const DECODING: u32 = 0b11;
/// In a BAR.
const PORTS: u32 = 1;
const IS_64_BITS: u32 = 0b100;
const TYPE: u32 = 0b110;
const MSI_X: u32 = 0x11;
/// In the control word of MSI-X: on, and all masked; in that of MSI: on.
const MSI_X_CONTROL: u32 = 0xc000_0000;
const MSI: u32 = 0x05;
const MSI_ENABLED: u32 = 1 << 16;

/// See the module's head.
pub(crate) struct Function {
    words: [u32; BYTES / 4],
    /// Which bits of the BARs can be written.
    masks: [u32; BARS],
    /// What each word was last seen to be.
    seen: [Option<u32>; BYTES / 4],
    /// Words that were seen to be the first of an MSI-X capability, and of an MSI capability.
    msi_x: [bool; BYTES / 4],
    msi: [bool; BYTES / 4],
    bars: [Bar; BARS],
}

/// What the driver knows of a BAR.
#[derive(Clone, Copy, Default)]
struct Bar {
    /// It is being sized, and is to have this value again.
    sized: Option<u32>,
    value: u32,
    mask: u32,
}

impl Default for Function {
    /// All zeros: no function.
    fn default() -> Self {
        let words = [0; BYTES / 4];
        let (seen, msi_x, msi) = (words.map(|_| None), words.map(|_| false), words.map(|_| false));
        Self { words, masks: [0; BARS], seen, msi_x, msi, bars: [Bar::default(); BARS] }
    }
}

impl Function {
    /// A function with these interfaces, of which the script changes some bytes, and which bits of BARs can be written.
    pub(crate) fn read(interfaces: Interfaces, script: &mut Script) -> Self {
        let (mut space, mut masks) = template::space(interfaces);
        let changes = script.detail();
        for _ in 0..changes % 16 {
            space[usize::from(script.detail())] = script.detail();
        }
        for _ in 0..changes >> 4 & 3 {
            let bits = script.detail();
            masks[usize::from(bits) % BARS] = u32::MAX << (bits / 8);
        }
        let mut words = [0; BYTES / 4];
        for (word, bytes) in words.iter_mut().zip(space.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { words, masks, ..Self::default() }
    }

    fn is_decoding(&self) -> bool {
        self.words[COMMAND / 4] & DECODING != 0
    }

    /// Memory that the BARs with an address decode, as the driver was told. The upper half of a BAR is none.
    pub(crate) fn memory(&self) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        let mut index = 0;
        while let Some(Bar { value, mask, .. }) = self.bars.get(index) {
            index += 1;
            if value & PORTS != 0 {
                continue;
            }
            let (mut start, mut bits) = (u64::from(value & !0xf), u64::from(mask & !0xf) | 0xffff_ffff << 32);
            if value & TYPE == IS_64_BITS {
                let Some(high) = self.bars.get(index) else { break };
                start |= u64::from(high.value) << 32;
                bits = bits & 0xffff_ffff | u64::from(high.mask) << 32;
                index += 1;
            }
            if let (1.., Some(end)) = (start, start.checked_add(bits.wrapping_neg())) {
                found.push(start..end);
            }
        }
        found
    }

    /// Ports that the first BAR decodes.
    pub(crate) fn ports(&self) -> Range<u32> {
        let Bar { value, mask, .. } = self.bars[0];
        assert!(value & PORTS != 0, "the first BAR is none of ports");
        let start = value & !0b11;
        start..start + ((mask & !0b11).wrapping_neg() & 0xffff)
    }

    /// Each BAR has its value again.
    pub(crate) fn check_bars(&self) {
        assert!(self.bars.iter().all(|bar| bar.sized.is_none()), "a BAR has no address any more");
    }
}

impl World {
    /// The driver reads a word.
    pub(crate) fn read_function(&mut self, offset: usize) -> u32 {
        self.spend();
        assert!(
            offset.is_multiple_of(4) && offset < EXTENDED_BYTES,
            "words of the first {EXTENDED_BYTES} bytes"
        );
        if offset >= BYTES {
            // An honest function has nothing there.
            return self.answer(u32::MAX, 4);
        }
        let honest = self.function.words[offset / 4];
        let shown = self.answer(honest, 4);
        if offset == COMMAND && shown & COMMAND_BITS != COMMAND_BITS {
            self.confirm_reset();
        }
        self.device.unconfirmed = None;
        self.function.seen[offset / 4] = Some(shown);
        self.function.msi_x[offset / 4] |= shown & 0xff == MSI_X;
        self.function.msi[offset / 4] |= shown & 0xff == MSI;
        if let Some(bar) = self.function.bar(offset) {
            *(if bar.sized.is_some() { &mut bar.mask } else { &mut bar.value }) = shown;
        }
        shown
    }

    /// The driver writes a word.
    pub(crate) fn write_function(&mut self, offset: usize, value: u32) {
        self.spend();
        let function = &mut self.function;
        let (seen, is_decoding) = (function.seen[offset / 4], function.is_decoding());
        if let Some(bar) = function.bar(offset) {
            assert!(!is_decoding, "a BAR is written that is being decoded");
            match bar.sized {
                Some(before) if value == before => bar.sized = None,
                None if value == u32::MAX => bar.sized = seen,
                _ => panic!("{value:#x} is written to the BAR at {offset:#x}"),
            }
            let mask = function.masks[(offset - FIRST_BAR) / 4];
            let word = &mut function.words[offset / 4];
            *word = value & mask | *word & !mask;
            return;
        }
        if offset == COMMAND {
            assert!(value >> 16 == 0, "bits of the status register are cleared");
        } else {
            let seen = seen.expect("what was never read is written");
            let is_msi_x = offset >= 0x40 && function.msi_x[offset / 4];
            let is_msi = offset >= 0x40 && function.msi[offset / 4];
            assert!(is_msi_x || is_msi, "{value:#x} is written at {offset:#x}");
            let is_msi_x_switched = is_msi_x && value & !MSI_X_CONTROL == seen & !MSI_X_CONTROL;
            let is_msi_off = is_msi && value == seen & !MSI_ENABLED;
            assert!(is_msi_x_switched || is_msi_off, "more than a switch of messages changes");
        }
        let kept = if offset == COMMAND { function.words[offset / 4] & 0xffff_0000 } else { 0 };
        function.words[offset / 4] = kept | value;
    }
}

impl Function {
    fn bar(&mut self, offset: usize) -> Option<&mut Bar> {
        self.bars.get_mut(offset.checked_sub(FIRST_BAR)? / 4)
    }
}
