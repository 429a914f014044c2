//! The network card: who it is, and what went through it. Nobody here wants the frames; they are counted and dropped.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt::Write;

use example_platform::devices::{self, Way};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::net::{FramePool, Net, PLAIN, PoolSettings, Settings, Storage};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolStorage;
use virtio_guest::wire::device_type::DeviceType;

use crate::machine::Problem;

/// Descriptors of each queue, and frames: more than both queues hold at once.
const DESCRIPTORS: usize = 256;
const FRAMES: usize = 1024;
const PATIENCE_MILLIS: u64 = 5000;

/// A card that is up. It does not interrupt: it is looked at when somebody asks.
pub struct Card(Net<'static, Way, Dma>);

impl Card {
    /// Brings the first card up, if there is one.
    pub fn bring_up() -> Result<Option<Self>, String> {
        let Some(device) = devices::take_all(DeviceType::NETWORK)?.into_iter().next() else {
            return Ok(None);
        };
        println!("card at {}", device.place);
        let frames: &'static mut PoolStorage<FRAMES> = Box::leak(Box::default());
        let pool =
            FramePool::new(&DMA, frames, PoolSettings::default()).map_err(|error| error.to_string())?;
        let pool: &'static FramePool<'static, Dma> = Box::leak(Box::new(pool));
        let supply = pool.supply().ok_or("the pool's supply is taken")?;
        let storage: &'static mut Storage<'static, Dma, DESCRIPTORS> = Box::leak(Box::default());
        let (settings, wants) = (Settings::default(), Wants::features(PLAIN));
        let patience = clock::within_millis(PATIENCE_MILLIS);
        let card = Net::start_with(device.transport, DMA, storage, supply, &settings, wants, patience);
        Ok(Some(Self(card.map_err(|failed| failed.to_string())?)))
    }

    /// Takes what came, and says what it was.
    pub fn describe(&mut self, answer: &mut String) -> Result<(), Problem> {
        // No more than fit into the ring: more may come all the time.
        for _ in 0..DESCRIPTORS {
            if self.0.receive().map_err(|broken| broken.to_string())?.is_none() {
                break;
            }
        }
        let (control, receive, transmit) = self.0.parts();
        let mac = control.mac().map(|byte| alloc::format!("{byte:02x}")).join(":");
        let link = control.link().map_err(|error| error.to_string())?;
        writeln!(answer, "address {mac}, link {}", if link.is_up { "up" } else { "down" })?;
        let (counts, sent) = (receive.counts(), transmit.statistics().chains);
        writeln!(answer, "received {} frames ({} malformed), sent {sent}", counts.frames, counts.malformed)?;
        Ok(())
    }

    /// The way down.
    pub fn take_down(self) -> Result<(), String> {
        let closed = self.0.close(clock::within_millis(PATIENCE_MILLIS));
        closed.map(|_| ()).map_err(|failed| failed.error.to_string())
    }
}
