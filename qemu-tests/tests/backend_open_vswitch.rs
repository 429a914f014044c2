//! Cards that are ports of Open vSwitch with DPDK, which works in the guests' memory (vhost-user).
//!
//! Two guests, one at each port of its bridge: the first sends numbered frames of several flows, the other returns them; between them is the switch, which is also killed in the middle of that.

#[path = "common/two_guests.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod two_guests;

use qemu_tests::backend::OpenVSwitch;
use qemu_tests::net::NetDevice;
use qemu_tests::{Connection, Machine};
use two_guests::{Setup, WINDOW, number};

#[test]
fn all_frames_pass_the_bridge_in_order_both_ways_and_it_counts_each_once() {
    let frames = 3000;
    let switch = OpenVSwitch::start(2);
    let mut before = [0, 0];
    for (machine, connection, packed, mergeable) in [
        (Machine::Q35, Connection::Pci, false, true),
        (Machine::Q35, Connection::Pci, true, false),
        (Machine::Aarch64Virt, Connection::Mmio, true, true),
        (Machine::Riscv64Virt, Connection::Pci, false, false),
    ] {
        let device = NetDevice { connection: Some(connection), packed, mergeable, ..NetDevice::default() };
        let guests = Setup { machine, device, frames, window: WINDOW, words: "" }
            .boot([0, 1].map(|port| switch.port(port)));

        let said = guests.finish();

        let layout = if packed { "layout: Packed" } else { "layout: Split" };
        for said in [&said.source, &said.agent] {
            assert!(said.contains(layout), "{said}");
            assert_eq!(said.contains("MRG_RXBUF"), mergeable, "{said}");
        }
        assert!(said.source.contains("link: up"), "{}", said.source);
        // And one frame that tells the end, with its answer.
        before = before.map(|counted| counted + frames + 1);
        assert_eq!([0, 1].map(|port| switch.frames_from(port)), before, "{machine:?}");
    }
    switch.stop();
}

#[test]
fn guests_go_on_when_the_switch_is_killed_in_mid_traffic_and_started_again() {
    // As many frames as take a second or more.
    for (machine, connection, frames) in
        [(Machine::Q35, Connection::Pci, 20_000), (Machine::Riscv64Virt, Connection::Mmio, 5_000)]
    {
        let mut switch = OpenVSwitch::start(2);
        let device = NetDevice { connection: Some(connection), ..NetDevice::default() };
        let setup = Setup { machine, device, frames, window: WINDOW, words: "losses=counted" };
        let mut guests = setup.boot([0, 1].map(|port| switch.port(port)));
        guests.source.wait_for("returned: ");

        switch.kill();
        guests.source.wait_for("link: down");
        guests.agent.wait_for("link: down");
        switch.start_again();
        guests.source.wait_for("link: up");
        guests.source.wait_for("returned: ");
        let said = guests.finish();

        let lost = number(&said.source, "lost: ");
        assert!(lost <= WINDOW, "{lost} frames are lost\n{}", said.source);
        let all = format!("{} frames in 4 flows came back in order", frames - lost);
        assert!(said.source.contains(&all), "{}", said.source);
        switch.stop();
    }
}
