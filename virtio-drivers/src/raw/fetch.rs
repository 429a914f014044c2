//! A hint to the processor: a cache line will be written soon.
//!
//! What a device on another processor has just read has to be taken from its cache before it can be written again. Asked for in time, that happens beside other work; otherwise the first write waits for it, and all that come
//! after it. The hint changes nothing else, so it is left out where there is none.

use core::ptr::NonNull;

/// Has the line at `pointer` fetched for writing. It may be any address: nothing is read or written, and nothing faults.
#[inline]
pub(super) fn fetch_for_writing(pointer: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which does nothing that a program could see. Processors that do not know it take it for an instruction that does nothing.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) pointer.addr().get(), options(nostack, preserves_flags, nomem));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: a hint, which does nothing that a program could see.
    unsafe {
        core::arch::asm!("prfm pstl1keep, [{}]", in(reg) pointer.addr().get(), options(nostack, preserves_flags, nomem));
    }
    // An extension that has it is not part of the base of others.
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = pointer;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_may_be_asked_for_and_nothing_changes() {
        let mut line = [1u8; 64];
        fetch_for_writing(NonNull::from(&mut line).cast());
        fetch_for_writing(NonNull::dangling());
        assert_eq!(line, [1; 64]);
    }
}
