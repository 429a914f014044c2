//! A processor for each lane: the one that booted takes the first, others wait until there is one for them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::interrupts::wait;
use example_platform::{clock, cpus};
use spin::Mutex;

use super::QUEUES_MAX;
use super::lane::{Lane, Measured};

/// How often a processor looks whether there is something for it.
const NAP: Duration = Duration::from_millis(1);

/// What a processor is to do, or did.
enum Desk {
    Empty,
    ToDo(Box<Lane>),
    Done(Box<Result<Measured, String>>),
}

static DESKS: [Mutex<Desk>; QUEUES_MAX] = [const { Mutex::new(Desk::Empty) }; QUEUES_MAX];

/// Starts so many processors, this one included.
pub fn start(processors: usize) -> Result<(), String> {
    if cpus::count() < processors {
        return Err(alloc::format!("each queue takes a processor: start QEMU with -smp {processors}"));
    }
    for processor in 1..processors {
        cpus::start(processor, work_at_a_desk)?;
    }
    Ok(())
}

/// Runs each lane on its processor, and waits for all of them.
pub fn run(lanes: Vec<Lane>) -> Result<Vec<Measured>, String> {
    let mut lanes = lanes.into_iter();
    let own = lanes.next();
    let others = lanes.len();
    for (desk, lane) in DESKS.iter().skip(1).zip(lanes) {
        *desk.lock() = Desk::ToDo(Box::new(lane));
    }
    let own = own.map(Lane::run);
    let others = DESKS.iter().skip(1).take(others).map(take_from);
    own.into_iter().chain(others).collect()
}

/// Takes what another processor did, once it has done it.
fn take_from(desk: &Mutex<Desk>) -> Result<Measured, String> {
    loop {
        let mut on_it = desk.lock();
        if matches!(*on_it, Desk::Done(_))
            && let Desk::Done(done) = core::mem::replace(&mut *on_it, Desk::Empty)
        {
            return *done;
        }
        drop(on_it);
        wait(clock::now() + NAP);
    }
}

/// What another processor runs: it waits for its lane, does the work, and is done for good.
fn work_at_a_desk(processor: usize) {
    let Some(desk) = DESKS.get(processor) else { return };
    let lane = loop {
        let mut on_it = desk.lock();
        if matches!(*on_it, Desk::ToDo(_))
            && let Desk::ToDo(lane) = core::mem::replace(&mut *on_it, Desk::Empty)
        {
            break lane;
        }
        drop(on_it);
        wait(clock::now() + NAP);
    };
    let done = lane.run();
    *desk.lock() = Desk::Done(Box::new(done));
}
