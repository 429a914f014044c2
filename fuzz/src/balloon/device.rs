//! The balloon: the model's, and what the fuzzer has it do.
//!
//! Spec: §5.5.6 Device Operation. Whatever a device wants, and whatever length it says of a used buffer, leaves the driver nothing to do wrong; lies about ids and indices make it a different driver to the model, whose complaints
//! do not count from then on.

use virtio_model::Balloon;
use virtio_model::balloon::BalloonQueue;
use virtio_model::block::{Order, WrittenLen};
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::Completion;
use virtio_test_hal::TestHal;

use crate::script::Script;

const QUEUES: [BalloonQueue; 5] = [
    BalloonQueue::Inflate,
    BalloonQueue::Deflate,
    BalloonQueue::Statistics,
    BalloonQueue::FreePages,
    BalloonQueue::Reporting,
];

/// See the module's head.
pub(crate) struct Device {
    pub(crate) balloon: Balloon,
    pub(crate) registers: MmioDevice,
    /// Whether the driver is past bring-up, so that the device may be lost.
    pub(crate) is_up: bool,
    /// Whether it does something before its configuration is read, too.
    pub(crate) meddles: bool,
    /// Whether it needs a reset, or is gone, or answers none.
    pub(crate) is_lost: bool,
    /// Whether it has told a lie about a length.
    pub(crate) lied_about_lengths: bool,
    /// Whether it has told a lie about ids or indices.
    pub(crate) is_forged: bool,
}

/// A number that may be any; most are small.
fn number(script: &mut Script) -> u32 {
    let [kind, low, high] = [(); 3].map(|()| script.decision());
    match kind % 8 {
        0..6 => u32::from(low) % 64,
        6 => u32::from(low) | u32::from(high) << 24,
        _ => u32::MAX - u32::from(low),
    }
}

impl Device {
    pub(crate) fn new(balloon: Balloon, registers: MmioDevice) -> Self {
        Self {
            balloon,
            registers,
            is_up: false,
            meddles: false,
            is_lost: false,
            lied_about_lengths: false,
            is_forged: false,
        }
    }

    /// Does what a decision says; 0 is to do all the work that there is.
    pub(crate) fn act(&mut self, decision: u8, script: &mut Script, hal: &TestHal) {
        let device = self.registers.device();
        match decision {
            0..0x40 => drop(self.balloon.serve(device, &hal.space)),
            0x40..0x50 => {}
            0x50..0x70 => self.balloon.set_target(device, number(script)),
            0x70..0x78 => drop(self.balloon.start_hinting(device)),
            0x78..0x7c => self.balloon.stop_hinting(device),
            0x7c..0x80 => self.balloon.end_hinting(device),
            0x80..0x88 => self.balloon.set_hint_command(device, number(script)),
            0x88..0x90 => self.balloon.ask_for_statistics(),
            0x90..0x98 => self.balloon.hold(),
            0x98..0xa0 => self.balloon.release(1 + usize::from(decision % 4)),
            0xa0..0xa8 => self.balloon.release_all(),
            0xa8..0xb0 => self.balloon.hold_queue(QUEUES[usize::from(decision) % QUEUES.len()]),
            0xb0..0xb4 => self.balloon.complete_in(Order::Reverse),
            0xb4..0xb8 => self.balloon.suppress_notifications(decision & 1 == 0),
            0xb8..0xc0 => self.meddles = decision & 1 == 0,
            _ => self.lie(decision, script, hal),
        }
    }

    fn lie(&mut self, decision: u8, script: &mut Script, hal: &TestHal) {
        let device = self.registers.device();
        match decision {
            0xc0..0xd0 => {
                self.lied_about_lengths = true;
                let [kind, bytes] = [script.decision(), script.decision()];
                self.balloon.misbehave(|lies| {
                    lies.only = QUEUES.get(usize::from(kind >> 1)).copied();
                    lies.written = match kind & 1 {
                        0 => WrittenLen::Honest,
                        _ => WrittenLen::Exactly(u32::from(bytes) << (decision % 16)),
                    };
                });
            }
            0xd0..0xd4 => self.balloon.misbehave(|lies| lies.floods_statistics = decision & 1 == 0),
            0xd4..0xe0 if self.is_up => {
                self.is_lost = true;
                match decision % 4 {
                    0 => device.set_needs_reset(),
                    1 => device.misbehave(|lies| lies.all_ones = true),
                    _ => device.misbehave(|lies| lies.reset = Completion::Never),
                }
            }
            0xe0..=0xff => {
                self.is_forged = true;
                self.forge(decision, script, hal);
            }
            _ => {}
        }
    }

    /// Lies about ids and indices.
    fn forge(&self, decision: u8, script: &mut Script, hal: &TestHal) {
        let [queue, place, id, len] = [(); 4].map(|()| script.decision());
        let queue = QUEUES[usize::from(queue) % QUEUES.len()];
        let (place, id) = (u16::from(place) % 64, u16::from(id) % 64);
        if decision < 0xe8 {
            self.balloon.misbehave(|lies| {
                lies.used_id = (decision & 1 == 0).then_some(id.into());
                lies.only = Some(queue);
            });
            return;
        }
        let device = self.registers.device();
        let _ = self.balloon.with_queue(device, &hal.space, queue, |queue| {
            if queue.is_packed() {
                queue.packed().put_used(place % 16, id, len.into(), 0x8080)
            } else if decision & 4 == 0 {
                queue.split().set_used_idx(place)
            } else {
                queue.split().put_used_element(place, id.into(), len.into()).map(drop)
            }
        });
    }

    /// The device is itself again, as far as a reset goes.
    pub(crate) fn heal(&mut self) {
        self.registers.device().misbehave(|lies| {
            lies.all_ones = false;
            lies.reset = Completion::Prompt;
        });
        self.is_up = false;
    }
}
