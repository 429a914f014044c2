//! Which frames a card lets in: as it was told, as QEMU says that it was told, and as it does.
//!
//! Spec: §5.1.9.5.1 Packet Receive Filtering, §5.1.9.5.2 Setting MAC Address Filtering, §5.1.9.5.3 VLAN Filtering.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use std::time::Duration;

use net::{Agent, DESCRIBED, GUEST, Setup, datagram};
use qemu_tests::frames::Version;
use qemu_tests::net::{FrameHeader, NetDevice};
use qemu_tests::{Connection, Machine};
use serde_json::{Value, json};

const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0x77];
const ALL: [u8; 6] = [0xff; 6];
fn filter(agent: &mut Agent) -> Value {
    agent.qmp().execute("query-rx-filter", &json!({ "name": "card0" }))[0].take()
}

/// What is let in: frames to the card itself, to a stranger, to a group, to all. A command to `own`, which is let in, tells when all of them would have come.
fn let_in(agent: &mut Agent, own: [u8; 6]) -> [bool; 4] {
    let addresses = [GUEST.mac, STRANGER, GROUP, ALL];
    for (length, to) in (1..).zip(addresses) {
        let mut packet = datagram(Version::V4, DESCRIBED, vec![0; length]);
        packet.to.mac = to;
        agent.send(&packet);
    }
    agent.tell_at("nothing", own);
    let mut came = [false; 4];
    while let Some(answer) = agent.receive_within(Duration::ZERO, DESCRIBED) {
        let words = String::from_utf8(answer.payload).expect("words");
        for (length, came) in (1..).zip(&mut came) {
            *came |= words.contains(&format!("payload={length} "));
        }
    }
    came
}

fn boot(machine: Machine, connection: Connection, packed: bool) -> Agent {
    let device = NetDevice { connection: Some(connection), packed, ..NetDevice::default() };
    Setup::new(machine, device).boot()
}

#[test]
fn modes_let_in_what_they_say_and_qemu_has_them_as_they_were_set() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([false, true].into_iter().cycle())
    {
        let mut agent = boot(machine, connection, packed);
        agent.tell("promiscuous off");
        assert_eq!(let_in(&mut agent, GUEST.mac), [true, false, false, true]);

        for (mode, name, on, off, passing) in [
            ("promiscuous", "promiscuous", json!(true), json!(false), [true; 4]),
            ("all-multicast", "multicast", json!("all"), json!("normal"), [true, false, true, true]),
            ("all-unicast", "unicast", json!("all"), json!("normal"), [true, true, false, true]),
            ("no-multicast", "multicast", json!("none"), json!("normal"), [true, false, false, true]),
            // QEMU says the opposite of this one (10.0).
            ("no-broadcast", "broadcast-allowed", json!(true), json!(false), [true, false, false, false]),
        ] {
            agent.tell(&format!("{mode} on"));
            assert_eq!(filter(&mut agent)[name], on, "{mode}");
            assert_eq!(let_in(&mut agent, GUEST.mac), passing, "{mode}");
            agent.tell(&format!("{mode} off"));
            assert_eq!(filter(&mut agent)[name], off, "{mode}");
            assert_eq!(let_in(&mut agent, GUEST.mac), [true, false, false, true], "{mode}");
        }
        // Its own frames, too: so commands come to an address of all.
        agent.tell("no-unicast on");
        assert_eq!(filter(&mut agent)["unicast"], json!("none"));
        agent.end_at(ALL);
    }
}

