//! Several pairs of queues, each another processor's: who gets which flow.
//!
//! Spec: §5.1.9.5.5 Device operation in multiqueue mode, §5.1.9.5.6 Automatic receive steering in multiqueue mode, §5.1.9.5.7 Receive-side scaling (RSS), §5.1.9.4.1 Hash calculation for incoming packets.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use std::collections::BTreeMap;

use net::{Agent, DESCRIBED, Setup, datagram};
use qemu_tests::frames::{Packet, Transport, Version};
use qemu_tests::net::NetDevice;
use qemu_tests::{Connection, Machine};

const PAIRS: u16 = 4;
/// Flows, each with a port of its own.
const FLOWS: u16 = 32;
/// The key that makers of cards use as an example, and with it the hashes below.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];
/// Hash types TCPv4, UDPv4, TCPv6 and UDPv6, and what is reported of them.
const TYPES: &str = "36";
const REPORTS: [(Version, bool, u16); 4] =
    [(Version::V4, true, 2), (Version::V4, false, 3), (Version::V6, true, 5), (Version::V6, false, 6)];

/// Machines that send a message to each processor, and those whose processors look again and again.
const MACHINES: [(Machine, Connection); 4] = [
    (Machine::Q35, Connection::Pci),
    (Machine::Aarch64Virt, Connection::Pci),
    (Machine::Riscv64VirtAia, Connection::Pci),
    (Machine::Riscv64Virt, Connection::Mmio),
];

/// The Toeplitz hash, as its definition has it: for each bit that is set, the 32 bits of the key from there on.
fn toeplitz(input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1 == 1;
    let window = |at: usize| (at..at + 32).fold(0, |window, at| window << 1 | u32::from(bit(&KEY, at)));
    (0..8 * input.len()).filter(|at| bit(input, *at)).fold(0, |hash, at| hash ^ window(at))
}

/// What is hashed of a packet: addresses and ports.
fn hashed(packet: &Packet) -> Vec<u8> {
    let address = |number: u8| match packet.version {
        Version::V4 => vec![10, 77, 0, number],
        Version::V6 => [vec![0xfd, 0x77], vec![0; 13], vec![number]].concat(),
    };
    let mut input = [address(packet.from.number), address(packet.to.number)].concat();
    input.extend(packet.ports.0.to_be_bytes());
    input.extend(packet.ports.1.to_be_bytes());
    input
}

fn flow(version: Version, is_tcp: bool, index: u16) -> Packet {
    let mut packet = datagram(version, DESCRIBED, index.to_be_bytes().into());
    packet.ports.0 += index;
    if is_tcp {
        packet.transport = Transport::Tcp { sequence: 1 };
    }
    packet
}

/// What is behind a word of a description.
fn after<'d>(description: &'d str, word: &str) -> &'d str {
    let rest = description.split_once(word).unwrap_or_else(|| panic!("no {word} in {description}")).1;
    rest.split_ascii_whitespace().next().unwrap_or_default()
}

fn pair(agent: &mut Agent, packet: &Packet) -> u16 {
    after(&agent.described(packet), "pair=").parse().expect("a number")
}

fn device(connection: Connection, packed: bool) -> NetDevice {
    let on = vec!["rss", "hash"];
    NetDevice { connection: Some(connection), packed, pairs: PAIRS, on, ..NetDevice::default() }
}

fn boot(machine: Machine, device: NetDevice) -> Agent {
    Setup { processors: PAIRS, ..Setup::new(machine, device) }.boot()
}

/// The example of those who defined the hash.
#[test]
fn the_hash_that_the_tests_expect_is_the_published_one() {
    let input = [[66, 9, 149, 187], [161, 142, 100, 80]].concat();
    assert_eq!(toeplitz(&input), 0x323e_8fc2);
    let ports = [2794_u16.to_be_bytes(), 1766_u16.to_be_bytes()].concat();
    assert_eq!(toeplitz(&[input, ports].concat()), 0x51cc_c178);
}

#[test]
fn flows_reach_all_pairs_and_each_flow_stays_at_its_own() {
    for ((machine, connection), packed) in MACHINES.into_iter().zip([false, true, false, true]) {
        let plain = NetDevice { on: Vec::new(), ..device(connection, packed) };
        let mut agent = boot(machine, plain);

        let mut flows = BTreeMap::<u16, Vec<u16>>::new();
        for round in 0..2 {
            for index in 0..FLOWS {
                let pair = pair(&mut agent, &flow(Version::V4, false, index));
                let seen = flows.entry(index).or_default();
                seen.push(pair);
                // The host learns from the first answer where a flow belongs: to the pair that answered.
                assert_eq!(*seen, vec![pair; round + 1], "flow {index}");
            }
        }
        let reached: std::collections::BTreeSet<_> = flows.values().flatten().collect();
        assert_eq!(reached.len(), usize::from(PAIRS), "{flows:?}");

        let output = agent.end();
        for pair in 0..PAIRS {
            assert!(output.contains(&format!("pair {pair}: ")), "{output}");
        }
    }
}

#[test]
fn each_flow_reaches_the_pair_that_the_table_has_for_its_hash_and_the_hash_is_reported() {
    for ((machine, connection), packed) in MACHINES.into_iter().zip([false, true, true, false]) {
        let mut agent = boot(machine, device(connection, packed));
        let key = KEY.map(|byte| format!("{byte:02x}")).concat();

        for table in [[0_u16, 1, 2, 3, 0, 1, 2, 3], [3, 3, 2, 2, 1, 1, 0, 0], [2, 2, 2, 2, 2, 2, 2, 2]] {
            let words = table.map(|queue| queue.to_string()).join(",");
            agent.tell(&format!("rss {TYPES} 1 {PAIRS} {key} {words}"));

            for (version, is_tcp, report) in REPORTS {
                for index in 0..FLOWS / 4 {
                    let packet = flow(version, is_tcp, index);
                    let hash = toeplitz(&hashed(&packet));

                    let said = agent.described(&packet);

                    let expected = table[hash as usize % table.len()];
                    assert_eq!(after(&said, "pair="), expected.to_string(), "{packet:?}: {said}");
                    assert!(said.contains(&format!("hash={hash:#010x} of {report}")), "{packet:?}: {said}");
                }
            }
        }

        // What has no hash goes where that is said.
        agent.tell(&format!("rss 2 3 {PAIRS} {key} 0,1"));
        for index in 0..FLOWS / 4 {
            assert_eq!(pair(&mut agent, &flow(Version::V6, false, index)), 3);
        }

        agent.end();
    }
}

#[test]
fn with_fewer_pairs_in_use_the_others_get_nothing() {
    let mut agent = boot(Machine::Q35, NetDevice { on: Vec::new(), ..device(Connection::Pci, false) });

    for pairs in [2, 1, 4] {
        agent.tell(&format!("set-pairs {pairs}"));
        for index in 0..FLOWS {
            assert!(pair(&mut agent, &flow(Version::V4, false, 100 * pairs + index)) < pairs);
        }
    }
    assert!(agent.ask("set-pairs 0").starts_with("error: "));
    assert!(agent.ask("set-pairs 5").starts_with("error: "));

    agent.end();
}
