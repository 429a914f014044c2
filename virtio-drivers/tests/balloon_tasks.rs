//! A balloon whose kernel sleeps: woken by what changes, and by nothing else.
//!
//! Spec: §5.5.6 Device Operation (driven by configuration change notifications), §2.3 Notifications.

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;

use support::balloon::{BalloonBench, Blocks, Driver, HINT, Kernel, Make, REPORTING, STATS};
use support::tasks::Task;
use virtio_guest::device::balloon::{BalloonError, HintCommand, Progress};
use virtio_guest::lifecycle::{Condition, VectorRouting};
use virtio_model::balloon::{BalloonQueue, statistic};

fn make() -> Make {
    Make { features: STATS, notified: true, ..Make::default() }
}

/// Runs a task to its end: as long as it sleeps the device works, and what it does wakes the task.
fn run<R>(bench: &support::balloon::Host, task: &mut Task<'_, R>) {
    for _ in 0..1000 {
        while task.run() {}
        if task.is_over() {
            return;
        }
        bench.serve();
        assert!(task.is_woken(), "asleep for ever");
    }
    panic!("it never comes to an end");
}

/// The balloon and the kernel, apart.
fn parts(bench: &mut BalloonBench) -> (support::balloon::Host, &mut Driver, RefCell<Kernel>) {
    let kernel = std::mem::take(&mut bench.kernel);
    (bench.host(), &mut bench.driver, RefCell::new(kernel))
}

#[test]
fn a_task_follows_the_target_and_sleeps_in_between() {
    for make in make().each() {
        let mut bench = make.start();
        bench.kernel.statistics.free_bytes = Some(3);
        let (host, driver, kernel) = parts(&mut bench);
        let targets = RefCell::new(VecDeque::from([60, 20, 61]));
        let next = || {
            let target = targets.borrow_mut().pop_front()?;
            host.model.set_target(&host.device, target);
            host.interrupt();
            Some(target)
        };
        let mut task = Task::new(async {
            while let Some(target) = next() {
                assert_eq!(driver.reach_target(&kernel).await, Ok(Progress::AtTarget));
                assert_eq!(driver.held_frames(), target);
            }
        });

        run(&host, &mut task);

        let polls = task.polls;
        drop(task);
        assert!(polls < 40, "{polls} polls for 4 + 3 + 3 bursts");
        bench.kernel = kernel.into_inner();
        assert_eq!(bench.actual(), 61);
        bench.assert_ledger();
        bench.end();
    }
}

#[test]
fn a_balloon_at_its_target_is_woken_by_another_target_and_by_questions() {
    for make in make().each() {
        let mut bench = make.start();
        bench.kernel.statistics.free_bytes = Some(3);
        assert_eq!(bench.reach(10), Ok(Progress::AtTarget));
        let _ = bench.driver.control().take_configuration_change();
        let (host, driver, kernel) = parts(&mut bench);
        let mut task = Task::new(driver.attention());
        task.run();
        host.serve();
        assert!(!task.run() && !task.is_over(), "nothing has happened");
        host.model.set_target(&host.device, 20);
        host.interrupt();
        assert!(task.run());
        assert_eq!(task.result, Some(Condition::Live));
        drop(task);

        let mut task = Task::new(driver.reach_target(&kernel));
        run(&host, &mut task);
        drop(task);
        let mut task = Task::new(driver.attention());
        task.run();
        assert!(!task.is_over());
        host.model.ask_for_statistics();
        host.serve();
        assert!(task.run() && task.is_over());
        drop(task);
        kernel.borrow_mut().statistics.free_bytes = Some(4);
        bench.kernel = kernel.into_inner();
        bench.poll();
        bench.serve();

        assert_eq!(bench.model.statistics()[&statistic::MEMFREE], 4);
        bench.end();
    }
}

