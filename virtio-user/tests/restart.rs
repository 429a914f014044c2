//! Ends and beginnings: a back-end that is gone and comes again, one that does not stop, and what a reset is.

#[path = "support/script.rs"]
mod script;
mod support;

use std::time::{Duration, Instant};

use qemu_tests::{DiskDevice, Image, StorageDaemon, random_seed};
use script::request::{GET_VRING_BASE, SET_CONFIG, SET_VRING_ENABLE};
use script::{DISK, Deed, Script, Scripted};
use serde_json::json;
use support::{LIMIT, memory, patience, polled, small_memory};
use virtio_guest::device::block::{
    Block, CloseFailed, HANDLED, Sector, Settings as BlockSettings, StartError, Starting, Storage,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ResetError, Wants};
use virtio_guest::transport::Transport;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::status::Status;
use virtio_user::memory::SharedMemory;
use virtio_user::protocol::{Cause, Step};
use virtio_user::{ConnectError, Settings, VhostUser};

fn connect(daemon: &StorageDaemon, memory: &SharedMemory, settings: &Settings) -> VhostUser {
    VhostUser::connect(daemon.address(), DeviceType::BLOCK, memory, settings).expect("the daemon is there")
}

/// The first sector of a disk that is brought up for it.
fn first_sector(transport: &mut VhostUser, memory: &SharedMemory) -> [u8; 512] {
    let mut storage = Storage::<16>::new();
    let mut disk =
        Block::start(transport, memory.hal(), &mut storage, patience()).expect("the disk comes up");
    let mut sector = [0; 512];
    disk.read_blocking(Sector(0), &mut sector, patience()).expect("it reads");
    disk.close(patience()).expect("it lets itself be reset");
    sector
}

#[test]
fn a_daemon_that_is_killed_is_told_and_driven_again_when_it_is_back() {
    let image = Image::random(64, random_seed());
    let mut daemon = StorageDaemon::of_image(&image, &DiskDevice::default());
    let memory = memory();
    let before = memory.free_bytes();
    let mut transport = connect(&daemon, &memory, &Settings::default());
    let link = transport.link();
    let vector = transport.vector(0).expect("vector 0");
    let mut storage = Storage::<16>::new();
    let mut disk =
        Block::start(&mut transport, memory.hal(), &mut storage, patience()).expect("the disk comes up");
    disk.read_blocking(Sector(0), &mut [0; 512], patience()).expect("it reads");

    daemon.kill();

    assert!(vector.wait(LIMIT).expect("it polls"), "vector 0 tells that it is gone");
    assert!(vector.acknowledge() && !link.is_up());
    let fault = link.fault().expect("something is wrong");
    assert_eq!((fault.step, fault.cause), (Step::BETWEEN, Cause::HungUp));
    assert_eq!(fault.to_string(), "between two messages: the back-end hung up");
    assert!(disk.control().condition() == virtio_guest::lifecycle::Condition::Removed);
    disk.close(patience()).expect("a hang-up is a reset");
    assert_eq!(memory.free_bytes(), before, "all memory is back");

    assert_eq!(transport.reconnect(), Err(ConnectError::NobodyListens(daemon.address().into())));
    let mut storage = Storage::<16>::new();
    let failed =
        Block::start(&mut transport, memory.hal(), &mut storage, Attempts(10)).expect_err("nobody is there");
    assert_eq!(failed.error, StartError::Reset(ResetError::Removed));
    daemon.start_again();
    transport.reconnect().expect("it is back");
    assert!(link.is_up() && link.fault().is_none());
    assert_eq!(first_sector(&mut transport, &memory)[..], image.read(0, 1));
    assert_eq!(memory.free_bytes(), before, "all memory is back");
}

#[test]
fn who_is_connected_or_has_not_reset_does_not_connect_anew() {
    let mut daemon = StorageDaemon::of_nothing(64, &DiskDevice::default());
    let memory = memory();
    let mut transport = connect(&daemon, &memory, &polled());
    assert_eq!(transport.reconnect(), Err(ConnectError::StillConnected(daemon.address().into())));
    transport.set_status(Status::ACKNOWLEDGE);

    daemon.kill();

    assert_eq!(transport.reconnect(), Err(ConnectError::NotReset));
    transport.set_status(Status::empty());
    assert_eq!(transport.status(), Status::empty());
    daemon.start_again();
    transport.reconnect().expect("it is back");
}

