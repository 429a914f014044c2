//! What a processor does with its two lanes, and how those besides the first come by theirs.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use example_platform::clock;
use example_platform::devices::Interrupts;
use example_platform::interrupts::wait;
use spin::Mutex;

use crate::lane::Lane;

/// Most processors.
pub const PROCESSORS_MAX: usize = 4;
/// How long a processor sleeps at most: then it looks whether it is time to end.
const NAP: Duration = Duration::from_millis(100);

/// A processor's lanes, one in each direction.
pub struct Worker {
    pub lanes: [Lane; 2],
    pub interrupts: Interrupts,
    /// For so long nothing comes in before the end, once something came.
    pub idle: Option<Duration>,
}

static HANDED_OVER: [Mutex<Option<Worker>>; PROCESSORS_MAX] = [const { Mutex::new(None) }; PROCESSORS_MAX];
static GIVEN_BACK: [Mutex<Option<Result<Worker, String>>>; PROCESSORS_MAX] =
    [const { Mutex::new(None) }; PROCESSORS_MAX];
/// Something was forwarded since this was looked at.
static WAS_BUSY: AtomicBool = AtomicBool::new(false);
static IS_OVER: AtomicBool = AtomicBool::new(false);

impl Worker {
    /// Forwards until it is over. The first processor, which calls this itself, says when that is.
    pub fn work(mut self) -> Result<Self, String> {
        let result = self.forward(self.idle);
        IS_OVER.store(true, Ordering::Release);
        result.map(|()| self)
    }

    fn forward(&mut self, idle: Option<Duration>) -> Result<(), String> {
        let mut busy_at = None;
        while !IS_OVER.load(Ordering::Acquire) {
            let [one, other] = &mut self.lanes;
            // Both, whatever the first one says.
            if one.forward()? | other.forward()? {
                WAS_BUSY.store(true, Ordering::Relaxed);
                continue;
            }
            if let Some(idle) = idle {
                if WAS_BUSY.swap(false, Ordering::Relaxed) {
                    busy_at = Some(clock::now());
                }
                if busy_at.is_some_and(|busy_at| clock::since(busy_at) > idle) {
                    break;
                }
            }
            if self.interrupts == Interrupts::None {
                core::hint::spin_loop();
            } else if !(one.rearm() | other.rearm()) {
                wait(clock::now() + NAP);
            }
        }
        Ok(())
    }
}

/// Gives lanes to the processors from the second on.
pub fn hand_over(workers: impl Iterator<Item = Worker>) {
    for (place, worker) in HANDED_OVER.iter().skip(1).zip(workers) {
        *place.lock() = Some(worker);
    }
}

/// Waits until they are done, and takes them back.
pub fn take_back(processors: usize) -> Result<Vec<Worker>, String> {
    GIVEN_BACK.iter().take(processors).skip(1).map(wait_for).collect()
}

fn wait_for<R>(place: &Mutex<Option<R>>) -> R {
    loop {
        if let Some(there) = place.lock().take() {
            return there;
        }
        wait(clock::now() + NAP);
    }
}

/// What a processor besides the first runs.
pub fn processor(index: usize) {
    let (Some(given), Some(place)) = (HANDED_OVER.get(index), GIVEN_BACK.get(index)) else { return };
    let mut worker = wait_for(given);
    let result = worker.forward(None).map(|()| worker);
    *place.lock() = Some(result);
}
