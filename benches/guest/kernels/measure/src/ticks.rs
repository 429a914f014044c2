//! The time-stamp counter, as a count of instructions; and the proof that it is one.

use core::arch::asm;

/// Instructions so far, on a machine whose time stands for them.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a call would be counted")]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: every 64-bit processor has the counter. The compiler takes the block for one that may access memory, so it moves no such access across.
    unsafe {
        asm!("rdtsc", "shl rdx, 32", "or rax, rdx", out("rax") ticks, out("rdx") _, options(nostack));
    };
    ticks
}

/// What a pair of readings costs, with nothing in between.
pub fn empty_pair() -> u64 {
    let start = ticks();
    ticks() - start
}

/// Ticks of a loop with two instructions per round and, with `PORT`, a third one that writes to a port.
fn of_loop<const PORT: bool>(rounds: u32) -> u64 {
    let (start, end): (u64, u64);
    macro_rules! counted {
        ($($access:literal),*) => {
            asm!(
                "rdtsc", "shl rdx, 32", "or rax, rdx", "mov r8, rax",
                "2:", $($access,)* "dec ecx", "jnz 2b",
                "rdtsc", "shl rdx, 32", "or rax, rdx",
                inout("ecx") rounds => _, out("rax") end, out("rdx") _, out("r8") start, options(nostack),
            )
        };
    }
    if PORT {
        // SAFETY: nobody listens at port 0x80 but a trace.
        unsafe { counted!("out 0x80, al") };
    } else {
        // SAFETY: registers only.
        unsafe { counted!() };
    }
    end - start
}

/// Checks that ticks are instructions: loops whose instructions are known take exactly so many ticks.
///
/// # Errors
/// They do not.
pub fn check(broken: bool) -> Result<(), alloc::string::String> {
    // The four instructions from one reading to the next.
    let pair = 4;
    if empty_pair() != pair {
        return Err(alloc::format!("an empty pair of readings takes {} ticks, not {pair}", empty_pair()));
    }
    for rounds in [1, 10, 1000, 100_000] {
        let expected = pair + 2 * u64::from(rounds) + u64::from(broken);
        let counted = of_loop::<false>(rounds);
        if counted != expected {
            return Err(alloc::format!(
                "{expected} instructions take {counted} ticks: is -icount shift=0,sleep=off there?"
            ));
        }
    }
    let (expected, counted) = (pair + 3 * 100, of_loop::<true>(100));
    if counted != expected {
        return Err(alloc::format!("{expected} instructions with port accesses take {counted} ticks"));
    }
    Ok(())
}
