//! What a back-end is asked first: what it can, and what it seems to be.

use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::NetFeatures;

use super::config;
use super::connect_error::Refusal;
use super::kind::seems_other;
use super::settings::Settings;
use crate::protocol::{
    Cause, Connection, Fault, LOG_ALL, PROTOCOL_FEATURES, ProtocolFeatures, Request, Step,
};

/// Features of a card that its driver uses by command, and those that are about fields of a configuration space: both are ours to have, or not.
const NOT_OF_BACK_END: NetFeatures = NetFeatures::CTRL_VQ
    .union(NetFeatures::CTRL_RX)
    .union(NetFeatures::CTRL_VLAN)
    .union(NetFeatures::CTRL_RX_EXTRA)
    .union(NetFeatures::CTRL_MAC_ADDR)
    .union(NetFeatures::CTRL_GUEST_OFFLOADS)
    .union(NetFeatures::GUEST_ANNOUNCE)
    .union(NetFeatures::MQ)
    .union(NetFeatures::RSS)
    .union(NetFeatures::RSS_CONTEXT)
    .union(NetFeatures::HASH_REPORT)
    .union(NetFeatures::HASH_TUNNEL)
    .union(NetFeatures::NOTF_COAL)
    .union(NetFeatures::VQ_NOTF_COAL)
    .union(NetFeatures::DEVICE_STATS)
    .union(NetFeatures::MAC)
    .union(NetFeatures::STATUS)
    .union(NetFeatures::MTU)
    .union(NetFeatures::SPEED_DUPLEX)
    .union(NetFeatures::STANDBY);

/// Most queues that messages can name: with a queue's files its number has eight bits, and the ninth says that there is no file.
const QUEUES_MAX: u16 = 256;

/// What a back-end said.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// Its features, as it says them.
    pub back_end: u64,
    /// Whether its queues begin disabled.
    pub enables_queues: bool,
    /// Its queues, of a network card without the control queue.
    pub queues: u16,
    /// What the driver is offered.
    pub features: u128,
    /// The configuration space, if it is the back-end's.
    pub config: Vec<u8>,
}

/// Asks a back-end.
pub(super) fn ask(
    connection: &mut Connection,
    device_type: DeviceType,
    settings: &Settings,
) -> Result<Offer, Refusal> {
    let back_end = connection.ask(Request::GetFeatures)?;
    let enables_queues = back_end & PROTOCOL_FEATURES != 0;
    if enables_queues {
        let offered = ProtocolFeatures::from_bits_retain(connection.ask(Request::GetProtocolFeatures)?);
        connection.agree(offered.intersection(ProtocolFeatures::HANDLED))?;
    }
    let agreed = connection.agreed();
    connection.command(Request::SetOwner, None)?;
    let seems_other = seems_other(device_type, back_end, agreed).filter(|_| !settings.trusts_device_type);
    if let Some(looks_like) = seems_other {
        return Err(Refusal::OtherDeviceType(looks_like));
    }
    if u128::from(back_end) & CommonFeatures::VERSION_1.bits() == 0 {
        return Err(Refusal::Legacy);
    }
    if agreed.contains(ProtocolFeatures::BACKEND_REQ) {
        connection.open_requests()?;
    }
    let queues = queues(connection, device_type, settings)?;
    let config = if agreed.contains(ProtocolFeatures::CONFIG) && device_type != DeviceType::NETWORK {
        config::fetch(connection, device_type)?
    } else {
        Vec::new()
    };
    let mut features = u128::from(back_end & !(LOG_ALL | PROTOCOL_FEATURES));
    if device_type == DeviceType::NETWORK {
        features = of_a_card(features, queues, settings);
    }
    Ok(Offer { back_end, enables_queues, queues, features, config })
}

/// How many queues there are.
fn queues(connection: &mut Connection, device_type: DeviceType, settings: &Settings) -> Result<u16, Fault> {
    let is_card = device_type == DeviceType::NETWORK;
    let said = if connection.agreed().contains(ProtocolFeatures::MQ) {
        let said = connection.ask(Request::GetQueueNum)?;
        if said == 0 {
            let step = Step { name: Request::GetQueueNum.name(), queue: None };
            return Err(Fault { step, cause: Cause::Senseless("a device has at least one queue") });
        }
        u16::try_from(said).unwrap_or(u16::MAX)
    } else {
        match device_type {
            DeviceType::NETWORK | DeviceType::BLOCK | DeviceType::ENTROPY => 1,
            // It does not say, and will refuse what it does not have.
            _ => u16::MAX,
        }
    };
    // Cards are counted in pairs.
    let per_count = if is_card { 2 } else { 1 };
    Ok(said.min(settings.queues_max).min(QUEUES_MAX / per_count) * per_count)
}

/// What the driver of a card is offered.
fn of_a_card(back_end: u128, queues: u16, settings: &Settings) -> u128 {
    let mut ours = NetFeatures::STATUS;
    // How many pairs are used is said with messages, in place of the back-end.
    ours.set(NetFeatures::CTRL_VQ.union(NetFeatures::MQ), queues > 2);
    ours.set(NetFeatures::MAC, settings.mac.is_some());
    ours.set(NetFeatures::MTU, settings.mtu.is_some());
    back_end & !NOT_OF_BACK_END.bits() | ours.bits()
}