/// Spec: §2.4 Device Reset: no memory is taken back before it is complete.
#[test]
fn a_back_end_that_does_not_say_that_it_stops_has_its_memory_until_it_hangs_up() {
    let late = Duration::from_secs(2);
    let back_end =
        Scripted::start(Script { at: GET_VRING_BASE, deed: Deed::IsLate(late), ..Script::honest(DISK) });
    let memory = small_memory();
    let before = memory.free_bytes();
    let limit = Duration::from_millis(300);
    let settings = Settings { answer_limit: limit, ..polled() };
    let mut transport =
        VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &memory, &settings).expect("a disk");
    let link = transport.link();
    let mut storage = Storage::<16>::new();
    let disk =
        Block::start(&mut transport, memory.hal(), &mut storage, patience()).expect("the disk comes up");

    let asked = Instant::now();
    let CloseFailed { error, disk } = disk.close(Attempts(100)).expect_err("it does not answer");

    assert_eq!(error, ResetError::Removed);
    assert_eq!(link.fault().expect("it is late").cause, Cause::NoAnswer(limit));
    assert!(memory.free_bytes() < before, "the queue is still the back-end's");
    assert!(asked.elapsed() < late, "this took as long as it is late");
    // Now it finds that nobody listens any more, and hangs up.
    disk.close(patience()).expect("a hang-up is a reset");
    assert!(asked.elapsed() > late * 9 / 10, "it was late");
    assert_eq!(memory.free_bytes(), before, "all memory is back");
    transport.reconnect().expect("it takes the next one");
}

/// A socket that lies in a message, unread, is not closed when the process that it belongs to ends.
#[test]
fn a_back_end_that_ends_with_its_socket_in_a_message_has_hung_up_all_the_same() {
    let back_end =
        Scripted::start(Script { at: SET_VRING_ENABLE, deed: Deed::EndsInAMessage, ..Script::honest(DISK) });
    let memory = small_memory();
    let before = memory.free_bytes();
    let mut transport =
        VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &memory, &polled()).expect("a disk");
    let mut storage = Storage::<16>::new();
    let disk =
        Block::start(&mut transport, memory.hal(), &mut storage, patience()).expect("the disk comes up");

    disk.close(patience()).expect("a hang-up is a reset");

    assert_eq!(memory.free_bytes(), before, "all memory is back");
}

#[test]
fn a_back_end_that_says_what_nobody_asked_for_is_not_listened_to_any_more() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = small_memory();
    let mut transport =
        VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &memory, &polled()).expect("a disk");
    let link = transport.link();
    back_end.change(SET_CONFIG, Deed::SaysMore);
    transport.write_config(32, virtio_guest::hal::AccessWidth::Byte, 1);

    assert!(!link.is_up());

    let fault = link.fault().expect("something is wrong");
    assert_eq!((fault.step, fault.cause), (Step::BETWEEN, Cause::Unasked));
}

#[test]
fn a_disk_that_becomes_larger_tells_it_by_vector_0_and_its_driver_reads_the_new_size() {
    let image = Image::blank(2048);
    let mut daemon = StorageDaemon::of_image(&image, &DiskDevice::default());
    let memory = memory();
    let mut transport = connect(&daemon, &memory, &Settings::default());
    let vector = transport.vector(0).expect("vector 0");
    let mut storage = Storage::<16>::new();
    let mut disk =
        Block::start(&mut transport, memory.hal(), &mut storage, patience()).expect("the disk comes up");
    assert_eq!(disk.capacity_sectors(), 2048);

    daemon.qmp().execute("block_resize", &json!({ "node-name": "disk0", "size": 4096 * 512 }));

    assert!(vector.wait(LIMIT).expect("it polls"), "vector 0 tells");
    assert!(vector.acknowledge());
    assert_eq!(disk.refresh_capacity_sectors(), Ok(4096));
    disk.write_blocking(Sector(4095), &[7; 512], patience()).expect("there is more room");
    assert_eq!(image.read(4095, 1), [7; 512]);
}

#[test]
fn two_queues_of_one_disk_read_at_the_same_time_each_with_its_own_vector() {
    let image = Image::random(1024, random_seed());
    let daemon = StorageDaemon::of_image(&image, &DiskDevice { queues: Some(2), ..DiskDevice::default() });
    let memory = memory();
    let mut transport = connect(&daemon, &memory, &Settings::default());
    let vectors = [1, 2].map(|vector| transport.vector(vector).expect("a vector of a queue"));
    assert!(transport.vector(3).is_none());
    let settings = BlockSettings { queues_max: 4, notifications: true, ..BlockSettings::default() };
    let wants = Wants::features(HANDLED);
    let mut starting = Starting::begin(&mut transport, &settings, wants, patience()).expect("a disk");
    assert_eq!(starting.queues(), 2);
    let mut storages = [Storage::<16>::new(), Storage::<16>::new()];
    let installed = storages.each_mut().map(|storage| {
        starting.install_queue(&memory.hal(), storage).map_err(StartError::from).expect("a queue")
    });
    let control = starting.start();
    let mut queues = installed.map(|queue| control.activate(queue));

    std::thread::scope(|scope| {
        for (half, queue) in (0..).zip(&mut queues) {
            let image = &image;
            scope.spawn(move || {
                for sector in (half * 512..(half + 1) * 512).step_by(8) {
                    let mut bytes = [0; 4096];
                    queue.read_blocking(Sector(sector), &mut bytes, patience()).expect("it reads");
                    assert_eq!(bytes[..], image.read(sector, 8), "sector {sector}");
                }
            });
        }
    });

    assert!(vectors.iter().all(virtio_user::Vector::acknowledge), "each queue's vector was sent");
    let down = control.take_down(patience()).expect("the disk lets itself be reset");
    for queue in queues {
        drop(queue.reclaim(&down.reset).map_err(|_| "not this one's").expect("the queue's memory"));
    }
}
