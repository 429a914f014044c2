//! The incoming message-signaled interrupt controller: a page for each hart that devices write to.
//!
//! RISC-V Advanced Interrupt Architecture 1.0, chapter 3. What is written is a number (an *interrupt identity*), for which the hart keeps two bits: pending, and
//! enabled. They are behind `siselect` and `sireg`, each hart's own; `stopei` says which is pending, and with a write makes it pending no more. All identities are enabled at each hart:
//! nothing comes but what somebody was told to send.
//!
//! ```text
//!   identity     1 … 32       messages of devices, one for each source
//!               33 … 33 + n   lines 0 to n, which an APLIC turns into messages
//! ```

use dtoolkit::standard::NodeStandard;
use virtio_guest::hal::MsiMessage;

use super::aplic::Aplic;
use super::{Arrived, hart_handle, own_output};
use crate::device_tree::{self, Range, TreeNode, number};
use crate::interrupts::SOURCES_MAX;
use crate::machine::csr;

const PAGE: u64 = 4096;

/// What `siselect` has for them.
const EIDELIVERY: u64 = 0x70;
const EITHRESHOLD: u64 = 0x72;
const EIE0: u64 = 0xc0;
/// Identities for each of the registers from `EIE0` on: 64, and only every second one exists.
const IDENTITIES_EACH: u32 = 64;

const FIRST_MESSAGE: u32 = 1;
const FIRST_LINE: u32 = FIRST_MESSAGE + SOURCES_MAX as u32;

/// The controller of all harts in supervisor mode, and who turns lines into messages for one of them.
pub(super) struct Imsic {
    node: TreeNode,
    /// All harts' pages.
    range: Range,
    /// How far the harts' pages are apart.
    stride: u64,
    identities: u32,
    lines: Option<Aplic>,
}

impl Imsic {
    pub(super) fn find(own: u32) -> Option<Self> {
        // There is one for each mode of the harts.
        let is_ours = |node| own_output(node, own).is_some();
        let node = device_tree::find(&mut |node| node.is_compatible("riscv,imsics") && is_ours(node))?;
        let hart = own_output(node, own)?;
        let pages_shift = number(node, "riscv,guest-index-bits").unwrap_or(0);
        let stride = PAGE.checked_mul(1u64.checked_shl(pages_shift.try_into().ok()?)?)?;
        let range = device_tree::registers(node)?;
        let identities = number(node, "riscv,num-ids")?.try_into().ok()?;
        let lines = node.phandle().ok().flatten().and_then(|handle| Aplic::with_messages(handle, hart));
        Some(Self { node, range, stride, identities, lines })
    }

    /// Has this hart take what comes for it.
    pub(super) fn join(&self) {
        for register in 0..=self.identities / IDENTITIES_EACH {
            write(EIE0 + 2 * u64::from(register), u64::MAX);
        }
        write(EITHRESHOLD, 0);
        write(EIDELIVERY, 1);
    }

    /// Where messages for a processor go.
    fn page(&self, processor: usize) -> Option<u64> {
        let offset = self.stride.checked_mul(own_output(self.node, hart_handle(processor)?)?.into())?;
        (offset.checked_add(PAGE)? <= self.range.bytes).then_some(self.range.address + offset)
    }

    pub(super) fn message(&self, source: usize, processor: usize) -> Option<MsiMessage> {
        let identity = self.existing(FIRST_MESSAGE.checked_add(u32::try_from(source).ok()?)?)?;
        let page = self.page(processor)?;
        // SAFETY: the page takes messages, and this one is prepared for.
        Some(unsafe { MsiMessage::new(page, identity) })
    }

    pub(super) fn connect(&self, line: u32, kind: u32) -> Option<()> {
        let identity = self.existing(FIRST_LINE.checked_add(line)?)?;
        self.lines.as_ref()?.connect(line, kind, identity)
    }

    fn existing(&self, identity: u32) -> Option<u32> {
        Some(identity).filter(|identity| *identity <= self.identities)
    }

    pub(super) fn complete(&self, line: u32) {
        if let Some(lines) = &self.lines {
            lines.look_again(line);
        }
    }
}

fn write(register: u64, value: u64) {
    csr::set_siselect(register);
    csr::set_sireg(value);
}

/// Asks for an interrupt that is pending for this hart.
pub(super) fn claim() -> Option<Arrived> {
    let identity = (csr::take_stopei() >> 16) as u32;
    match identity.checked_sub(FIRST_LINE) {
        Some(line) => Some(Arrived::Line(line)),
        None => Some(Arrived::Message(identity.checked_sub(FIRST_MESSAGE)? as usize)),
    }
}
