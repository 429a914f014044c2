//! What a disk's session promises.
//!
//! With a storage daemon that is killed meanwhile.
//!
//! Traffic over several places of the disk: each is written and then read, over and over, with other contents each time. So each always holds what was acknowledged last, or what is being written; and
//! in the end the file says the same.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use qemu_tests::pattern::fill;
use qemu_tests::{DiskDevice, Image, StorageDaemon, random_seed};
use virtio_guest::device::block::{RequestError, Sector};
use virtio_user::memory::{MemorySettings, Pages, SharedBuffer, SharedMemory};
use virtio_user::session::{Disk, DiskSettings, Done, RequestId, Trouble, Wait};
use virtio_user::{ConnectError, Settings};

const SECTOR: usize = 512;
/// Sectors of the disk,
const SECTORS: u64 = 8192;
/// and of a place.
const PLACE: u64 = 8;
/// Places that each queue has a request for at a time.
const DEPTH: usize = 32;
/// Nothing here takes as long, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

fn memory() -> SharedMemory {
    SharedMemory::new(&MemorySettings { bytes: 16 << 20, pages: Pages::Ordinary }).expect("16 MiB of memory")
}

fn settings(queues: u16, interrupts: bool) -> DiskSettings {
    DiskSettings {
        front_end: Settings { interrupts, answer_limit: LIMIT, ..Settings::default() },
        queues,
        wait: Wait { connect_within: Duration::ZERO, return_within: LIMIT },
        ..DiskSettings::default()
    }
}

fn device(queues: u16) -> DiskDevice {
    DiskDevice { queues: Some(queues), ..DiskDevice::default() }
}

/// What a place holds after so many writes.
fn contents(seed: u64, place: u64, writes: u64) -> Vec<u8> {
    let mut bytes = vec![0; (PLACE as usize) * SECTOR];
    for (sector, bytes) in (place * PLACE..).zip(bytes.chunks_exact_mut(SECTOR)) {
        fill(seed.wrapping_add(writes), sector, bytes);
    }
    bytes
}

/// A disk, and what goes over it.
struct Traffic {
    disk: Disk,
    memory: SharedMemory,
    seed: u64,
    /// How often each place was written, as far as that was acknowledged.
    writes: Vec<u64>,
    /// Places of each queue that are asked for nothing, and whether they are to be written.
    ready: Vec<VecDeque<(u64, bool)>>,
    in_flight: HashMap<RequestId, (u64, bool)>,
    back: HashSet<RequestId>,
    /// Requests that were sent more than once.
    sent_again: u64,
    interrupts: bool,
}

impl Traffic {
    fn new(daemon: &StorageDaemon, seed: u64, queues: u16, interrupts: bool) -> Self {
        let memory = memory();
        let disk = Disk::connect(daemon.address(), &memory, settings(queues, interrupts)).expect("a disk");
        assert_eq!((disk.capacity_sectors(), disk.queues()), (SECTORS, queues.into()));
        let places = SECTORS / PLACE;
        let mut ready = vec![VecDeque::new(); disk.queues()];
        for place in 0..places {
            ready[(place % u64::from(queues)) as usize].push_back((place, place % 3 != 0));
        }
        let writes = vec![0; places as usize];
        let (in_flight, back) = (HashMap::new(), HashSet::new());
        Self { disk, memory, seed, writes, ready, in_flight, back, sent_again: 0, interrupts }
    }

    fn hand_in(&mut self) {
        for queue in 0..self.disk.queues() {
            let of_queue = |place: u64| place as usize % self.ready.len() == queue;
            let mut count = self.in_flight.values().filter(|(place, _)| of_queue(*place)).count();
            while count < DEPTH
                && let Some((place, is_write)) = self.ready[queue].pop_front()
            {
                let mut buffer = self.memory.buffer(PLACE as usize * SECTOR).expect("there is memory");
                let at = Sector(place * PLACE);
                let id = if is_write {
                    let writes = self.writes[place as usize] + 1;
                    buffer.write(0, &contents(self.seed, place, writes)).expect("as long");
                    self.disk.submit_write(queue, at, buffer)
                } else {
                    buffer.fill(0xee);
                    self.disk.submit_read(queue, at, buffer)
                };
                let id = id.expect("there is room");
                assert_eq!(self.in_flight.insert(id, (place, is_write)), None, "ids are given once");
                count += 1;
            }
            self.disk.publish(queue);
        }
    }

