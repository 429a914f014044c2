//! A line of the table: one operation, repeated in bursts, each half of it counted.

use alloc::string::String;
use core::fmt::Display;

use example_platform::{allocations, command_line, println};

use crate::mark::{Mark, mark};
use crate::outside::{self, Outside};
use crate::ticks::{self, ticks};

/// What is measured.
pub trait Subject {
    /// What belongs to no driver: buffers are filled, and others send.
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        let _ = burst;
        Ok(())
    }

    /// Counted: hands so many operations to the device.
    fn submit(&mut self, burst: usize) -> Result<(), Failed>;

    /// Waits until the device is done with them, without the driver.
    fn wait(&mut self, burst: usize) -> Result<(), &'static str>;

    /// Counted: takes them back, and says how many there were.
    fn complete(&mut self, burst: usize) -> Result<usize, Failed>;
}

/// A driver's call failed; which one.
#[derive(Clone, Copy, Debug)]
pub struct Failed(pub &'static str);

/// What a line is called, and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// Operations that are handed in together.
    pub burst: usize,
}

/// One half, counted.
#[derive(Clone, Copy, Debug)]
struct Half {
    sum: u64,
    least: u64,
    most: u64,
    /// A number that depends on each count, and on their order.
    trace: u64,
}

impl Half {
    const NONE: Self = Self { sum: 0, least: u64::MAX, most: 0, trace: 0xcbf2_9ce4_8422_2325 };

    fn add(&mut self, ticks: u64) {
        self.sum += ticks;
        self.least = self.least.min(ticks);
        self.most = self.most.max(ticks);
        self.trace = (self.trace ^ ticks).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

impl Display for Half {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { sum, least, most, trace } = self;
        write!(f, "{sum} {least} {most} {trace:016x}")
    }
}

/// Operations that go before those that are counted.
const WARM_UP: usize = 512;
/// Operations that are counted, unless the command line says otherwise.
const OPERATIONS: u64 = 66_560;
/// How many times fewer there are one by one.
const ONE_BY_ONE: u64 = 16;

/// The words of the command line with this name: `name=word,word`.
fn words(name: &str) -> Option<impl Iterator<Item = &'static str>> {
    let mut words = command_line().split_ascii_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.split(','))
}

/// A number of the command line.
fn number(name: &str) -> Option<u64> {
    words(name)?.next()?.parse().ok()
}

impl Line {
    /// Whether the command line asks for it: `lines=name,name`, or nothing for all.
    pub fn is_wanted(&self) -> bool {
        words("lines").is_none_or(|mut names| names.any(|name| name == self.name))
    }

    /// How many bursts are counted: `operations=N`, or fewer one by one, for each of those waits for the host.
    fn bursts(&self) -> u64 {
        let operations = number("operations").unwrap_or(OPERATIONS);
        let burst = self.burst as u64;
        if burst == 1 { (operations / ONE_BY_ONE).max(1) } else { operations.div_ceil(burst) }
    }

    /// Measures it, if it is wanted, and prints what was counted.
    ///
    /// # Errors
    /// The driver, the device, or what counts does not do what it should.
    pub fn measure(&self, subject: &mut impl Subject) -> Result<(), String> {
        if !self.is_wanted() {
            return Ok(());
        }
        let failed = |Failed(what)| alloc::format!("{}: {what}", self.name);
        let (empty_pair, outside_cost) = (ticks::empty_pair(), outside::cost());
        let (mut submit, mut complete) = (Half::NONE, Half::NONE);
        let warm_up = WARM_UP.div_ceil(self.burst) as u64;
        let bursts = self.bursts();
        let mut allocated = 0;
        for number in 0..warm_up + bursts {
            if number == warm_up {
                (submit, complete, allocated) = (Half::NONE, Half::NONE, 0);
                mark(Mark::Line);
            }
            subject.prepare(self.burst).map_err(failed)?;
            let (before, outside) = (allocations(), Outside::now());
            mark(Mark::Submit);
            let start = ticks();
            let outcome = subject.submit(self.burst);
            let end = ticks();
            mark(Mark::Outside);
            allocated += allocations() - before;
            submit.add(end - start - empty_pair - Outside::now().since(&outside, outside_cost));
            outcome.map_err(failed)?;

            subject.wait(self.burst).map_err(|what| alloc::format!("{}: {what}", self.name))?;
            let before = allocations();
            mark(Mark::Complete);
            let start = ticks();
            let outcome = subject.complete(self.burst);
            let end = ticks();
            mark(Mark::Outside);
            allocated += allocations() - before;
            complete.add(end - start - empty_pair);
            let done = outcome.map_err(failed)?;
            if done != self.burst {
                return Err(alloc::format!("{}: {done} of {} came back", self.name, self.burst));
            }
        }
        mark(Mark::Between);
        let Self { name, burst } = self;
        println!(
            "line {name} burst {burst} bursts {bursts} submit {submit} complete {complete} allocations {allocated}"
        );
        Ok(())
    }
}

/// Checks that ticks are instructions, before anything is measured: `check=broken` makes it fail.
///
/// # Errors
/// They are not.
pub fn check() -> Result<(), String> {
    ticks::check(words("check").is_some_and(|mut words| words.any(|word| word == "broken")))?;
    println!("ticks are instructions");
    Ok(())
}
