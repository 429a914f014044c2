//! Random numbers from an entropy device: `rand_core`'s `TryRng` and `TryCryptoRng`.
//!
//! Crate `rand_core` 0.10. Each number is a request to the device, which takes its time: seed a generator with it, and take numbers from that.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use rand_core::{Rng, SeedableRng};
//! use virtio_guest::adapter::Randomness;
//! # use virtio_guest::device::entropy::{Entropy, EntropyError};
//!
//! /// Where a network stack begins to count its local ports (49152 and up), with a generator of the kernel's choice.
//! fn first_port<G: Rng + SeedableRng>(entropy: Entropy<'_, impl Transport, impl Hal>) -> Result<u16, EntropyError> {
//!     let within_a_second = || Attempts(1_000_000); // or a deadline
//!     let mut generator = G::try_from_rng(&mut Randomness::new(entropy, within_a_second))?;
//!     Ok(49152 + (generator.next_u32() % 16384) as u16)
//! }
//! ```

use core::fmt;

use rand_core::{TryCryptoRng, TryRng, utils};

use crate::device::entropy::{Entropy, EntropyError};
use crate::hal::{Hal, Patience};
use crate::transport::Transport;

/// An entropy device as a source of random numbers. Each call waits as long as what `patience` makes for it.
pub struct Randomness<'s, T: Transport, H: Hal, M> {
    entropy: Entropy<'s, T, H>,
    patience: M,
}

impl<'s, T: Transport, H: Hal, W: Patience, M: FnMut() -> W> Randomness<'s, T, H, M> {
    /// Wraps an entropy device.
    pub const fn new(entropy: Entropy<'s, T, H>, patience: M) -> Self {
        Self { entropy, patience }
    }

    /// The device, for calls of its own.
    pub const fn entropy(&mut self) -> &mut Entropy<'s, T, H> {
        &mut self.entropy
    }

    /// The device itself.
    pub fn into_entropy(self) -> Entropy<'s, T, H> {
        self.entropy
    }
}

impl<T: Transport, H: Hal, W: Patience, M: FnMut() -> W> TryRng for Randomness<'_, T, H, M> {
    type Error = EntropyError;

    fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
        utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
        utils::next_word_via_fill(self)
    }

    /// All of `into`, or zeros and an error.
    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), EntropyError> {
        self.entropy.fill_blocking(into, (self.patience)())
    }
}

// The device is there for high-quality randomness (§5.4). What its host makes of that, no driver can tell.
impl<T: Transport, H: Hal, W: Patience, M: FnMut() -> W> TryCryptoRng for Randomness<'_, T, H, M> {}

impl<T: Transport, H: Hal, M> fmt::Debug for Randomness<'_, T, H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").field("entropy", &self.entropy).finish_non_exhaustive()
    }
}
