//! Device suspend, seen from the device.
//!
//! Spec: §3.4 Device Suspend. The device says that it is suspended by SUSPEND without DRIVER_OK, and that it runs again by DRIVER_OK without SUSPEND; in between it
//! shows both. From the moment that SUSPEND is set the driver may do nothing but read, resume and reset; what else it does is a driver error.

use super::misbehaviour::Completion;
use super::state::State;
use super::status::{DRIVER_OK, NEEDS_RESET, SUSPEND, feature};

/// How far a suspension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// Nobody asked for one.
    Off,
    /// Asked for; so many reads of the status have shown that it is not there yet.
    Suspending(u32),
    /// The device does nothing, and says so.
    On,
    /// The driver wants the device to go on; so many reads have shown that it does not yet.
    Resuming(u32),
}

impl State {
    /// Whether the device still finishes its work.
    pub(crate) fn is_suspending(&self) -> bool {
        matches!(self.suspension, Suspension::Suspending(_))
    }

    /// Whether the device does nothing.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.suspension, Suspension::On | Suspension::Resuming(_))
    }

    /// Whether the driver has to keep quiet: from SUSPEND on, until the device runs again.
    pub(crate) fn suspension_was_asked_for(&self) -> bool {
        self.suspension != Suspension::Off
    }

    /// Whether SUSPEND means anything now.
    pub(super) fn may_be_suspended(&self) -> bool {
        self.negotiated(feature::SUSPEND) && self.status & DRIVER_OK != 0
    }

    /// Takes what the driver wrote to the status as a wish; `before` is what the status was.
    pub(super) fn suspension_is_written(&mut self, before: u8, value: u8) {
        let added = value & !before;
        let is_asked_for =
            added & SUSPEND != 0 && before & DRIVER_OK != 0 && self.negotiated(feature::SUSPEND);
        if self.suspension == Suspension::Off && is_asked_for {
            self.status |= SUSPEND;
            self.suspension = Suspension::Suspending(0);
        } else if self.suspension == Suspension::On && added & DRIVER_OK != 0 {
            self.suspension = Suspension::Resuming(0);
        }
        self.settle(|completion, _| completion == Completion::Prompt);
    }

    /// Counts a read of the status, and lets time go by.
    pub(super) fn suspension_is_read(&mut self) {
        self.settle(|completion, reads| match completion {
            Completion::Prompt => true,
            Completion::AfterReads(wanted) => reads >= wanted,
            Completion::Never => false,
        });
        if let Suspension::Suspending(reads) | Suspension::Resuming(reads) = &mut self.suspension {
            *reads += 1;
        }
    }

    /// Goes on, if it is time; a device that needs a reset does not.
    fn settle(&mut self, is_time: impl Fn(Completion, u32) -> bool) {
        let is_due = match self.suspension {
            Suspension::Suspending(reads) => is_time(self.lies.suspend, reads),
            Suspension::Resuming(reads) => is_time(self.lies.resume, reads),
            Suspension::Off | Suspension::On => false,
        };
        if !is_due || self.status & NEEDS_RESET != 0 {
            return;
        }
        if self.lies.fails_suspension {
            self.need_reset();
        } else if self.is_suspending() {
            self.suspension = Suspension::On;
            self.status &= !DRIVER_OK;
        } else {
            self.suspension = Suspension::Off;
            self.status &= !SUSPEND;
            if std::mem::take(&mut self.config_change_is_untold) {
                self.raise_config();
            }
        }
    }

    /// Complains about a notification that the driver must not send now.
    pub(crate) fn check_that_notifications_are_due(&mut self) {
        if self.suspension_was_asked_for() {
            self.complain("notification after SUSPEND");
        } else if self.status & DRIVER_OK == 0 {
            self.complain("notification before DRIVER_OK");
        }
    }
}
