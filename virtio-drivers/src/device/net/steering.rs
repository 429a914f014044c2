//! Where is received, and what: pairs of queues, hashes, offloads.
//!
//! Spec: §5.1.9.5.5 Device operation in multiqueue mode, §5.1.9.5.7 Receive-side scaling (RSS), §5.1.9.5.8 RSS Context, §5.1.9.4.4 Inner Header Hash, §5.1.9.5.9 Offloads State Configuration.
//! At first a device receives on the first pair alone; the last of these commands counts.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::net::{Control, ControlError, RssConfig};
//!
//! /// Spreads flows over the first two pairs, both directions of each on the same one if the key is made for that.
//! fn spread<T: Transport, H: Hal>(card: &mut Control<'_, T, H>, key: &[u8; 40]) -> Result<(), ControlError> {
//!     let hash_types = card.hash_limits().hash_types;
//!     let config = RssConfig { hash_types, table: &[0, 1], unclassified_queue: 0, max_transmit_queues: 2, key };
//!     match card.set_rss(&config, Attempts(100_000)) {
//!         Err(ControlError::Unsupported) => card.set_pairs(2, Attempts(100_000)), // the device sees to it
//!         steered => steered,
//!     }
//! }
//! ```

use zerocopy::IntoBytes;

use super::commands::{ControlError, Writing};
use super::control::Control;
use crate::hal::{Hal, Patience};
use crate::transport::Transport;
use crate::wire::net::control::{GuestOffloads, class, guest_offloads, hash_tunnel, mq, rss_ctx};
use crate::wire::net::rss::{HashConfigStart, RssConfigEnd, RssConfigStart, RssContextStart};
use crate::wire::net::{HashTypes, NetFeatures, TunnelTypes};

/// How packets are steered by a hash. Pairs of queues count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssConfig<'c> {
    /// What hashes are made of.
    pub hash_types: HashTypes,
    /// To which pair a packet goes: the low bits of its hash are an index here. The entries are a power of two.
    pub table: &'c [u16],
    /// To which pair a packet goes that has no hash.
    pub unclassified_queue: u16,
    /// How many transmit queues are used, from the first on.
    pub max_transmit_queues: u16,
    /// The key of the hash.
    pub key: &'c [u8],
}

