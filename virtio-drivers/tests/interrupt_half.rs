//! What handlers have of a device: each object says why it was called and wakes who waits for that, while the device is up, and not a moment longer.
//!
//! Spec: §2.3 Notifications, §4.1.4.5 ISR status capability, §4.1.5.1.2 MSI-X Vector Configuration, §4.2.3.4 Notifications From The Device. That there is no object before `DRIVER_OK` is
//! by type: only a `Running` device gives any.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use support::tasks::Flag;
use support::{Either, EitherBench, Mapper, Meddler, TagQueue, TestHal, claim, message};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{
    HandlerStillRunning, Interrupt, Interrupts, Running, Signals, SignalsInUse, SignalsRef, VectorRouting,
};
use virtio_guest::transport::InterruptCause;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::{Builder, PciDevice};
use virtio_test_hal::registers;

type Device = Running<Either, BlockFeatures>;

const PATIENCE: Attempts = Attempts(10);
const NOTHING: InterruptCause = InterruptCause { used_buffer: false, configuration_change: false };
const USED: InterruptCause = InterruptCause { used_buffer: true, configuration_change: false };
const CHANGED: InterruptCause = InterruptCause { used_buffer: false, configuration_change: true };
const BOTH: InterruptCause = InterruptCause { used_buffer: true, configuration_change: true };

/// Brings a device up with so many messages, its vectors dealt out for so many of its three queues.
fn start(bench: &EitherBench, mut transport: Either, messages: u32, queues: u16) -> (Device, Vec<TagQueue>) {
    if messages > 0 {
        transport.enable_msi_x(&(0..messages).map(message).collect::<Vec<_>>()).expect("there is room");
    }
    let mut installing = EitherBench::install(transport);
    installing.route_vectors(queues);
    bench.start(installing, 3)
}

/// A device with a line: behind PCI, modern and legacy, and behind MMIO; and how it is opened.
fn each_with_a_line() -> Vec<(EitherBench, Either)> {
    let mut all: Vec<_> = EitherBench::each(|builder| builder)
        .into_iter()
        .map(|bench| {
            let transport = bench.open();
            (bench, transport)
        })
        .collect();
    let device = PciDevice::builder().features(1 << 32).queue_sizes(&[8, 8, 8]).config([0; 16]).build();
    let mmio = MmioDevice::new(device.clone(), 2);
    let transport = MmioTransport::open(registers(&mmio, 0x200)).unwrap().unwrap().into();
    all.push((EitherBench { device, hal: TestHal::default(), is_legacy: false }, transport));
    all
}

/// Those who wait for the queues, and for the configuration.
struct Waiting<const QUEUES: usize>([Arc<Flag>; QUEUES], Arc<Flag>);

impl<const QUEUES: usize> Waiting<QUEUES> {
    fn new(interrupts: &mut Interrupts<'_>) -> Self {
        let this = Self(std::array::from_fn(|_| Arc::default()), Arc::default());
        for (flag, index) in this.0.iter().zip(0..) {
            let signal = interrupts.queue_signal(index).expect("there is a signal");
            drop(signal.replace(Some(&Waker::from(Arc::clone(flag)))));
        }
        interrupts.configuration_changed(Some(&Waker::from(Arc::clone(&this.1))));
        this
    }

    /// Who was woken.
    fn woken(&self) -> ([bool; QUEUES], bool) {
        let is_woken = |flag: &Arc<Flag>| flag.wakes.load(Ordering::Relaxed) > 0;
        (std::array::from_fn(|queue| is_woken(&self.0[queue])), is_woken(&self.1))
    }
}