#[test]
fn tables_of_addresses_let_in_what_is_in_them() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([true, false].into_iter().cycle())
    {
        let mut agent = boot(machine, connection, packed);
        agent.tell("promiscuous off");

        agent.tell("table 02:00:00:00:00:77 -");
        assert_eq!(filter(&mut agent)["unicast-table"], json!(["02:00:00:00:00:77"]));
        assert_eq!(let_in(&mut agent, GUEST.mac), [true, true, false, true]);

        agent.tell("table - 33:33:00:00:00:77,33:33:00:00:00:78");
        let said = filter(&mut agent);
        assert_eq!(said["unicast-table"], json!([]));
        let mut groups: Vec<_> = said["multicast-table"].as_array().expect("a list").clone();
        groups.sort_by_key(Value::to_string);
        assert_eq!(groups, [json!("33:33:00:00:00:77"), json!("33:33:00:00:00:78")]);
        assert_eq!(let_in(&mut agent, GUEST.mac), [true, false, true, true]);

        agent.tell("table - -");
        assert_eq!(let_in(&mut agent, GUEST.mac), [true, false, false, true]);

        // QEMU has room for 64, and lets in everything of a kind if there are more.
        let many: Vec<String> = (0..65).map(|number| format!("02:00:00:00:01:{number:02x}")).collect();
        agent.tell(&format!("table {} -", many.join(",")));
        assert_eq!(filter(&mut agent)["unicast-overflow"], json!(true));
        agent.tell("table - -");

        agent.tell("set-mac 02:00:00:00:00:77");
        assert_eq!(filter(&mut agent)["main-mac"], json!("02:00:00:00:00:77"));
        assert_eq!(let_in(&mut agent, STRANGER), [false, true, false, true]);
        agent.tell_at("set-mac 52:54:00:12:34:56", STRANGER);

        agent.end();
    }
}

/// A frame of a virtual network: the tag is between addresses and type.
fn tagged(id: u16) -> Vec<u8> {
    let frame = datagram(Version::V4, DESCRIBED, id.to_be_bytes().into()).frame();
    [&frame[..12], &[0x81, 0x00], &id.to_be_bytes(), &frame[12..]].concat()
}

#[test]
fn frames_of_virtual_networks_are_let_in_as_long_as_their_network_is_in_the_table() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([false, true].into_iter().cycle())
    {
        let mut agent = boot(machine, connection, packed);
        agent.tell("promiscuous off");
        let seen = |agent: &mut Agent, id: u16| {
            let before: u64 = agent.ask("received").parse().expect("a number");
            agent.port.send(FrameHeader::default(), &tagged(id));
            let after: u64 = agent.ask("received").parse().expect("a number");
            // The question itself is one, too.
            after - before - 1 == 1
        };

        let table = |agent: &mut Agent| {
            let table = filter(agent)["vlan-table"].take();
            [5, 6, 4094].map(|id| table.as_array().expect("a list").contains(&json!(id)))
        };

        // QEMU may begin with a table that has all of them (10.0).
        for id in [5, 6, 4094] {
            agent.tell(&format!("vlan remove {id}"));
        }
        assert_eq!(table(&mut agent), [false; 3]);
        assert!(!seen(&mut agent, 5) && !seen(&mut agent, 4094));
        agent.tell("vlan add 5");
        agent.tell("vlan add 4094");
        assert_eq!(table(&mut agent), [true, false, true]);
        assert!(seen(&mut agent, 5) && seen(&mut agent, 4094) && !seen(&mut agent, 6));
        agent.tell("vlan remove 5");
        assert_eq!(table(&mut agent), [false, false, true]);
        assert!(!seen(&mut agent, 5) && seen(&mut agent, 4094));
        assert!(agent.ask("vlan add 4096").starts_with("error: "));

        agent.end();
    }
}

#[test]
fn what_a_card_does_not_offer_is_not_asked_for() {
    let off = vec!["ctrl_rx", "ctrl_rx_extra", "ctrl_vlan", "ctrl_mac_addr"];
    let mut agent = Setup::new(Machine::Q35, NetDevice { off, ..NetDevice::default() }).boot();

    for command in
        ["promiscuous on", "no-broadcast on", "table - -", "vlan add 1", "set-mac 02:00:00:00:00:77"]
    {
        assert!(agent.ask(command).starts_with("error: "), "{command}");
    }
    assert_eq!(filter(&mut agent)["main-mac"], json!("52:54:00:12:34:56"));

    agent.end();
}
