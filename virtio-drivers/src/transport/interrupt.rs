//! Interrupts: what a device means by one, and how a line is quieted.
//!
//! Spec: §2.3 Notifications, §4.1.4.5 ISR status capability, §4.1.5.1.2 MSI-X Vector Configuration, §4.2.3.4 Notifications From The Device.
//!
//! A vector says by itself what happened, and needs no register. A line is raised until its device is asked why: an [`InterruptLine`] does that, from an
//! interrupt handler, beside a driver that runs.

use crate::hal::AccessWidth;
use crate::raw::Registers;
use crate::wire::mmio::{InterruptStatus, register};
use crate::wire::pci::IsrStatus;

/// Why a device interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptCause {
    /// A queue has used buffers.
    pub used_buffer: bool,
    /// The configuration changed, or the device needs a reset.
    pub configuration_change: bool,
}

/// The device does not take a vector: it has too few, or no room to keep track of one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device does not take the interrupt vector")]
pub struct VectorRefused;

/// A device's end of its interrupt line. Independent of the transport that made it; may be used from any processor, and from interrupt handlers.
///
/// It reads, and for MMIO writes, the one register that is about the line. Once the device is reset, or gone, it finds no cause.
#[derive(Debug)]
pub struct InterruptLine {
    registers: Registers,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Reading it clears it, whole.
    ReadClears { offset: usize },
    /// There is one to read, and one to write what was handled to.
    WriteClears,
}

impl InterruptLine {
    /// The line of a function whose ISR status is at `offset` of these registers.
    pub(super) const fn pci(registers: Registers, offset: usize) -> Self {
        Self { registers, kind: Kind::ReadClears { offset } }
    }

    /// The line of a device behind MMIO.
    pub(super) const fn mmio(registers: Registers) -> Self {
        Self { registers, kind: Kind::WriteClears }
    }

    /// The same line once more: for a handler, where the transport keeps its own.
    pub(crate) const fn share(&self) -> Self {
        Self { registers: self.registers.share(), kind: self.kind }
    }

    /// Asks why the device interrupted, which also makes it stop. Lines are shared: nothing set means that it was another device's interrupt.
    ///
    /// Work: one register read, with MMIO also a write.
    pub fn acknowledge(&self) -> InterruptCause {
        match self.kind {
            Kind::ReadClears { offset } => {
                let bits = (self.registers.read(offset, AccessWidth::Byte) & 0xff) as u8;
                let status = IsrStatus::from_bits_retain(bits);
                if bits == u8::MAX {
                    // All ones: the device is gone, and so is its reason.
                    return InterruptCause::default();
                }
                InterruptCause {
                    used_buffer: status.contains(IsrStatus::QUEUE),
                    configuration_change: status.contains(IsrStatus::CONFIGURATION),
                }
            }
            Kind::WriteClears => {
                let bits = self.registers.read(register::INTERRUPT_STATUS, AccessWidth::Long);
                // Only what is handled is acknowledged (§4.2.3.4.1).
                let handled = InterruptStatus::from_bits_retain(bits)
                    & (InterruptStatus::USED_BUFFER | InterruptStatus::CONFIGURATION_CHANGE);
                if bits == u32::MAX || handled.is_empty() {
                    // The device is gone, and its reason with it; or it was not this device.
                    return InterruptCause::default();
                }
                self.registers.write(register::INTERRUPT_ACK, AccessWidth::Long, handled.bits());
                InterruptCause {
                    used_buffer: handled.contains(InterruptStatus::USED_BUFFER),
                    configuration_change: handled.contains(InterruptStatus::CONFIGURATION_CHANGE),
                }
            }
        }
    }
}
