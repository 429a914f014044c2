//! Judging what a driver sends and supplies.
//!
//! Spec: §5.3.6.1 Driver Requirements: Device Operation, §5.3.6.2.2 Driver Requirements: Multiport Device Operation,
//! §5.3.6.4 Legacy Interface: Framing Requirements.

use super::message;
use super::numbers::{event, feature};
use super::state::State;
use crate::chain::Chain;
use crate::pci::PciDevice;

const VERSION_1: u32 = 32;
const MESSAGE_BYTES: usize = 8;

type Judgement = Result<(), String>;

fn expect(is_fine: bool, complaint: impl FnOnce() -> String) -> Judgement {
    if is_fine { Ok(()) } else { Err(complaint()) }
}

/// Says what is wrong with a buffer to receive into, if anything.
pub(super) fn judge_receive(chain: &Chain) -> Judgement {
    expect(chain.readable_bytes() == 0, || "a receive buffer with readable bytes".into())
}

/// Says what is wrong with a buffer to transmit, if anything.
pub(super) fn judge_transmit(chain: &Chain) -> Judgement {
    expect(chain.writable_bytes() == 0, || "a transmitted buffer with writable bytes".into())
}

/// Says what is wrong with how a control buffer is cut, if anything.
pub(super) fn judge_control_framing(device: &PciDevice, chain: &Chain) -> Judgement {
    let is_free = device.negotiated_features() & (1 << VERSION_1 | 1 << feature::ANY_LAYOUT) != 0;
    let count = chain.segments.len();
    expect(is_free || count == 1, || format!("a control buffer of {count} descriptors"))
}

impl State {
    /// Says what is wrong with a message of the driver, if anything; what it was told, and has answered now, is noted.
    ///
    /// A message may be about a port that is gone: the driver did not know that when it sent it.
    pub(super) fn judge_message(&mut self, bytes: &[u8]) -> Judgement {
        let Some((id, event, value)) = message::numbers(bytes) else {
            return Err(format!("a message of {} bytes", bytes.len()));
        };
        expect(bytes.len() == MESSAGE_BYTES, || format!("a message of {} bytes", bytes.len()))?;
        if event == event::DEVICE_READY {
            expect(self.driver_is_ready.is_none(), || "DEVICE_READY sent again".into())?;
            return expect(value <= 1, || format!("DEVICE_READY of value {value}"));
        }
        expect(self.driver_is_ready.is_some(), || format!("event {event} sent before DEVICE_READY"))?;
        let is_drivers = matches!(event, event::PORT_READY | event::PORT_OPEN);
        expect(is_drivers, || format!("event {event} sent by the driver"))?;
        expect(value <= 1, || format!("event {event} of value {value}"))?;
        let Some(told) = self.told.get_mut(&id).filter(|told| told.adds != 0) else {
            return Err(format!("event {event} for port {id}, which was not added"));
        };
        if event == event::PORT_READY {
            told.readies += 1;
            told.was_ready |= value == 1;
            return expect(told.readies <= told.adds, || format!("PORT_READY for port {id} sent again"));
        }
        expect(told.was_ready, || format!("PORT_OPEN for port {id} before it is ready"))?;
        // That it is closed may have been on its way before: the answer is still to come.
        told.owes_open &= value != 1;
        Ok(())
    }
}
