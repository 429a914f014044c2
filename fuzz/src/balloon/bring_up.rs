//! A balloon comes up, with whatever it offers.
//!
//! Spec: §5.5.5 Device Initialization. The first bytes of an input are what the device offers and how its driver is set.

use virtio_guest::device::balloon::{
    HANDLED, HintSlots, HintStorage, IdleHints, IdleReports, ReportSlots, ReportStorage, Settings, Slots,
    Starting, Storage,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_model::Balloon;
use virtio_model::mmio::MmioDevice;
use virtio_test_hal::TestHal;

use super::device::Device;
use super::kernel::{BLOCKS, Block, Kernel, Page};
use super::life::Life;
use super::world::{self, detail, patience};
use crate::script::Script;

/// Descriptors of a queue.
const DESCRIPTORS: usize = 16;
/// Pages that there is room for: fewer than the kernel has.
const ROOM: usize = 16;
/// A memory balloon.
const DEVICE_TYPE: u32 = 5;

/// Ring features: events, indirect tables, packed rings, order.
const COMMON: [u32; 4] = [29, 28, 34, 35];

/// Lives once, as `bytes` say. Panics if a promise is broken.
pub fn balloon(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [common, own, size] = [(); 3].map(|()| script.detail());
    let bits = COMMON.iter().enumerate().filter(|(bit, _)| common & 1 << bit != 0);
    let ring = bits.fold(0u128, |set, (_, feature)| set | 1 << feature);
    let model = Balloon::new().with_features(u128::from(own & 0x3f));
    let model = if own & 0x40 == 0 { model } else { model.with_compacted_queues() };
    let model = if own & 0x80 == 0 { model.keeping_contents() } else { model };
    let offered = model.features() & !(1 << 28 | 1 << 29) | ring;
    let device = model.builder().features(offered).build();
    let is_legacy = common & 0x80 != 0;
    let registers = if is_legacy {
        MmioDevice::legacy(device, DEVICE_TYPE)
    } else {
        MmioDevice::new(device, DEVICE_TYPE)
    };
    let (hal, transport) = world::begin(script, Device::new(model, registers));
    if is_legacy {
        hal.put_memory_at(1 << 32);
    }
    let mut kernel = Kernel::new();
    live(&hal, transport, size, &mut kernel);
    kernel.assert_all_is_back();
    world::end();
}

fn live(hal: &TestHal, transport: MmioTransport, size: u8, kernel: &mut Kernel) {
    let mut storage = Storage::<Page, ROOM, DESCRIPTORS>::new();
    let mut hint_storage = HintStorage::<TestHal, Block, { BLOCKS - 2 }, DESCRIPTORS>::new();
    let mut report_storage = ReportStorage::<TestHal, Block, DESCRIPTORS>::new();
    let settings = Settings {
        burst_frames: [0, 1, 3, 8, 20, 512, 4, 5][usize::from(size) % 8],
        poison: (size & 8 == 0).then_some(0xaaaa_aaaa),
        queue_size_max: if size & 0x10 == 0 { 16 } else { 2 },
        notifications: size & 0x20 == 0,
        drop_attempts: Attempts(3),
    };
    if size & 0x40 != 0 {
        hal.limit_allocations(usize::from(detail() % 8));
    }
    let Ok(mut starting) = Starting::begin(transport, &settings, Wants::features(HANDLED), patience(4))
    else {
        return;
    };
    let hints = starting.install_hints(hal, HintSlots::from(&mut hint_storage)).ok();
    let reports = starting.install_reports(hal, ReportSlots::from(&mut report_storage)).ok();
    if size & 0xc0 == 0xc0 {
        let reset = starting.give_up(patience(4)).unwrap_or_else(|error| panic!("{error}"));
        return give_back(&reset, hints, reports);
    }
    match starting.start(hal, Slots::from(&mut storage)) {
        Ok(balloon) => {
            world::with(|world| world.device.is_up = true);
            let hints = hints.map(|idle| balloon.activate_hints(idle));
            let reports = reports.map(|idle| balloon.activate_reports(idle));
            Life::new(balloon, hints, reports, kernel, size & 8 == 0).run();
        }
        Err(failed) => {
            let reset = failed.reset.expect("the device lets itself be reset");
            give_back(&reset, hints, reports);
        }
    }
}

/// Queues that were never used give their memory back.
fn give_back(
    reset: &ConfirmedReset,
    hints: Option<IdleHints<'_, TestHal, Block>>,
    reports: Option<IdleReports<'_, TestHal, Block>>,
) {
    assert!(hints.is_none_or(|hints| hints.reclaim(reset).is_ok()), "the queue's own reset");
    assert!(reports.is_none_or(|reports| reports.reclaim(reset).is_ok()), "the queue's own reset");
}
