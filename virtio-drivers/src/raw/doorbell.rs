//! Doorbells: where a queue's available-buffer notifications are written.
//!
//! Spec: §2.9 Driver Notifications, §4.1.5.2 Available Buffer Notifications. A transport computes a doorbell once per queue; from then on the
//! data path rings it and touches no other register.

use core::fmt;
use core::ptr::NonNull;

use super::registers::{Registers, write_memory};
use crate::hal::{AccessWidth, RegisterHandler, RegisterWindow};

/// A place to write notifications to. Independent of the transport that made it.
pub struct Doorbell(Kind);

enum Kind {
    Memory { register: NonNull<u8>, width: AccessWidth },
    Handler { handler: &'static dyn RegisterHandler, offset: usize, width: AccessWidth },
    Function { call: fn(usize, u32), context: usize },
}

// SAFETY: the register stays mapped for as long as the kernel runs and takes single writes from any processor; handlers are `Sync`;
// the function and its context are plain values.
unsafe impl Send for Doorbell {}

impl Doorbell {
    /// A doorbell that is a register of `width`, `offset` bytes into a window; `None` if it is not (aligned) inside.
    pub fn register(registers: &Registers, offset: usize, width: AccessWidth) -> Option<Self> {
        let place = registers.place(offset, width)?;
        Some(Self(match place {
            RegisterWindow::Memory(register) => Kind::Memory { register, width },
            RegisterWindow::Handler(handler) => Kind::Handler { handler, offset, width },
        }))
    }

    /// A doorbell that is a function, for transports whose devices are no registers. `context` comes back with each call.
    pub const fn function(call: fn(context: usize, notification: u32), context: usize) -> Self {
        Self(Kind::Function { call, context })
    }

    /// Notifies the device: one write, no reads.
    #[inline]
    pub(crate) fn ring(&self, notification: u32) {
        match self.0 {
            Kind::Memory { register, width } => {
                // SAFETY: `register` checked place and alignment, and windows stay mapped.
                unsafe { write_memory(register, width, notification) };
            }
            Kind::Handler { handler, offset, width } => handler.write(offset, width, notification),
            Kind::Function { call, context } => call(context, notification),
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Memory { register, width } => {
                write!(f, "Doorbell(register {register:p}, {width:?})")
            }
            Kind::Handler { offset, width, .. } => {
                write!(f, "Doorbell(handler at {offset:#x}, {width:?})")
            }
            Kind::Function { context, .. } => write!(f, "Doorbell(function, context {context:#x})"),
        }
    }
}
