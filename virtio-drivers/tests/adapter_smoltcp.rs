//! A network stack on a card: what it receives, what it sends, what is left to the card.
//!
//! Crate `smoltcp`. Not under miri: adapters are safe code over calls that other tests make there, and network stacks take their time.

#![cfg(all(feature = "smoltcp", not(miri)))]

mod support;

use proptest::prelude::*;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpCidr, IpProtocol,
    Ipv4Address, Ipv4Packet, Ipv4Repr, Ipv6Address, Ipv6Packet, Ipv6Repr, TcpPacket, UdpPacket, UdpRepr,
};
use support::{CardConfig, DESCRIPTORS, PacketBench, Ring};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::{Packet, header_flag};

const PORT: u16 = 7000;
const ALL: [NetFeatures; 4] = [
    NetFeatures::empty(),
    NetFeatures::CSUM,
    NetFeatures::GUEST_CSUM,
    NetFeatures::CSUM.union(NetFeatures::GUEST_CSUM),
];

/// A card with a stack on it.
struct Host {
    bench: PacketBench,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl Host {
    /// At 10.0.0.`number`, and at fd00::`number`.
    fn new(number: u8, change: impl FnOnce(&mut CardConfig)) -> Self {
        let mut bench = PacketBench::new(|config| {
            config.number = number;
            change(config);
        });
        let address = EthernetAddress(bench.packets.mac());
        let mut interface = Interface::new(Config::new(address.into()), &mut bench.packets, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(v4(number), 24)).unwrap();
            addresses.push(IpCidr::new(v6(number), 64)).unwrap();
        });
        Self { bench, interface, sockets: SocketSet::new(vec![]) }
    }

    fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.bench.packets, &mut self.sockets);
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
}

fn v4(number: u8) -> IpAddress {
    Ipv4Address::new(10, 0, 0, number).into()
}

fn v6(number: u8) -> IpAddress {
    Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()).into()
}

/// Two hosts and the cable between them: what one card transmits comes to the other as it would from a wire, checksums complete.
fn turn(hosts: &mut [Host; 2], now: Instant) {
    for (from, to) in [(0, 1), (1, 0)] {
        hosts[from].poll(now);
        for frame in hosts[from].bench.transmitted() {
            hosts[to].bench.nic.inject(Packet::new(frame.completed()));
        }
        hosts[to].bench.serve();
    }
}

/// Sends bytes from the first host to the second, and back from there.
fn exchange(hosts: &mut [Host; 2], to: IpAddress, bytes: &[u8]) {
    let handles = [0, 1].map(|host: usize| {
        let buffer = || tcp::SocketBuffer::new(vec![0; 10_000]);
        hosts[host].sockets.add(tcp::Socket::new(buffer(), buffer()))
    });
    hosts[1].tcp(handles[1]).listen(PORT).unwrap();
    let [client, _] = &mut *hosts;
    let socket = client.sockets.get_mut::<tcp::Socket<'_>>(handles[0]);
    socket.connect(client.interface.context(), (to, PORT), 49_152).unwrap();
    let (mut sent, mut there, mut back) = (0, 0, Vec::new());
    for millis in 0.. {
        assert!(millis < 100_000, "{there} bytes arrived, {} came back", back.len());
        turn(hosts, Instant::from_millis(millis));
        let socket = hosts[0].tcp(handles[0]);
        if socket.can_send() {
            sent += socket.send_slice(&bytes[sent..]).unwrap();
        }
        if socket.can_recv() {
            socket.recv(|part| (part.len(), back.extend_from_slice(part))).unwrap();
        }
        let socket = hosts[1].tcp(handles[1]);
        if socket.can_recv() && socket.can_send() {
            let room = socket.send_capacity() - socket.send_queue();
            let part =
                socket.recv(|part| (part.len().min(room), part[..part.len().min(room)].to_vec())).unwrap();
            there += part.len();
            assert_eq!(socket.send_slice(&part), Ok(part.len()));
        }
        if back.len() == bytes.len() {
            break;
        }
    }
    assert!(back == bytes, "other bytes came back");
}

#[test]
fn two_stacks_talk_through_two_cards_whatever_checksums_they_leave_to_them() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    for (features, ring) in ALL.into_iter().zip(Ring::all().step_by(5)) {
        for address in [v4, v6] {
            let mut hosts = [1, 2].map(|number| {
                Host::new(number, |config| (config.features, config.ring) = (features, ring.features()))
            });

            exchange(&mut hosts, address(2), &bytes);

            for host in hosts {
                assert_eq!(host.bench.packets.counts(), virtio_guest::adapter::PacketCounts::default());
                host.bench.finish();
            }
        }
    }
}

