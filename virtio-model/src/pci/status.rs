//! Device status, reset and feature negotiation, seen from the device.
//!
//! Spec: §2.1 Device Status Field, §2.2 Feature Bits, §3.1.1 Driver Requirements: Device
//! Initialization. A write that skips or repeats a step is a driver error; the device goes on.

use super::misbehaviour::Completion;
use super::state::State;
use super::suspend::Suspension;

/// The driver noticed the device.
pub const ACKNOWLEDGE: u8 = 1;
/// The driver can drive it.
pub const DRIVER: u8 = 2;
/// The driver is ready.
pub const DRIVER_OK: u8 = 4;
/// Feature negotiation is complete.
pub const FEATURES_OK: u8 = 8;
/// The driver asks for a suspension, or the device is suspended.
pub const SUSPEND: u8 = 16;
/// The device cannot go on.
pub const NEEDS_RESET: u8 = 64;
/// The driver gave up.
pub const FAILED: u8 = 128;

/// The feature bits, by number, that the transport itself knows.
pub(crate) mod feature {
    pub(crate) const INDIRECT_DESC: u32 = 28;
    pub(crate) const EVENT_IDX: u32 = 29;
    pub(crate) const VERSION_1: u32 = 32;
    pub(crate) const RING_PACKED: u32 = 34;
    pub(crate) const IN_ORDER: u32 = 35;
    pub(crate) const NOTIFICATION_DATA: u32 = 38;
    pub(crate) const NOTIF_CONFIG_DATA: u32 = 39;
    pub(crate) const RING_RESET: u32 = 40;
    pub(crate) const ADMIN_VQ: u32 = 41;
    pub(crate) const SUSPEND: u32 = 43;
}

/// How far a reset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// The driver has not reset the device since power-up.
    NeverAsked,
    /// Asked for; done after so many more reads of the status, or never.
    Pending(Option<u32>),
    /// Done, but the driver has not read the 0 yet.
    Unseen,
    /// Done, and the driver knows.
    Done,
}

impl State {
    /// Whether features are agreed on: a legacy driver does not say so, and is done when it goes on.
    pub(crate) fn negotiation_is_over(&self) -> bool {
        self.status & if self.is_legacy { DRIVER } else { FEATURES_OK } != 0
    }

    /// Whether both sides agreed on a feature.
    pub(crate) fn negotiated(&self, bit: u32) -> bool {
        self.negotiation_is_over() && self.accepted & (1 << bit) != 0
    }

    /// Whether the driver may not touch anything but the status, for a reset is not over.
    pub(crate) fn awaits_reset(&self) -> bool {
        matches!(self.reset, Reset::Pending(_) | Reset::Unseen)
    }

    pub(crate) fn read_status(&mut self) -> u8 {
        match self.reset {
            Reset::Pending(Some(0)) => {
                self.finish_reset();
                self.reset = Reset::Done;
            }
            Reset::Pending(Some(left)) => self.reset = Reset::Pending(Some(left - 1)),
            Reset::Unseen => self.reset = Reset::Done,
            Reset::Pending(None) | Reset::NeverAsked | Reset::Done => {}
        }
        self.suspension_is_read();
        self.lies.status_read.unwrap_or(self.status)
    }

    pub(crate) fn write_status(&mut self, value: u8) {
        self.statuses_written.push(value);
        if value == 0 {
            self.begin_reset();
            return;
        }
        self.check_status(value);
        let mut status = value & (ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED);
        status |= self.status & (NEEDS_RESET | SUSPEND);
        let asks_features_ok = value & !self.status & FEATURES_OK != 0;
        if asks_features_ok && !self.features_are_fine() {
            status &= !FEATURES_OK;
        }
        let before = std::mem::replace(&mut self.status, status);
        self.suspension_is_written(before, value);
    }

    /// Sets `NEEDS_RESET`; a driver that is ready hears of it.
    pub(crate) fn need_reset(&mut self) {
        self.status |= NEEDS_RESET;
        if self.status & DRIVER_OK != 0 {
            self.raise_config();
        }
    }

    /// Spec: §4.1.4.5.1 — with MSI-X on, the ISR status does not say that buffers were used.
    pub(crate) fn raise_used(&mut self, queue: u16) {
        self.used_interrupts += 1;
        if !self.msi_x_is_on() {
            self.isr |= 1;
        } else if let Some(queue) = self.queues.get(usize::from(queue)) {
            self.send(queue.vector);
        }
    }