/// Each offload, and the feature that it needs.
const OFFLOADS: [(GuestOffloads, NetFeatures); 9] = [
    (GuestOffloads::CSUM, NetFeatures::GUEST_CSUM),
    (GuestOffloads::TSO4, NetFeatures::GUEST_TSO4),
    (GuestOffloads::TSO6, NetFeatures::GUEST_TSO6),
    (GuestOffloads::ECN, NetFeatures::GUEST_ECN),
    (GuestOffloads::UFO, NetFeatures::GUEST_UFO),
    (GuestOffloads::USO4, NetFeatures::GUEST_USO4),
    (GuestOffloads::USO6, NetFeatures::GUEST_USO6),
    (GuestOffloads::UDP_TUNNEL_GSO, NetFeatures::GUEST_UDP_TUNNEL_GSO),
    (GuestOffloads::UDP_TUNNEL_GSO_CSUM, NetFeatures::GUEST_UDP_TUNNEL_GSO_CSUM),
];

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// Has the device use so many pairs of queues, and steer by itself: what belongs to a flow is received on the pair on which that flow was transmitted last.
    ///
    /// Transmit queues of pairs beyond these refuse frames from before the command is sent ([`PairNotInUse`](super::TransmitError::PairNotInUse)), and those of new ones take them once it has succeeded. If it fails, or nobody answers, as
    /// many pairs are in use as before, or as were asked for: the fewer of both. Call it again for more.
    ///
    /// A burst that another processor has begun goes on to its end. What is in their rings already comes back, sent or not. Where pairs are taken out of use, have that processor finish before this is called.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`MQ`](NetFeatures::MQ). [`InvalidArgument`](ControlError::InvalidArgument): none, more than were installed, or there are further configurations of steering
    /// ([`add_rss_context`](Control::add_rss_context)).
    pub fn set_pairs(&mut self, pairs: u16, mut patience: impl Patience) -> Result<(), ControlError> {
        self.need(NetFeatures::MQ)?;
        if pairs < mq::VQ_PAIRS_MIN || pairs > self.pairs || self.learned.rss_contexts > 0 {
            return Err(ControlError::InvalidArgument);
        }
        let in_use = self.pairs_in_use.ok_or(ControlError::InvalidArgument)?;
        let mut command = self.command(NetFeatures::MQ, class::MQ, mq::VQ_PAIRS_SET, &mut patience)?;
        command.put(&pairs.to_le_bytes())?;
        in_use.change(pairs, || command.run(&mut patience))
    }

    /// Has the device steer packets by a hash, and use [as many transmit queues](RssConfig::max_transmit_queues) as that says: as with [`set_pairs`](Control::set_pairs), the others refuse frames.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`RSS`](NetFeatures::RSS). [`InvalidArgument`](ControlError::InvalidArgument): pairs that were not installed, a table whose length is no power of two, or more than
    /// [`hash_limits`](Control::hash_limits) has.
    pub fn set_rss(
        &mut self,
        config: &RssConfig<'_>,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.need(NetFeatures::RSS)?;
        let mask = self.check_rss(config)?;
        let in_use = self.pairs_in_use.ok_or(ControlError::InvalidArgument)?;
        let mut command = self.command(NetFeatures::RSS, class::MQ, mq::RSS_CONFIG, &mut patience)?;
        put_rss(&mut command, config, mask)?;
        in_use.change(config.max_transmit_queues, || command.run(&mut patience))
    }

    /// Has the device make hashes, which received frames carry, and steer by itself.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`HASH_REPORT`](NetFeatures::HASH_REPORT). [`InvalidArgument`](ControlError::InvalidArgument): more than [`hash_limits`](Control::hash_limits) has.
    pub fn set_hash(
        &mut self,
        hash_types: HashTypes,
        key: &[u8],
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.need(NetFeatures::HASH_REPORT)?;
        let hash_key_length = self.check_hash(hash_types, key)?;
        let mut command =
            self.command(NetFeatures::HASH_REPORT, class::MQ, mq::HASH_CONFIG, &mut patience)?;
        let start = HashConfigStart {
            hash_types: hash_types.bits().into(),
            reserved: Default::default(),
            hash_key_length,
        };
        command.put(start.as_bytes())?;
        command.put(key)?;
        command.run(&mut patience)
    }

    /// Sets in which tunnels the device looks for inner headers, to make hashes of those. None at first.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`HASH_TUNNEL`](NetFeatures::HASH_TUNNEL). [`InvalidArgument`](ControlError::InvalidArgument): more than [`hash_limits`](Control::hash_limits) has.
    pub fn set_hash_tunnels(
        &mut self,
        tunnels: TunnelTypes,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.need(NetFeatures::HASH_TUNNEL)?;
        if !self.description.hash.tunnel_types.contains(tunnels) {
            return Err(ControlError::InvalidArgument);
        }
        let mut command =
            self.command(NetFeatures::HASH_TUNNEL, class::HASH_TUNNEL, hash_tunnel::SET, &mut patience)?;
        command.put(&tunnels.bits().to_le_bytes())?;
        command.run(&mut patience)
    }

    /// Sets what the driver takes besides plain frames: at first all that was agreed on.
    ///
    /// Frames that are on their way already may still be as before.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_GUEST_OFFLOADS`](NetFeatures::CTRL_GUEST_OFFLOADS). [`InvalidArgument`](ControlError::InvalidArgument): one of them was not agreed on.
    pub fn set_guest_offloads(
        &mut self,
        offloads: GuestOffloads,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.need(NetFeatures::CTRL_GUEST_OFFLOADS)?;
        let agreed = OFFLOADS.into_iter().filter(|(_, feature)| self.features().contains(*feature));
        if !agreed.map(|(offload, _)| offload).collect::<GuestOffloads>().contains(offloads) {
            return Err(ControlError::InvalidArgument);
        }
        let needed = NetFeatures::CTRL_GUEST_OFFLOADS;
        let mut command = self.command(needed, class::GUEST_OFFLOADS, guest_offloads::SET, &mut patience)?;
        command.put(&offloads.bits().to_le_bytes())?;
        command.run(&mut patience)
    }

    /// How many further configurations of steering there can be. They are numbered from 1. The device is asked once.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`RSS_CONTEXT`](NetFeatures::RSS_CONTEXT), as those that follow.
    pub fn rss_contexts_max(&mut self, mut patience: impl Patience) -> Result<u16, ControlError> {
        self.contexts_max(&mut patience)
    }

    /// Adds a configuration of steering, for filters to refer to.
    ///
    /// # Errors
    /// See [`ControlError`]. [`InvalidArgument`](ControlError::InvalidArgument): no such number can be, or as for [`set_rss`](Control::set_rss).
    pub fn add_rss_context(
        &mut self,
        id: u16,
        config: &RssConfig<'_>,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        let added = self.set_context(rss_ctx::ADD, id, config, &mut patience);
        if matches!(added, Ok(()) | Err(ControlError::TimedOut | ControlError::BadAnswer)) {
            self.learned.rss_contexts = self.learned.rss_contexts.saturating_add(1);
        }
        added
    }

    /// Changes a configuration of steering that was added.
    ///
    /// # Errors
    /// As for [`add_rss_context`](Control::add_rss_context).
    pub fn change_rss_context(
        &mut self,
        id: u16,
        config: &RssConfig<'_>,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.set_context(rss_ctx::MOD, id, config, &mut patience)
    }

    /// Removes a configuration of steering that was added.
    ///
    /// # Errors
    /// As for [`add_rss_context`](Control::add_rss_context).
    pub fn remove_rss_context(&mut self, id: u16, mut patience: impl Patience) -> Result<(), ControlError> {
        self.check_context(id, &mut patience)?;
        let needed = NetFeatures::RSS_CONTEXT;
        let mut command = self.command(needed, class::RSS_CTX, rss_ctx::DEL, &mut patience)?;
        command.put(&id.to_le_bytes())?;
        command.run(&mut patience)?;
        self.learned.rss_contexts = self.learned.rss_contexts.saturating_sub(1);
        Ok(())
    }

    fn contexts_max(&mut self, patience: &mut dyn Patience) -> Result<u16, ControlError> {
        if let Some(contexts) = self.learned.rss_contexts_max {
            return Ok(contexts);
        }
        let command = self.command(NetFeatures::RSS_CONTEXT, class::RSS_CTX, rss_ctx::CAP_GET, patience)?;
        let contexts = u16::from_le_bytes(command.ask(size_of::<u16>(), patience)?.read(0)?);
        self.learned.rss_contexts_max = Some(contexts);
        Ok(contexts)
    }

    fn check_context(&mut self, id: u16, patience: &mut dyn Patience) -> Result<(), ControlError> {
        let exists = (1..=self.contexts_max(patience)?).contains(&id);
        exists.then_some(()).ok_or(ControlError::InvalidArgument)
    }

    fn set_context(
        &mut self,
        what: u8,
        id: u16,
        config: &RssConfig<'_>,
        patience: &mut dyn Patience,
    ) -> Result<(), ControlError> {
        self.check_context(id, patience)?;
        let mask = self.check_rss(config)?;
        let mut command = self.command(NetFeatures::RSS_CONTEXT, class::RSS_CTX, what, patience)?;
        let start = RssContextStart { rss_ctx_id: id.into(), reserved: Default::default() };
        command.put(start.as_bytes())?;
        put_rss(&mut command, config, mask)?;
        command.run(patience)
    }

    /// Whether the device can steer like this; the mask of the table, if so.
    fn check_rss(&self, config: &RssConfig<'_>) -> Result<u16, ControlError> {
        let &RssConfig { hash_types, table, unclassified_queue, max_transmit_queues, key } = config;
        self.check_hash(hash_types, key)?;
        let is_pair = |pair: &u16| *pair < self.pairs;
        let is_sound = table.len().is_power_of_two()
            && table.len() <= self.description.hash.table_entries_max.into()
            && table.iter().all(is_pair)
            && is_pair(&unclassified_queue)
            && (1..=self.pairs).contains(&max_transmit_queues);
        let mask = table.len().checked_sub(1).and_then(|mask| u16::try_from(mask).ok());
        mask.filter(|_| is_sound).ok_or(ControlError::InvalidArgument)
    }

    /// Whether the device can make such a hash; the length of the key, if so.
    fn check_hash(&self, hash_types: HashTypes, key: &[u8]) -> Result<u8, ControlError> {
        let limits = self.description.hash;
        let length = u8::try_from(key.len()).ok().filter(|length| *length <= limits.key_bytes_max);
        length.filter(|_| limits.hash_types.contains(hash_types)).ok_or(ControlError::InvalidArgument)
    }
}

/// Writes a configuration of steering, which was checked.
fn put_rss<H: Hal>(
    command: &mut Writing<'_, '_, H>,
    config: &RssConfig<'_>,
    mask: u16,
) -> Result<(), ControlError> {
    let &RssConfig { hash_types, table, unclassified_queue, max_transmit_queues, key } = config;
    let start = RssConfigStart {
        hash_types: hash_types.bits().into(),
        indirection_table_mask: mask.into(),
        unclassified_queue: unclassified_queue.into(),
    };
    command.put(start.as_bytes())?;
    for pair in table {
        command.put(&pair.to_le_bytes())?;
    }
    let hash_key_length = u8::try_from(key.len()).map_err(|_| ControlError::InvalidArgument)?;
    let end = RssConfigEnd { max_tx_vq: max_transmit_queues.into(), hash_key_length };
    command.put(end.as_bytes())?;
    command.put(key)
}
