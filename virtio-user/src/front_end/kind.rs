//! What kind of device a back-end seems to play. No message says it.

use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::net::NetFeatures;

use crate::protocol::ProtocolFeatures;

/// Features of network cards whose numbers mean nothing to disks.
const OF_CARDS: NetFeatures = NetFeatures::MRG_RXBUF
    .union(NetFeatures::CTRL_RX)
    .union(NetFeatures::CTRL_VLAN)
    .union(NetFeatures::CTRL_RX_EXTRA)
    .union(NetFeatures::GUEST_ANNOUNCE)
    .union(NetFeatures::MQ)
    .union(NetFeatures::CTRL_MAC_ADDR);

/// What the device seems to be, if it cannot be what was asked for.
pub(super) fn seems_other(
    asked_for: DeviceType,
    features: u64,
    protocol: ProtocolFeatures,
) -> Option<&'static str> {
    let is_card = NetFeatures::from_bits_truncate(features.into()).intersects(OF_CARDS);
    let has_config = protocol.contains(ProtocolFeatures::CONFIG);
    match asked_for {
        DeviceType::BLOCK if is_card => Some("a network card"),
        DeviceType::BLOCK if !has_config => Some("a device without a configuration space"),
        DeviceType::NETWORK if !is_card && has_config => {
            Some("a device with a configuration space and without a network card's features, as a disk is")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: u64 = 1 << 15 | 1 << 32;
    const DISK: u64 = 1 << 2 | 1 << 6 | 1 << 9 | 1 << 32;

    #[test]
    fn what_was_asked_for_is_believed() {
        assert_eq!(seems_other(DeviceType::BLOCK, DISK, ProtocolFeatures::CONFIG), None);
        assert_eq!(seems_other(DeviceType::NETWORK, CARD, ProtocolFeatures::empty()), None);
        assert_eq!(seems_other(DeviceType::NETWORK, 1 << 32, ProtocolFeatures::empty()), None);
        assert_eq!(seems_other(DeviceType(26), CARD, ProtocolFeatures::empty()), None);
    }

    #[test]
    fn a_card_is_no_disk_and_a_disk_no_card() {
        assert!(seems_other(DeviceType::BLOCK, CARD, ProtocolFeatures::CONFIG).is_some());
        assert!(seems_other(DeviceType::BLOCK, DISK, ProtocolFeatures::empty()).is_some());
        assert!(seems_other(DeviceType::NETWORK, DISK, ProtocolFeatures::CONFIG).is_some());
    }
}
