//! A disk's bring-up with one back-end, with a queue for each lane.

use std::time::Instant;

use virtio_guest::device::block::{self, Control, Slots, Starting};
use virtio_guest::hal::DmaBuffer;
use virtio_guest::lifecycle::ResetError;
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::wire::device_type::DeviceType;

use super::alive::{Device, Driver};
use super::back_end::BackEnd;
use super::disk::DiskSettings;
use super::disk_lane::RequestLane;
use super::trouble::Trouble;
use super::watch::Watch;
use crate::patience::{Until, deadline};
use crate::{SharedMemory, Vector, VhostUser};

impl Driver for Control<'static, VhostUser> {
    const NAME: &'static str = "disk";

    fn take_down(self, patience: Until) -> Result<ConfirmedReset, (ResetError, Self)> {
        let down = self.take_down(patience).map_err(|failed| (failed.error, failed.control))?;
        Ok(down.reset)
    }
}

/// Connects, and brings a disk up with a queue for each lane; or, if there is none yet, with as many as there are. Nothing is sent yet.
pub(super) fn bring_up<B: DmaBuffer>(
    back_end: &BackEnd,
    memory: &SharedMemory,
    settings: &DiskSettings,
    lanes: &mut Vec<RequestLane<B>>,
    end: Option<Instant>,
) -> Result<Device<Control<'static, VhostUser>>, Trouble> {
    let transport = back_end.connect(DeviceType::BLOCK, memory, &settings.front_end, end)?;
    let watch = Watch::new(transport.link());
    let limit = settings.front_end.answer_limit;
    let patience = || Until::time(end.unwrap_or_else(|| deadline(limit)));
    let wanted = if lanes.is_empty() { settings.queues.max(1) } else { count(lanes.len()) };
    let vectors: Vec<Vector> = (0..=wanted).filter_map(|vector| transport.vector(vector)).collect();
    let of_driver = block::Settings {
        queues_max: wanted,
        // Nobody's bytes are copied here.
        request_bytes: 512,
        notifications: settings.front_end.interrupts,
        ..block::Settings::default()
    };
    let mut starting = Starting::begin(transport, &of_driver, settings.wants, patience())?;
    if lanes.is_empty() {
        lanes.resize_with(starting.queues().into(), RequestLane::new);
    } else if starting.queues() < wanted {
        return Err(Trouble::Queues { there: starting.queues(), wanted });
    }
    let mut installed = Vec::new();
    for _ in lanes.iter() {
        match starting.install_queue(&memory.hal(), Slots::allocate(settings.descriptors)) {
            Ok(queue) => installed.push(queue),
            Err(failed) => {
                // If it does not let itself be reset, memory of these queues is leaked.
                if let Ok(reset) = starting.give_up(patience()) {
                    for queue in installed {
                        drop(queue.reclaim(&reset));
                    }
                }
                return Err(failed.error.into());
            }
        }
    }
    let control = starting.start();
    for (lane, queue) in lanes.iter_mut().zip(installed) {
        lane.put_up(control.activate(queue));
    }
    Ok(Device { control, watch, vectors })
}

fn count(lanes: usize) -> u16 {
    u16::try_from(lanes).unwrap_or(u16::MAX)
}