/// *Cancellation*: nothing is lost.
#[test]
fn a_dropped_future_leaves_its_burst_with_the_device_and_the_next_one_takes_it_from_there() {
    for make in make().each() {
        let mut bench = make.start();
        bench.set_target(60);
        let (host, driver, kernel) = parts(&mut bench);
        for _ in 0..3 {
            let mut task = Task::new(driver.reach_target(&kernel));
            task.run();
            task.cancel();
            drop(task);
            host.serve();
        }
        let mut task = Task::new(driver.reach_target(&kernel));

        run(&host, &mut task);

        assert_eq!(task.result, Some(Ok(Progress::AtTarget)));
        drop(task);
        bench.kernel = kernel.into_inner();
        assert_eq!(bench.actual(), 60);
        bench.assert_ledger();
        bench.end();
    }
}

#[test]
fn a_task_whose_device_breaks_the_protocol_is_told() {
    for make in make().each_ring() {
        let mut bench = make.start();
        bench.model.misbehave(|lies| (lies.used_id, lies.only) = (Some(9), Some(BalloonQueue::Inflate)));
        bench.set_target(60);
        let (host, driver, kernel) = parts(&mut bench);
        let mut task = Task::new(driver.reach_target(&kernel));

        for _ in 0..10 {
            task.run();
            host.serve();
        }

        assert!(matches!(task.result, Some(Err(BalloonError::Broken(_)))), "{:?}", task.result);
        drop(task);
        bench.kernel = kernel.into_inner();
        assert_eq!((bench.kernel.free.len(), bench.driver.unanswered_frames()), (84, 16));
        bench.end();
    }
}

/// A patience that sleeps is woken by the answer, whatever else the device suppresses.
#[test]
fn each_burst_is_answered_with_an_interrupt_that_was_asked_for() {
    for make in make().each() {
        let mut bench = make.start();
        bench.kernel.statistics.free_bytes = Some(1);
        bench.set_target(100);
        let host = bench.host();
        let mut naps = 0;
        let sleeps = || {
            naps += 1;
            let _ = host.device.take_messages();
            host.model.serve(&host.device, &host.memory());
            // Nobody would wake it up.
            !host.device.take_messages().is_empty()
        };

        let progress = bench.driver.reach_target_blocking(&mut bench.kernel, sleeps);

        assert_eq!((progress, naps), (Ok(Progress::AtTarget), 7));
        bench.end();
    }
}

/// Spec: §4.1.5.1.2 — each queue has a vector of its own as far as they are in a row.
#[test]
fn queues_have_vectors_and_share_them_where_there_are_few() {
    let features = STATS | HINT | REPORTING;
    let mut bench = Make { features, ..make() }.start();
    assert_eq!(bench.driver.control().vectors(), VectorRouting::PerQueue);
    let signals: Vec<_> = (0..5).map(|index| bench.driver.control().queue_signal(index).is_some()).collect();
    assert_eq!(signals, [true; 5]);
    bench.end();

    // Without statistics the queue for reports is behind a gap.
    let mut bench = Make { features: REPORTING, ..make() }.start();
    assert_eq!(bench.driver.control().vectors(), VectorRouting::PerQueue);
    let mut blocks = Blocks::new(3, 4096, 1);
    let patience = bench.host().patience(9);
    assert_eq!(bench.reports.as_mut().unwrap().report_blocking(&mut blocks, patience), Ok(3));
    assert_eq!(bench.reach(50), Ok(Progress::AtTarget));
    bench.end();
}

/// The command of hints comes with the same interrupt as a target.
#[test]
fn a_command_for_hints_wakes_the_balloons_task() {
    for make in (Make { features: HINT, ..make() }).each() {
        let mut bench = make.start();
        bench.poll();
        let _ = bench.driver.control().take_configuration_change();
        let host = bench.host();
        let mut task = Task::new(bench.driver.attention());
        task.run();
        assert!(!task.is_over());

        let id = host.model.start_hinting(&host.device);
        host.interrupt();

        assert!(task.run() && task.is_over());
        drop(task);
        assert_eq!(bench.driver.hint_command(), Ok(HintCommand::Round(id)));
        bench.end();
    }
}
