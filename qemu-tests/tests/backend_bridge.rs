//! Two guests on one bridge of the host's: frames of both, there and back, and the network goes away meanwhile and comes back.
//!
//! Nothing of that is told to the guests: their taps take what they send, and it is lost.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use std::time::Duration;

use net::{COMMANDS, HOST, OWN_PORT};
use qemu_tests::frames::{Host, Packet, Transport, Version};
use qemu_tests::net::{FrameHeader, Namespace, NetDevice, Port};
use qemu_tests::{Connection, Ended, Machine, Qemu};

const BRIDGE: &str = "lan";
/// The guests' taps, and who they are.
const ENDS: [(&str, Host); 2] = [
    ("one", Host { mac: [0x52, 0x54, 0, 0, 0, 2], number: 2 }),
    ("other", Host { mac: [0x52, 0x54, 0, 0, 0, 3], number: 3 }),
];
const TEST: &str = "test";
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What becomes of the network.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// The tap with this name is shut down, and comes up again.
    Tap(&'static str),
    /// The bridge is deleted, and another one is made with the same ports.
    Bridge,
}

impl Outage {
    fn begin(self, namespace: &Namespace) {
        match self {
            Self::Tap(tap) => namespace.run(&format!("ip link set {tap} down")),
            Self::Bridge => namespace.run(&format!("ip link delete {BRIDGE}")),
        };
    }

    fn end(self, namespace: &Namespace) {
        match self {
            Self::Tap(tap) => {
                namespace.run(&format!("ip link set {tap} up"));
            }
            Self::Bridge => {
                namespace.bridge(BRIDGE);
                for port in [TEST, ENDS[0].0, ENDS[1].0] {
                    namespace.run(&format!("ip link set {port} master {BRIDGE}"));
                }
            }
        }
    }
}

/// How a guest is built.
#[derive(Clone, Copy, Debug)]
struct Guest {
    machine: Machine,
    connection: Connection,
    packed: bool,
}

impl Guest {
    /// The machine to be: built, so that no guest waits for the other one for long.
    fn build(self, namespace: &Namespace, own: usize) -> Qemu {
        let (tap, Host { mac, number }) = ENDS[own];
        let to = ENDS[1 - own].1.mac.map(|byte| format!("{byte:02x}")).join(":");
        let card =
            NetDevice { connection: Some(self.connection), mac, packed: self.packed, ..NetDevice::default() };
        Qemu::new(self.machine, "kernel-net-check")
            .append(format!("check=exchange number={number} to={to} features=plain"))
            .inside(namespace)
            .card(namespace.tap(tap, BRIDGE, 1500, 1), card)
    }
}

/// Tells a guest to end, over the bridge, and waits for its answer.
fn tell_to_end(port: &mut Port, to: Host) -> Option<()> {
    let ports = (OWN_PORT, COMMANDS);
    let (version, transport) = (Version::V4, Transport::Udp);
    let packet = Packet { from: HOST, to, version, transport, ports, payload: b"end".into() };
    port.send(FrameHeader::default(), &packet.frame());
    port.receive_one(LIMIT, |frame| {
        let (packet, _) = Packet::read(frame)?;
        (packet.to.mac == HOST.mac && packet.from.mac == to.mac && packet.payload == b"ok").then_some(())
    })
}

fn exchange(guests: [Guest; 2], outages: &[Outage]) {
    let namespace = Namespace::new();
    namespace.bridge(BRIDGE);
    let mut port = namespace.port(TEST, BRIDGE, 1500);
    let [one, other] = guests;
    let guests = [one.build(&namespace, 0), other.build(&namespace, 1)];
    let mut running = guests.map(|guest| guest.boot());
    for outage in outages {
        for guest in &mut running {
            guest.wait_for("came back: ");
        }
        outage.begin(&namespace);
        for guest in &mut running {
            guest.wait_for("silence: ");
        }
        outage.end(&namespace);
        for guest in &mut running {
            guest.wait_for("goes on");
        }
    }
    for guest in &mut running {
        guest.wait_for("came back: ");
    }
    for ((_, end), mut guest) in ENDS.into_iter().zip(running) {
        if tell_to_end(&mut port, end).is_none() {
            guest.failed("it does not answer over the bridge");
        }
        let output = guest.finish(Ended::Success, "net check: done");
        assert!(output.contains("frames came back, each once"), "{output}");
    }
}

/// Each machine is there twice, with split rings and with packed ones, and each architecture beside another one.
#[test]
fn two_guests_on_a_bridge_exchange_frames_and_go_on_when_the_network_was_away() {
    let others = Machine::MODERN.into_iter().cycle().skip(3);
    for ((one, other), packed) in
        Machine::MODERN.into_iter().zip(others).zip([false, true].into_iter().cycle())
    {
        let guests = [one, other].map(|(machine, connection)| Guest { machine, connection, packed });
        exchange(guests, &[Outage::Tap(ENDS[0].0), Outage::Bridge, Outage::Tap(ENDS[1].0)]);
    }
}
