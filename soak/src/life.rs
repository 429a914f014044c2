//! One life of a disk and its driver: from bring-up to the way down, with resets in between.
//!
//! It follows from its number alone: all chances are taken from one seed, and driver and device take turns on one thread. So a life that fails, fails again.

use std::cell::RefCell;

use fastrand::Rng;
use virtio_guest::device::block::{CacheMode, Control, Down, Requests, Shape, Shared, Slots, Waiters};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, Interrupt, Signals};
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::block::status;

use crate::bench::{Bench, Books, CAPACITY_SECTORS, Layout, Queue, REQUEST_SECTORS_MAX, Tasks, Up, Way};
use crate::bursts::Bursts;
use crate::errand::Errand;
use crate::page::Pages;
use crate::shadow::Shadow;
use crate::tally::Tally;
use crate::tasks::TaskList;

/// As many tasks may wait for a place.
const WAITERS: usize = 20;

/// What a life is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its number, which everything follows from.
    pub seed: u64,
    /// How many operations it has.
    pub operations: u64,
}

impl Plan {
    /// The layout of its rings: they take turns.
    pub const fn layout(&self) -> Layout {
        if self.seed.is_multiple_of(2) { Layout::Split } else { Layout::Packed }
    }
}

/// What there is in a life. Each level of use has a file of its own, with more methods.
pub struct Life<'q, 's> {
    pub(crate) bench: &'q Bench,
    pub(crate) random: Rng,
    pub(crate) shadow: Shadow,
    pub(crate) pages: Pages,
    pub(crate) tally: Tally,
    control: Option<Control<'s, Way>>,
    /// What the driver knows of the disk.
    pub(crate) shape: Shape,
    /// Requests that the disk was told to fail, and that were not seen to fail yet.
    pub(crate) failures: u64,
    pub(crate) queue: Option<Queue<'s>>,
    pub(crate) shared: &'q Tasks<'s>,
    pub(crate) handlers: Vec<Interrupt<'s>>,
    signals: &'s Signals<2>,
    pub(crate) bursts: Bursts,
    pub(crate) tasks: TaskList<'q>,
    /// Operations without a page whose caller gave up: over once nothing is in flight any more.
    pub(crate) stranded: Vec<Errand>,
}

/// Lives it; `is_over` is asked now and then whether that is enough, and is told what was done since.
///
/// # Panics
/// If a promise is broken.
pub fn live(plan: Plan, mut is_over: impl FnMut(&Tally) -> bool) {
    let mut random = Rng::with_seed(plan.seed);
    let bench = Bench::new(plan.layout(), &mut random);
    let (mut books, mut other_books) = (Books::default(), Books::default());
    let (mut waiters, signals) = (Waiters::<WAITERS, _>::default(), Signals::new());
    let Up { control, queue, shared, handlers } =
        bench.bring_up(bench.open(), [(&mut books).into(), (&mut other_books).into()], &signals);
    let requests = Requests::new(shared, &mut waiters, control.interrupts()).expect("a new queue");
    let shared = Shared::new(RefCell::new(requests), bench.hal.clone());
    let mut life = Life {
        bench: &bench,
        random,
        shadow: Shadow::new(control.capacity_sectors()),
        pages: Pages::default(),
        tally: Tally::default(),
        shape: control.shape(),
        failures: 0,
        control: Some(control),
        queue: Some(queue),
        shared: &shared,
        handlers,
        signals: &signals,
        bursts: Bursts::default(),
        tasks: TaskList::default(),
        stranded: Vec::new(),
    };
    life.change_depth();
    let mut done = 0;
    while done < plan.operations {
        life.step();
        if life.tally.operations() >= 1000 || done + life.tally.operations() >= plan.operations {
            let tally = std::mem::take(&mut life.tally);
            done += tally.operations();
            if is_over(&tally) {
                break;
            }
        }
    }
    life.end();
    bench.device.assert_driver_was_correct();
}

