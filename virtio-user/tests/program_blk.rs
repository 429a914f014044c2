//! `virtio-user blk`, at disks of the storage daemon.

#[path = "support/program.rs"]
#[allow(dead_code, reason = "each test program uses some of it")]
mod program;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use program::{Program, run};
use qemu_tests::{DiskDevice, Image, StorageDaemon, random_seed};
use tempfile::TempDir;

const SECTORS: u64 = 16_384;

fn folder() -> TempDir {
    tempfile::tempdir_in("/tmp").expect("a folder")
}

fn device() -> DiskDevice {
    DiskDevice { queues: Some(2), ..DiskDevice::default() }
}

#[test]
fn reading_gives_the_disks_contents_in_their_order() {
    let (image, folder) = (Image::random(SECTORS, random_seed()), folder());
    let daemon = StorageDaemon::of_image(&image, &device());
    let (disk, file) = (daemon.address().display(), folder.path().join("file"));
    for how in ["", "--depth 1 --interrupts", "--queues 2 --depth 7", "--split --interrupts --queues 2"] {
        run(&format!("blk read {disk} {} {how}", file.display())).done();
        assert!(fs::read(&file).expect("a file") == image.bytes(), "{how}");

        run(&format!("blk read {disk} {} --from 300 --sectors 333 {how}", file.display())).done();
        assert!(fs::read(&file).expect("a file") == image.read(300, 333), "{how}");
    }
}

#[test]
fn what_is_written_is_on_the_disk_when_the_program_ends() {
    let (image, source, folder) = (Image::blank(SECTORS), Image::random(4001, random_seed()), folder());
    let daemon = StorageDaemon::of_image(&image, &device());
    let disk = daemon.address().display();
    for (to, how) in [(0, ""), (77, "--queues 2 --interrupts"), (SECTORS - 4001, "--depth 1")] {
        run(&format!("blk write {disk} {} --to {to} {how}", source.path().display())).done();

        assert!(image.read(to, 4001) == source.bytes(), "{how}");
    }

    let file = folder.path().join("odd");
    fs::write(&file, [1; 700]).expect("a file");
    let said = run(&format!("blk write {disk} {}", file.display()));
    said.failed("ends in the middle of a sector, after 700 bytes", "pad it");
    run(&format!("blk write {disk} {} --to 16000", source.path().display())).failed("reach past the end", "");
    run(&format!("blk write {disk} {}", folder.path().join("no").display())).failed("No such file", "");
}

/// And its daemon is killed and started again in the meantime.
#[test]
fn copying_makes_one_disk_the_other() {
    let (from, to) = (Image::random(SECTORS, random_seed()), Image::blank(SECTORS + 10));
    let slow = DiskDevice { requests_per_second: Some(60), ..device() };
    let (source, mut target) =
        (StorageDaemon::of_image(&from, &device()), StorageDaemon::of_image(&to, &slow));
    let words =
        format!("blk copy {} {} --interrupts", source.address().display(), target.address().display());
    let copy = Program::start(words.split(' '));
    let start = Instant::now();
    while to.read(0, 1) == vec![0; 512] && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    target.kill();
    target.start_again();

    let said = copy.end().done();

    assert!(to.read(0, SECTORS) == from.bytes());
    assert!(said.errors.contains("copied 8.00 MiB"), "{said:?}");
    assert!(said.errors.contains("came back 1 times"), "{said:?}");
    run(&format!("blk copy {} {}", target.address().display(), source.address().display()))
        .failed("16394 sectors do not fit onto a disk of 16384", "copy a part with --sectors");
}

#[test]
fn the_benchmark_says_how_many_requests_there_were() {
    let daemon = StorageDaemon::of_nothing(SECTORS, &device());
    for how in ["", "--write --depth 4 --queues 2", "--depth 1 --interrupts --bytes 512"] {
        let said = run(&format!("blk bench {} --seconds 0.3 {how}", daemon.address().display())).done();
        assert!(said.output.contains("requests/s"), "{said:?}");
        assert!(said.output.contains(if how.contains("write") { "random writes" } else { "random reads" }));
    }
}

#[test]
fn what_stands_in_the_way_is_said_with_what_to_do_next() {
    let (image, folder) = (Image::blank(64), folder());
    let read_only = DiskDevice { read_only: true, ..DiskDevice::default() };
    let mut daemon = StorageDaemon::of_image(&image, &read_only);
    let (disk, file) = (daemon.address().display().to_string(), folder.path().join("file"));
    fs::write(&file, [0; 512]).expect("a file");
    let file = file.display();

    run(&format!("blk read {disk}.not")).failed("no such socket", "start the back-end first");
    run(&format!("blk read {file}")).failed("no socket", "give the path of the back-end's socket");
    run(&format!("blk read {disk} --packed")).failed("packed rings", "leave out --packed");
    run(&format!("blk read {disk} --queues 2")).failed("1 queues, and 2", "ask for fewer");
    run(&format!("blk read {disk} --from 60 --sectors 5")).failed("past the end", "");
    run(&format!("blk read {disk} {file}/in")).failed("Not a directory", "");
    run(&format!("blk write {disk} {file}")).failed("read-only", "");
    run(&format!("blk bench {disk} --bytes 700")).failed("whole number of sectors", "");
    run(&format!("net receive {disk} --seconds 1"))
        .failed("a device of type 1 was asked for", "use `virtio-user blk`");
    daemon.kill();
    run(&format!("blk read {disk}")).failed("nobody listens", "start the back-end again");
    run(&format!("blk read {disk} --wait-for-back-end 0.3"))
        .failed("(after 0.3 s", "start the back-end again");
    let said = run(&format!("blk read {file} --listen"));
    said.failed("", "give a path where nothing is yet");
    run(&format!("blk read {file}.new --listen --wait-for-back-end 0.2")).failed("no back-end connected", "");
    assert_eq!(run("blk read").status, Some(2));
    assert_eq!(run("blk read a b --depth 0").status, Some(2));
    assert!(run("--help").done().output.contains("qemu-storage-daemon --blockdev"));
}
