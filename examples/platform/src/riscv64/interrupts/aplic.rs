//! The advanced platform-level interrupt controller: lines, which it delivers itself or turns into messages.
//!
//! RISC-V Advanced Interrupt Architecture 1.0, chapter 4.
//!
//! ```text
//!   0x0000  domaincfg                     whether it delivers, and how
//!   0x0004  sourcecfg of source 1, 2 …    what counts as an interrupt
//!   0x1edc  setienum                      enables a source
//!   0x1f00  clrie                         disables sources, a bit each
//!   0x2000  setipnum_le                   looks at a source again
//!   0x3004  target of source 1, 2 …       which hart, and how urgent or as which message
//!   0x4000  hart 0, 1 …: idelivery, iforce, ithreshold, topi, claimi       32 bytes each; only without messages
//! ```

use dtoolkit::standard::NodeStandard;
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

use super::{own_output, registers};
use crate::device_tree::{self, TreeNode, number};

const DOMAINCFG: usize = 0x0000;
const SETIENUM: usize = 0x1edc;
const CLRIE: usize = 0x1f00;
const SETIPNUM_LE: usize = 0x2000;
const SOURCECFG: usize = 0x0000;
const TARGET: usize = 0x3000;
const HARTS: usize = 0x4000;
const HART_BYTES: usize = 32;
const IDELIVERY: usize = 0x00;
const ITHRESHOLD: usize = 0x08;
const CLAIMI: usize = 0x1c;

/// `domaincfg`: interrupts are delivered, as messages.
const DELIVERS: u32 = 1 << 8;
const AS_MESSAGES: u32 = 1 << 2;
/// `sourcecfg`: an interrupt as long as the line is high, or low; and how the device tree says so.
const LEVEL_HIGH: (u32, u32) = (6, 4);
const LEVEL_LOW: (u32, u32) = (7, 8);

const HART_SHIFT: u32 = 18;

/// The part of it that is about lines.
pub(super) struct Aplic {
    registers: Registers,
    sources: u32,
    /// Which hart is ours.
    hart: u32,
}

impl Aplic {
    /// One that turns lines into messages for the controller with this handle, where our hart has this number.
    pub(super) fn with_messages(imsic: u32, hart: u32) -> Option<Self> {
        let sends = |node| number(node, "msi-parent") == Some(imsic.into());
        Self::new(aplic(&sends)?, hart, DELIVERS | AS_MESSAGES)
    }

    fn new(node: TreeNode, hart: u32, configuration: u32) -> Option<Self> {
        let sources = number(node, "riscv,num-sources")?.try_into().ok()?;
        let aplic = Self { registers: registers(node)?, sources, hart };
        for word in 0..=sources as usize / 32 {
            aplic.write(CLRIE + 4 * word, u32::MAX);
        }
        aplic.write(DOMAINCFG, configuration);
        Some(aplic)
    }

    fn write(&self, offset: usize, value: u32) {
        self.registers.write(offset, AccessWidth::Long, value);
    }

    /// Lets a line through, as urgent as this (or: as this message). `None` if it has no level, or does not exist.
    pub(super) fn connect(&self, line: u32, kind: u32, target: u32) -> Option<()> {
        if line == 0 || line > self.sources {
            return None;
        }
        let (mode, _) = [LEVEL_HIGH, LEVEL_LOW].into_iter().find(|(_, told)| *told == kind)?;
        let place = 4 * line as usize;
        self.write(SOURCECFG + place, mode);
        self.write(TARGET + place, self.hart << HART_SHIFT | target);
        self.write(SETIENUM, line);
        Some(())
    }

    /// Sends another message for a line if it is still raised.
    pub(super) fn look_again(&self, line: u32) {
        self.write(SETIPNUM_LE, line);
    }
}

/// One that delivers interrupts itself.
pub(super) struct Direct {
    aplic: Aplic,
    own: usize,
}

impl Direct {
    pub(super) fn find(own: u32) -> Option<Self> {
        let node = aplic(&|node| own_output(node, own).is_some())?;
        let hart = own_output(node, own)?;
        let direct =
            Self { aplic: Aplic::new(node, hart, DELIVERS)?, own: HARTS + HART_BYTES * hart as usize };
        direct.aplic.write(direct.own + ITHRESHOLD, 0);
        direct.aplic.write(direct.own + IDELIVERY, 1);
        Some(direct)
    }

    pub(super) fn connect(&self, line: u32, kind: u32) -> Option<()> {
        self.aplic.connect(line, kind, 1)
    }

    pub(super) fn claim(&self) -> Option<u32> {
        let line = self.aplic.registers.read(self.own + CLAIMI, AccessWidth::Long) >> 16;
        (1..=self.aplic.sources).contains(&line).then_some(line)
    }
}

/// The controller that we are looking for: there is one for each mode of the harts.
fn aplic(is_ours: &dyn Fn(TreeNode) -> bool) -> Option<TreeNode> {
    device_tree::find(&mut |node| node.is_compatible("riscv,aplic") && is_ours(node))
}
