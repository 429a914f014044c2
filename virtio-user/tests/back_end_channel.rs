//! What a back-end says by itself, on its own channel: a change of its configuration, and anything else.

#[path = "support/script.rs"]
mod script;
mod support;

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use script::{DISK, Deed, Script, Scripted, message, request, send_with_file};
use support::{LIMIT, small_memory};
use virtio_guest::hal::AccessWidth;
use virtio_guest::transport::Transport;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::status::Status;
use virtio_user::protocol::{Cause, Step};
use virtio_user::{Settings, Vector, VhostUser};

/// Messages of a back-end's own.
const IOTLB: u32 = 1;
const CONFIG_CHANGE: u32 = 2;
/// Flags: version 1, and "answer this".
const PLAIN: u32 = 1;
const NEED_REPLY: u32 = 1 | 8;
/// How long a message may stay half said.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// A disk at a back-end, whose channel is the test's.
struct Disk {
    back_end: Scripted,
    script: Script,
    transport: VhostUser,
    channel: UnixStream,
    vector: Vector,
}

impl Disk {
    fn new(script: Script) -> Self {
        let back_end = Scripted::start(script.clone());
        let settings = Settings { answer_limit: ANSWER_LIMIT, ..Settings::default() };
        let transport = VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &small_memory(), &settings);
        let transport = transport.expect("a disk");
        let channel = back_end.channel();
        channel.set_read_timeout(Some(LIMIT)).expect("a socket");
        let vector = transport.vector(0).expect("vector 0");
        Self { back_end, script, transport, channel, vector }
    }

    fn honest() -> Self {
        Self::new(Script::honest(DISK))
    }

    /// The lower half of the disk's size in sectors, as the driver reads it.
    fn sectors(&self) -> u32 {
        self.transport.read_config(0, AccessWidth::Long)
    }

    fn resize(&self, sectors: u64) {
        self.script.config.lock().unwrap()[..8].copy_from_slice(&sectors.to_le_bytes());
    }

    fn say(&mut self, bytes: &[u8]) {
        self.channel.write_all(bytes).expect("the front-end is there");
    }

    /// The answer to what was said: message, flags, verdict.
    fn answer(&mut self) -> (u32, u32, u64) {
        let mut bytes = [0; 20];
        self.channel.read_exact(&mut bytes).expect("an answer");
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(8), 8, "a number of 64 bits");
        (word(0), word(4), u64::from_ne_bytes(bytes[12..].try_into().unwrap()))
    }

    /// Has the front-end listen, and expects that it does not any more, for this reason.
    fn expect_fault(&mut self, cause: Cause) {
        let start = Instant::now();
        assert!(self.vector.wait(LIMIT).expect("it polls"), "something came");
        self.vector.acknowledge();
        assert!(start.elapsed() < LIMIT);
        let fault = self.transport.link().fault().expect("something is wrong");
        assert_eq!((fault.step, fault.cause), (Step::REQUEST_OF_BACK_END, cause));
        assert!(!self.transport.link().is_up(), "it is not listened to any more");
    }
}

#[test]
fn a_change_of_the_configuration_wakes_vector_0_and_is_read_when_it_is_acknowledged() {
    let mut disk = Disk::honest();
    assert_eq!(disk.sectors(), 2048);
    assert!(!disk.vector.wait(Duration::ZERO).expect("it polls"), "nothing came yet");
    let before = disk.transport.config_generation();
    disk.resize(4096);

    disk.say(&message(CONFIG_CHANGE, PLAIN, &[]));

    assert!(disk.vector.wait(LIMIT).expect("it polls"), "vector 0 tells");
    assert!(disk.vector.acknowledge());
    assert_eq!(disk.sectors(), 4096);
    assert_ne!(disk.transport.config_generation(), before);
    assert!(!disk.vector.wait(Duration::ZERO).expect("it polls"), "it was acknowledged");
    assert!(!disk.vector.acknowledge(), "nothing came since");
}

