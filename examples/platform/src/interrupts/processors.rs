//! Each processor by itself: whether it is up, and how long it was halted.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use crate::clock;
use crate::machine::cpus;

/// As many processors as there can be: QEMU's machines have no more.
pub(crate) const PROCESSORS_MAX: usize = 512;

/// How long a processor may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(2);

/// What is known of a processor. Only it writes here.
struct Record {
    is_up: AtomicBool,
    sleeps: AtomicU64,
    nanos: AtomicU64,
    /// When it was halted, in nanoseconds of the clock; 0 if it is not.
    halted_at: AtomicU64,
}

impl Record {
    const fn new() -> Self {
        let [sleeps, nanos, halted_at] = [const { AtomicU64::new(0) }; 3];
        Self { is_up: AtomicBool::new(false), sleeps, nanos, halted_at }
    }
}

static RECORDS: [Record; PROCESSORS_MAX] = [const { Record::new() }; PROCESSORS_MAX];

fn own() -> Option<&'static Record> {
    RECORDS.get(cpus::current())
}

fn now() -> u64 {
    u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX)
}

/// Says that this processor takes interrupts from now on, as far as the machine has any.
pub(crate) fn set_up() {
    if let Some(own) = own() {
        own.is_up.store(true, Ordering::Release);
    }
}

/// Whether a processor was started, and takes interrupts.
pub(crate) fn is_up(processor: usize) -> bool {
    RECORDS.get(processor).is_some_and(|record| record.is_up.load(Ordering::Acquire))
}

/// Waits until a processor is up, which was told to start.
///
/// # Errors
/// It takes too long.
pub(crate) fn wait_until_up(processor: usize) -> Result<(), &'static str> {
    let start = clock::now();
    while !is_up(processor) {
        if clock::since(start) > UP_WITHIN {
            return Err("the processor does not come up");
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// How a processor spent its waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// How often it was halted.
    pub sleeps: u64,
    /// For how long, in all.
    pub time: Duration,
}

/// How often, and for how long, the processor that runs this was halted so far. Handlers' time is not in it.
pub fn idle() -> Idle {
    own().map_or(Idle::default(), |own| Idle {
        sleeps: own.sleeps.load(Ordering::Relaxed),
        time: Duration::from_nanos(own.nanos.load(Ordering::Relaxed)),
    })
}

/// Halts this processor by the machine's instruction for it, and counts how long that lasts.
pub(crate) fn halt(instruction: impl FnOnce()) {
    if let Some(own) = own() {
        own.sleeps.fetch_add(1, Ordering::Relaxed);
        own.halted_at.store(now(), Ordering::Relaxed);
    }
    instruction();
    woken();
}

/// Says that this processor is not halted any more. For interrupts that are taken before the instruction that halted it is over.
pub(crate) fn woken() {
    let Some(own) = own() else { return };
    let halted_at = own.halted_at.swap(0, Ordering::Relaxed);
    if halted_at != 0 {
        own.nanos.fetch_add(now().saturating_sub(halted_at), Ordering::Relaxed);
    }
}
