//! What a network device says of itself: address, sizes, link.
//!
//! Spec: §5.1.4 Device configuration layout. Read together, as of one moment; each field only if the feature was agreed on that makes it mean something. What a device says of its
//! link may change, and is asked for each time.

use crate::lifecycle::{Config, ConfigError, Fields};
use crate::transport::Transport;
use crate::wire::net::control::mq;
use crate::wire::net::{HashTypes, LinkStatus, MTU_MIN, NetFeatures, SPEED_MAX, TunnelTypes, config, duplex};

/// An address of a network device, in the order in which it is sent.
pub type MacAddress = [u8; 6];

/// The address of a device that has none: a locally administered one. Whoever has several such devices gives each its own.
const OWN_ADDRESS: MacAddress = [0x02, 0, 0, 0, 0, 1];

/// What a device says of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether it is up. One that does not say so counts as up.
    pub is_up: bool,
    /// Whether the driver is to announce itself, by gratuitous packets of its protocols; then
    /// [`acknowledge_announce`](super::Control::acknowledge_announce).
    pub announce: bool,
}

/// Whether both sides of a link can send at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplex {
    /// One side at a time.
    Half,
    /// Both sides at once.
    Full,
}

/// What a device takes for hashes and for steering by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashLimits {
    /// What a hash can be made of.
    pub hash_types: HashTypes,
    /// Longest key, in bytes.
    pub key_bytes_max: u8,
    /// Most entries of the table by which is steered.
    pub table_entries_max: u16,
    /// In which tunnels the device looks for inner headers.
    pub tunnel_types: TunnelTypes,
}

/// All that is read at bring-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) mac: MacAddress,
    pub(super) mtu: Option<u16>,
    pub(super) pairs_max: u16,
    pub(super) hash: HashLimits,
}

impl Description {
    /// What a device says of itself where these features were agreed on.
    pub(super) fn read<T: Transport>(
        config: &Config<'_, T>,
        agreed: NetFeatures,
    ) -> Result<Self, ConfigError> {
        config.read_together(|fields| {
            let has_pairs = agreed.intersects(NetFeatures::MQ | NetFeatures::RSS);
            Ok(Self {
                mac: if agreed.contains(NetFeatures::MAC) { address(&fields)? } else { OWN_ADDRESS },
                mtu: agreed.contains(NetFeatures::MTU).then(|| fields.get(config::MTU)).transpose()?,
                // A device that said something else before features were agreed on has one pair.
                pairs_max: if has_pairs { pairs(&fields)?.unwrap_or(1) } else { 1 },
                hash: hash_limits(&fields, agreed)?,
            })
        })
    }

    /// The index of the control queue: after all pairs that the device has.
    pub(super) const fn control_queue(&self) -> u16 {
        self.pairs_max.saturating_mul(2)
    }
}

/// Features that are not to be agreed on, for what the device says of them makes no sense: asked before features are. There the number of pairs leaves no index for the control queue, or
/// packets would be shorter than any protocol allows.
pub(super) fn senseless<T: Transport>(config: &Config<'_, T>, offered: NetFeatures) -> NetFeatures {
    let mut senseless = NetFeatures::empty();
    let several = NetFeatures::MQ | NetFeatures::RSS;
    // A field that cannot be read makes no sense either.
    if offered.intersects(several) && !matches!(config.read_together(|fields| pairs(&fields)), Ok(Some(_))) {
        senseless |= several;
    }
    if offered.contains(NetFeatures::MTU) && !matches!(config.read(config::MTU), Ok(MTU_MIN..)) {
        senseless |= NetFeatures::MTU;
    }
    senseless
}

/// The number of pairs, if there can be so many: queues are numbered with 16 bits, and the control queue is the last one.
fn pairs<T: Transport>(fields: &Fields<'_, T>) -> Result<Option<u16>, ConfigError> {
    let pairs = fields.get(config::MAX_VIRTQUEUE_PAIRS)?;
    Ok((mq::VQ_PAIRS_MIN..mq::VQ_PAIRS_MAX).contains(&pairs).then_some(pairs))
}

fn address<T: Transport>(fields: &Fields<'_, T>) -> Result<MacAddress, ConfigError> {
    let mut address = MacAddress::default();
    for (byte, field) in address.iter_mut().zip(config::MAC) {
        *byte = fields.get(field)?;
    }
    Ok(address)
}

fn hash_limits<T: Transport>(fields: &Fields<'_, T>, agreed: NetFeatures) -> Result<HashLimits, ConfigError> {
    let mut limits = HashLimits::default();
    if agreed.intersects(NetFeatures::RSS | NetFeatures::HASH_REPORT) {
        limits.hash_types = HashTypes::from_bits_truncate(fields.get(config::SUPPORTED_HASH_TYPES)?);
        limits.key_bytes_max = fields.get(config::RSS_MAX_KEY_SIZE)?;
    }
    if agreed.contains(NetFeatures::RSS) {
        limits.table_entries_max = fields.get(config::RSS_MAX_INDIRECTION_TABLE_LENGTH)?;
    }
    if agreed.contains(NetFeatures::HASH_TUNNEL) {
        limits.tunnel_types = TunnelTypes::from_bits_truncate(fields.get(config::SUPPORTED_TUNNEL_TYPES)?);
    }
    Ok(limits)
}

/// What the device says of its link now.
pub(super) fn link<T: Transport>(config: &Config<'_, T>, agreed: NetFeatures) -> Result<Link, ConfigError> {
    if !agreed.contains(NetFeatures::STATUS) {
        return Ok(Link { is_up: true, announce: false });
    }
    let status = LinkStatus::from_bits_truncate(config.read(config::STATUS)?);
    Ok(Link {
        is_up: status.contains(LinkStatus::LINK_UP),
        announce: agreed.contains(NetFeatures::GUEST_ANNOUNCE) && status.contains(LinkStatus::ANNOUNCE),
    })
}

/// Its speed now, in millions of bits per second, if it is known.
pub(super) fn speed<T: Transport>(
    config: &Config<'_, T>,
    agreed: NetFeatures,
) -> Result<Option<u32>, ConfigError> {
    if !agreed.contains(NetFeatures::SPEED_DUPLEX) {
        return Ok(None);
    }
    Ok(Some(config.read(config::SPEED)?).filter(|speed| *speed <= SPEED_MAX))
}

/// Whether both sides can send at once now, if it is known.
pub(super) fn duplex<T: Transport>(
    config: &Config<'_, T>,
    agreed: NetFeatures,
) -> Result<Option<Duplex>, ConfigError> {
    if !agreed.contains(NetFeatures::SPEED_DUPLEX) {
        return Ok(None);
    }
    Ok(match config.read(config::DUPLEX)? {
        duplex::HALF => Some(Duplex::Half),
        duplex::FULL => Some(Duplex::Full),
        _ => None,
    })
}
