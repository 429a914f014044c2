//! Sockets that lead nowhere, and devices that are others: a clear error each.

#[path = "support/script.rs"]
mod script;
mod support;

use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use qemu_tests::backend::{Forwarding, Testpmd, TestpmdSettings};
use qemu_tests::{DiskDevice, StorageDaemon};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket, socket_with};
use script::{CARD, DISK, Script, Scripted};
use support::{LIMIT, polled, small_memory};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::protocol::Cause;
use virtio_user::{ConnectError, Listener, Settings, VhostUser};

fn connect(path: &std::path::Path, device_type: DeviceType) -> Result<VhostUser, ConnectError> {
    VhostUser::connect(path, device_type, &small_memory(), &polled())
}

#[test]
fn a_path_without_a_file_is_told() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("nothing");

    let error = connect(&path, DeviceType::BLOCK).expect_err("there is nobody");

    assert_eq!(error, ConnectError::NoSocket(path.clone()));
    assert_eq!(
        error.to_string(),
        format!("{}: there is no such socket; is the back-end started, and this its path?", path.display())
    );
}

#[test]
fn a_file_that_is_no_socket_is_told() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("file");
    File::create(&path).expect("a file");

    let error = connect(&path, DeviceType::BLOCK).expect_err("it is no socket");

    assert_eq!(error, ConnectError::NotASocket(path));
    let error = connect(folder.path(), DeviceType::BLOCK).expect_err("it is a folder");
    assert_eq!(error, ConnectError::NotASocket(folder.path().into()));
}

#[test]
fn a_socket_at_which_nobody_listens_is_told() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("left");
    drop(UnixListener::bind(&path).expect("a socket"));

    let error = connect(&path, DeviceType::BLOCK).expect_err("nobody listens");

    assert_eq!(error, ConnectError::NobodyListens(path));
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_told() {
    let path = std::path::Path::new("/tmp").join("x".repeat(120));

    assert_eq!(connect(&path, DeviceType::BLOCK).expect_err("too long"), ConnectError::PathTooLong(path));
}

#[test]
fn a_socket_whose_owner_never_accepts_is_told_in_time() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).expect("a socket");
    let limit = Duration::from_millis(200);
    let settings = Settings { answer_limit: limit, ..polled() };

    let error =
        VhostUser::connect(&path, DeviceType::BLOCK, &small_memory(), &settings).expect_err("no answer");

    let ConnectError::Protocol { fault, .. } = error else { panic!("{error}") };
    assert_eq!((fault.step.name, fault.cause), ("GET_FEATURES", Cause::NoAnswer(limit)));
}

#[test]
fn a_socket_with_too_many_who_wait_is_told_in_time() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("socket");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).expect("short")).expect("a path of its own");
    rustix::net::listen(&listener, 0).expect("a socket");
    let limit = Duration::from_millis(200);
    let settings = Settings { answer_limit: limit, ..polled() };
    // One may wait.
    let _waiting = UnixStream::connect(&path).expect("there is room for one");

    let error =
        VhostUser::connect(&path, DeviceType::BLOCK, &small_memory(), &settings).expect_err("no room");

    assert_eq!(error, ConnectError::NotAccepted { path, limit });
}

#[test]
fn a_switch_is_no_disk() {
    let testpmd =
        Testpmd::start(TestpmdSettings { forwarding: Forwarding::Back, ..TestpmdSettings::default() });

    let error = connect(&testpmd.socket(0), DeviceType::BLOCK).expect_err("it is a card");

    assert!(matches!(error, ConnectError::OtherDeviceType { looks_like: "a network card", .. }), "{error}");
    assert!(
        error.to_string().ends_with("a device of type 2 was asked for, and this is a network card"),
        "{error}"
    );
    // It is still there for who asks for a card.
    connect(&testpmd.socket(0), DeviceType::NETWORK).expect("a card");
}

#[test]
fn a_disk_is_no_card() {
    let daemon = StorageDaemon::of_nothing(64, &DiskDevice::default());

    let error = connect(daemon.address(), DeviceType::NETWORK).expect_err("it is a disk");

    assert!(matches!(error, ConnectError::OtherDeviceType { .. }), "{error}");
    connect(daemon.address(), DeviceType::BLOCK).expect("a disk");
}

