//! A card's bring-up with one back-end.
//!
//! With a pair of queues for each supply of frames.

use std::time::Instant;

use virtio_guest::device::net::{
    self, Control, ControlSlots, PairFailed, PairSlots, ReclaimedPair, Starting,
};
use virtio_guest::lifecycle::ResetError;
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::net::NetFeatures;

use super::alive::{Device, Driver};
use super::back_end::BackEnd;
use super::card::CardSettings;
use super::card_pair::Pair;
use super::trouble::Trouble;
use super::watch::Watch;
use crate::memory::SharedHal;
use crate::patience::{Until, deadline};
use crate::{SharedMemory, Vector, VhostUser};

/// Descriptors of a control queue.
const CONTROL_DESCRIPTORS: u16 = 64;

impl Driver for Control<'_, VhostUser, SharedHal> {
    const NAME: &'static str = "card";

    fn use_all(&mut self, pairs: usize, patience: Until) -> Result<(), Trouble> {
        if pairs < 2 {
            return Ok(());
        }
        self.set_pairs(count(pairs), patience).map_err(Trouble::Pairs)
    }

    fn take_down(self, patience: Until) -> Result<ConfirmedReset, (ResetError, Self)> {
        let down = self.take_down(patience).map_err(|failed| (failed.error, failed.control))?;
        Ok(down.reset)
    }
}

/// Connects, and brings a card up with a pair of queues for each of these.
pub(super) fn bring_up<'p>(
    back_end: &BackEnd,
    memory: &SharedMemory,
    settings: &CardSettings,
    pairs: &mut [Pair<'p>],
    end: Option<Instant>,
) -> Result<Device<Control<'p, VhostUser, SharedHal>>, Trouble> {
    let transport = back_end.connect(DeviceType::NETWORK, memory, &settings.front_end, end)?;
    let watch = Watch::new(transport.link());
    let wanted = count(pairs.len()).max(1);
    // The configuration's, and those of the receive queues.
    let vectors = (0..wanted).map(|pair| 1 + 2 * pair);
    let vectors: Vec<Vector> =
        [0].into_iter().chain(vectors).filter_map(|vector| transport.vector(vector)).collect();
    let (limit, hal) = (settings.front_end.answer_limit, memory.hal());
    let patience = || Until::time(end.unwrap_or_else(|| deadline(limit)));
    let of_driver = net::Settings {
        pairs_max: wanted,
        queue_size_max: settings.descriptors,
        notifications: settings.front_end.interrupts,
        ..net::Settings::default()
    };
    let mut starting = Starting::begin(transport, &of_driver, settings.wants, patience())?;
    if starting.pairs() < wanted {
        return Err(Trouble::Queues { there: starting.pairs(), wanted });
    }
    let mut installed = Vec::new();
    let mut trouble = None;
    for pair in pairs.iter_mut() {
        let Some(supply) = pair.take_supply() else {
            trouble = Some(Trouble::NoSupply);
            break;
        };
        match starting.install_pair(&hal, PairSlots::allocate(settings.descriptors), supply) {
            Ok(queues) => installed.push(queues),
            Err(PairFailed { error, supply, .. }) => {
                pair.put_supply(supply);
                trouble = Some(error.into());
                break;
            }
        }
    }
    if trouble.is_none()
        && starting.features().contains(NetFeatures::CTRL_VQ)
        && let Err(failed) = starting.install_control(&hal, ControlSlots::allocate(CONTROL_DESCRIPTORS))
    {
        trouble = Some(failed.error.into());
    }
    if let Some(trouble) = trouble {
        // If it does not let itself be reset, what these queues were made of is lost.
        if let Ok(reset) = starting.give_up(patience()) {
            for (pair, queues) in pairs.iter_mut().zip(installed) {
                if let Ok(ReclaimedPair { supply, .. }) = queues.reclaim(&reset) {
                    pair.put_supply(supply);
                }
            }
        }
        return Err(trouble);
    }
    let control = starting.start();
    for (pair, queues) in pairs.iter_mut().zip(installed) {
        let (receive, transmit) = control.activate(queues);
        pair.put_up(receive, transmit);
    }
    Ok(Device { control, watch, vectors })
}

fn count(pairs: usize) -> u16 {
    u16::try_from(pairs).unwrap_or(u16::MAX)
}
