//! Numbers that nobody else can guess: from an entropy device, if there is one.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::{DMA, clock, devices, println};
use virtio_guest::device::entropy::{Entropy, Storage};

/// What the stack begins with.
pub struct Random {
    /// For the stack's own generator, which makes sequence numbers.
    pub seed: u64,
    /// What this machine's pings are known by, as connections are by their ports.
    pub identifier: u16,
}

/// Asks the device; without one the clock has to do, which others can guess.
pub fn numbers() -> Result<Random, String> {
    let Some(device) = devices::take_entropy()? else {
        println!("random numbers: from the clock, for there is no entropy device");
        let now = clock::now();
        let seed = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        return Ok(Random { seed, identifier: 0x7667 });
    };
    let storage: &'static mut Storage = Box::leak(Box::default());
    let within_a_second = || clock::within_millis(1000);
    let entropy = Entropy::start(device.transport, DMA, storage, within_a_second());
    let mut entropy = entropy.map_err(|failed| failed.to_string())?;
    let (mut seed, mut identifier) = ([0; 8], [0; 2]);
    for bytes in [seed.as_mut_slice(), &mut identifier] {
        entropy.fill_blocking(bytes, within_a_second()).map_err(|error| error.to_string())?;
    }
    entropy.close(within_a_second()).map_err(|failed| failed.to_string())?;
    println!("random numbers: from the entropy device at {}", device.place);
    Ok(Random { seed: u64::from_le_bytes(seed), identifier: u16::from_le_bytes(identifier) })
}
