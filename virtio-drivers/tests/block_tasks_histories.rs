//! Random histories of tasks that share a disk: on every kind of ring, with futures dropped at any time and the disk working at any time, no page is lost and nobody sleeps for ever.
//!
//! Spec: §5.2.6 Device Operation, §2.7.7 Used Buffer Notification Suppression.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]
#![allow(clippy::cast_possible_truncation, reason = "a page is filled with the low byte of a number")]

mod support;

use std::future::Future;
use std::pin::Pin;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::Either;
use support::tasks::{Page, Pool, Running, Task, TaskBench, Tasks, handlers};
use virtio_guest::device::block::{Control, Failed, RequestError, Sector};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Signals};
use virtio_model::block::Order;

const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;
const PAGES: usize = 40;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A task comes: it reads, or writes.
    Come { writes: bool },
    /// One of those who were woken is polled.
    Run(usize),
    /// Any of them is polled, woken or not.
    Poll(usize),
    /// One goes.
    Cancel(usize),
    /// The disk does so many requests, in that order. Its interrupts wait.
    Serve { requests: usize, reverse: bool },
    /// They arrive.
    Interrupt,
    /// The kernel looks.
    Service,
    /// The disk is drained: whoever drains polls once, and again whenever it is woken.
    Drain,
    /// And goes on.
    Resume,
    /// It is reset, and comes up again in the same storage.
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<bool>().prop_map(|writes| Step::Come { writes }),
        8 => any::<usize>().prop_map(Step::Run),
        2 => any::<usize>().prop_map(Step::Poll),
        3 => any::<usize>().prop_map(Step::Cancel),
        4 => (1..6usize, any::<bool>()).prop_map(|(requests, reverse)| Step::Serve { requests, reverse }),
        4 => Just(Step::Interrupt),
        1 => Just(Step::Service),
        1 => Just(Step::Drain),
        1 => Just(Step::Resume),
        1 => Just(Step::Reset),
    ]
}

type Outcome = Result<Page, Failed<Page>>;
type Boxed<'f, R> = Pin<Box<dyn Future<Output = R> + 'f>>;

/// The control half, and what handlers have.
struct Parts {
    control: Option<Control<'static, Either>>,
    handlers: Vec<Interrupt<'static>>,
    signals: &'static Signals,
}

impl Parts {
    /// Resets the disk, and brings it up again.
    fn bring_back(&mut self, bench: &TaskBench, shared: &Tasks) {
        let down = self.control.take().unwrap().take_down(Attempts(10)).unwrap();
        let slots = shared.take_down(&down.reset).expect("the queue's own reset");
        bench.device.take_messages();
        let (mut control, queue) = bench.bring_up(down.transport, slots);
        self.handlers = handlers(control.connect_interrupts(self.signals).unwrap());
        shared.put_up(queue, control.interrupts()).unwrap();
        self.control = Some(control);
    }
}

/// Tasks of a disk.
struct History<'b> {
    bench: &'b TaskBench,
    pool: &'b Pool,
    tasks: Vec<Task<'b, Outcome>>,
    drain: Option<Task<'b, ()>>,
    came: u64,
}

