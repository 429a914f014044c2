//! The disk: its size, and how its first sectors begin.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt::Write;

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, println};
use virtio_guest::device::block::{Block, HANDLED, SECTOR_BYTES, Sector, Settings, Storage};
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::device_type::DeviceType;

use crate::machine::Problem;

/// Sectors that are shown, and how many bytes of each.
const SECTORS: u64 = 2;
const SHOWN_BYTES: usize = 16;
const PATIENCE_MILLIS: u64 = 5000;

/// A disk that is up.
pub struct Disk {
    disk: Block<'static, Way, Dma>,
    wiring: Wiring,
}

impl Disk {
    /// Brings the first disk up, if there is one.
    pub fn bring_up() -> Result<Option<Self>, String> {
        let Some(mut device) = devices::take_all(DeviceType::BLOCK)?.into_iter().next() else {
            return Ok(None);
        };
        println!("disk at {}", device.place);
        let wiring = device.connect(Interrupts::asked_for()?)?;
        let storage: &'static mut Storage<256> = Box::leak(Box::default());
        let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
        let (wants, patience) = (Wants::features(HANDLED), wiring.patience(PATIENCE_MILLIS));
        let disk = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
        Ok(Some(Self { disk: disk.map_err(|failed| failed.to_string())?, wiring }))
    }

    /// Says how large it is, and what it begins with.
    pub fn describe(&mut self, answer: &mut String) -> Result<(), Problem> {
        let sectors = self.disk.capacity_sectors();
        writeln!(answer, "{sectors} sectors of 512 bytes ({} MiB)", sectors >> 11)?;
        for number in 0..SECTORS.min(sectors) {
            let mut sector = [0; SECTOR_BYTES];
            let patience = self.wiring.patience(PATIENCE_MILLIS);
            self.disk
                .read_blocking(Sector(number), &mut sector, patience)
                .map_err(|error| error.to_string())?;
            write!(answer, "sector {number}:")?;
            let shown = sector.get(..SHOWN_BYTES).unwrap_or(&[]);
            shown.iter().try_for_each(|byte| write!(answer, " {byte:02x}"))?;
            let character = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
            writeln!(answer, "  {}", shown.iter().map(character).collect::<String>())?;
        }
        Ok(())
    }

    /// The way down.
    pub fn take_down(self) -> Result<(), String> {
        let closed = self.disk.close(self.wiring.patience(PATIENCE_MILLIS));
        closed.map(|_| ()).map_err(|failed| failed.error.to_string())
    }
}
