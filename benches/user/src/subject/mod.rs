//! What a subject does: a process that drives a device, counts, and answers.
//!
//! ```text
//!   user-bench (parent)                        subject
//!   starts it                ────────────▶     connects, runs for a while
//!                            ◀──── ready
//!   a line                   ────────────▶     counts from now on
//!   another one              ────────────▶
//!                            ◀──── figures     (JSON, `sample::Window`)
//!   end of input             ────────────▶     ends
//! ```
//!
//! DPDK's subject, `dpdk/card.c`, speaks the same way.

mod disk;
mod libblkio;
mod linux;
mod middle;
mod our_card;
mod our_disk;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::heap;
use crate::line::{Line, Whose};
use crate::sample::{Task, Window};

/// Before a burst whose instructions are counted: the back-end is done with those before by then.
const PAUSE: Duration = Duration::from_micros(500);

/// A driver at work.
trait Subject {
    /// One turn of the loop that a user of the driver has: what came back is taken, and more is handed in.
    fn turn(&mut self, window: &mut Window) -> Result<(), String>;

    /// Notifications of the back-end until now.
    fn kicks(&self) -> u64;

    /// A window begins, or ends: what the subject counts by itself goes there, and begins anew.
    fn settle(&mut self, _: &mut Window) {}
}

/// Does a line with somebody's driver, at the back-end (or the file) at `place`.
///
/// # Errors
/// It fails, or is not for that line.
pub fn run(whose: Whose, line: Line, place: &Path, task: Task) -> Result<(), String> {
    match (whose, line) {
        (Whose::Ours, Line::Net(line)) => our_card::run(line, place, task),
        (Whose::Ours, Line::Block(line)) => our_disk::run(line, place, task),
        (Whose::Libblkio, Line::Block(line)) => work(&mut libblkio::start(line, place)?, task),
        (Whose::Linux, Line::Block(line)) => work(&mut linux::FileAccess::open(line, place)?, task),
        (whose, line) => Err(format!("{} has nothing for {line}", whose.name())),
    }
}

fn work(subject: &mut impl Subject, task: Task) -> Result<(), String> {
    match task {
        Task::Windows(warm_up) => windows(subject, warm_up),
        Task::Bursts(bursts) => {
            // Until the back-end has the queues.
            thread::sleep(Duration::from_millis(300));
            let mut window = Window::default();
            for _ in 0..bursts {
                thread::sleep(PAUSE);
                subject.turn(&mut window)?;
            }
            answer(&window)
        }
    }
}

fn windows(subject: &mut impl Subject, warm_up: Duration) -> Result<(), String> {
    let input = Input::listen();
    let mut window = Window::default();
    let start = Instant::now();
    while start.elapsed() < warm_up && !input.is_over.load(Ordering::Relaxed) {
        subject.turn(&mut window)?;
    }
    say("ready")?;
    let (mut seen, mut begin) = (0, Instant::now());
    while !input.is_over.load(Ordering::Relaxed) {
        let lines = input.lines.load(Ordering::Relaxed);
        if lines != seen {
            seen = lines;
            subject.settle(&mut window);
            if lines % 2 == 1 {
                let (kicks, allocations) = (subject.kicks(), heap::allocations());
                window = Window { kicks, allocations, ..Window::default() };
                begin = Instant::now();
            } else {
                window.nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                window.kicks = subject.kicks() - window.kicks;
                // The thread that listens makes none: its line has room already.
                window.allocations = heap::allocations() - window.allocations;
                answer(&window)?;
            }
        }
        subject.turn(&mut window)?;
    }
    Ok(())
}

/// What was typed.
struct Input {
    lines: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
}

impl Input {
    fn listen() -> Self {
        let (lines, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let input = Self { lines: Arc::clone(&lines), is_over: Arc::clone(&is_over) };
        thread::spawn(move || {
            let mut line = String::with_capacity(64);
            while io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                line.clear();
                lines.fetch_add(1, Ordering::Relaxed);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        input
    }
}

fn answer(window: &Window) -> Result<(), String> {
    say(&serde_json::to_string(window).map_err(|error| error.to_string())?)
}

fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| format!("nobody listens: {error}"))
}

/// The processor's time-stamp counter.
#[inline]
fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: Linux lets programs read it.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}