#[test]
fn who_is_trusted_gets_the_device_that_was_asked_for() {
    let back_end = Scripted::start(Script::honest(CARD));
    let settings = Settings { trusts_device_type: true, ..polled() };

    VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &small_memory(), &settings).expect("trusted");
}

#[test]
fn a_back_end_of_no_version_is_told() {
    let back_end = Scripted::start(Script::honest(DISK & !(1 << 32)));

    let error = connect(&back_end.socket(), DeviceType::BLOCK).expect_err("it is legacy");

    assert_eq!(error, ConnectError::Legacy(back_end.socket()));
}

#[test]
fn a_back_end_without_a_queue_is_told() {
    let back_end = Scripted::start(Script { queues: 0, ..Script::honest(DISK) });

    let error = connect(&back_end.socket(), DeviceType::BLOCK).expect_err("no queue");

    assert!(error.to_string().contains("GET_QUEUE_NUM: the back-end's answer makes no sense"), "{error}");
}

#[test]
fn a_back_end_may_connect_by_itself_and_its_absence_is_told() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("ours");
    let listener = Listener::bind(&path).expect("a socket");
    let limit = Duration::from_millis(100);
    let settings = Settings { accept_limit: limit, ..polled() };

    let error = listener.accept(DeviceType::NETWORK, &small_memory(), &settings).expect_err("nobody comes");

    assert_eq!(error, ConnectError::NobodyCame { path: path.clone(), limit });
    let settings =
        TestpmdSettings { forwarding: Forwarding::Back, connects: true, ..TestpmdSettings::default() };
    let testpmd = Testpmd::start(settings);
    let theirs = Listener::bind(testpmd.socket(0)).expect("a socket");
    theirs.accept(DeviceType::NETWORK, &small_memory(), &polled()).expect("it connects");
}

#[test]
fn a_listener_takes_the_place_of_a_socket_that_was_left_behind_and_of_no_other_file() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("ours");
    drop(UnixListener::bind(&path).expect("a socket"));

    let listener = Listener::bind(&path).expect("nobody is there any more");

    assert_eq!(Listener::bind(&path).expect_err("somebody is"), ConnectError::InUse(path.clone()));
    drop(listener);
    assert!(!path.exists(), "the file goes with the listener");
    File::create(&path).expect("a file");
    assert_eq!(Listener::bind(&path).expect_err("a file"), ConnectError::InUse(path));
}

#[test]
fn a_listener_that_goes_leaves_what_others_put_in_its_place() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("ours");
    let listener = Listener::bind(&path).expect("a socket");
    fs::remove_file(&path).expect("it is there");
    let theirs = Listener::bind(&path).expect("nothing is there any more");

    drop(listener);

    UnixStream::connect(&path).expect("the other one is still there");
    fs::remove_file(&path).expect("it is there");
    File::create(&path).expect("a file");
    drop(theirs);
    assert!(path.exists(), "a file that is no socket");
}

#[test]
fn a_listener_that_accepts_nobody_keeps_nobody_from_learning_that_its_path_is_in_use() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let path = folder.path().join("theirs");
    let address = SocketAddrUnix::new(&path).expect("a short path");
    let stream = || {
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).expect("a socket")
    };
    let theirs = stream();
    rustix::net::bind(&theirs, &address).expect("a free path");
    rustix::net::listen(&theirs, 0).expect("a socket");
    let mut waiting = Vec::new();
    loop {
        waiting.push(stream());
        match rustix::net::connect(waiting.last().expect("one"), &address) {
            Ok(()) => assert!(waiting.len() < 16, "its queue is short"),
            Err(error) => break assert_eq!(error, Errno::AGAIN),
        }
    }
    let (told, is_told) = mpsc::channel();
    let other = path.clone();
    thread::spawn(move || told.send(Listener::bind(other).map(drop)));

    assert_eq!(is_told.recv_timeout(LIMIT).expect("in time"), Err(ConnectError::InUse(path)));
}

#[test]
fn who_waits_for_ever_for_answers_gets_them() {
    let back_end = Scripted::start(Script::honest(DISK));
    let settings =
        Settings { answer_limit: Duration::MAX, accept_limit: Duration::MAX, ..Settings::default() };

    let disk = VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &small_memory(), &settings)
        .expect("it answers");

    let vector = disk.vector(0).expect("vector 0");
    back_end.hang_up();
    assert!(vector.wait(Duration::MAX).expect("it can be waited for"));
}