    pub(crate) fn raise_config(&mut self) {
        if self.is_suspended() {
            self.config_change_is_untold = true;
            return;
        }
        self.isr |= 2;
        self.config_interrupts += 1;
        if self.msi_x_is_on() {
            self.send(self.config_vector);
        }
    }

    /// Whether there is something to interrupt for, and no message that says it.
    pub(super) fn wants_line(&self) -> bool {
        self.isr != 0 && !self.msi_x_is_on()
    }

    fn begin_reset(&mut self) {
        self.reset = match self.lies.reset {
            Completion::Prompt => {
                self.finish_reset();
                Reset::Unseen
            }
            Completion::AfterReads(reads) => Reset::Pending(Some(reads)),
            Completion::Never => Reset::Pending(None),
        };
    }

    fn finish_reset(&mut self) {
        self.forget_driver();
        self.config_writes_before_reset = self.config_writes.len();
        self.resets += 1;
    }

    /// Forgets all that a driver said through the device's registers.
    pub(super) fn forget_driver(&mut self) {
        self.status = 0;
        self.accepted = 0;
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.queue_select = 0;
        self.config_vector = super::queue::NO_VECTOR;
        self.isr = 0;
        self.suspension = Suspension::Off;
        self.config_change_is_untold = false;
        self.interface_in_use = None;
        self.forget_unread_vectors();
        for queue in &mut self.queues {
            queue.reset();
        }
    }

    fn check_status(&mut self, value: u8) {
        let held = self.status & !NEEDS_RESET;
        let added = value & !self.status;
        if self.awaits_reset() && added != FAILED {
            self.complain("status written before the reset was seen to be complete");
        }
        if self.reset == Reset::NeverAsked {
            self.complain("the device was not reset first");
        }
        if value & held != held {
            self.complain(format!("status {held:#x} overwritten with {value:#x}: bits were dropped"));
        }
        if added.count_ones() > 1 {
            self.complain(format!("status bits {added:#x} set in one step"));
        }
        if self.status & FAILED != 0 {
            self.complain("status written after FAILED without a reset");
        }
        for (bit, needed) in [
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, ACKNOWLEDGE | DRIVER),
            (
                DRIVER_OK,
                if self.is_legacy { ACKNOWLEDGE | DRIVER } else { ACKNOWLEDGE | DRIVER | FEATURES_OK },
            ),
        ] {
            if added & bit != 0 && self.status & needed != needed {
                self.complain(format!("status bit {bit:#x} set while status is {held:#x}"));
            }
        }
        if self.is_legacy && added & FEATURES_OK != 0 {
            self.complain("FEATURES_OK set on a legacy device");
        }
        if added & DRIVER_OK != 0 {
            self.check_vectors_were_read();
        }
        let beyond = self.accepted & !self.offered;
        if self.is_legacy && added & DRIVER_OK != 0 && beyond != 0 {
            self.complain(format!("features {beyond:#x} accepted but not offered"));
        }
        if added & DRIVER_OK != 0 && !self.config_space.is_bus_master() {
            self.complain("DRIVER_OK set while the function is not a bus master");
        }
        if added & SUSPEND != 0 && !self.may_be_suspended() {
            self.complain("SUSPEND set without the feature, or before DRIVER_OK");
        }
        let unknown = added & !(ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | SUSPEND | FAILED);
        if unknown != 0 {
            self.complain(format!("status bits {unknown:#x} are not the driver's to set"));
        }
    }

    fn features_are_fine(&mut self) -> bool {
        let version_1 = 1u128 << feature::VERSION_1;
        let beyond = self.accepted & !self.offered;
        if beyond != 0 {
            self.complain(format!("features {beyond:#x} accepted but not offered"));
        }
        let is_modern = self.accepted & self.offered & version_1 != 0;
        if self.offered & version_1 != 0 && !is_modern {
            self.complain("VERSION_1 was offered and not accepted");
        }
        let forbidden = self.accepted & self.forbidden;
        if forbidden != 0 {
            self.complain(format!("features {forbidden:#x} accepted, which this device does not bear"));
        }
        let is_missing = self.insisted_on & self.offered & !self.accepted != 0;
        beyond == 0 && is_modern && !is_missing && !self.lies.drops_features_ok
    }
}
