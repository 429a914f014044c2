//! Sleeps: they last as long as they should, and are counted as idle time.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use example_platform::interrupts::{self, Sleep, idle};
use example_platform::{clock, cpus, println};
use spin::Once;
use virtio_guest::hal::Patience;

/// A sleep that nothing interrupts ends when its time is over, and not before.
pub fn ends() -> Result<(), &'static str> {
    for _ in 0..10 {
        let (start, mut sleep) = (clock::now(), Sleep::within_millis(20));
        while sleep.keep_waiting() {}
        if clock::since(start) < Duration::from_millis(20) {
            return Err("a sleep was too short");
        }
        if clock::since(start) > Duration::from_secs(1) {
            return Err("a sleep was too long");
        }
    }
    Ok(())
}

const SLEEP: Duration = Duration::from_millis(100);
/// What a processor may take until it is halted, in the best of some tries: the host may be busy with something else.
const MARGIN: Duration = Duration::from_millis(10);
const TRIES: usize = 20;

/// Processors that are done, and what the first of them found that is wrong.
static DONE: AtomicUsize = AtomicUsize::new(0);
static WRONG: Once<&'static str> = Once::new();

/// All processors sleep, and each has its own idle time.
pub fn is_counted() -> Result<(), &'static str> {
    let count = cpus::count();
    for processor in 1..count {
        cpus::start(processor, is_counted_here)?;
    }
    is_counted_here(0);
    while DONE.load(Ordering::SeqCst) < count {
        core::hint::spin_loop();
    }
    WRONG.get().map_or(Ok(()), |wrong| Err(*wrong))
}

fn is_counted_here(processor: usize) {
    if cpus::current() != processor {
        WRONG.call_once(|| "a processor does not know its number");
    }
    match good_sleep() {
        Ok(time) => {
            // In one piece: other processors print, too.
            let line = alloc::format!("processor {processor} slept {time:?}");
            println!("{line}");
        }
        Err(wrong) => {
            WRONG.call_once(|| wrong);
        }
    }
    DONE.fetch_add(1, Ordering::SeqCst);
}

/// A sleep, as it was counted, that is as long as it should be.
fn good_sleep() -> Result<Duration, &'static str> {
    for _ in 0..TRIES {
        let before = idle();
        let mut look = clock::within_millis(20);
        while look.keep_waiting() {}
        if idle() != before {
            return Err("who looks again and again is not idle");
        }
        let start = clock::now();
        interrupts::wait(start + SLEEP);
        let (after, elapsed) = (idle(), clock::since(start));
        let slept = after.time.saturating_sub(before.time);
        if elapsed < SLEEP {
            return Err("a wait that nothing interrupts ends before its time");
        }
        if slept > elapsed {
            return Err("a processor was idle for longer than it waited");
        }
        if slept > Duration::ZERO && after.sleeps == before.sleeps {
            return Err("a processor was idle and not halted");
        }
        if slept + MARGIN >= SLEEP {
            return Ok(slept);
        }
    }
    Err("a sleep is not idle time")
}