    fn take(&mut self) -> usize {
        let mut came = Vec::new();
        for queue in 0..self.disk.queues() {
            self.disk.complete_burst(queue, usize::MAX, |done| came.push(done)).expect("a back-end");
        }
        let count = came.len();
        for done in came {
            self.judge(done);
        }
        count
    }

    fn judge(&mut self, Done { id, buffer, sent, result }: Done<SharedBuffer>) {
        assert!(self.back.insert(id), "each comes back once");
        let (place, is_write) = self.in_flight.remove(&id).expect("it was in flight");
        assert_eq!(result, Ok(()), "place {place}");
        self.sent_again += u64::from(sent > 1);
        let bytes = buffer.expect("its buffer").to_vec();
        let writes = &mut self.writes[place as usize];
        *writes += u64::from(is_write);
        assert_eq!(bytes, contents(self.seed, place, *writes), "place {place}, written: {is_write}");
        let queue = place as usize % self.ready.len();
        self.ready[queue].push_back((place, !is_write));
    }

    /// Goes on until it is over, and everything is back; says how many requests that were.
    fn run(&mut self, mut is_over: impl FnMut(usize) -> bool) -> usize {
        let start = Instant::now();
        while !is_over(self.back.len()) {
            self.hand_in();
            self.rest_if_idle();
            assert!(start.elapsed() < LIMIT, "{} requests came back", self.back.len());
        }
        while !self.in_flight.is_empty() {
            self.rest_if_idle();
            assert!(start.elapsed() < LIMIT, "{} requests are out", self.in_flight.len());
        }
        assert_eq!(self.disk.in_flight(), 0);
        self.back.len()
    }

    fn rest_if_idle(&mut self) {
        if self.take() > 0 {
        } else if self.interrupts {
            self.disk.wait(LIMIT);
        } else {
            thread::yield_now();
        }
    }

    /// The file, from outside.
    fn check(&self, image: &Image) {
        for (place, writes) in (0..).zip(&self.writes) {
            let there = image.read(place * PLACE, PLACE);
            assert_eq!(there, contents(self.seed, place, *writes), "place {place}");
        }
    }
}

/// An image on which each place was written zero times.
fn image(seed: u64) -> Image {
    Image::random(SECTORS, seed)
}

#[test]
fn what_is_written_and_read_at_random_is_what_the_file_holds() {
    for (queues, interrupts) in [(1, false), (2, false), (2, true)] {
        let seed = random_seed();
        let image = image(seed);
        let daemon = StorageDaemon::of_image(&image, &device(queues));
        let mut traffic = Traffic::new(&daemon, seed, queues, interrupts);

        traffic.run(|back| back >= 5000);

        traffic.check(&image);
        assert_eq!((traffic.sent_again, traffic.disk.restarts()), (0, 0));
    }
}

