//! The entropy device: random bytes, asked for when somebody wants them.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt::Write;

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, println};
use virtio_guest::device::entropy::{Entropy, Settings, Storage};

use crate::machine::Problem;

const PATIENCE_MILLIS: u64 = 5000;

/// An entropy device that is up.
pub struct Random {
    entropy: Entropy<'static, Way, Dma>,
    wiring: Wiring,
}

impl Random {
    /// Brings the first one up, if there is one.
    pub fn bring_up() -> Result<Option<Self>, String> {
        let Some(mut device) = devices::take_entropy()? else { return Ok(None) };
        println!("entropy at {}", device.place);
        let wiring = device.connect(Interrupts::asked_for()?)?;
        let storage: &'static mut Storage<8> = Box::leak(Box::default());
        let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
        let patience = wiring.patience(PATIENCE_MILLIS);
        let entropy = Entropy::start_with(device.transport, DMA, storage, &settings, patience);
        Ok(Some(Self { entropy: entropy.map_err(|failed| failed.to_string())?, wiring }))
    }

    /// Says what it gave.
    pub fn describe(&mut self, answer: &mut String) -> Result<(), Problem> {
        let mut bytes = [0; 16];
        let patience = self.wiring.patience(PATIENCE_MILLIS);
        self.entropy.fill_blocking(&mut bytes, patience).map_err(|error| error.to_string())?;
        bytes.iter().try_for_each(|byte| write!(answer, "{byte:02x}"))?;
        writeln!(answer)?;
        Ok(())
    }

    /// The way down.
    pub fn take_down(self) -> Result<(), String> {
        let closed = self.entropy.close(self.wiring.patience(PATIENCE_MILLIS));
        closed.map(|_| ()).map_err(|failed| failed.error.to_string())
    }
}
