//! A guest whose card is on a network of the test's own, and does what it is asked for in frames (the kernel `net-check`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use qemu_tests::frames::{Host, Packet, Transport, Version};
use qemu_tests::net::{FrameHeader, Namespace, NetDevice, Port};
use qemu_tests::{Ended, Machine, Qemu, Qmp, Running};

/// The test's end.
pub const HOST: Host = Host { mac: [2, 0, 0, 0, 0, 1], number: 1 };
/// The guest's.
pub const GUEST: Host = Host { mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56], number: 2 };
/// The port that answers come to, and that frames come from that were returned as they were.
pub const OWN_PORT: u16 = 4000;
/// The guest's ports: frames are described, returned, or are commands.
pub const DESCRIBED: u16 = 7;
pub const RETURNED: u16 = 8;
pub const COMMANDS: u16 = 9;
/// How long an answer may take.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A guest that does what it is asked for.
pub struct Agent {
    guest: Running,
    pub port: Port,
    waiting: VecDeque<Packet>,
    _namespace: Namespace,
}

/// What the guest is to be.
pub struct Setup<'s> {
    pub machine: Machine,
    pub device: NetDevice,
    /// On both sides of the bridge.
    pub mtu: u16,
    pub processors: u16,
    /// More for its command line.
    pub words: &'s str,
}

impl Setup<'_> {
    pub fn new(machine: Machine, device: NetDevice) -> Self {
        Self { machine, device, mtu: 1500, processors: 1, words: "" }
    }

    /// Boots it, and waits until it answers.
    pub fn boot(self) -> Agent {
        let Self { machine, device, mtu, processors, words } = self;
        let namespace = Namespace::new();
        namespace.bridge("lan");
        let port = namespace.port("test", "lan", mtu);
        let network = namespace.tap("guest", "lan", mtu, device.pairs);
        let mut guest = Qemu::new(machine, "kernel-net-check")
            .append(format!("check=agent processors={processors} {words}"))
            .processors(processors.into())
            .inside(&namespace)
            .card(network, device)
            .boot();
        guest.wait_for("agent: ready");
        Agent { guest, port, waiting: VecDeque::new(), _namespace: namespace }
    }
}

/// A datagram for the guest.
pub fn datagram(version: Version, port: u16, payload: Vec<u8>) -> Packet {
    let ports = (OWN_PORT, port);
    Packet { from: HOST, to: GUEST, version, transport: Transport::Udp, ports, payload }
}

impl Agent {
    /// The next packet for the test from a port of the guest's; its checksum is right. Those from other ports wait.
    pub fn receive(&mut self, from_port: u16) -> Option<Packet> {
        self.receive_within(LIMIT, from_port)
    }

    /// The same, within this time.
    pub fn receive_within(&mut self, limit: Duration, from_port: u16) -> Option<Packet> {
        let waiting = self.waiting.iter().position(|packet| packet.ports.0 == from_port);
        if let Some(packet) = waiting.and_then(|at| self.waiting.remove(at)) {
            return Some(packet);
        }
        let waiting = &mut self.waiting;
        self.port.receive_one(limit, |frame| {
            let (packet, is_right) = Packet::read(frame).filter(|(packet, _)| packet.to.mac == HOST.mac)?;
            assert!(is_right, "its checksum is right: {packet:?}");
            if packet.ports.0 == from_port {
                return Some(packet);
            }
            waiting.push_back(packet);
            None
        })
    }

    /// Sends a packet, finished.
    pub fn send(&mut self, packet: &Packet) {
        self.port.send(FrameHeader::default(), &packet.frame());
    }

    /// The next answer of a port of the guest's, in words.
    pub fn words(&mut self, from_port: u16) -> String {
        let answer = self.receive(from_port).unwrap_or_else(|| self.failed("no answer"));
        String::from_utf8(answer.payload).expect("words")
    }

    /// Has it do something, and returns what it says about that.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(&datagram(Version::V4, COMMANDS, command.into()));
        self.words(COMMANDS)
    }

    /// Has it do something that succeeds.
    pub fn tell(&mut self, command: &str) {
        assert_eq!(self.ask(command), "ok", "{command}");
    }

    /// The same with a card that has another address meanwhile.
    pub fn tell_at(&mut self, command: &str, mac: [u8; 6]) {
        let mut packet = datagram(Version::V4, COMMANDS, command.into());
        packet.to.mac = mac;
        self.send(&packet);
        assert_eq!(self.words(COMMANDS), "ok", "{command}");
    }

    /// What the guest says of a frame that it received.
    pub fn described(&mut self, packet: &Packet) -> String {
        self.send(packet);
        self.words(DESCRIBED)
    }

    /// What comes from a port of the guest's until so many bytes of payload did: each packet.
    pub fn receive_bytes(&mut self, from_port: u16, bytes: usize) -> Vec<Packet> {
        let until = Instant::now() + LIMIT;
        let mut packets: Vec<Packet> = Vec::new();
        while packets.iter().map(|packet| packet.payload.len()).sum::<usize>() < bytes {
            let left = until.saturating_duration_since(Instant::now());
            let packet = self.receive_within(left, from_port);
            let count = packets.len();
            packets.push(
                packet.unwrap_or_else(|| self.failed(&format!("{count} packets came, not {bytes} bytes"))),
            );
        }
        packets
    }

    /// Ends the test, with what the guest printed.
    pub fn failed(&mut self, why: &str) -> ! {
        self.guest.failed(why)
    }

    /// Waits until it prints a line that starts like this.
    pub fn wait_for(&mut self, line: &str) {
        self.guest.wait_for(line);
    }

    pub fn qmp(&mut self) -> Qmp {
        self.guest.qmp()
    }

    /// Ends it, and returns what it printed.
    pub fn end(self) -> String {
        self.end_at(GUEST.mac)
    }

    /// The same with a card that lets in what is sent to this address.
    pub fn end_at(mut self, mac: [u8; 6]) -> String {
        self.tell_at("end", mac);
        self.guest.finish(Ended::Success, "net check: done")
    }
}
