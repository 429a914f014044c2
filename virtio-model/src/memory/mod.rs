//! The device's view of memory: device addresses, mapped one range at a time.
//!
//! A test platform maps here what it hands to the device and unmaps it afterwards; device models
//! read and write through it. An access outside a mapping, past its end or against its direction
//! is a [`Fault`]: returned, and kept in a list. All values are little-endian, as on the wire.
//!
//! ```text
//!   device address space    |----[ table, rw ]-------[ data, w only ]----|
//!   the test's memory             ^ pointer                ^ pointer
//! ```

mod access;
mod fault;
#[cfg(virtio_guest_stand_in)]
pub mod stand_in;
#[cfg(test)]
mod tests;

pub use fault::{Access, Fault, FaultCause};
#[cfg(virtio_guest_stand_in)]
pub(crate) use stand_in::fence;
#[cfg(not(virtio_guest_stand_in))]
pub(crate) use std::sync::atomic::fence;

use access::Word;
use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// One range of memory that the device may reach.
struct Mapping {
    pointer: NonNull<u8>,
    len: usize,
    readable: bool,
    writable: bool,
}

// SAFETY: the pointer is used for atomic accesses only, under the contract of `AddressSpace::map`,
// which promises that these are allowed from any thread until `unmap`.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared mapping permits nothing but atomic accesses.
unsafe impl Sync for Mapping {}

#[derive(Default)]
struct Inner {
    mappings: RwLock<BTreeMap<u64, Mapping>>,
    faults: Mutex<Vec<Fault>>,
}

/// The memory a device can reach; clones share one map.
///
/// An access holds the map locked, so memory may be freed as soon as `unmap` returned.
#[derive(Clone, Default)]
pub struct AddressSpace {
    inner: Arc<Inner>,
}

impl AddressSpace {
    /// Makes an address space in which nothing is mapped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Maps `len` bytes at `pointer` to `device_address`.
    ///
    /// `readable` and `writable` say what the device may do.
    ///
    /// # Panics
    /// If `len` is 0, or the range overlaps a mapping or the end of the address space.
    ///
    /// # Safety
    /// Until `unmap` of the same address returned, `pointer` must be valid for atomic reads and
    /// writes of `len` bytes from any thread (even for a range the device may only read: the
    /// pointer must not come from a shared reference). Whoever else uses the bytes meanwhile does
    /// so with atomic accesses, or orders its accesses with those of the device by the ring.
    pub unsafe fn map(
        &self,
        device_address: u64,
        pointer: NonNull<u8>,
        len: usize,
        readable: bool,
        writable: bool,
    ) {
        let end = device_address.checked_add(len as u64).expect("a mapping ends inside the address space");
        assert!(len > 0, "an empty mapping at {device_address:#x}");
        let mut mappings = self.inner.mappings.write().unwrap_or_else(PoisonError::into_inner);
        let before = mappings.range(..end).next_back();
        let overlaps = before.is_some_and(|(start, old)| start + old.len as u64 > device_address);
        assert!(!overlaps, "{len} bytes at {device_address:#x} overlap an earlier mapping");
        mappings.insert(device_address, Mapping { pointer, len, readable, writable });
    }

    /// Removes the mapping that starts at `device_address`; false if there is none.
    pub fn unmap(&self, device_address: u64) -> bool {
        let mut mappings = self.inner.mappings.write().unwrap_or_else(PoisonError::into_inner);
        mappings.remove(&device_address).is_some()
    }

    /// Tells whether some mapping holds the byte at `device_address`.
    pub fn is_mapped(&self, device_address: u64) -> bool {
        let mappings = self.mappings();
        let before = mappings.range(..=device_address).next_back();
        before.is_some_and(|(start, found)| device_address - start < found.len as u64)
    }

    /// The number of mappings.
    pub fn mapped_count(&self) -> usize {
        self.mappings().len()
    }

