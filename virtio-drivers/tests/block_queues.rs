//! Several request queues of one disk, and halves of disks in whatever hands: each queue has an owner, and each device only what is its own.
//!
//! Spec: §5.2.4 Device configuration layout (`num_queues`), §5.2.6 Device Operation.

mod support;

use std::thread;

use support::tasks::{Load, Pool, TaskBench, handlers};
use support::{Either, TestHal};
use virtio_guest::device::block::{
    Block, Control, HANDLED, RequestError, RequestQueue, Sector, Settings, StartError, Starting, Storage,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::Broken;
use virtio_model::Disk;

const MQ: u128 = 1 << 12;

type Queue = RequestQueue<'static, TestHal, Load>;

fn start(bench: &TaskBench) -> (Control<'static, Either>, Queue) {
    bench.bring_up(bench.open(2), storage())
}

/// A page that the disk may write.
fn to_fill(bench: &TaskBench, pool: &Pool) -> Load {
    MappedBuffer::map(&bench.hal, pool.take(0xee), Direction::DeviceWritable).unwrap()
}

/// A disk that has so many request queues, and says that it has `num_queues`.
fn with_queues(queues: usize, num_queues: u16) -> TaskBench {
    let config = Disk::with_sectors(256).with_config(|config| config.num_queues = num_queues).config();
    TaskBench::new(MQ, |builder| builder.config(config.bytes()).queue_sizes(&vec![16; queues]))
}

fn begin(bench: &TaskBench, queues_max: u16) -> Starting<Either> {
    let settings = Settings { queues_max, request_bytes: 512, notifications: true, ..Settings::default() };
    Starting::begin(bench.open(4), &settings, Wants::features(HANDLED), Attempts(10)).unwrap()
}

fn storage() -> &'static mut Storage<16, Load> {
    Box::leak(Box::default())
}

