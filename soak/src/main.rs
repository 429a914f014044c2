//! `make soak MINUTES=n`: lives as many lives as there is time for, on all processors, and says what was done.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use soak::life::{Plan, live};
use soak::tally::Tally;

/// Operations of one life: few enough that a failure is soon seen again.
const LIFE_OPERATIONS: u64 = 20_000;
/// How long it goes on unless told otherwise.
const MINUTES: u64 = 5;
/// How often it says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What is to be done.
struct Wanted {
    seed: u64,
    lives: Option<u64>,
    operations: Option<u64>,
    time: Option<Duration>,
}

/// What the environment asks for.
fn wanted() -> Result<Wanted, String> {
    let number = |name: &str| match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse::<u64>().map(Some).map_err(|_| format!("{name}={text} is no number"))
        }
        _ => Ok(None),
    };
    let (minutes, operations) = (number("MINUTES")?, number("OPERATIONS")?);
    let lives = number("LIVES")?;
    let minutes = minutes.or((operations.is_none() && lives.is_none()).then_some(MINUTES));
    let seed = number("SEED")?.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    Ok(Wanted { seed, lives, operations, time: minutes.map(|minutes| Duration::from_secs(60 * minutes)) })
}

/// What all processors share.
struct Soak {
    wanted: Wanted,
    start: Instant,
    lives: AtomicU64,
    done: Mutex<Tally>,
    is_over: AtomicBool,
    failed: Mutex<Option<u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Soak {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Notes what was done, and says whether that is enough.
    fn note(&self, tally: &Tally) -> bool {
        let mut done = lock(&self.done);
        *done += tally;
        let enough = self.wanted.operations.is_some_and(|operations| done.operations() >= operations)
            || self.wanted.time.is_some_and(|time| self.start.elapsed() >= time);
        self.is_over.fetch_or(enough, Ordering::Relaxed);
        self.is_over()
    }

    /// Lives lives until it is over.
    fn live(&self) {
        while !self.is_over() {
            let life = self.lives.fetch_add(1, Ordering::Relaxed);
            if self.wanted.lives.is_some_and(|lives| life >= lives) {
                return;
            }
            let seed = self.wanted.seed.wrapping_add(life);
            let plan = Plan { seed, operations: LIFE_OPERATIONS };
            if catch_unwind(AssertUnwindSafe(|| live(plan, |tally| self.note(tally)))).is_err() {
                self.is_over.store(true, Ordering::Relaxed);
                lock(&self.failed).get_or_insert(seed);
            }
        }
    }

    /// Says how far it is.
    fn report(&self) {
        let operations = lock(&self.done).operations();
        let elapsed = self.start.elapsed();
        let rate = u128::from(operations) * 1000 / elapsed.as_millis().max(1);
        let by_operations = self.wanted.operations.map(|wanted| {
            let left = u128::from(wanted.saturating_sub(operations)) / rate.max(1);
            Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX))
        });
        let by_time = self.wanted.time.map(|time| time.saturating_sub(elapsed));
        let left = by_operations.into_iter().chain(by_time).min();
        let left = left.map_or(String::new(), |left| format!(", {} s left", left.as_secs()));
        println!("soak: {operations} operations, {rate} in a second{left}");
    }
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("soak: {why}");
            eprintln!("usage: [MINUTES=n] [OPERATIONS=n] [LIVES=n] [SEED=n] soak");
            return ExitCode::from(2);
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "soak: seed {}, on {processors} processors, {LIFE_OPERATIONS} operations in a life",
        wanted.seed
    );
    let soak = Soak {
        wanted,
        start: Instant::now(),
        lives: AtomicU64::new(0),
        done: Mutex::default(),
        is_over: AtomicBool::new(false),
        failed: Mutex::new(None),
    };
    thread::scope(|scope| {
        let lives: Vec<_> = (0..processors).map(|_| scope.spawn(|| soak.live())).collect();
        let mut reported = Instant::now();
        while !lives.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            if reported.elapsed() >= REPORT_EVERY {
                soak.report();
                reported = Instant::now();
            }
        }
    });
    soak.report();
    println!("{}", lock(&soak.done));
    let failed = *lock(&soak.failed);
    if let Some(seed) = failed {
        eprintln!("soak: the life with seed {seed} failed, see above. To see it again:");
        eprintln!("  make soak SEED={seed} LIVES=1");
        return ExitCode::FAILURE;
    }
    println!("soak: ok");
    ExitCode::SUCCESS
}
