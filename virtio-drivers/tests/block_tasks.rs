//! Tasks that share a disk: each gets its own answer, whoever looks, and sleeps until there is one.
//!
//! Spec: §5.2.6 Device Operation, §2.7.7 Used Buffer Notification Suppression.

mod support;

use support::tasks::{Pool, Task, TaskBench, run_woken};
use virtio_guest::device::block::Sector;
use virtio_model::block::Order;

#[test]
fn each_task_reads_its_own_sectors_whatever_the_order_in_which_they_come_back() {
    for bench in TaskBench::each() {
        let pool = Pool::new(20, 1024);
        let running = bench.start::<16>();
        bench.disk.complete_in(Order::Reverse);

        let mut tasks: Vec<_> =
            (0..20).map(|sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)))).collect();
        run_woken(&mut tasks);
        assert!(tasks.iter().all(|task| !task.is_over()), "the disk has done nothing yet");
        let mut interrupts = 0;
        while tasks.iter().any(|task| !task.is_over()) {
            let came = bench.serve(&running.handlers);
            assert!(came > 0, "asleep for ever");
            interrupts += came;
            run_woken(&mut tasks);
        }

        for (sector, task) in (0u8..).zip(tasks) {
            let page = task.result.unwrap().unwrap();
            assert_eq!(page.bytes(), [vec![sector; 512], vec![sector + 1; 512]].concat());
        }
        assert!(interrupts <= 4, "{interrupts} interrupts for two bursts");
        assert_eq!(pool.pages(), 20);
        bench.finish(running);
    }
}
