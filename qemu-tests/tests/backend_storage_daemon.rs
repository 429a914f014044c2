//! The process that serves a disk ends in the middle of its work, and is started again: the guest goes on.
//!
//! QEMU's storage daemon (10.0.2) keeps no list of requests in flight that the next one could read (`VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD`). QEMU has the next one begin behind as many requests as
//! came back. Those are the right ones if they came back in the order in which they were sent, as where there is one at a time; else whoever ended the daemon, or the guest, has to see to it. There is a test of each way.

use std::time::Duration;

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{DiskDevice, Ended, Image, Machine, Qemu, Running, random_seed};
use serde_json::json;

/// 2 MiB: compared in full.
const SECTORS: u64 = 4096;
/// So slow that each request is in the daemon's hands for a while, one behind the other, and that there is always one which it has not done.
const REQUESTS_PER_SECOND: u32 = 400;

/// How the daemon goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// It is killed, and says nothing to anybody.
    Killed,
    /// It is told to end by QMP, and does what it was asked for before it does.
    Stopped,
    /// The same while the machine is paused.
    Paused,
}

/// What the guest does when nothing comes back.
#[derive(Clone, Copy, Debug)]
enum Guest {
    /// It waits. Each queue has one request in flight at a time.
    Waits,
    /// It resets the disk, and sends again what comes back with the reset. Its requests come back in any order.
    Resets,
}

impl Outage {
    fn happen(self, machine: &mut Running, guest: Guest) {
        // So that the daemon is at work, and not quicker than it is to be: at first it does a few requests at once.
        for _ in 0..2 {
            machine.wait_for("came back: ");
        }
        if self == Self::Paused {
            let mut qmp = machine.qmp();
            qmp.execute("stop", &json!({}));
            machine.stop_storage_daemon();
            machine.start_storage_daemon();
            qmp.execute("cont", &json!({}));
            return;
        }
        if self == Self::Killed {
            machine.kill_storage_daemon();
        } else {
            machine.stop_storage_daemon();
        }
        machine.wait_for("silence: ");
        if matches!(guest, Guest::Resets) {
            machine.wait_for("up again");
        }
        machine.start_storage_daemon();
        machine.wait_for("goes on");
    }
}

/// What the last lines say that is on the disk: the seed of each sector.
fn expected(output: &str, old: u64, new: u64) -> Vec<u64> {
    let mut seeds: Vec<u64> = (0..SECTORS).map(|_| old).collect();
    for line in output.lines().filter(|line| line.starts_with("place ")) {
        let words = line.split([' ', ':']).filter_map(|word| word.parse::<usize>().ok());
        let &[first, count, writes] = words.collect::<Vec<_>>().as_slice() else { panic!("{line}") };
        assert!(writes > 0, "every place is written\n{output}");
        seeds[first..first + count].fill(new.wrapping_add(writes as u64));
    }
    seeds
}

/// Boots a guest that reads and writes until its disk gets another size, which it does after all outages.
fn go_on(machine: Machine, guest: Guest, queues: u16, device: DiskDevice, outages: &[Outage]) {
    let [old, new] = [(); 2].map(|()| random_seed());
    let image = Image::random(SECTORS, old);
    let device = DiskDevice {
        storage_daemon: true,
        requests_per_second: Some(REQUESTS_PER_SECOND),
        queues: Some(queues),
        ..device
    };
    let silence = if matches!(guest, Guest::Waits) { "wait" } else { "reset" };
    let mut running = Qemu::new(machine, "kernel-block-complete")
        .append(format!("check=restart queues={queues} silence={silence} old={old} seed={new}"))
        .limit(Duration::from_mins(1))
        .disk(&image, device)
        .boot();
    for outage in outages {
        outage.happen(&mut running, guest);
    }
    running.wait_for("came back: ");
    let size = 2 * SECTORS * SECTOR as u64;
    running.storage_daemon().execute("block_resize", &json!({ "node-name": "disk0", "size": size }));

    let output = running.finish(Ended::Success, "block complete: done");

    for queue in 0..queues {
        let line = output.lines().rfind(|line| line.starts_with(&format!("queue {queue}: ")));
        assert!(line.is_some_and(|line| line.ends_with("came back, each once")), "{output}");
    }
    assert!(output.contains(&format!("configuration: {} sectors", 2 * SECTORS)), "{output}");
    for (sector, seed) in (0..).zip(expected(&output, old, new)) {
        let mut bytes = [0; SECTOR];
        fill(seed, sector, &mut bytes);
        assert!(image.read(sector, 1) == bytes, "sector {sector} holds what was acknowledged last\n{output}");
    }
}

/// Machines of each architecture, with PCI and MMIO; one queue or two; with an event index and indirect descriptors, or without.
fn cases() -> impl Iterator<Item = (Machine, u16, DiskDevice)> {
    (0..).zip(Machine::MODERN).map(|(number, (machine, connection))| {
        let (event_idx, indirect_desc) = (number % 3 != 0, number % 3 != 1);
        let device =
            DiskDevice { connection: Some(connection), event_idx, indirect_desc, ..DiskDevice::default() };
        (machine, 1 + number % 2, device)
    })
}

#[test]
fn one_request_at_a_time_survives_that_its_daemon_is_killed() {
    for (machine, queues, device) in cases() {
        go_on(machine, Guest::Waits, queues, device, &[Outage::Killed; 3]);
    }
}

#[test]
fn a_guest_that_resets_its_disk_gets_all_requests_back_and_goes_on_with_the_next_daemon() {
    for (machine, queues, device) in cases() {
        let outages = [Outage::Killed, Outage::Stopped, Outage::Killed];
        go_on(machine, Guest::Resets, queues, device, &outages);
    }
}

#[test]
fn a_guest_does_not_notice_another_daemon_that_came_while_it_was_paused() {
    for (machine, queues, device) in cases() {
        go_on(machine, Guest::Resets, queues, device, &[Outage::Paused; 2]);
    }
}
