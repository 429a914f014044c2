//! The processors besides the first: each answers what comes in at its own pair of queues.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use example_platform::interrupts::wait;
use example_platform::{clock, cpus};
use spin::Mutex;

use crate::agent::answer;
use crate::card::{PAIRS_MAX, Pair, nap};
use crate::ensure;
use crate::frames::Packet;

/// How often a processor looks whether there is something for it from another one.
pub const NAP: Duration = Duration::from_millis(5);

static HANDED_OVER: [Mutex<Option<Pair>>; PAIRS_MAX] = [const { Mutex::new(None) }; PAIRS_MAX];
static GIVEN_BACK: [Mutex<Option<Result<Pair, String>>>; PAIRS_MAX] = [const { Mutex::new(None) }; PAIRS_MAX];
/// Commands that came in at other pairs than the first processor's.
static COMMANDS: Mutex<Vec<Packet>> = Mutex::new(Vec::new());
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Starts the processors from the second on.
pub fn start(processors: usize) -> Result<(), String> {
    ensure(processors >= 1 && processors <= PAIRS_MAX.min(cpus::count()), "there are so many processors")?;
    for index in 1..processors {
        cpus::start(index, processor)?;
    }
    Ok(())
}

/// Gives each of them its pair.
pub fn hand_over(pairs: impl Iterator<Item = Pair>) {
    for (place, pair) in HANDED_OVER.iter().skip(1).zip(pairs) {
        *place.lock() = Some(pair);
    }
}

/// Commands that came in at their pairs.
pub fn commands() -> Vec<Packet> {
    core::mem::take(&mut *COMMANDS.lock())
}

/// Has them end, and waits for that.
pub fn take_back(processors: usize) -> Result<Vec<Pair>, String> {
    IS_OVER.store(true, Ordering::Release);
    let places = GIVEN_BACK.iter().take(processors).skip(1);
    places.map(wait_for).collect()
}

fn wait_for<R>(place: &Mutex<Option<R>>) -> R {
    loop {
        if let Some(there) = place.lock().take() {
            return there;
        }
        wait(clock::now() + NAP);
    }
}

/// What each of them runs.
fn processor(index: usize) {
    let (Some(pair), Some(place)) = (HANDED_OVER.get(index), GIVEN_BACK.get(index)) else { return };
    let mut pair = wait_for(pair);
    let result = work(&mut pair).map(|()| pair);
    *place.lock() = Some(result);
}

fn work(pair: &mut Pair) -> Result<(), String> {
    while !IS_OVER.load(Ordering::Acquire) {
        let was_busy = answer(pair, |_, packet| {
            COMMANDS.lock().push(packet);
            Ok(())
        })?;
        if !was_busy && pair.is_quiet() {
            nap(pair.interrupts, NAP);
        }
    }
    Ok(())
}
