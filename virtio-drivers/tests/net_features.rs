//! Which features are agreed on with a card, and which are not.
//!
//! Spec: §5.1.3 Feature bits, §5.1.3.1 Feature bit requirements, §5.1.4.2 Driver Requirements: Device configuration layout. Not under miri: features are numbers, judged by safe code.

#![cfg(not(miri))]

mod support;

use virtio_guest::device::net::{HANDLED, NetFeatures, PLAIN, Settings, Starting};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::features::CommonFeatures;
use virtio_model::Nic;
use virtio_model::net::feature;

use support::commands::{ADDRESS, bits};
use support::{Either, Mapper, TestHal, claim};

/// What a driver with these wishes agrees on with a device that offers these features besides `VERSION_1`: of its own ones, and as the device knows it.
fn agreed(offered: u128, wants: Wants<NetFeatures>) -> (NetFeatures, u128) {
    let nic = Nic::new(ADDRESS).with_features(offered);
    let device = nic.builder().features(offered | CommonFeatures::VERSION_1.bits()).build();
    let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).expect("the function opens");
    let card: Starting<'_, _, TestHal> =
        Starting::begin(transport, &Settings::default(), wants, Attempts(10)).expect("the card begins");
    (card.features(), device.negotiated_features())
}

/// Everything that is offered is accepted, but for what this driver does not handle, even if it is asked for.
#[test]
fn of_all_features_those_are_accepted_that_are_handled() {
    let (accepted, told) = agreed(u128::MAX, Wants::features(NetFeatures::all()));

    let not_handled = NetFeatures::IPSEC | NetFeatures::GSO;
    assert_eq!(accepted, NetFeatures::all() - not_handled);
    assert_eq!(HANDLED, accepted);
    // Bits 41 and 42 are the administration queue, which is not handled either, and nobody's; legacy devices have them for what no driver should accept.
    let others = not_handled.bits() | CommonFeatures::ADMIN_VQ.bits() | 1 << 42;
    assert_eq!(told & others, 0, "{told:#x}");
}

/// A driver that is not told otherwise takes what leaves frames as they are.
#[test]
fn without_other_wishes_address_and_longest_packet_are_accepted_and_frames_stay_as_they_are() {
    let (accepted, told) = agreed(u128::MAX, Wants::features(PLAIN));

    assert_eq!((accepted, told & NetFeatures::all().bits()), (PLAIN, PLAIN.bits()));
    assert!(accepted.contains(NetFeatures::MAC | NetFeatures::MTU | NetFeatures::STATUS));
    let by_wish =
        NetFeatures::STANDBY | NetFeatures::GUEST_HDRLEN | NetFeatures::CSUM | NetFeatures::GUEST_CSUM;
    assert!(!accepted.intersects(by_wish));
    let (accepted, _) = agreed(u128::MAX, Wants::features(PLAIN | by_wish));
    assert!(accepted.contains(by_wish), "whoever wants them gets them");
}

/// Spec: §5.1.3.1 — each line of the table, and what else can be done by command only.
#[test]
fn no_feature_is_accepted_without_what_it_needs() {
    use feature as bit;
    let segmented = [bit::GUEST_TSO4, bit::GUEST_TSO6, bit::GUEST_UFO, bit::GUEST_USO4, bit::GUEST_USO6];
    let cut = [bit::HOST_TSO4, bit::HOST_TSO6, bit::HOST_UFO, bit::HOST_USO];
    let by_command = [
        bit::CTRL_RX,
        bit::CTRL_VLAN,
        bit::CTRL_RX_EXTRA,
        bit::GUEST_ANNOUNCE,
        bit::MQ,
        bit::CTRL_MAC_ADDR,
        bit::CTRL_GUEST_OFFLOADS,
        bit::NOTF_COAL,
        bit::VQ_NOTF_COAL,
        bit::RSS,
        bit::RSS_CONTEXT,
        bit::HASH_REPORT,
        bit::HASH_TUNNEL,
        bit::DEVICE_STATS,
    ];
    let all = HANDLED.bits();
    let mut lines: Vec<(u32, u128)> = Vec::new();
    lines.extend(segmented.map(|feature| (feature, bits(&[bit::GUEST_CSUM]))));
    lines.extend(cut.map(|feature| (feature, bits(&[bit::CSUM]))));
    lines.extend(by_command.map(|feature| (feature, bits(&[bit::CTRL_VQ]))));
    // Where one of several is enough, all of them are missing.
    lines.push((bit::GUEST_ECN, bits(&[bit::GUEST_TSO4, bit::GUEST_TSO6])));
    lines.push((bit::HOST_ECN, bits(&[bit::HOST_TSO4, bit::HOST_TSO6])));
    lines.push((bit::RSC_EXT, bits(&[bit::HOST_TSO4, bit::HOST_TSO6])));
    lines.push((bit::HASH_TUNNEL, bits(&[bit::RSS, bit::HASH_REPORT])));
    lines.push((bit::RSS_CONTEXT, bits(&[bit::RSS])));
    // Where all are needed, each of them is missing once.
    for needed in [bit::GUEST_TSO4, bit::GUEST_TSO6, bit::GUEST_USO4, bit::GUEST_USO6] {
        lines.push((bit::GUEST_UDP_TUNNEL_GSO, bits(&[needed])));
    }
    for needed in [bit::HOST_TSO4, bit::HOST_TSO6, bit::HOST_USO] {
        lines.push((bit::HOST_UDP_TUNNEL_GSO, bits(&[needed])));
    }
    lines.push((bit::GUEST_UDP_TUNNEL_GSO_CSUM, bits(&[bit::GUEST_UDP_TUNNEL_GSO])));
    lines.push((bit::HOST_UDP_TUNNEL_GSO_CSUM, bits(&[bit::HOST_UDP_TUNNEL_GSO])));
    for (feature, missing) in lines {
        let (accepted, told) = agreed(all & !missing, Wants::features(HANDLED));

        assert_eq!(accepted.bits() & bits(&[feature]), 0, "feature {feature} without {missing:#x}");
        assert_eq!(told & bits(&[feature]), 0, "feature {feature} without {missing:#x}");
    }
}
