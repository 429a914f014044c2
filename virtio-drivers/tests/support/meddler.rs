//! Registers whose device is changed between two accesses, by their number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_model::pci::PciDevice;

use super::Mapper;

type Meddle = Box<dyn FnMut(&PciDevice, usize) + Send>;

struct Inside {
    device: PciDevice,
    meddle: Meddle,
    /// How many accesses there were since it began; `None` until then.
    accesses: Option<usize>,
    last_reads: BTreeMap<usize, u32>,
}

/// Maps a modelled function's BARs, and meddles with it before accesses.
#[derive(Clone)]
pub struct Meddler(Arc<Mutex<Inside>>);

impl Meddler {
    /// Calls `meddle` before each access from [`begin`](Self::begin) on, with its number.
    pub fn new(device: &PciDevice, meddle: impl FnMut(&PciDevice, usize) + Send + 'static) -> Self {
        let (device, meddle) = (device.clone(), Box::new(meddle));
        Self(Arc::new(Mutex::new(Inside { device, meddle, accesses: None, last_reads: BTreeMap::new() })))
    }

    /// From now on.
    pub fn begin(&self) {
        self.0.lock().unwrap().accesses = Some(0);
    }

    /// What the register at an offset of its window read last.
    pub fn last_read(&self, offset: usize) -> Option<u32> {
        self.0.lock().unwrap().last_reads.get(&offset).copied()
    }

    fn before_access(&self) {
        let Inside { device, meddle, accesses, .. } = &mut *self.0.lock().unwrap();
        if let Some(accesses) = accesses {
            meddle(device, *accesses);
            *accesses += 1;
        }
    }

    fn around(&self, window: RegisterWindow) -> RegisterWindow {
        match window {
            RegisterWindow::Handler(window) => {
                RegisterWindow::Handler(Box::leak(Box::new(Window { window, meddler: self.clone() })))
            }
            other => other,
        }
    }

    fn mapper(&self) -> Mapper {
        Mapper(self.0.lock().unwrap().device.clone())
    }
}

struct Window {
    window: &'static dyn RegisterHandler,
    meddler: Meddler,
}

// SAFETY: each access goes to the window inside, once.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        self.meddler.before_access();
        let value = self.window.read(offset, width);
        self.meddler.0.lock().unwrap().last_reads.insert(offset, value);
        value
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        self.meddler.before_access();
        self.window.write(offset, width, value);
    }
}

// SAFETY: the mapper inside made the promise.
unsafe impl MapMmio for Meddler {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        // SAFETY: the caller's promise.
        let window = unsafe { self.mapper().map_mmio(physical_address, size_bytes) };
        window.map(|window| self.around(window))
    }

    unsafe fn map_ports(&self, port: u32, size_bytes: usize) -> Option<RegisterWindow> {
        // SAFETY: the caller's promise.
        let window = unsafe { self.mapper().map_ports(port, size_bytes) };
        window.map(|window| self.around(window))
    }
}