/// Calls the handlers of the messages that were sent; says what they found.
fn deliver(device: &PciDevice, handlers: &[Interrupt<'_>]) -> Vec<InterruptCause> {
    let handle = |(_, vector): (u64, u32)| handlers[vector as usize].handle();
    device.take_messages().into_iter().map(handle).collect()
}

fn finish(bench: &EitherBench, device: Device, queues: Vec<TagQueue>, interrupts: Interrupts<'_>) {
    bench.finish(device, queues);
    assert_eq!(interrupts.close(PATIENCE), Ok(()));
}

#[test]
fn a_vectors_object_says_what_the_vector_means_and_wakes_who_waits_for_that() {
    use VectorRouting::{PerQueue, SharedByAll, SharedByQueues};
    for (messages, routing, vectors) in [(4, PerQueue, 4), (3, SharedByQueues, 2), (1, SharedByAll, 1)] {
        for bench in EitherBench::each(|builder: Builder| builder.msi_x(4)) {
            let (mut device, mut queues) = start(&bench, bench.open(), messages, 3);
            assert_eq!(device.vector_routing(), routing);
            let signals = Signals::<3>::new();
            let mut interrupts = device.interrupts(&signals).unwrap();
            let handlers: Vec<_> = (0..9).map_while(|vector| interrupts.vector(vector)).collect();
            assert_eq!((handlers.len(), interrupts.line().is_none()), (vectors, true));

            for queue in &mut queues {
                let waiting = Waiting::<3>::new(&mut interrupts);
                bench.round_trip(queue);
                let found = deliver(&bench.device, &handlers);
                let its_own = std::array::from_fn(|index| index == usize::from(queue.index()));
                let expected = match routing {
                    PerQueue => (USED, (its_own, false)),
                    SharedByQueues => (USED, ([true; 3], false)),
                    _ => (BOTH, ([true; 3], true)),
                };
                assert_eq!((found, waiting.woken()), (vec![expected.0], expected.1), "{routing:?}");
            }
            let waiting = Waiting::<3>::new(&mut interrupts);
            bench.device.raise_config();
            let found = deliver(&bench.device, &handlers);
            let shared = routing == SharedByAll;
            assert_eq!(found, [if shared { BOTH } else { CHANGED }]);
            assert_eq!(waiting.woken(), ([shared; 3], true));
            finish(&bench, device, queues, interrupts);
        }
    }
}

#[test]
fn there_are_objects_for_vectors_that_are_used_and_no_others() {
    for bench in EitherBench::each(|builder: Builder| builder.msi_x(4)) {
        // Vectors for two queues: with signals for more, and for fewer.
        for (signals, vectors) in
            [(SignalsRef::from(&Signals::<4>::new()), 3), (SignalsRef::from(&Signals::<1>::new()), 2)]
        {
            let (mut device, queues) = start(&bench, bench.open(), 4, 2);
            let interrupts = device.interrupts(signals).unwrap();
            let used = (0..9).chain([u16::MAX]).filter(|vector| interrupts.vector(*vector).is_some());
            assert!(used.eq(0..vectors));
            assert!(interrupts.queue_signal(0).is_some() && interrupts.queue_signal(4).is_none());
            finish(&bench, device, queues, interrupts);
        }
    }
    for bench in EitherBench::each(|builder: Builder| builder.interrupt_pin(0)) {
        let (mut device, queues) = start(&bench, bench.open(), 0, 0);
        let signals = Signals::<3>::new();
        let interrupts = device.interrupts(&signals).unwrap();
        let signal = interrupts.queue_signal(0);
        assert!(interrupts.vector(0).is_none() && interrupts.line().is_none() && signal.is_none(), "polled");
        finish(&bench, device, queues, interrupts);
    }
}

#[test]
fn a_lines_object_says_why_the_line_was_raised_and_wakes_who_waits_for_that() {
    for (bench, transport) in each_with_a_line() {
        let (mut device, mut queues) = start(&bench, transport, 0, 0);
        let signals = Signals::<3>::new();
        let mut interrupts = device.interrupts(&signals).unwrap();
        assert!(interrupts.vector(0).is_none());
        let line = interrupts.line().expect("there is one");

        let waiting = Waiting::<3>::new(&mut interrupts);
        assert_eq!((line.handle(), waiting.woken()), (NOTHING, ([false; 3], false)), "another device's");
        bench.round_trip(&mut queues[1]);
        assert_eq!((line.handle(), line.handle()), (USED, NOTHING));
        assert_eq!(waiting.woken(), ([true; 3], false), "any queue's");
        let waiting = Waiting::<3>::new(&mut interrupts);
        bench.device.raise_config();
        assert_eq!((line.acknowledge(), waiting.woken()), (CHANGED, ([false; 3], false)), "nobody yet");
        line.wake(CHANGED);
        assert_eq!(waiting.woken(), ([false; 3], true));
        bench.round_trip(&mut queues[0]);
        bench.device.raise_config();
        assert_eq!((line.handle(), bench.device.isr()), (BOTH, 0));
        finish(&bench, device, queues, interrupts);
    }
}

/// Spec: §2.1.2 — interrupts are for a driver that runs. After the reset there is no cause; once the objects were taken back no register is touched either, whoever the line is of by then.
#[test]
fn objects_of_a_device_that_is_down_find_no_cause_and_leave_the_next_ones_alone() {
    for (round, (bench, transport)) in each_with_a_line().into_iter().chain(each_with_a_line()).enumerate() {
        let signals = Signals::<3>::new();
        let (mut device, queues) = start(&bench, transport, 0, 0);
        let interrupts = device.interrupts(&signals).unwrap();
        let old = interrupts.line().unwrap();
        bench.device.raise_config();
        let (transport, reset) = device.reset(PATIENCE).unwrap();
        assert_eq!(old.handle(), NOTHING, "the device was reset");
        for queue in queues {
            drop(queue.reclaim(&reset).unwrap());
        }
        if round < 3 {
            assert_eq!(interrupts.close(PATIENCE), Ok(()));
        } else {
            drop(interrupts);
        }

        let (mut device, queues) = start(&bench, transport, 0, 0);
        let mut interrupts = device.interrupts(&signals).expect("they are free again");
        let new = interrupts.line().unwrap();
        let waiting = Waiting::<3>::new(&mut interrupts);
        bench.device.raise_config();
        assert_eq!((old.handle(), waiting.woken()), (NOTHING, ([false; 3], false)));
        assert_ne!(bench.device.isr(), 0, "it was not swallowed");
        assert_eq!((new.handle(), waiting.woken()), (CHANGED, ([false; 3], true)));
        finish(&bench, device, queues, interrupts);
        assert_eq!(new.handle(), NOTHING);
    }
}

/// The same of vectors, which could not tell by themselves that their device is down.
#[test]
fn a_vectors_object_finds_no_cause_when_its_device_is_down() {
    for bench in EitherBench::each(|builder: Builder| builder.msi_x(4)) {
        let signals = Signals::<3>::new();
        let (mut device, queues) = start(&bench, bench.open(), 4, 3);
        let mut interrupts = device.interrupts(&signals).unwrap();
        let old = [0, 1].map(|vector| interrupts.vector(vector).unwrap());
        let waiting = Waiting::<3>::new(&mut interrupts);
        finish(&bench, device, queues, interrupts);

        let (mut device, queues) = start(&bench, bench.open(), 4, 3);
        let interrupts = device.interrupts(&signals).unwrap();
        assert_eq!(old.map(|old| old.handle()), [NOTHING; 2]);
        assert_eq!(waiting.woken(), ([false; 3], false));
        finish(&bench, device, queues, interrupts);
    }
}

/// A handler that is at the device's register when its objects are taken back: they are, at once; who takes them back waits for it, as long as he has patience.
#[test]
fn taking_the_objects_back_waits_for_a_handler_that_is_inside() {
    for leaves in [true, false] {
        let bench = EitherBench::each(|builder| builder).into_iter().next().unwrap();
        let (entered, inside) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let meddler = Meddler::new(&bench.device, move |_, access| {
            if access == 0 {
                entered.send(()).unwrap();
                left.recv().unwrap();
            }
        });
        let transport = Either::open_pci(claim(&bench.device), &meddler).unwrap();
        let (mut device, queues) = start(&bench, transport, 0, 0);
        let signals = Signals::<3>::new();
        let interrupts = device.interrupts(&signals).unwrap();
        let line = interrupts.line().unwrap();
        bench.finish(device, queues);
        meddler.begin();

        thread::scope(|scope| {
            // In here, so that a failure lets the handler go.
            let leave = leave;
            scope.spawn(|| line.handle());
            inside.recv().unwrap();
            let waits = AtomicUsize::new(0);
            // On a busy machine the handler's thread may take long to run again.
            let end = Instant::now() + Duration::from_secs(30);
            let closed = interrupts.close(|| {
                let waits = waits.fetch_add(1, Ordering::Relaxed);
                if waits == 5 && leaves {
                    leave.send(()).unwrap();
                }
                thread::yield_now();
                if leaves { Instant::now() < end } else { waits < 5 }
            });
            assert_eq!(closed, if leaves { Ok(()) } else { Err(HandlerStillRunning) });
            assert!(waits.into_inner() > 5, "it waited");
            assert_eq!(line.handle(), NOTHING, "taken back, whoever is still inside");
            if !leaves {
                leave.send(()).unwrap();
            }
        });
    }
}

#[test]
fn signals_are_one_devices_at_a_time() {
    let [bench, other] = EitherBench::each(|builder| builder);
    let signals = Signals::<3>::new();
    let (mut device, queues) = start(&bench, bench.open(), 0, 0);
    let (mut second, others) = start(&other, other.open(), 0, 0);
    let interrupts = device.interrupts(&signals).unwrap();
    let line = interrupts.line().unwrap();

    assert_eq!(second.interrupts(&signals).unwrap_err(), SignalsInUse);
    assert_eq!(device.interrupts(&signals).unwrap_err(), SignalsInUse, "nor twice by one device");

    bench.device.raise_config();
    assert_eq!(line.handle(), CHANGED, "nothing was taken from it");
    finish(&bench, device, queues, interrupts);
    let interrupts = second.interrupts(&signals).expect("they are free");
    finish(&other, second, others, interrupts);
}

#[test]
fn a_change_of_the_configuration_is_told_once() {
    for (bench, transport) in each_with_a_line() {
        let (mut device, queues) = start(&bench, transport, 0, 0);
        let signals = Signals::<1>::new();
        let mut interrupts = device.interrupts(&signals).unwrap();
        let line = interrupts.line().unwrap();
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));

        for waker in [None, Some(&waker)] {
            assert!(!interrupts.configuration_changed(waker));
            bench.device.raise_config();
            assert!(!interrupts.configuration_changed(waker), "no interrupt has told of it");
            line.handle();
            assert!(interrupts.configuration_changed(waker));
            assert!(!interrupts.configuration_changed(waker));
        }
        assert_eq!(flag.wakes.load(Ordering::Relaxed), 1);
        // One that nobody waited for is told, too, and not to the next bring-up.
        bench.device.raise_config();
        line.handle();
        finish(&bench, device, queues, interrupts);
        if let Ok(transport) = Either::open_pci(claim(&bench.device), &Mapper(bench.device.clone())) {
            let (mut device, queues) = start(&bench, transport, 0, 0);
            let mut interrupts = device.interrupts(&signals).unwrap();
            assert!(!interrupts.configuration_changed(None));
            finish(&bench, device, queues, interrupts);
        }
    }
}
