//! Clones of a listener, each in a thread: a back-end that connects goes to one of them.

#[path = "support/script.rs"]
mod script;
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use script::{DISK, Script, Scripted};
use support::{LIMIT, polled, small_memory};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::{ConnectError, Listener, Settings};

/// All of them are woken when somebody comes.
const THREADS: usize = 16;

/// What so many threads are told that wait so long at clones of a listener, and so many back-ends come.
fn accept(threads: usize, back_ends: usize, limit: Duration) -> Vec<Result<(), ConnectError>> {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let listener = Listener::bind(folder.path().join("ours")).expect("a socket");
    let (told, is_told) = mpsc::channel();
    for _ in 0..threads {
        let (listener, told) = (listener.clone(), told.clone());
        let settings = Settings { accept_limit: limit, ..polled() };
        thread::spawn(move || {
            told.send(listener.accept(DeviceType::BLOCK, &small_memory(), &settings).map(drop))
        });
    }
    // All wait by then; if not, nothing fails.
    thread::sleep(Duration::from_millis(50));
    let _there: Vec<_> =
        (0..back_ends).map(|_| Scripted::connect(Script::honest(DISK), listener.path())).collect();
    (0..threads).map(|_| is_told.recv_timeout(LIMIT).expect("each is told in time")).collect()
}

#[test]
fn one_back_end_goes_to_one_thread_and_the_others_are_told_in_time() {
    for _ in 0..10 {
        let (limit, start) = (Duration::from_millis(300), Instant::now());

        let told = accept(THREADS, 1, limit);

        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{told:?}");
        let nobody = told.iter().filter(|told| matches!(told, Err(ConnectError::NobodyCame { .. })));
        assert_eq!(nobody.count(), THREADS - 1, "{told:?}");
        assert!(start.elapsed() >= limit);
    }
}

#[test]
fn two_back_ends_that_come_together_go_to_a_thread_each() {
    for _ in 0..10 {
        let told = accept(2, 2, LIMIT);

        assert!(told.iter().all(Result::is_ok), "{told:?}");
    }
}