/// Killed, so that it ends in the middle of whatever it does, and started again, several times.
#[test]
fn a_disk_whose_daemon_is_killed_in_mid_traffic_loses_no_buffer_and_no_write() {
    for (queues, interrupts) in [(1, false), (2, false), (1, true), (2, true)] {
        let (seed, kills) = (random_seed(), 3);
        let image = image(seed);
        let mut daemon = StorageDaemon::of_image(&image, &device(queues));
        let mut traffic = Traffic::new(&daemon, seed, queues, interrupts);

        // A daemon ends with the thread that started it, so that thread stays.
        let (is_up, came_back) = (AtomicBool::new(false), AtomicUsize::new(0));
        let requests = thread::scope(|scope| {
            let (over, is_over) = mpsc::channel::<()>();
            let (daemon, is_up, came_back) = (&mut daemon, &is_up, &came_back);
            scope.spawn(move || {
                for pause in [0, 20, 100].into_iter().cycle().take(kills) {
                    let (start, before) = (Instant::now(), came_back.load(Ordering::Relaxed));
                    while came_back.load(Ordering::Relaxed) < before + 200 && start.elapsed() < LIMIT {
                        thread::sleep(Duration::from_millis(1));
                    }
                    daemon.kill();
                    thread::sleep(Duration::from_millis(pause));
                    daemon.start_again();
                }
                is_up.store(true, Ordering::Relaxed);
                // Also if the other one panics.
                let _ = is_over.recv();
            });
            // And a while with the last one.
            let mut end = None;
            let requests = traffic.run(|back| {
                came_back.store(back, Ordering::Relaxed);
                if end.is_none() && is_up.load(Ordering::Relaxed) {
                    end = Some(back + 500);
                }
                end.is_some_and(|end| back >= end)
            });
            drop(over);
            requests
        });

        traffic.check(&image);
        let (restarts, sent_again) = (traffic.disk.restarts(), traffic.sent_again);
        println!("{requests} requests, {sent_again} of them sent again, {restarts} restarts");
        assert_eq!(restarts, kills as u64);
        assert!(sent_again > 0, "some were in flight");
    }
}

#[test]
fn a_flush_in_flight_is_sent_again_too() {
    let image = Image::blank(SECTORS);
    let mut daemon = StorageDaemon::of_image(&image, &device(1));
    let mut disk =
        Disk::<SharedBuffer>::connect(daemon.address(), &memory(), settings(1, false)).expect("a disk");
    daemon.kill();
    let id = disk.submit_flush(0).expect("there is room");
    disk.publish(0);
    daemon.start_again();

    let (start, mut done) = (Instant::now(), Vec::new());
    while done.is_empty() && start.elapsed() < LIMIT {
        disk.complete_burst(0, 8, |flush| done.push(flush)).expect("a back-end");
    }

    let [flush] = &done[..] else { panic!("{done:?}") };
    assert_eq!((flush.id, flush.sent, flush.result), (id, 2, Ok(())));
}

#[test]
fn when_nobody_comes_back_that_is_said_in_time_and_everything_is_kept_for_the_next() {
    let image = Image::blank(SECTORS);
    let mut daemon = StorageDaemon::of_image(&image, &device(1));
    let (memory, limit) = (memory(), Duration::from_millis(200));
    let wait = Wait { connect_within: Duration::ZERO, return_within: limit };
    let mut disk = Disk::connect(daemon.address(), &memory, DiskSettings { wait, ..settings(1, false) })
        .expect("a disk");
    daemon.kill();
    for place in 0..4 {
        let mut buffer = memory.buffer(SECTOR).expect("there is memory");
        buffer.fill(place);
        disk.submit_write(0, Sector(place.into()), buffer).expect("there is room");
    }
    disk.publish(0);

    let start = Instant::now();
    let away = loop {
        match disk.complete_burst(0, 8, |done| panic!("{done:?}")) {
            Ok(_) => assert!(start.elapsed() < LIMIT),
            Err(away) => break away,
        }
    };

    assert!(away.waited <= limit * 2, "{away}");
    assert!(matches!(away.trouble, Trouble::Connect(ConnectError::NobodyListens(_))), "{away}");
    assert_eq!(disk.in_flight(), 4);
    let refused =
        disk.submit_read(0, Sector(9), memory.buffer(SECTOR).expect("there is memory")).unwrap_err();
    assert_eq!(
        (refused.error, refused.payload.map(|buffer| buffer.len())),
        (RequestError::Removed, Some(SECTOR))
    );

    daemon.start_again();
    let mut done = 0;
    while done < 4 && start.elapsed() < LIMIT {
        done += disk
            .complete_burst(0, 8, |done| assert_eq!((done.sent, done.result), (2, Ok(()))))
            .expect("it is back");
    }
    let bytes = image.read(0, 4);
    assert_eq!([bytes[0], bytes[SECTOR], bytes[2 * SECTOR], bytes[3 * SECTOR]], [0, 1, 2, 3]);
}