/// Spec: §5.2.4 (`num_queues`) — neither side can mean that there is none, and whichever says fewer counts.
#[test]
fn as_many_queues_are_installed_as_both_sides_allow() {
    for (num_queues, queues_max, expected) in
        [(0, 4, 1), (1, 4, 1), (4, 0, 1), (4, 3, 3), (4, 9, 4), (65535, 2, 2)]
    {
        let bench = with_queues(4, num_queues);
        let mut starting = begin(&bench, queues_max);
        assert_eq!(starting.queues(), expected, "{num_queues} of {queues_max}");
        let mut idle = Vec::new();
        let refused = loop {
            match starting.install_queue::<TestHal, Load>(&bench.hal, storage()) {
                Ok(queue) => idle.push(queue),
                Err(failed) => break failed,
            }
        };
        assert_eq!(refused.error, StartError::NoMoreQueues { queues: expected });
        assert_eq!(idle.len(), usize::from(expected));

        let reset = starting.give_up(Attempts(10)).unwrap();
        for queue in idle {
            drop(queue.reclaim(&reset).unwrap());
        }
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// A device that says that it has more queues than there are is found out queue by queue; the driver starts with what it got.
#[test]
fn a_disk_that_lies_about_its_queues_is_used_with_those_that_it_has() {
    // Each has its vector written and read back, which is much to ask of miri.
    let claimed = if cfg!(miri) { 20 } else { 65535 };
    let bench = with_queues(2, claimed);
    let mut starting = begin(&bench, 65535);
    assert_eq!(starting.queues(), claimed);
    let idle = [0, 1].map(|_| starting.install_queue::<TestHal, Load>(&bench.hal, storage()).unwrap());
    let failed = starting.install_queue::<TestHal, Load>(&bench.hal, storage()).unwrap_err();
    assert!(matches!(failed.error, StartError::Queue(_)), "{}", failed.error);

    let control = starting.start();
    let mut queues = idle.map(|queue| control.activate(queue));
    for queue in &mut queues {
        let serve = || bench.disk.serve(&bench.device, &bench.hal.space) < usize::MAX;
        queue.read_blocking(Sector(1), &mut [0; 512], serve).unwrap();
    }
    let down = control.take_down(Attempts(10)).unwrap();
    for queue in queues {
        drop(queue.reclaim(&down.reset).unwrap());
    }
    bench.hal.assert_all_returned();
}

/// Each queue has an owner of its own, on a processor of its own, and interrupts of its own.
#[test]
fn queues_of_one_disk_are_used_by_two_processors() {
    let bench = with_queues(2, 2);
    let mut starting = begin(&bench, 2);
    let idle = [0, 1].map(|_| starting.install_queue::<TestHal, Load>(&bench.hal, storage()).unwrap());
    let mut control = starting.start();
    let signals: &'static Signals<2> = Box::leak(Box::default());
    assert_eq!(handlers(control.connect_interrupts(signals).unwrap()).len(), 3);
    let queues = idle.map(|queue| control.activate(queue));

    let queues = thread::scope(|scope| {
        let use_queue = |mut queue: Queue| {
            let bench = &bench;
            scope.spawn(move || {
                let index = queue.index();
                for round in 0..if cfg!(miri) { 2 } else { 50 } {
                    let serve = || {
                        bench.disk.serve(&bench.device, &bench.hal.space);
                        thread::yield_now();
                        true
                    };
                    let sector = Sector(u64::from(index) * 100);
                    let mut read = [0; 1024];
                    queue.write_blocking(sector, &[round; 1024], serve).unwrap();
                    queue.read_blocking(sector, &mut read, serve).unwrap();
                    assert_eq!(read, [round; 1024]);
                }
                queue
            })
        };
        queues.map(use_queue).map(|thread| thread.join().unwrap())
    });

    let down = control.take_down(Attempts(10)).unwrap();
    for queue in queues {
        drop(queue.reclaim(&down.reset).unwrap());
    }
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// Halves of two disks, put together: each goes on with its own device, and nothing is freed on another one's word.
#[test]
fn halves_of_two_disks_do_no_harm_to_each_other() {
    let [one, other] = [(); 2].map(|()| TaskBench::new(0, |builder| builder));
    let ((control, mine), (others, mut foreign)) = (start(&one), start(&other));
    let pool = Pool::new(1, 512);
    foreign.submit_read(Sector(1), to_fill(&other, &pool)).unwrap();
    foreign.publish();
    let memory = other.hal.dma_regions();

    let disk = Block::join(control, foreign);
    let closed = disk.close(Attempts(10)).unwrap();

    assert_eq!((other.hal.dma_regions(), pool.pages()), (memory, 0), "its device has it all");
    other.disk.serve(&other.device, &other.hal.space);
    assert!(other.hal.space.faults().is_empty(), "and may use it");
    assert!(
        Block::start(closed.transport, one.hal.clone(), closed.storage, Attempts(10)).is_err(),
        "no room"
    );
    drop(Block::join(others, mine));
    assert!(one.hal.dma_regions() > 0 && one.hal.space.faults().is_empty());
    one.device.assert_driver_was_correct();
}

/// A queue that was installed in another bring-up of its disk is out of service, and its requests come back at once.
#[test]
fn a_queue_of_another_bring_up_is_not_activated() {
    let [one, other] = [(); 2].map(|()| with_queues(1, 1));
    let (mut starting, elsewhere) = (begin(&one, 1), begin(&other, 1));
    let idle = starting.install_queue::<TestHal, Load>(&one.hal, storage()).unwrap();
    let (control, others) = (starting.start(), elsewhere.start());
    let pool = Pool::new(1, 512);

    let mut queue = others.activate(idle);
    assert_eq!(queue.broken(), Some(Broken::OtherDevice));
    let refused = queue.submit_read(Sector(0), to_fill(&one, &pool)).unwrap_err();
    assert_eq!(refused.error, RequestError::Broken(Broken::OtherDevice));
    drop(refused);

    let down = control.take_down(Attempts(10)).unwrap();
    assert_eq!(queue.reclaim(&down.reset).unwrap().count(), 0);
    one.hal.assert_all_returned();
}

/// Whoever asks for signals that are another's keeps those that he has.
#[test]
fn a_disk_keeps_its_signals_when_it_cannot_have_others() {
    let [one, other] = [(); 2].map(|()| TaskBench::new(0, |builder| builder));
    let ((mut control, queue), (mut others, foreign)) = (start(&one), start(&other));
    let [mine, taken]: [&'static Signals; 2] = [(); 2].map(|()| &*Box::leak(Box::default()));
    others.connect_interrupts(taken).unwrap();
    let handler = control.connect_interrupts(mine).unwrap().vector(0).unwrap();

    control.connect_interrupts(taken).unwrap_err();
    assert!(control.interrupts().is_some() && handler.handle().configuration_change, "it has them still");
    let again = control.connect_interrupts(mine).unwrap().vector(0).unwrap();
    assert!(again.handle().configuration_change);

    for (bench, control, queue) in [(one, control, queue), (other, others, foreign)] {
        let down = control.take_down(Attempts(10)).unwrap();
        drop(queue.reclaim(&down.reset).unwrap());
        bench.hal.assert_all_returned();
    }
}
