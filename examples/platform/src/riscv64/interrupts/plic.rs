//! The platform-level interrupt controller: lines, each of which goes to whoever enables it.
//!
//! RISC-V Platform-Level Interrupt Controller Specification 1.0.0. A *context* is a hart in one of its modes.
//!
//! ```text
//!   0x000004  priority of source 1, 2 …       32 bits each; 0: never
//!   0x002000  enabled in context 0, 1 …       a bit for each source, 0x80 bytes each
//!   0x200000  context 0, 1 …: threshold, claim and complete       0x1000 bytes each
//! ```

use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

use super::{own_output, registers};
use crate::device_tree::{self, number};

const ENABLED: usize = 0x2000;
const ENABLED_BYTES: usize = 0x80;
const CONTEXTS: usize = 0x20_0000;
const CONTEXT_BYTES: usize = 0x1000;
const CLAIM: usize = 4;

/// The controller, as our hart sees it.
pub(super) struct Plic {
    registers: Registers,
    sources: u32,
    enabled: usize,
    context: usize,
}

impl Plic {
    pub(super) fn find(own: u32) -> Option<Self> {
        let node = device_tree::compatible("riscv,plic0")?;
        let sources = number(node, "riscv,ndev")?.try_into().ok()?;
        let context = own_output(node, own)? as usize;
        let plic = Self {
            registers: registers(node)?,
            sources,
            enabled: ENABLED + ENABLED_BYTES * context,
            context: CONTEXTS + CONTEXT_BYTES * context,
        };
        for word in 0..=sources as usize / 32 {
            plic.registers.write(plic.enabled + 4 * word, AccessWidth::Long, 0);
        }
        // All priorities but 0 are let through.
        plic.registers.write(plic.context, AccessWidth::Long, 0);
        Some(plic)
    }

    pub(super) fn connect(&self, line: u32) -> Option<()> {
        if line == 0 || line > self.sources {
            return None;
        }
        self.registers.write(4 * line as usize, AccessWidth::Long, 1);
        let word = self.enabled + 4 * (line as usize / 32);
        let enabled = self.registers.read(word, AccessWidth::Long);
        self.registers.write(word, AccessWidth::Long, enabled | 1 << (line % 32));
        Some(())
    }

    pub(super) fn claim(&self) -> Option<u32> {
        let line = self.registers.read(self.context + CLAIM, AccessWidth::Long);
        (1..=self.sources).contains(&line).then_some(line)
    }

    pub(super) fn complete(&self, line: u32) {
        self.registers.write(self.context + CLAIM, AccessWidth::Long, line);
    }
}
