//! A note of each register access: where, how wide, and what was written.

use std::sync::{Arc, Mutex};

use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};

/// One access, at a physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Of what was there.
    Read(u64, AccessWidth),
    /// Of a value.
    Write(u64, AccessWidth, u32),
}

impl Access {
    /// Where it went.
    pub const fn address(self) -> u64 {
        match self {
            Self::Read(address, _) | Self::Write(address, ..) => address,
        }
    }
}

/// Maps what another mapper does, and notes each access there.
#[derive(Clone, Debug)]
pub struct Recorder<M> {
    mapper: M,
    accesses: Arc<Mutex<Vec<Access>>>,
}

impl<M> Recorder<M> {
    /// Nothing is noted yet.
    pub fn new(mapper: M) -> Self {
        Self { mapper, accesses: Arc::default() }
    }

    /// The accesses since the last call.
    pub fn take(&self) -> Vec<Access> {
        std::mem::take(&mut *self.accesses.lock().unwrap())
    }
}

struct Window {
    inside: &'static dyn RegisterHandler,
    address: u64,
    accesses: Arc<Mutex<Vec<Access>>>,
}

impl Window {
    fn note(&self, access: Access) {
        self.accesses.lock().unwrap().push(access);
    }
}

// SAFETY: each access goes to the window inside, once.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        self.note(Access::Read(self.address + offset as u64, width));
        self.inside.read(offset, width)
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        self.note(Access::Write(self.address + offset as u64, width, value));
        self.inside.write(offset, width, value);
    }
}

// SAFETY: the mapper inside made the promise.
unsafe impl<M: MapMmio> MapMmio for Recorder<M> {
    unsafe fn map_mmio(&self, address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        // SAFETY: the caller's promise.
        match unsafe { self.mapper.map_mmio(address, size_bytes) }? {
            RegisterWindow::Handler(inside) => {
                let accesses = Arc::clone(&self.accesses);
                Some(RegisterWindow::Handler(Box::leak(Box::new(Window { inside, address, accesses }))))
            }
            other => Some(other),
        }
    }
}