/// Whether a frame's TCP or UDP checksum is right, as smoltcp sees it.
fn is_right(frame: &[u8]) -> bool {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    let (protocol, from, to, payload): (_, IpAddress, IpAddress, _) = match frame.ethertype() {
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
            (packet.next_header(), packet.src_addr().into(), packet.dst_addr().into(), packet.payload())
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
            (packet.next_header(), packet.src_addr().into(), packet.dst_addr().into(), packet.payload())
        }
        _ => return true,
    };
    match protocol {
        IpProtocol::Tcp => TcpPacket::new_checked(payload).unwrap().verify_checksum(&from, &to),
        IpProtocol::Udp => UdpPacket::new_checked(payload).unwrap().verify_checksum(&from, &to),
        _ => true,
    }
}

/// A datagram from the second host to the first, with a checksum that is right.
fn datagram(payload: &[u8], is_v6: bool) -> Vec<u8> {
    let udp = UdpRepr { src_port: 1000, dst_port: PORT };
    let (bytes, caps) = (udp.header_len() + payload.len(), ChecksumCapabilities::default());
    let ethernet = |ethertype| EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 2]),
        dst_addr: EthernetAddress([2, 0, 0, 0, 0, 1]),
        ethertype,
    };
    let ip_bytes = if is_v6 { 40 } else { 20 };
    let mut frame = vec![0; 14 + ip_bytes + bytes];
    let mut link = EthernetFrame::new_unchecked(&mut frame);
    let (from, to) = if is_v6 { (v6(2), v6(1)) } else { (v4(2), v4(1)) };
    match (from, to) {
        (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
            ethernet(EthernetProtocol::Ipv4).emit(&mut link);
            let ip = Ipv4Repr {
                src_addr,
                dst_addr,
                next_header: IpProtocol::Udp,
                payload_len: bytes,
                hop_limit: 1,
            };
            ip.emit(&mut Ipv4Packet::new_unchecked(link.payload_mut()), &caps);
        }
        (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
            ethernet(EthernetProtocol::Ipv6).emit(&mut link);
            let ip = Ipv6Repr {
                src_addr,
                dst_addr,
                next_header: IpProtocol::Udp,
                payload_len: bytes,
                hop_limit: 1,
            };
            ip.emit(&mut Ipv6Packet::new_unchecked(link.payload_mut()));
        }
        _ => unreachable!("both are of one kind"),
    }
    let mut packet = UdpPacket::new_unchecked(&mut frame[14 + ip_bytes..]);
    udp.emit(&mut packet, &from, &to, payload.len(), |into| into.copy_from_slice(payload), &caps);
    frame
}

#[test]
fn a_checksum_is_left_to_a_card_that_completes_it_and_to_no_other() {
    for (features, is_left) in
        ALL.into_iter().map(|features| (features, features.contains(NetFeatures::CSUM)))
    {
        let mut hosts = [1, 2].map(|number| Host::new(number, |config| config.features = features));
        exchange(&mut hosts, v4(2), b"some bytes");
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY], vec![0; 100]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(PORT).unwrap();
        socket.send_slice(b"odd", (v4(2), PORT)).unwrap();
        let client = &mut hosts[0];
        client.sockets.add(socket);
        client.poll(Instant::from_millis(1000));

        let frames = client.bench.transmitted();

        let is_ip = |frame: &&virtio_model::net::Transmitted| frame.frame[12..14] == [8, 0];
        assert!(frames.iter().filter(is_ip).count() > 0, "nothing was transmitted");
        for frame in frames.iter().filter(is_ip) {
            assert_eq!(frame.complaint, None);
            assert_eq!(frame.header.flags & header_flag::NEEDS_CSUM != 0, is_left);
            assert!(is_right(&frame.completed()), "a wrong checksum");
            assert_eq!(is_right(&frame.frame), !is_left);
        }
    }
}

/// As raw sockets make them.
#[test]
fn a_checksum_that_is_complete_is_left_as_it_is() {
    let mut bench = PacketBench::new(|config| config.features = NetFeatures::CSUM);
    let frame = datagram(b"complete", false);

    let token = bench.packets.transmit(Instant::ZERO).expect("room");
    token.consume(frame.len(), |into| into.copy_from_slice(&frame));

    let sent = bench.transmitted();
    assert!(sent.iter().map(|sent| (&sent.frame, sent.header.flags)).eq([(&frame, 0)]));
    bench.finish();
}

#[test]
fn the_stack_is_told_which_checksums_are_left_to_it_and_how_long_frames_are() {
    let expected = [Checksum::Both, Checksum::Rx, Checksum::Tx, Checksum::None];
    for (features, expected) in ALL.into_iter().zip(expected) {
        let bench = PacketBench::new(|config| {
            (config.features, config.mtu, config.packet_bytes) = (features, Some(1400), 1600);
        });

        let capabilities = bench.packets.capabilities();

        let told = (capabilities.checksum.tcp, capabilities.checksum.udp);
        assert_eq!(format!("{told:?}"), format!("{:?}", (expected, expected)));
        assert_eq!(format!("{:?}", capabilities.checksum.icmpv4), "Both");
        assert_eq!(format!("{:?}", capabilities.checksum.ipv4), "Both");
        assert_eq!(
            (capabilities.max_transmission_unit, capabilities.max_burst_size),
            (1414, Some(DESCRIPTORS))
        );
    }
    let short = PacketBench::new(|config| config.packet_bytes = 600);
    assert_eq!(short.packets.capabilities().max_transmission_unit, 600);
}

