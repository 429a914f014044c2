//! Doorbells: where a queue's available-buffer notifications are written.
//!
//! Spec: §2.9 Driver Notifications, §4.1.5.2 Available Buffer Notifications. A transport computes a doorbell once per queue; from then on the
//! data path rings it and touches no other register.

use core::fmt;
use core::ptr::NonNull;

use super::register_access::write_memory;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use super::register_access::write_port;
use super::registers::Registers;
use crate::hal::{AccessWidth, RegisterHandler, RegisterWindow};

/// A place to write notifications to. Independent of the transport that made it.
pub struct Doorbell {
    kind: Kind,
    notification: Notification,
    /// The register, if it is one in memory of 16 bits that gets the queue's number and nothing else: that of most devices.
    plain: Option<NonNull<u8>>,
}

/// What is written to a doorbell.
///
/// Spec: §2.9 Driver Notifications, §4.1.5.2 Available Buffer Notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What names the queue: its index, or with `NOTIF_CONFIG_DATA` what the device told to use instead.
    pub queue: u16,
    /// Whether the upper half says where in the ring the next chain will be (`NOTIFICATION_DATA`).
    pub carries_position: bool,
}

impl Notification {
    /// The value to write: the queue in bits 0 to 15; with a position its offset in bits 16 to 30, and its wrap counter in bit 31.
    const fn value(self, position: u16) -> u32 {
        let position = if self.carries_position { position } else { 0 };
        self.queue as u32 | (position as u32) << 16
    }

    /// The width that a register for it has, where registers are as wide as what is written to them (PCI).
    pub const fn width(self) -> AccessWidth {
        if self.carries_position { AccessWidth::Long } else { AccessWidth::Word }
    }
}

enum Kind {
    Memory {
        register: NonNull<u8>,
        width: AccessWidth,
    },
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Port {
        port: u16,
        width: AccessWidth,
    },
    Handler {
        handler: &'static dyn RegisterHandler,
        offset: usize,
        width: AccessWidth,
    },
    Function {
        call: fn(usize, u32),
        context: usize,
    },
}

// SAFETY: the register stays mapped for as long as the kernel runs and takes single writes from any processor; handlers are `Sync`;
// the function and its context are plain values.
unsafe impl Send for Doorbell {}

impl Doorbell {
    /// A doorbell that is a register of `width`, `offset` bytes into a window; `None` if it is not (aligned) inside.
    pub fn register(
        registers: &Registers,
        offset: usize,
        width: AccessWidth,
        notification: Notification,
    ) -> Option<Self> {
        let kind = match registers.place(offset, width)? {
            RegisterWindow::Memory(register) => Kind::Memory { register, width },
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            RegisterWindow::Ports(port) => Kind::Port { port, width },
            RegisterWindow::Handler(handler) => Kind::Handler { handler, offset, width },
        };
        let plain = match kind {
            Kind::Memory { register, width: AccessWidth::Word } if !notification.carries_position => {
                Some(register)
            }
            _ => None,
        };
        Some(Self { kind, notification, plain })
    }

    /// A doorbell that is a function, for transports whose devices are no registers. `context` comes back with each call.
    pub const fn function(
        call: fn(context: usize, notification: u32),
        context: usize,
        notification: Notification,
    ) -> Self {
        Self { kind: Kind::Function { call, context }, notification, plain: None }
    }

    /// Notifies the device: one write, no reads. `position` is where in the ring the next chain will be.
    #[inline]
    pub(crate) fn ring(&self, position: u16) {
        let Some(register) = self.plain else { return self.ring_otherwise(position) };
        // SAFETY: `register` checked place and alignment, and windows stay mapped.
        unsafe { write_memory(register, AccessWidth::Word, self.notification.queue.into()) };
    }

    #[inline(never)]
    fn ring_otherwise(&self, position: u16) {
        let notification = self.notification.value(position);
        match self.kind {
            Kind::Memory { register, width } => {
                // SAFETY: `register` checked place and alignment, and windows stay mapped.
                unsafe { write_memory(register, width, notification) };
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::Port { port, width } => {
                // SAFETY: as above.
                unsafe { write_port(port, width, notification) };
            }
            Kind::Handler { handler, offset, width } => handler.write(offset, width, notification),
            Kind::Function { call, context } => call(context, notification),
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Memory { register, width } => {
                write!(f, "Doorbell(register {register:p}, {width:?})")
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kind::Port { port, width } => write!(f, "Doorbell(port {port:#x}, {width:?})"),
            Kind::Handler { offset, width, .. } => {
                write!(f, "Doorbell(handler at {offset:#x}, {width:?})")
            }
            Kind::Function { context, .. } => write!(f, "Doorbell(function, context {context:#x})"),
        }
    }
}
