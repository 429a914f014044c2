//! A pool's list under threads: whoever takes sees what came back, each buffer once, and sleeps through nothing.

use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use virtio_guest::raw::{BufferPool, Buffers, PoolEntries};
use virtio_test_hal::TestHal;

const BUFFERS: u32 = 3;
const ROUNDS: usize = if cfg!(miri) { 12 } else { 20_000 };

/// A sleep as long as this is a wake-up that was lost.
const LIMIT: Duration = Duration::from_secs(20);

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drops buffers, after it has looked at what the taker wrote into them and written something of its own.
fn give_back(from: Receiver<(usize, Buffers<'_, TestHal>)>) {
    for (number, mut buffers) in from {
        let mut seen = [0; 8];
        buffers.read(0, &mut seen).unwrap();
        assert_eq!(usize::from_le_bytes(seen), number);
        buffers.write(0, &(!number).to_le_bytes()).unwrap();
    }
}

/// Two threads give buffers back, one takes them; it sleeps when there are none, and is woken by the first that comes back.
#[test]
fn buffers_come_back_from_other_threads_and_wake_who_waits() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(BUFFERS), 64).unwrap();
    let mut supply = pool.supply().unwrap();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    thread::scope(|scope| {
        let to: [Sender<_>; 2] = [(); 2].map(|()| {
            let (to, from) = channel();
            scope.spawn(|| give_back(from));
            to
        });
        for number in 0..ROUNDS {
            let mut buffers = loop {
                if let Some(buffers) = supply.take() {
                    break buffers;
                }
                if !supply.is_ready(1, &waker) {
                    let asleep = Instant::now();
                    thread::park_timeout(LIMIT);
                    assert!(asleep.elapsed() < LIMIT, "nobody wakes the taker");
                }
            };
            buffers.clear(0).unwrap();
            buffers.append(&number.to_le_bytes()).unwrap();
            to[number % 2].send((number, buffers)).unwrap();
        }
    });
    let all: Vec<_> = iter::from_fn(|| supply.take()).collect();
    assert_eq!(all.len(), BUFFERS as usize);
}

/// No wake-up is lost: a taker that was told that there is nothing is woken, always, for the time-out would show.
#[test]
fn a_buffer_that_comes_back_just_then_is_seen_or_wakes() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(1), 64).unwrap();
    let mut supply = pool.supply().unwrap();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    for _ in 0..ROUNDS.min(2000) {
        let buffers = supply.take().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || drop(buffers));
            while !supply.is_ready(1, &waker) {
                // A wake-up may be left over from before; then it is asked again.
                let asleep = Instant::now();
                thread::park_timeout(LIMIT);
                assert!(asleep.elapsed() < LIMIT, "nobody wakes the taker");
            }
        });
    }
}