impl<'b> History<'b> {
    fn take(&mut self, running: &mut Parts, shared: &'b Tasks, step: Step) {
        let count = self.tasks.len().max(1);
        match step {
            Step::Come { writes } if self.pool.pages() > 0 => {
                let (sector, page) = (Sector(self.came % 256), self.pool.take(self.came as u8));
                let future: Boxed<'b, Outcome> = if writes {
                    Box::pin(shared.write(sector, page))
                } else {
                    Box::pin(shared.read(sector, page))
                };
                self.tasks.push(Task::new(future));
                self.came += 1;
            }
            Step::Come { .. } => {}
            Step::Run(which) => {
                let woken = self.tasks.iter_mut().filter(|task| task.is_woken());
                let mut woken: Vec<_> = woken.collect();
                let count = woken.len().max(1);
                if let Some(task) = woken.get_mut(which % count) {
                    task.poll();
                }
            }
            Step::Poll(which) => self.tasks.get_mut(which % count).into_iter().for_each(Task::poll),
            Step::Cancel(which) => self.tasks.get_mut(which % count).into_iter().for_each(Task::cancel),
            Step::Serve { requests, reverse } => {
                self.bench.disk.complete_in(if reverse { Order::Reverse } else { Order::Fifo });
                self.bench.disk.release(requests);
                self.bench.disk.serve(&self.bench.device, &self.bench.hal.space);
            }
            Step::Interrupt => {
                self.bench.interrupt(&running.handlers);
            }
            Step::Service => {
                shared.service();
            }
            Step::Drain => {
                self.drain = None;
                self.drain = Some(Task::new(shared.drain()));
            }
            Step::Resume => shared.resume(),
            Step::Reset => running.bring_back(self.bench, shared),
        }
        if let Some(drain) = &mut self.drain {
            drain.run();
        }
        self.settle_accounts();
    }

    /// Takes what is over; every page is in the pool, mapped for the device, or in a task's hands.
    fn settle_accounts(&mut self) {
        self.tasks.retain_mut(|task| {
            match task.result.take() {
                Some(Ok(_)) | None => {}
                Some(Err(Failed { error, payload })) => {
                    assert!(matches!(error, RequestError::Full | RequestError::Reset), "{error}");
                    assert!(payload.is_some(), "it comes back");
                }
            }
            !task.is_over()
        });
        // Pages of tasks that were not polled yet are not mapped.
        let not_sent = self.tasks.iter().filter(|task| task.polls == 0).count();
        assert_eq!(self.pool.pages() + self.bench.hal.mapped_buffers() + not_sent, PAGES);
    }

    /// All tasks come to their end: as long as there are any, the disk's work wakes one.
    fn run_to_end(mut self, running: &Parts, shared: &Tasks) {
        shared.resume();
        self.bench.disk.release_all();
        self.drain = None;
        while !self.tasks.is_empty() {
            self.bench.serve(&running.handlers);
            assert!(self.tasks.iter().any(Task::is_woken), "asleep for ever");
            let mut rounds = 0;
            while self.tasks.iter().any(Task::is_woken) {
                rounds += 1;
                assert!(rounds < 1000, "they keep each other awake");
                for task in &mut self.tasks {
                    task.run();
                }
                self.settle_accounts();
            }
        }
        self.bench.serve(&running.handlers);
        assert_eq!((shared.service(), self.pool.pages()), (0, PAGES), "whoever dropped the last ones");
    }
}

/// The kinds of ring.
fn kinds() -> impl Iterator<Item = u128> {
    let choose = |kind: u32, bit: u32, feature| if kind & 1 << bit != 0 { feature } else { 0 };
    (0..16).map(move |kind| {
        choose(kind, 0, EVENT_IDX)
            | choose(kind, 1, RING_PACKED)
            | choose(kind, 2, INDIRECT_DESC)
            | choose(kind, 3, IN_ORDER)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 200 },
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x7a5c),
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_every_history_each_page_comes_back_and_each_task_to_its_end(
        kind in 0..16usize,
        line in any::<bool>(),
        steps in prop::collection::vec(step(), if cfg!(miri) { 40 } else { 150 }),
    ) {
        let bench = TaskBench::new(kinds().nth(kind).expect("there are 16"), |builder| builder);
        let pool = Pool::new(PAGES, 512);
        let Running { control, tasks, handlers, signals } = bench.start_with::<8>(if line { 0 } else { 2 });
        let mut parts = Parts { control: Some(control), handlers, signals };
        bench.disk.hold();
        let mut history = History { bench: &bench, pool: &pool, tasks: Vec::new(), drain: None, came: 0 };
        for step in steps {
            history.take(&mut parts, &tasks, step);
        }
        history.run_to_end(&parts, &tasks);
        let Parts { control, handlers, signals } = parts;
        bench.finish(Running { control: control.expect("it is up"), tasks, handlers, signals });
    }
}