#[test]
fn who_is_not_woken_finds_the_change_when_it_reads_the_generation() {
    let mut disk = Disk::honest();
    let before = disk.transport.config_generation();
    disk.resize(512);

    disk.say(&message(CONFIG_CHANGE, PLAIN, &[]));

    assert_ne!(disk.transport.config_generation(), before);
    assert_eq!(disk.sectors(), 512);
}

#[test]
fn a_change_that_is_told_while_an_answer_is_waited_for_is_not_lost() {
    let late = Duration::from_millis(200);
    let script = Script { at: request::SET_CONFIG, deed: Deed::IsLate(late), ..Script::honest(DISK) };
    let mut disk = Disk::new(script);
    disk.resize(1024);

    // It waits for the answer to this one, while the back-end waits for the answer to its own.
    let mut channel = disk.channel.try_clone().expect("the same socket");
    let other_end = std::thread::spawn(move || {
        std::thread::sleep(late / 2);
        channel.write_all(&message(CONFIG_CHANGE, NEED_REPLY, &[])).expect("the front-end is there");
        channel.read_exact(&mut [0; 20]).expect("an answer");
    });
    disk.transport.write_config(32, AccessWidth::Byte, 1);
    other_end.join().expect("it was answered");

    assert!(disk.vector.wait(Duration::ZERO).expect("it polls"), "vector 0 tells all the same");
    assert!(disk.vector.acknowledge());
    assert_eq!(disk.sectors(), 1024);
}

#[test]
fn a_change_that_is_told_while_another_one_is_read_is_not_lost() {
    let late = Duration::from_millis(100);
    let mut disk = Disk::new(Script::honest(DISK));
    disk.back_end.change(request::GET_CONFIG, Deed::IsLate(late));
    disk.say(&message(CONFIG_CHANGE, PLAIN, &[]));
    let mut channel = disk.channel.try_clone().expect("the same socket");
    let script = disk.script.clone();
    let other_end = std::thread::spawn(move || {
        std::thread::sleep(late / 2);
        channel.write_all(&message(CONFIG_CHANGE, NEED_REPLY, &[])).expect("the front-end is there");
        channel.read_exact(&mut [0; 20]).expect("an answer");
        // Behind the answer that is on its way.
        std::thread::sleep(late * 3);
        script.config.lock().unwrap()[..8].copy_from_slice(&777u64.to_le_bytes());
    });

    disk.vector.acknowledge();
    other_end.join().expect("it was answered");

    assert!(disk.vector.wait(Duration::ZERO).expect("it polls"), "there is another one");
    disk.vector.acknowledge();
    assert_eq!(disk.sectors(), 777);
}

#[test]
fn a_change_is_confirmed_and_what_was_not_agreed_on_is_refused_where_an_answer_is_wanted() {
    let mut disk = Disk::honest();

    disk.say(&message(CONFIG_CHANGE, NEED_REPLY, &[]));
    disk.say(&message(IOTLB, NEED_REPLY, &[0; 40]));
    disk.say(&message(77, PLAIN, &[1, 2, 3]));
    disk.vector.acknowledge();

    assert_eq!(disk.answer(), (CONFIG_CHANGE, 5, 0));
    assert_eq!(disk.answer(), (IOTLB, 5, 1));
    assert!(disk.transport.link().is_up(), "nothing is wrong with that");
}

#[test]
fn a_back_end_that_says_much_at_once_is_served_until_all_is_told() {
    let mut disk = Disk::honest();
    let many = message(CONFIG_CHANGE, PLAIN, &[]).repeat(1000);

    disk.say(&many);

    let mut rounds = 0;
    while disk.vector.wait(Duration::ZERO).expect("it polls") {
        disk.vector.acknowledge();
        rounds += 1;
    }
    assert!(rounds <= 1000, "{rounds} rounds");
    assert!(disk.transport.link().is_up());
}

