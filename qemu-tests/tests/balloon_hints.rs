//! A machine is copied to a file while it runs, without the memory that its guest does not use, and goes on from there in another QEMU.
//!
//! Spec: §5.5.6.5 Free Page Hinting.

#[path = "common/balloon.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod balloon;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use balloon::{FRAME_BYTES, FRAMES, Guest, guest};
use device::{Case, cases};
use qemu_tests::net::{NetDevice, Network};
use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Connection, ConsoleDevice, DiskDevice, Image, Machine, random_seed};
use serde_json::json;

/// Slow, so that the guest has time to say what it does not use; and then as fast as it goes.
const SLOW: u64 = 1 << 20;
const FAST: u64 = 1 << 40;

/// Asks the guest through its console, and has its answer.
fn ask(mut port: UnixStream, number: u32) {
    port.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    port.write_all(format!("question {number}\n").as_bytes()).expect("QEMU reads");
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer).expect("an answer");
    assert_eq!(answer, format!("answer {number}\n"));
}

/// Copies a machine, has it go on, and returns the bytes of the copy, of memory in use, and of memory that is neither in use nor in the balloon.
fn copy(case: Case, hints: bool) -> [u64; 3] {
    let seed = random_seed() >> 33;
    let image = Image::blank(64);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("machine");
    let uri = format!("file:{}", file.display());
    let Case { machine, connection, packed } = case;
    let mut properties = String::new();
    let mut words = format!("check=hints seed={seed}");
    let mut disk = DiskDevice { connection: Some(connection), packed, ..DiskDevice::default() };
    if hints {
        properties += ",free-page-hint=on,iothread=hints";
    }
    // QEMU serves hints in a thread, which may send messages; if it raises a line, some machines abort. So nothing may be signalled where there are lines: not because the guest asks for it, nor for
    // the first time after the start, as with `event_idx`, nor for a notification that the start itself brings.
    let has_messages = !connection.is_mmio() && machine.lacks_messages().is_none();
    if !has_messages {
        words += " notifications=off";
        properties += ",event_idx=off";
        properties += if connection.is_mmio() { "" } else { ",ioeventfd=off" };
        disk.ioeventfd = false;
    }
    let card = NetDevice { connection: Some(connection), packed, ..NetDevice::default() };
    let console = ConsoleDevice { connection: Some(connection), packed, ..ConsoleDevice::default() };
    let qemu = guest(case, &properties, &words)
        .with(&["-object", "iothread,id=hints"])
        .disk(&image, disk)
        .console(console)
        .card(Network::User { forwarded: None }, card);

    let mut guest = Guest::start(&qemu);
    ask(guest.running.console_port(0), 0);
    let [in_use, free] = guest.numbers_of("in use: ")[..] else { panic!("two numbers") };
    guest.running.wait_for("balloon: ready");
    // Some of what is free is in the balloon all the time.
    let free_meanwhile = guest.reach(FRAMES / 8);
    let at_most = |bytes: u64| json!({ "max-bandwidth": bytes });
    guest.qmp.execute("migrate-set-parameters", &at_most(if hints { SLOW } else { FAST }));
    guest.qmp.execute("migrate", &json!({ "uri": uri }));
    if hints {
        let told = guest.numbers_of("hints: told ")[0];
        assert_eq!(told, free_meanwhile / 64, "blocks");
        guest.qmp.execute("migrate-set-parameters", &at_most(FAST));
    }
    guest.until("the machine is copied", |guest| {
        let answer = guest.qmp.execute("query-migrate", &json!({}));
        let status = answer["status"].as_str();
        assert_ne!(status, Some("failed"), "{answer}");
        (status == Some("completed")).then_some(())
    });
    drop(guest);
    let copied = fs::metadata(&file).expect("a copy").len();

    let mut guest = Guest::start(&qemu.with(&["-incoming", &uri]));
    guest.until("the machine goes on", |guest| {
        let answer = guest.qmp.execute("query-status", &json!({}));
        (answer["status"].as_str() == Some("running")).then_some(())
    });
    assert_eq!(guest.actual_frames(), FRAMES / 8, "the balloon has what it had");
    let left = guest.reach(FRAMES / 4);
    assert_eq!(left, free - FRAMES / 4, "it has all that it hinted at");
    let port = guest.running.console_port(0);
    let asking = thread::spawn(|| ask(port, 1));
    let output = guest.end();
    asking.join().expect("an answer");
    for line in ["in use: as it was", "disk, card and console: used, 1"] {
        assert!(output.contains(line), "no {line:?} in:\n{output}");
    }
    for sector in [0, 1] {
        let mut expected = [0; SECTOR];
        fill(seed, sector, &mut expected);
        assert!(image.read(sector, 1) == expected, "sector {sector}");
    }
    println!("{case:?}: {} MiB copied, {} in use, {} free", copied >> 20, in_use >> 8, free >> 8);
    [copied, in_use * FRAME_BYTES, free_meanwhile * FRAME_BYTES]
}

#[test]
fn a_copy_of_a_machine_goes_on_and_has_not_got_what_the_guest_did_not_use() {
    for case in cases() {
        let [copied, in_use, free] = copy(case, true);
        assert!(copied >= in_use);
        // Besides what is in use there are the kernel, its heap, and what went out before the guest was asked.
        assert!(copied < in_use + free / 4, "{copied} bytes, with {in_use} in use and {free} free");
    }
}

#[test]
fn a_copy_without_hints_has_everything() {
    let case = Case { machine: Machine::Q35, connection: Connection::Pci, packed: false };
    let [copied, in_use, free] = copy(case, false);
    assert!(copied > in_use + free / 10 * 9, "{copied} bytes, with {in_use} in use and {free} free");
}
