//! Frames of every length, on every machine, as they were and in order.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use net::{Agent, OWN_PORT, RETURNED, Setup, datagram};
use qemu_tests::frames::{Packet, Version};
use qemu_tests::net::NetDevice;
use qemu_tests::pattern::fill;
use qemu_tests::{Connection, Machine};

/// Bytes of a frame besides the payload of a datagram over IPv4, without the Ethernet header: what counts for an MTU.
const PACKET: usize = 28;
/// Together on their way.
const BURST: u64 = 16;

fn packet(number: u64, mtu: usize) -> Packet {
    // From the shortest to the longest, in no order.
    let range = mtu - PACKET - 8;
    let length = 8 + usize::try_from(number * 7919).expect("a small number") % (range + 1);
    let mut payload = vec![0; if number == 0 { mtu - PACKET } else { length }];
    fill(3, number, &mut payload);
    payload[..8].copy_from_slice(&number.to_be_bytes());
    datagram(Version::V4, RETURNED, payload)
}

/// Sends frames in bursts, and expects each back.
fn exchange(agent: &mut Agent, frames: u64, mtu: usize) {
    for first in (0..frames).step_by(16) {
        let numbers = first..frames.min(first + BURST);
        for number in numbers.clone() {
            agent.send(&packet(number, mtu));
        }
        for number in numbers {
            let returned =
                agent.receive(OWN_PORT).unwrap_or_else(|| agent.failed(&format!("frame {number} is lost")));
            assert!(returned.payload == packet(number, mtu).payload, "frame {number} is another");
        }
    }
}

/// On each machine, with each layout of rings, with and without mergeable buffers.
#[test]
fn frames_of_all_lengths_come_back_as_they_were_and_in_order() {
    for (machine, connection) in Machine::MODERN {
        for (packed, mergeable) in [(false, false), (true, true), (false, true), (true, false)] {
            let device =
                NetDevice { connection: Some(connection), packed, mergeable, ..NetDevice::default() };
            let mut agent = Setup::new(machine, device).boot();

            exchange(&mut agent, 400, 1500);

            let output = agent.end();
            let layout = if packed { "layout: Packed" } else { "layout: Split" };
            assert!(output.contains(layout), "{output}");
            assert_eq!(output.contains("MRG_RXBUF"), mergeable, "{output}");
        }
    }
}

/// Spec: §5.1.9.1 Legacy Interface: Device Operation — the header is shorter where buffers are not mergeable.
#[test]
fn frames_come_back_as_they_were_from_devices_of_before_version_1() {
    for (machine, connection) in [
        (Machine::Pc, Connection::PciLegacy),
        (Machine::Q35, Connection::PciTransitional),
        (Machine::Microvm, Connection::MmioLegacy),
        (Machine::Aarch64Virt, Connection::PciLegacy),
        (Machine::Aarch64Virt, Connection::MmioLegacy),
        (Machine::Riscv64Virt, Connection::MmioLegacy),
    ] {
        for (mergeable, words) in [(true, ""), (false, ""), (false, "features=plain")] {
            let device = NetDevice { connection: Some(connection), mergeable, ..NetDevice::default() };
            let mut agent = Setup { words, ..Setup::new(machine, device) }.boot();

            exchange(&mut agent, 100, 1500);

            let output = agent.end();
            assert_eq!(output.contains("MRG_RXBUF"), mergeable, "{output}");
            assert_eq!(output.contains("Legacy interface"), connection.is_legacy(), "{output}");
        }
    }
}

/// Spec: §2.7.8 In-order use of descriptors, §2.8.7; a device whose descriptors cannot be in a table; rings that are larger than what the driver has for them.
#[test]
fn frames_come_back_as_they_were_through_every_kind_of_ring() {
    let plain = NetDevice::default;
    for device in [
        NetDevice { in_order: true, ..plain() },
        NetDevice { in_order: true, packed: true, ..plain() },
        NetDevice { event_idx: false, ..plain() },
        NetDevice { event_idx: false, packed: true, ..plain() },
        NetDevice { indirect_desc: false, mergeable: false, ..plain() },
        NetDevice { indirect_desc: false, mergeable: false, packed: true, ..plain() },
        NetDevice { receive_queue_size: Some(1024), ..plain() },
    ] {
        let (in_order, event_idx) = (device.in_order, device.event_idx);
        let mut agent = Setup::new(Machine::Q35, device).boot();

        exchange(&mut agent, 300, 1500);

        let output = agent.end();
        let paths = format!("in_order: {in_order}");
        assert!(output.contains(&paths) && output.contains(&format!("event_index: {event_idx}")), "{output}");
    }
}

/// Spec: §5.1.4 Device configuration layout (`mtu`).
#[test]
fn frames_of_9000_bytes_come_back_as_they_were() {
    for (machine, connection) in Machine::MODERN {
        for mergeable in [true, false] {
            let device = NetDevice {
                connection: Some(connection),
                mergeable,
                mtu: Some(9000),
                ..NetDevice::default()
            };
            let mut agent = Setup { mtu: 9000, ..Setup::new(machine, device) }.boot();
            assert_eq!(agent.ask("mtu"), "Some(9000)");

            exchange(&mut agent, 100, 9000);

            agent.end();
        }
    }
}
