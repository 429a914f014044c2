//! The incoming message-signaled interrupt controller: a page for each hart that devices write to.
//!
//! RISC-V Advanced Interrupt Architecture 1.0, chapter 3. What is written is a number (an *interrupt identity*), for which the hart keeps two bits: pending, and
//! enabled. They are behind `siselect` and `sireg`; `stopei` says which is pending, and with a write makes it pending no more.
//!
//! ```text
//!   identity     1 … 32       messages of devices, one for each source
//!               33 … 33 + n   lines 0 to n, which an APLIC turns into messages
//! ```

use dtoolkit::standard::NodeStandard;
use virtio_guest::hal::MsiMessage;

use super::aplic::Aplic;
use super::{Arrived, own_output};
use crate::device_tree::{self, number};
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

/// Our hart's part of the controller, and who turns lines into messages.
pub(super) struct Imsic {
    /// Where messages for us go.
    address: u64,
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
        let pages = 1u64.checked_shl(pages_shift.try_into().ok()?)?;
        let range = device_tree::registers(node)?;
        let offset = pages.checked_mul(u64::from(hart) * PAGE)?;
        if offset.checked_add(PAGE)? > range.bytes {
            return None;
        }
        let identities = number(node, "riscv,num-ids")?.try_into().ok()?;
        for register in 0..=identities / IDENTITIES_EACH {
            write(EIE0 + 2 * u64::from(register), 0);
        }
        write(EITHRESHOLD, 0);
        write(EIDELIVERY, 1);
        let lines = node.phandle().ok().flatten().and_then(|handle| Aplic::with_messages(handle, hart));
        Some(Self { address: range.address + offset, identities, lines })
    }

    pub(super) fn message(&self, source: usize) -> Option<MsiMessage> {
        let identity = FIRST_MESSAGE + u32::try_from(source).ok()?;
        self.enable(identity)?;
        // SAFETY: the page takes messages, and this one is prepared for.
        Some(unsafe { MsiMessage::new(self.address, identity) })
    }

    pub(super) fn connect(&self, line: u32, kind: u32) -> Option<()> {
        let identity = FIRST_LINE.checked_add(line)?;
        self.enable(identity)?;
        self.lines.as_ref()?.connect(line, kind, identity)
    }

    fn enable(&self, identity: u32) -> Option<()> {
        if identity > self.identities {
            return None;
        }
        csr::set_siselect(EIE0 + 2 * u64::from(identity / IDENTITIES_EACH));
        csr::set_sireg(csr::sireg() | 1 << (identity % IDENTITIES_EACH));
        Some(())
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

/// Asks for an interrupt that is pending for our hart.
pub(super) fn claim() -> Option<Arrived> {
    let identity = (csr::take_stopei() >> 16) as u32;
    match identity.checked_sub(FIRST_LINE) {
        Some(line) => Some(Arrived::Line(line)),
        None => Some(Arrived::Message(identity.checked_sub(FIRST_MESSAGE)? as usize)),
    }
}