    /// Every fault so far, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the faults so far.
    pub fn clear_faults(&self) {
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Copies bytes from device address `device_address` into `out`.
    pub fn read(&self, device_address: u64, out: &mut [u8]) -> Result<(), Fault> {
        if out.is_empty() {
            return Ok(());
        }
        let mappings = self.mappings();
        let source = self.find(&mappings, device_address, out.len(), Access::Read)?;
        // SAFETY: `find` checked the bounds; the lock keeps the mapping, hence the memory, alive.
        unsafe { access::copy_out(source, out) };
        Ok(())
    }

    /// Appends `len` bytes from device address `device_address` to `out`.
    ///
    /// Nothing is reserved for bytes that are not mapped, so `len` may be any device's or driver's claim.
    pub fn read_onto(&self, device_address: u64, len: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        let mappings = self.mappings();
        let source = self.find(&mappings, device_address, len, Access::Read)?;
        let start = out.len();
        out.resize(start + len, 0);
        // SAFETY: `find` checked the bounds; the lock keeps the mapping, hence the memory, alive.
        unsafe { access::copy_out(source, &mut out[start..]) };
        Ok(())
    }

    /// Copies `bytes` to device address `device_address`.
    pub fn write(&self, device_address: u64, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mappings = self.mappings();
        let target = self.find(&mappings, device_address, bytes.len(), Access::Write)?;
        // SAFETY: `find` checked the bounds; the lock keeps the mapping, hence the memory, alive.
        unsafe { access::copy_in(target, bytes) };
        Ok(())
    }

    /// Loads a little-endian 16-bit word in one access.
    pub fn load_u16(&self, device_address: u64, order: Ordering) -> Result<u16, Fault> {
        self.load(device_address, order).map(u16::from_le)
    }

    /// Loads a little-endian 32-bit word in one access.
    pub fn load_u32(&self, device_address: u64, order: Ordering) -> Result<u32, Fault> {
        self.load(device_address, order).map(u32::from_le)
    }

    /// Loads a little-endian 64-bit word in one access.
    pub fn load_u64(&self, device_address: u64, order: Ordering) -> Result<u64, Fault> {
        self.load(device_address, order).map(u64::from_le)
    }

    /// Stores a little-endian 16-bit word in one access.
    pub fn store_u16(&self, device_address: u64, value: u16, order: Ordering) -> Result<(), Fault> {
        self.store(device_address, value.to_le(), order)
    }

    /// Stores a little-endian 32-bit word in one access.
    pub fn store_u32(&self, device_address: u64, value: u32, order: Ordering) -> Result<(), Fault> {
        self.store(device_address, value.to_le(), order)
    }

    /// Stores a little-endian 64-bit word in one access.
    pub fn store_u64(&self, device_address: u64, value: u64, order: Ordering) -> Result<(), Fault> {
        self.store(device_address, value.to_le(), order)
    }

    fn load<W: Word>(&self, device_address: u64, order: Ordering) -> Result<W, Fault> {
        let mappings = self.mappings();
        let pointer = self.find_word::<W>(&mappings, device_address, Access::Read)?;
        // SAFETY: `find_word` checked bounds and alignment; the lock keeps the memory alive.
        Ok(unsafe { W::load(pointer, order) })
    }

    fn store<W: Word>(&self, device_address: u64, word: W, order: Ordering) -> Result<(), Fault> {
        let mappings = self.mappings();
        let pointer = self.find_word::<W>(&mappings, device_address, Access::Write)?;
        // SAFETY: `find_word` checked bounds and alignment; the lock keeps the memory alive.
        unsafe { word.store(pointer, order) };
        Ok(())
    }

    fn mappings(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Mapping>> {
        self.inner.mappings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_word<W: Word>(
        &self,
        mappings: &BTreeMap<u64, Mapping>,
        device_address: u64,
        access: Access,
    ) -> Result<*mut u8, Fault> {
        let len = size_of::<W>();
        let pointer = self.find(mappings, device_address, len, access)?;
        let aligned = device_address.is_multiple_of(len as u64) && pointer.addr().is_multiple_of(len);
        if aligned {
            Ok(pointer)
        } else {
            Err(self.refuse(device_address, len, access, FaultCause::Misaligned))
        }
    }

    /// Finds the memory behind a range of device addresses, or refuses the access.
    fn find(
        &self,
        mappings: &BTreeMap<u64, Mapping>,
        device_address: u64,
        len: usize,
        access: Access,
    ) -> Result<*mut u8, Fault> {
        let before = mappings.range(..=device_address).next_back();
        let Some((start, mapping)) = before else {
            return Err(self.refuse(device_address, len, access, FaultCause::Unmapped));
        };
        let offset = usize::try_from(device_address - start).unwrap_or(usize::MAX);
        if offset >= mapping.len {
            return Err(self.refuse(device_address, len, access, FaultCause::Unmapped));
        }
        if len > mapping.len - offset {
            return Err(self.refuse(device_address, len, access, FaultCause::CrossesEnd));
        }
        let permitted = match access {
            Access::Read => mapping.readable,
            Access::Write => mapping.writable,
        };
        if permitted {
            Ok(mapping.pointer.as_ptr().wrapping_add(offset))
        } else {
            Err(self.refuse(device_address, len, access, FaultCause::WrongDirection))
        }
    }

    fn refuse(&self, device_address: u64, len: usize, access: Access, cause: FaultCause) -> Fault {
        let fault = Fault { device_address, len, access, cause };
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        fault
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AddressSpace").field("mapped_count", &self.mapped_count()).finish()
    }
}