/// Who does not answer may still use what is in flight, so nothing of it is given to anybody else: until the process ends.
#[test]
fn a_daemon_that_hangs_keeps_what_is_in_flight_until_it_ends() {
    let image = Image::blank(SECTORS);
    let mut daemon = StorageDaemon::of_image(&image, &device(1));
    let (memory, limit) = (memory(), Duration::from_millis(300));
    let front_end = Settings { interrupts: false, answer_limit: limit / 3, ..Settings::default() };
    let wait = Wait { connect_within: Duration::ZERO, return_within: limit };
    let settings = DiskSettings { front_end, wait, ..DiskSettings::default() };
    let mut disk = Disk::connect(daemon.address(), &memory, settings).expect("a disk");
    daemon.freeze();
    for place in 0..4 {
        let mut buffer = memory.buffer(SECTOR).expect("there is memory");
        buffer.fill(place + 1);
        disk.submit_write(0, Sector(place.into()), buffer).expect("there is room");
    }
    disk.publish(0);
    let (start, free) = (Instant::now(), memory.free_bytes());

    let away = disk.restart().unwrap_err();

    assert!(matches!(away.trouble, Trouble::NotReset(_)), "{away}");
    assert!(start.elapsed() < LIMIT / 4, "{away}");
    assert_eq!((disk.in_flight(), memory.free_bytes()), (4, free), "nothing came back");

    daemon.kill();
    daemon.start_again();
    let mut done = 0;
    while done < 4 && start.elapsed() < LIMIT {
        let came = disk.complete_burst(0, 8, |done| assert_eq!((done.sent, done.result), (2, Ok(()))));
        done += came.expect("it is back");
    }
    let bytes = image.read(0, 4);
    assert_eq!([bytes[0], bytes[SECTOR], bytes[2 * SECTOR], bytes[3 * SECTOR]], [1, 2, 3, 4]);
}

#[test]
fn a_disk_that_is_closed_without_a_back_end_gives_every_buffer_back_once() {
    let image = Image::blank(SECTORS);
    let mut daemon = StorageDaemon::of_image(&image, &device(1));
    let memory = memory();
    let free = memory.free_bytes();
    let mut disk = Disk::connect(daemon.address(), &memory, settings(1, false)).expect("a disk");
    daemon.kill();
    let ids: Vec<_> = (0..7)
        .map(|sector| disk.submit_read(0, Sector(sector), memory.buffer(SECTOR).expect("there is memory")))
        .map(|id| id.expect("there is room"))
        .collect();
    disk.publish(0);

    let unfinished = disk.close(LIMIT).expect("it is gone");

    assert_eq!(unfinished.iter().map(|done| done.id).collect::<Vec<_>>(), ids);
    assert!(unfinished.iter().all(|done| done.result == Err(RequestError::Reset) && done.buffer.is_some()));
    drop(unfinished);
    assert_eq!(memory.free_bytes(), free);
}

#[test]
fn a_daemon_that_comes_later_is_waited_for() {
    let image = Image::blank(SECTORS);
    let mut daemon = StorageDaemon::of_image(&image, &device(1));
    daemon.kill();
    let (address, memory) = (daemon.address().to_path_buf(), memory());
    let user = thread::spawn(move || {
        let wait = Wait { connect_within: LIMIT, return_within: LIMIT };
        let settings = DiskSettings { wait, ..settings(1, false) };
        let disk = Disk::<SharedBuffer>::connect(&*address, &memory, settings);
        disk.expect("it came").capacity_sectors()
    });
    thread::sleep(Duration::from_millis(100));

    daemon.start_again();

    assert_eq!(user.join().expect("it ends"), SECTORS);
}

#[test]
fn what_does_not_pass_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "no socket").expect("a file");
    let wait = Wait { connect_within: LIMIT, return_within: LIMIT };
    let start = Instant::now();

    let refused =
        Disk::<SharedBuffer>::connect(&*file, &memory(), DiskSettings { wait, ..settings(1, false) });

    assert!(matches!(refused.unwrap_err().trouble, Trouble::Connect(ConnectError::NotASocket(_))));
    assert!(start.elapsed() < LIMIT / 4, "at once");
}
