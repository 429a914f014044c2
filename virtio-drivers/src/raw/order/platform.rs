//! Barriers that order accesses as real devices, not only processors, see them.
//!
//! Spec: §6 `VIRTIO_F_ORDER_PLATFORM`. One instruction each; on an architecture without an entry here the feature is not accepted.
//!
//! | | writes | reads | all |
//! |---|---|---|---|
//! | `x86_64` | `sfence` | `lfence` | `mfence` |
//! | `aarch64` | `dmb oshst` | `dmb oshld` | `dsb sy` |
//! | `riscv64` | `fence ow, ow` | `fence ir, ir` | `fence iorw, iorw` |
//!
//! They are functions of their own, never inlined, so that a test can look at the instructions that came out.

macro_rules! barrier {
    ($(#[$doc:meta])* $name:ident, $ordering:ident, $x86:literal, $arm:literal, $riscv:literal) => {
        $(#[$doc])*
        #[inline(never)]
        pub(super) fn $name() {
            #[cfg(virtio_guest_stand_in)]
            if crate::raw::stand_in::platform_barrier(crate::sync::Ordering::$ordering) {
                return;
            }
            #[cfg(all(not(miri), any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
            {
                // SAFETY: a barrier instruction has no operands and changes nothing but the order of accesses.
                #[cfg(target_arch = "x86_64")]
                unsafe { core::arch::asm!($x86, options(nostack, preserves_flags)) };
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                unsafe { core::arch::asm!($arm, options(nostack, preserves_flags)) };
                // SAFETY: as above.
                #[cfg(target_arch = "riscv64")]
                unsafe { core::arch::asm!($riscv, options(nostack, preserves_flags)) };
            }
            // An interpreter has no such instructions, and needs none.
            #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))))]
            crate::sync::fence(crate::sync::Ordering::$ordering);
        }
    };
}

/// Whether this architecture has them.
pub(super) const AVAILABLE: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"));

barrier! {
    /// Stores before it are seen before stores after it.
    order_writes, Release, "sfence", "dmb oshst", "fence ow, ow"
}

barrier! {
    /// Loads before it happen before loads after it.
    order_reads, Acquire, "lfence", "dmb oshld", "fence ir, ir"
}

barrier! {
    /// Everything before it happens, and is seen, before anything after it.
    order_all, SeqCst, "mfence", "dsb sy", "fence iorw, iorw"
}