/// As tokio waits: woken whenever the file becomes readable, and not because it is.
#[test]
fn who_waits_for_the_edge_is_told_of_each_part_of_what_a_back_end_says_at_once() {
    for (request, count) in [(CONFIG_CHANGE, 1000), (IOTLB, 1000), (CONFIG_CHANGE, 64), (IOTLB, 1)] {
        let mut disk = Disk::honest();
        let edges = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&edges, &disk.vector, EventData::new_u64(0), flags).expect("a file");
        let is_told = |limit| {
            let mut event = [MaybeUninit::uninit()];
            let limit = Timespec::try_from(limit).expect("a short time");
            let (events, _) = epoll::wait(&edges, &mut event, Some(&limit)).expect("it polls");
            !events.is_empty()
        };

        disk.say(&message(request, PLAIN, &[]).repeat(count));

        let mut limit = LIMIT;
        let mut rounds = 0;
        while is_told(limit) {
            disk.vector.acknowledge();
            rounds += 1;
            limit = Duration::ZERO;
        }
        assert!(!disk.vector.wait(Duration::ZERO).expect("it polls"), "{count}: all is read");
        assert!(rounds <= count / 64 + 2, "{count}: {rounds} rounds");
        assert!(disk.transport.link().is_up());
    }
}

#[test]
fn a_back_end_that_closes_its_channel_is_driven_on() {
    let mut disk = Disk::honest();
    disk.channel.shutdown(std::net::Shutdown::Both).expect("a socket");

    disk.vector.acknowledge();

    assert!(disk.transport.link().is_up());
    assert!(!disk.vector.wait(Duration::ZERO).expect("it polls"), "nothing is left to be told");
    disk.transport.write_config(32, AccessWidth::Byte, 0);
    assert_eq!(disk.transport.read_config(32, AccessWidth::Byte), 0);
}

#[test]
fn a_message_with_the_wrong_flags_ends_the_connection() {
    for flags in [0, 2, 1 | 4, 1 | 16] {
        let mut disk = Disk::honest();
        disk.say(&message(CONFIG_CHANGE, flags, &[]));
        disk.expect_fault(Cause::Flags(flags));
    }
}

#[test]
fn a_message_that_is_too_long_ends_the_connection() {
    let mut disk = Disk::honest();
    disk.say(&[2, 1, 257].map(u32::to_ne_bytes).concat());
    disk.expect_fault(Cause::Size { bytes: 257, possible: 256 });
}

#[test]
fn a_message_with_a_file_descriptor_ends_the_connection() {
    let mut disk = Disk::honest();
    let null = std::fs::File::open("/dev/null").expect("nothing");
    send_with_file(&disk.channel, &message(CONFIG_CHANGE, PLAIN, &[]), &null);
    disk.expect_fault(Cause::FileDescriptors);
}

#[test]
fn a_message_that_stays_half_said_ends_the_connection_in_time() {
    for said in [1, 11, 13] {
        let mut disk = Disk::honest();
        disk.say(&message(IOTLB, PLAIN, &[0; 8])[..said]);
        disk.expect_fault(Cause::NoAnswer(ANSWER_LIMIT));
    }
}

#[test]
fn a_hang_up_wakes_every_vector_once() {
    let mut disk = Disk::honest();
    let queue = disk.transport.vector(1).expect("vector 1");
    assert!(disk.transport.vector(2).is_none(), "there is one queue");

    disk.back_end.hang_up();

    assert!(disk.vector.wait(LIMIT).expect("it polls"));
    assert!(disk.vector.acknowledge());
    assert!(queue.wait(LIMIT).expect("it polls"));
    assert!(queue.acknowledge());
    assert!(!disk.vector.wait(Duration::ZERO).expect("it polls"));
    assert!(!queue.wait(Duration::ZERO).expect("it polls"));
    disk.transport.set_status(Status::empty());
    assert_eq!(disk.transport.status(), Status::REMOVED, "there is no device to begin with");
}
