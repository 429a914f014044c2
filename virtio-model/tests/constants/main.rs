//! The device's numbers and layouts, held against two independent sources.
//!
//! `virtio-bindings`, made from the headers of Linux by a program, and `virtio-spec`, typed from the specification by
//! others.
//!
//! Spec: §2 Basic Facilities, §4.1 Virtio Over PCI Bus, §5.1 Network Device to §5.5 Traditional Memory Balloon Device. What the model keeps
//! private shows in how it behaves: a driver made of their numbers must get along with it.

/// Where virtio-spec puts the fields of a structure: it keeps them private, and lends volatile
/// pointers to them.
macro_rules! offsets {
    ($structure:ty: $($field:ident),* $(,)?) => {{
        let mut storage = std::mem::MaybeUninit::<$structure>::zeroed();
        let start = std::ptr::NonNull::from(&mut storage).cast::<$structure>();
        // SAFETY: the storage is as large and aligned as the structure, and outlives the
        // pointers; nothing is accessed through them.
        let structure = unsafe { volatile::VolatilePtr::new(start) };
        [$(structure.$field().as_raw_ptr().addr().get() - start.addr().get()),*]
    }};
}

mod balloon;
mod block;
mod console;
mod net;
mod pci;
mod registers;
mod rings;
