//! Three guests in a row: one sends, one forwards, one sends back. All frames arrive, in order, both ways.

use qemu_tests::net::{Cable, Namespace, NetDevice, Network};
use qemu_tests::{Connection, Ended, Machine, Qemu};

const SOURCE: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const PORTS: [[u8; 6]; 2] = [[0x52, 0x54, 0, 0, 0, 2], [0x52, 0x54, 0, 0, 0, 3]];
const AGENT: [u8; 6] = [0x52, 0x54, 0, 0, 0, 4];
const FRAMES: u64 = 5000;

/// The whole chain, from the source's cable to the other end's.
struct Chain {
    machine: Machine,
    card: NetDevice,
    /// The source's, the forwarder's two, the agent's.
    networks: [Network; 4],
    flows: u16,
    /// Processors of the forwarder, with a pair of queues each.
    processors: u16,
}

fn card(mac: [u8; 6], card: &NetDevice) -> NetDevice {
    NetDevice { mac, ..card.clone() }
}

impl Chain {
    /// Boots all three, and waits until every frame is back. Returns what the forwarder printed.
    fn run(self, namespace: Option<&Namespace>) -> String {
        let Self { machine, card: device, networks: [first, left, right, last], flows, processors } = self;
        let qemu = |package: &str| {
            let qemu = Qemu::new(machine, package);
            if let Some(namespace) = namespace { qemu.inside(namespace) } else { qemu }
        };
        let ends = NetDevice { pairs: 1, ..device.clone() };
        // Ends of streams that are servers come first.
        let mut agent = qemu("kernel-net-check")
            .append("check=agent number=3 features=plain")
            .card(last, card(AGENT, &ends))
            .boot();
        agent.wait_for("agent: ready");
        let mut forwarder = qemu("example-forward")
            .append(format!("processors={processors} idle=1"))
            .processors(processors.into())
            .card(left, card(PORTS[0], &device))
            .card(right, card(PORTS[1], &device))
            .boot();
        forwarder.wait_for("forwarding");
        let to = AGENT.map(|byte| format!("{byte:02x}")).join(":");
        let source = qemu("kernel-net-check")
            .append(format!("check=source to={to} frames={FRAMES} flows={flows} features=plain"))
            .card(first, card(SOURCE, &ends))
            .boot();

        let said = source.finish(Ended::Success, "net check: done");
        assert!(said.contains(&format!("{FRAMES} frames in {flows} flows came back in order")), "{said}");
        agent.finish(Ended::Success, "net check: done");
        forwarder.finish(Ended::Success, "forward example: done")
    }
}

/// Frames that the lanes of the forwarder say that they forwarded: of each, in the order of processors and directions.
fn forwarded(output: &str) -> Vec<u64> {
    let lanes = output.lines().filter(|line| line.starts_with("processor "));
    let numbers =
        lanes.filter_map(|line| line.split_once(": pair ")?.1.split_once(": ")?.1.split(' ').next());
    numbers.map(|number| number.parse().expect("a number")).collect()
}

#[test]
fn all_frames_pass_a_forwarder_in_order_both_ways() {
    for ((machine, connection), packed) in Machine::MODERN.into_iter().zip([false, true].into_iter().cycle())
    {
        let cables = [Cable::new(), Cable::new()];
        let (first, second) = if packed {
            (cables[0].stream(), cables[1].stream())
        } else {
            (cables[0].datagrams(), cables[1].datagrams())
        };
        // Who makes a stream's socket starts first: the agent, then the forwarder.
        let ([left, start], [end, right]) = (first, second);
        // QEMU (10.0) lets packed transmit rings stall that have an event index, once a socket was full for a while: after that it does not always say from where on it wants to be notified.
        let event_idx = !packed;
        let card = NetDevice { connection: Some(connection), packed, event_idx, ..NetDevice::default() };

        let networks = [start, left, right, end];
        let output = Chain { machine, card, networks, flows: 4, processors: 1 }.run(None);

        // And one frame that tells the end, with its answer.
        assert_eq!(forwarded(&output), [FRAMES + 1; 2], "{output}");
    }
}

/// Several flows over several pairs of queues, each another processor's.
#[test]
fn each_flow_passes_a_forwarder_of_several_processors_in_order() {
    for (machine, connection, packed) in [
        (Machine::Q35, Connection::Pci, true),
        (Machine::Aarch64Virt, Connection::Pci, false),
        (Machine::Riscv64VirtAia, Connection::Pci, true),
    ] {
        let namespace = Namespace::new();
        for bridge in ["left", "right"] {
            namespace.bridge(bridge);
        }
        let pairs = 2;
        let networks =
            [("source", "left", 1), ("in", "left", pairs), ("out", "right", pairs), ("agent", "right", 1)]
                .map(|(name, bridge, pairs)| namespace.tap(name, bridge, 1500, pairs));
        let card = NetDevice { connection: Some(connection), packed, pairs, ..NetDevice::default() };

        let output = Chain { machine, card, networks, flows: 16, processors: pairs }.run(Some(&namespace));

        let lanes = forwarded(&output);
        assert_eq!(lanes.len(), 4, "{output}");
        assert!(lanes.iter().all(|frames| *frames > 0), "{output}");
        let ways = [lanes[0] + lanes[2], lanes[1] + lanes[3]];
        assert!(ways.iter().all(|frames| *frames > FRAMES), "{output}");
    }
}
