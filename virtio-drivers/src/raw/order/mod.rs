//! Every barrier, each with a name and its other half on the device's side.
//!
//! Spec: §2.7.13 and §2.8.21 (publishing), §2.7.14 and §2.8.22 (taking used buffers), §2.7.7, §2.7.10 and §2.8.10 (suppression), §6
//! `VIRTIO_F_ORDER_PLATFORM`.
//!
//! Ring words are relaxed atomics, so these barriers are all the order there is. They have multi-processor strength on every machine, since the
//! device is another processor; with `ORDER_PLATFORM` they have the strength that real hardware needs (`platform.rs`).

mod platform;

use crate::sync::{Ordering, fence};

/// Whether this processor's architecture has barriers for real hardware here. If not, `ORDER_PLATFORM` is not accepted.
pub(crate) const PLATFORM_STRENGTH_AVAILABLE: bool = platform::AVAILABLE;

/// The barriers of one queue, in the strength that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barriers {
    /// The device is as good as another processor.
    Processor,
    /// `ORDER_PLATFORM`: the device is real hardware.
    Platform,
}

impl Barriers {
    /// Descriptors and ring entries become visible before what makes them available: the available index, or a packed head's flags.
    ///
    /// Pairs with: the device loads index or flags, then (acquire) the entries and descriptors.
    #[inline]
    fn contents_before_publishing(self) {
        match self {
            Self::Processor => fence(Ordering::Release),
            Self::Platform => platform::order_writes(),
        }
    }

    /// Publishes, with contents before and the look at the device's suppression word after it.
    #[inline]
    pub(crate) fn around_publishing(self, publish: impl FnOnce()) {
        if let Self::Platform = self {
            return Self::platform_around(publish);
        }
        Self::Processor.contents_before_publishing();
        publish();
        Self::Processor.publishing_before_suppression_check();
    }

    /// Apart, for what calls functions has fewer registers.
    #[cold]
    #[inline(never)]
    fn platform_around(publish: impl FnOnce()) {
        Self::Platform.contents_before_publishing();
        publish();
        Self::Platform.publishing_before_suppression_check();
    }

    /// What was published becomes visible before the device's suppression word is read.
    ///
    /// A store followed by a load: only a full fence orders them. Pairs with: the device writes its suppression word, then (full
    /// fence) looks once more for what is available before it sleeps. Without it both may miss each other and a notification is lost.
    #[inline]
    fn publishing_before_suppression_check(self) {
        match self {
            Self::Processor => full_fence(),
            Self::Platform => platform::order_all(),
        }
    }

    /// The used index, or a packed descriptor's flags, are read before the elements and the buffers that they vouch for.
    ///
    /// Pairs with: the device writes buffers and elements, then (release) index or flags.
    #[inline]
    pub(crate) fn used_mark_before_elements(self) {
        match self {
            Self::Processor => fence(Ordering::Acquire),
            Self::Platform => platform::order_reads(),
        }
    }

    /// The driver's wish for notifications becomes visible before it looks once more for used chains.
    ///
    /// A store followed by a load again. Pairs with: the device marks chains used, then (full fence) reads the wish.
    #[inline]
    pub(crate) fn rearm_before_used_check(self) {
        match self {
            Self::Processor => full_fence(),
            Self::Platform => platform::order_all(),
        }
    }
}

/// A store before it is seen before a load after it is made.
///
/// For that x86 has locked instructions, which compilers choose, and `mfence`. QEMU's emulation (TCG) of a machine that can have one processor only takes a locked instruction for a plain one, though its devices are in other
/// threads; `mfence` is a barrier there, too. A process of an operating system is not emulated so, and gets what is faster.
#[inline]
fn full_fence() {
    #[cfg(all(target_arch = "x86_64", not(any(unix, windows, miri))))]
    // SAFETY: a barrier instruction has no operands and changes nothing but the order of accesses.
    unsafe {
        core::arch::asm!("mfence", options(nostack, preserves_flags));
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(unix, windows, miri)))))]
    fence(Ordering::SeqCst);
}
