//! The library's numbers and layouts, held against two independent sources.
//!
//! `virtio-bindings`, made from the headers of Linux by a program, and `virtio-spec`, typed from the specification by
//! others.
//!
//! Spec: §2 Basic Facilities, §4.1 Virtio Over PCI Bus, §5.1 Network Device, §5.2 Block Device. A value that only one of them knows is held against that one.

use bitflags::Flags;

/// Where virtio-spec puts the fields of a structure: it keeps them private, and lends volatile pointers to them.
macro_rules! offsets {
    ($structure:ty: $($field:ident),* $(,)?) => {{
        let mut storage = std::mem::MaybeUninit::<$structure>::zeroed();
        let start = std::ptr::NonNull::from(&mut storage).cast::<$structure>();
        // SAFETY: the storage is as large and aligned as the structure, and outlives the pointers; nothing is accessed through them.
        let structure = unsafe { volatile::VolatilePtr::new(start) };
        [$(structure.$field().as_raw_ptr().addr().get() - start.addr().get()),*]
    }};
}

mod balloon;
mod bits;
mod block;
mod console;
mod net;
mod net_control;
mod pci;
mod rings;

/// The bits of a set of flags, with their names.
fn by_name<F: Flags<Bits: Copy>>() -> Vec<(&'static str, F::Bits)> {
    F::FLAGS.iter().filter(|flag| flag.is_named()).map(|flag| (flag.name(), flag.value().bits())).collect()
}
