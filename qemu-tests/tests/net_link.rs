//! The cable is pulled and plugged in again, and the guest is to announce itself: it learns of each by interrupt.
//!
//! Spec: §5.1.4 Device configuration layout (`status`), §5.1.9.5.4 Gratuitous Packet Sending.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use net::{DESCRIBED, Setup, datagram};
use qemu_tests::Machine;
use qemu_tests::frames::Version;
use qemu_tests::net::NetDevice;
use serde_json::json;

#[test]
fn a_guest_is_told_when_its_link_goes_down_and_comes_up_again() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([false, true].into_iter().cycle())
    {
        let device = NetDevice { connection: Some(connection), packed, ..NetDevice::default() };
        let mut agent = Setup::new(machine, device).boot();
        assert_eq!(agent.ask("link"), "Link { is_up: true, announce: false }");
        let mut qmp = agent.qmp();

        for _ in 0..2 {
            qmp.execute("set_link", &json!({ "name": "card0", "up": false }));
            agent.wait_for("link: down");
            qmp.execute("set_link", &json!({ "name": "card0", "up": true }));
            agent.wait_for("link: up");
        }
        // And frames go through as before.
        agent.described(&datagram(Version::V4, DESCRIBED, b"still there".into()));

        agent.end();
    }
}

#[test]
fn a_guest_that_is_to_announce_itself_says_that_it_did() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([true, false].into_iter().cycle())
    {
        let device = NetDevice { connection: Some(connection), packed, ..NetDevice::default() };
        let mut agent = Setup::new(machine, device).boot();
        let mut qmp = agent.qmp();

        let times = json!({ "initial": 10, "max": 10, "rounds": 1, "step": 10 });
        qmp.execute("announce-self", &times);

        agent.wait_for("announced");
        agent.wait_for("link: up");
        assert_eq!(agent.ask("link"), "Link { is_up: true, announce: false }", "the device was told");
        agent.end();
    }
}

#[test]
fn without_a_status_the_link_is_taken_to_be_up() {
    let device = NetDevice { off: vec!["status", "guest_announce"], ..NetDevice::default() };
    let mut agent = Setup::new(Machine::Q35, device).boot();

    assert_eq!(agent.ask("link"), "Link { is_up: true, announce: false }");

    agent.end();
}