impl<'s> Life<'_, 's> {
    /// Something happens.
    fn step(&mut self) {
        match self.random.u32(0..10_000) {
            0..3500 => self.send_burst(),
            3500..6000 => self.add_tasks(),
            6000..6300 => self.call(),
            6300..9500 => {
                let requests = self.random.usize(1..=24);
                self.bench.work(&mut self.random, requests);
                if self.random.bool() {
                    self.bench.interrupt(&self.handlers);
                }
            }
            9500..9800 => self.drop_a_task(),
            9800..9940 => self.change_depth(),
            9940..9975 => {
                self.bench.disk.fail_nth(self.random.u64(1..20), status::IOERR);
                self.failures += 1;
            }
            9975..9979 => self.switch_cache(),
            9979..9980 => self.resize(),
            9980..9990 => self.come_to_rest(),
            _ => self.recover(),
        }
        // Some things wait for a while.
        if self.random.u32(0..3) > 0 {
            self.take_bursts();
        }
        if self.random.u32(0..3) > 0 {
            self.run_tasks();
        }
        for errand in self.pages.take_dropped() {
            self.shadow.lost(&errand);
            self.tally.given_up += 1;
        }
    }

    /// An operation that meets nobody, of at most so many sectors.
    pub(crate) fn set_out(&mut self, sectors_max: u64) -> Option<Errand> {
        let errand = Errand::any(&mut self.random, &mut self.shadow, &self.shape, sectors_max);
        self.shadow.set_out(&errand).then_some(errand)
    }

    /// The same, of a length that any request may have.
    pub(crate) fn set_out_with_a_page(&mut self) -> Option<Errand> {
        self.set_out(REQUEST_SECTORS_MAX)
    }

    /// How many requests are to be in flight from now on, at each level.
    fn change_depth(&mut self) {
        let places = self.queue.as_ref().map_or(1, Queue::requests);
        self.bursts.depth = self.random.usize(1..=places);
        self.tasks.depth = self.random.usize(1..=24);
    }

    /// The cache keeps what is written from now on, or writes it through, where that can be chosen.
    fn switch_cache(&mut self) {
        let mode = if self.random.bool() { CacheMode::WriteBack } else { CacheMode::WriteThrough };
        let control = self.control.as_mut().expect("it is up");
        let can_choose = control.features().contains(BlockFeatures::CONFIG_WCE);
        let now = control.set_cache_mode(mode).expect("it can be read");
        assert!(now == mode || !can_choose, "the cache does not do what it was told");
    }

    /// The disk becomes another size, which an interrupt says: larger in the middle of its work, smaller at rest.
    fn resize(&mut self) {
        let sectors = self.random.u64(CAPACITY_SECTORS);
        if sectors < self.shape.capacity_sectors {
            self.come_to_rest();
        }
        self.bench.disk.resize(&self.bench.device, sectors);
        self.shadow.resize(sectors);
        self.bench.interrupt(&self.handlers);
        let control = self.control.as_mut().expect("it is up");
        assert_eq!(control.take_configuration_change(), Some(Condition::Live), "the interrupt says so");
        self.shape = control.refresh_shape().expect("it can be read");
        assert_eq!(self.shape.capacity_sectors, sectors);
        self.queue.as_mut().expect("it is up").set_shape(self.shape);
        self.shared.set_shape(self.shape);
        self.tally.resizes += 1;
    }

    /// The disk does all that it has; then nothing is in flight, nobody sleeps, and the disk holds what it must.
    fn come_to_rest(&mut self) {
        self.run_tasks_to_their_end();
        // A buffer that is larger than what the disk takes goes part by part.
        for _ in 0..100 {
            self.bench.work(&mut self.random, usize::MAX);
            self.take_bursts();
            if self.bursts.in_flight + self.shared.service() == 0 {
                break;
            }
        }
        assert_eq!(self.shared.service(), 0, "the disk is done with all that tasks wanted");
        assert_eq!(self.bursts.in_flight, 0, "the disk is done with all that was sent");
        let queue = self.queue.as_ref().expect("it is up");
        assert_eq!(queue.free_requests(), queue.requests(), "each place is free");
        for errand in self.pages.take_dropped().into_iter().chain(self.stranded.drain(..)) {
            self.shadow.lost(&errand);
            self.tally.given_up += 1;
        }
        assert_eq!((self.pages.out(), self.bench.hal.mapped_buffers()), (0, 0), "each page came back");
        self.shadow.assert_nobody_is_out();
        self.shadow.compare_all(&self.bench.disk.contents());
        // After a flush a power failure changes nothing.
        let (bench, random) = (self.bench, &mut self.random);
        bench.disk.fail_none();
        self.failures = 0;
        let patience = || {
            bench.work(random, usize::MAX);
            true
        };
        self.queue.as_mut().expect("it is up").flush_blocking(patience).expect("an honest disk");
        self.shadow.compare_all(&bench.disk.stable_contents());
    }

    /// The disk is reset in the middle of its work, because it asks for that or not, and comes up again.
    fn recover(&mut self) {
        // Leaves behind what was done meanwhile, and what is still in flight.
        self.send_burst();
        self.call();
        if self.random.bool() {
            self.bench.device.set_needs_reset();
            let condition = self.control.as_ref().map(Control::condition);
            assert_eq!(condition, Some(Condition::NeedsReset));
        }
        let (transport, books) = self.take_down();
        self.bench.device.take_messages();
        let Up { control, queue, shared, handlers } = self.bench.bring_up(transport, books, self.signals);
        assert!(self.shared.put_up(shared, control.interrupts()).is_ok(), "there is no queue");
        (self.control, self.queue, self.handlers) = (Some(control), Some(queue), handlers);
        self.tally.resets += 1;
    }

    /// Resets the disk. What was in flight comes back, each once; and so does what was done during a call, as it ended.
    fn take_down(&mut self) -> (Way, [Slots<'s, crate::bench::Load>; 2]) {
        self.shared.pause();
        let control = self.control.take().expect("it is up");
        let Down { transport, reset, handlers } = control.take_down(Attempts(10)).expect("it resets");
        handlers.expect("no handler is inside");
        let queue = self.queue.take().expect("it is up");
        let mut reclaimed = queue.reclaim(&reset).expect("the queue's own reset");
        for done in reclaimed.by_ref() {
            self.end_of_burst(done);
        }
        assert_eq!(self.bursts.in_flight, 0, "each request came back");
        let books = [reclaimed.into_slots(), self.shared.take_down(&reset).expect("the queue's own reset")];
        for errand in self.stranded.drain(..) {
            self.shadow.lost(&errand);
            self.tally.given_up += 1;
        }
        (transport, books)
    }

    /// The way down: nothing is left.
    fn end(mut self) {
        self.come_to_rest();
        let (transport, books) = self.take_down();
        drop((transport, books));
        self.bench.hal.assert_all_returned();
    }
}
