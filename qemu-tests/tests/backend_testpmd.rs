//! Cards that DPDK's `testpmd` serves, a process beside QEMU that works in the guest's memory (vhost-user).
//!
//! Two guests, one at each of its ports: the first sends numbered frames of several flows, the other returns them; between them is `testpmd`, which is also killed in the middle of that.

#[path = "common/two_guests.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod two_guests;

use qemu_tests::backend::{Counters, Forwarding, Testpmd, TestpmdSettings};
use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{Connection, Machine};
use two_guests::{Said, Setup, WINDOW, number, source};

/// Each machine with each connection that has every feature: each architecture with either layout, and each of them with and without mergeable buffers.
fn combinations() -> impl Iterator<Item = (Machine, NetDevice)> {
    let rings = [(false, true), (true, false), (false, false), (true, true)];
    Machine::MODERN.into_iter().zip(rings.into_iter().cycle()).map(
        |((machine, connection), (packed, mergeable))| {
            let connection = Some(connection);
            (machine, NetDevice { connection, packed, mergeable, ..NetDevice::default() })
        },
    )
}

fn both_ports(testpmd: &Testpmd) -> [Network; 2] {
    [0, 1].map(|port| testpmd.port(port))
}

fn assert_agreed(said: &Said, device: &NetDevice) {
    let layout = if device.packed { "layout: Packed" } else { "layout: Split" };
    for said in [&said.source, &said.agent] {
        assert!(said.contains(layout), "{said}");
        assert_eq!(said.contains("MRG_RXBUF"), device.mergeable, "{said}");
    }
    assert!(said.source.contains("link: up"), "{}", said.source);
}

#[test]
fn all_frames_pass_testpmd_in_order_both_ways_and_it_counts_each_once() {
    let frames = 3000;
    let mut testpmd = Testpmd::start(TestpmdSettings::default());
    let mut before = [0, 1].map(|port| testpmd.counters(port));
    for (machine, device) in combinations() {
        let guests = Setup { machine, device: device.clone(), frames, window: WINDOW, words: "" }
            .boot(both_ports(&testpmd));

        let said = guests.finish();

        assert_agreed(&said, &device);
        // And one frame that tells the end, with its answer.
        let counted = frames + 1;
        assert_eq!(number(&said.source, "pair 0: "), counted, "{}", said.source);
        assert_eq!(number(&said.agent, "pair 0: "), counted, "{}", said.agent);
        before = before.map(|Counters { from_guest, to_guest }| Counters {
            from_guest: from_guest + counted,
            to_guest: to_guest + counted,
        });
        assert_eq!([0, 1].map(|port| testpmd.counters(port)), before, "{machine:?}");
    }
    testpmd.stop();
}

#[test]
fn frames_of_9000_bytes_pass_testpmd_over_merged_buffers() {
    let testpmd = Testpmd::start(TestpmdSettings::default());
    for (packed, mergeable) in [(false, true), (true, true)] {
        let device = NetDevice { packed, mergeable, ..NetDevice::default() };
        let setup = Setup {
            machine: Machine::Q35,
            device: device.clone(),
            frames: 300,
            window: 24,
            words: "longest=8972",
        };

        let said = setup.boot(both_ports(&testpmd)).finish();

        assert_agreed(&said, &device);
    }
    testpmd.stop();
}

#[test]
fn each_of_several_pairs_of_queues_gets_its_flows_back() {
    let (frames, pairs) = (4000, 4);
    for (machine, connection, packed) in [
        (Machine::Q35, Connection::Pci, false),
        (Machine::Aarch64Virt, Connection::Mmio, true),
        (Machine::Riscv64Virt, Connection::Pci, true),
    ] {
        let settings = TestpmdSettings { forwarding: Forwarding::Back, pairs, ..TestpmdSettings::default() };
        let mut testpmd = Testpmd::start(settings);
        let device = NetDevice { connection: Some(connection), packed, pairs, ..NetDevice::default() };
        let setup = Setup { machine, device, frames, window: WINDOW, words: "pairs=4 interrupts=polling" };

        let said = source(&setup, testpmd.port(0)).run_to("net check: done");

        for pair in 0..pairs {
            // A flow each, and the frame that tells the end, which comes back as the others do.
            let expected = frames / u64::from(pairs) + u64::from(pair == 0);
            assert_eq!(number(&said, &format!("pair {pair}: ")), expected, "{said}");
        }
        let counted = frames + 1;
        assert_eq!(testpmd.counters(0), Counters { from_guest: counted, to_guest: counted });
        testpmd.stop();
    }
}

/// Kills it in the middle of the traffic, and starts it again.
fn restart(machine: Machine, device: NetDevice, frames: u64, connects: bool, words: &'static str) {
    let mut testpmd = Testpmd::start(TestpmdSettings { connects, ..TestpmdSettings::default() });
    let setup = Setup { machine, device, frames, window: WINDOW, words };
    let mut guests = setup.boot(both_ports(&testpmd));
    guests.source.wait_for("returned: ");

    testpmd.kill();
    guests.source.wait_for("link: down");
    guests.agent.wait_for("link: down");
    testpmd.start_again();
    guests.source.wait_for("link: up");
    guests.source.wait_for("returned: ");
    let said = guests.finish();

    let lost = number(&said.source, "lost: ");
    assert!(lost <= WINDOW, "{lost} frames are lost\n{}", said.source);
    assert!(
        said.source.contains(&format!("{} frames in 4 flows came back in order", frames - lost)),
        "{}",
        said.source
    );
    testpmd.stop();
}

#[test]
fn guests_go_on_when_testpmd_is_killed_in_mid_traffic_and_started_again() {
    // As many as take a second or more.
    for (machine, connection, frames) in [
        (Machine::Q35, Connection::Pci, 20_000),
        (Machine::Aarch64Virt, Connection::Mmio, 5_000),
        (Machine::Riscv64Virt, Connection::Pci, 5_000),
    ] {
        let device = NetDevice { connection: Some(connection), ..NetDevice::default() };
        restart(machine, device, frames, false, "losses=counted");
    }
}

#[test]
fn guests_go_on_when_a_testpmd_that_connects_to_qemu_is_killed_and_started_again() {
    restart(Machine::Q35, NetDevice::default(), 20_000, true, "losses=counted");
}

/// QEMU (10.0) does not know where in a packed ring the new one is to go on, and tells it to begin at the start. There a driver is, too, once it has reset its card.
#[test]
fn guests_with_packed_rings_go_on_after_a_restart_when_they_reset_their_cards() {
    let device = NetDevice { packed: true, ..NetDevice::default() };
    restart(Machine::Q35, device, 5_000, false, "losses=counted link=reset interrupts=polling");
}