/// The next packet, if there is one.
fn receive(bench: &mut PacketBench) -> Option<Vec<u8>> {
    let (packet, _) = bench.packets.receive(Instant::ZERO)?;
    Some(packet.consume(<[u8]>::to_vec))
}

#[test]
fn a_packet_that_the_card_does_not_vouch_for_is_looked_at_and_dropped_if_it_is_wrong() {
    for is_v6 in [false, true] {
        let mut bench = PacketBench::new(|config| config.features = NetFeatures::GUEST_CSUM);
        let right = datagram(b"right", is_v6);
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let vouched_for = |flags| Packet::new(wrong.clone()).with_header(|header| header.flags = flags);
        let partial = vouched_for(header_flag::NEEDS_CSUM).with_header(|header| {
            (header.csum_start, header.csum_offset) = (if is_v6 { 54 } else { 34 }, 6);
        });
        for packet in [Packet::new(wrong.clone()), vouched_for(header_flag::DATA_VALID), partial] {
            bench.nic.inject(packet);
        }
        bench.nic.inject(Packet::new(right.clone()));
        bench.serve();

        let received: Vec<_> = std::iter::from_fn(|| receive(&mut bench)).collect();

        assert!(received == [wrong.clone(), wrong, right]);
        assert_eq!(bench.packets.counts().wrong_checksum, 1);
        bench.finish();
    }
}

#[test]
fn without_the_card_s_word_checksums_are_the_stack_s_affair() {
    let mut bench = PacketBench::new(|_| {});
    let mut wrong = datagram(b"wrong", false);
    *wrong.last_mut().unwrap() ^= 1;
    bench.nic.inject(Packet::new(wrong.clone()));
    bench.serve();

    assert!(receive(&mut bench) == Some(wrong));
}

#[test]
fn what_has_no_checksum_of_its_own_is_received() {
    let mut bench = PacketBench::new(|config| config.features = NetFeatures::GUEST_CSUM);
    let mut without = datagram(b"none", false);
    without[14 + 20 + 6..][..2].fill(0);
    let mut fragment = datagram(b"first part", false);
    fragment[14 + 6] = 0x20;
    fragment[14 + 20 + 6] ^= 1;
    for frame in [&without, &fragment] {
        bench.nic.inject(Packet::new(frame.clone()));
    }
    bench.serve();

    assert!(receive(&mut bench) == Some(without));
    assert!(receive(&mut bench) == Some(fragment));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is changed about a datagram: what is passed on is what smoltcp finds right, or what it does not understand.
    #[test]
    fn checksums_are_judged_as_smoltcp_judges_them(
        payload in proptest::collection::vec(any::<u8>(), 0..70),
        is_v6: bool,
        at in 26usize..150,
        change: u8,
    ) {
        let mut frame = datagram(&payload, is_v6);
        let at = at % frame.len();
        // Addresses, the checksum or the payload: lengths and kinds stay.
        let place = if is_v6 { 22.max(at) } else { 26.max(at) };
        let header = if is_v6 { 54 } else { 34 };
        prop_assume!(!(header + 4..header + 6).contains(&place));
        frame[place] ^= change;
        prop_assume!(frame[header + 6..header + 8] != [0, 0]);
        let mut bench = PacketBench::new(|config| config.features = NetFeatures::GUEST_CSUM);
        bench.nic.inject(Packet::new(frame.clone()));
        bench.serve();

        prop_assert_eq!(receive(&mut bench).is_some(), is_right(&frame));
    }

    /// Nothing that arrives is trusted to be what it says.
    #[test]
    fn any_bytes_can_arrive_and_be_answered(
        mut frame in proptest::collection::vec(any::<u8>(), 14..100),
        ether_type in prop::sample::select(vec![[8, 0], [0x86, 0xdd]]),
        version: bool,
        protocol in prop::sample::select(vec![6, 17, 0, 60]),
    ) {
        frame[12..14].copy_from_slice(&ether_type);
        for (at, byte) in [(14, if version { 0x45 } else { 0x60 }), (20, protocol), (23, protocol)] {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        let mut bench = PacketBench::new(|config| config.features = NetFeatures::CSUM | NetFeatures::GUEST_CSUM);
        bench.nic.inject(Packet::new(frame.clone()));
        bench.serve();
        let received = receive(&mut bench);
        let token = bench.packets.transmit(Instant::ZERO).expect("room");
        token.consume(frame.len(), |into| into.copy_from_slice(&frame));
        let sent = bench.transmitted();

        prop_assert!(received.is_none_or(|received| received == frame));
        prop_assert_eq!(sent.len(), 1);
        bench.finish();
    }
}
