//! The configuration space: the back-end's, or, of network cards, one that is made here.
//!
//! Spec: §2.5 Device Configuration Space, §5.1.4 Device configuration layout (of network devices). Network back-ends have none: their address is the front-end's to choose, and whether
//! the link is up is whether the back-end is there.

use virtio_guest::hal::AccessWidth;
use virtio_guest::wire::device_type::DeviceType;

use crate::protocol::{Connection, Fault};

/// The end of each length that a disk's configuration space has had, the longest first: back-ends refuse to be read beyond theirs.
const OF_DISKS: &[usize] = &[96, 60, 57, 48, 36, 24, 8];
/// Lengths that are tried with other devices.
const OF_OTHERS: &[usize] = &[256, 128, 64, 44, 40, 36, 32, 24, 16, 12, 8, 4];

/// Says that a card's link is up.
const LINK_UP: u16 = 1;

/// Reads a back-end's configuration space, as long as it is.
pub(super) fn fetch(connection: &mut Connection, device_type: DeviceType) -> Result<Vec<u8>, Fault> {
    let lengths = if device_type == DeviceType::BLOCK { OF_DISKS } else { OF_OTHERS };
    for length in lengths {
        let mut config = vec![0; *length];
        if connection.read_config(&mut config)? {
            return Ok(config);
        }
    }
    Ok(Vec::new())
}

/// What a network card says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CardConfig {
    pub mac: [u8; 6],
    pub is_up: bool,
    pub pairs_max: u16,
    pub mtu: u16,
}

impl CardConfig {
    /// Its configuration space.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { mac, is_up, pairs_max, mtu } = self;
        let status = if is_up { LINK_UP } else { 0 };
        let numbers = [status, pairs_max, mtu];
        mac.into_iter().chain(numbers.into_iter().flat_map(u16::to_le_bytes)).collect()
    }
}

/// A register of a configuration space; all ones if it is not there.
pub(super) fn register(config: &[u8], offset: usize, width: AccessWidth) -> u32 {
    let end = offset.saturating_add(width.bytes());
    let Some(bytes) = config.get(offset..end) else { return u32::MAX };
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec: §5.1.4.
    #[test]
    fn a_card_says_address_status_pairs_and_longest_packet_in_this_order() {
        let config = CardConfig { mac: [2, 3, 4, 5, 6, 7], is_up: true, pairs_max: 0x102, mtu: 1500 };

        assert_eq!(config.to_bytes(), [2, 3, 4, 5, 6, 7, 1, 0, 2, 1, 0xdc, 5]);
    }

    #[test]
    fn registers_are_little_endian_and_all_ones_behind_the_end() {
        let config = [1, 2, 3, 4, 5, 6];

        assert_eq!(register(&config, 0, AccessWidth::Long), 0x0403_0201);
        assert_eq!(register(&config, 4, AccessWidth::Word), 0x0605);
        assert_eq!(register(&config, 5, AccessWidth::Byte), 6);
        assert_eq!(register(&config, 4, AccessWidth::Long), u32::MAX);
    }
}
