//! The entropy device: random bytes.
//!
//! Spec: §5.4 Entropy Device.
//!
//! Bytes are asked for when somebody wants them, as many as are wanted, one request at a time, into memory of the queue's own. That is cleared before each request, and what was handed out is wiped: no byte is handed
//! out twice, and none that the device did not write. Nothing is fetched ahead. A request that outlives the patience of its caller stays with the device; its bytes are for the next call.
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use virtio_guest::device::entropy::{Entropy, Storage};
//!
//! # fn example(transport: impl Transport, hal: impl Hal, within_a_second: impl Fn() -> virtio_guest::hal::Attempts)
//! #     -> Result<(), Box<dyn core::error::Error>> {
//! let mut storage = Storage::<8>::new(); // or in a static
//! let entropy = Entropy::start(transport, hal, &mut storage, within_a_second());
//! let mut entropy = entropy.map_err(|failed| failed.error)?;
//!
//! let mut seed = [0; 32];
//! entropy.fill_blocking(&mut seed, within_a_second())?;
//! entropy.close(within_a_second()).map_err(|failed| failed.error)?;
//! # Ok(()) }
//! ```
//!
//! A device is slow, and its host may give only so many bytes at a time: whoever needs much randomness seeds a generator with 32 bytes, and again from time to time. With the feature `rand_core`,
//! [`adapter`](crate::adapter)`::Randomness` does that for generators of that crate's kind. Where numbers only have to differ from one boot to the next, eight bytes will do:
//!
//! ```no_run
//! # use virtio_guest::{hal::{Hal, Patience}, transport::Transport};
//! use virtio_guest::device::entropy::{Entropy, EntropyError};
//!
//! /// Where a network stack begins to count its local ports (49152 and up).
//! fn first_port(entropy: &mut Entropy<'_, impl Transport, impl Hal>, patience: impl Patience) -> Result<u16, EntropyError> {
//!     let mut seed = [0; 8];
//!     entropy.fill_blocking(&mut seed, patience)?;
//!     Ok(49152 + (u64::from_le_bytes(seed) % 16384) as u16)
//! }
//! ```

mod driver;
mod end;
mod requests;
mod start;

pub use driver::{Control, Entropy};
pub use end::{CloseFailed, Closed};
pub use requests::EntropyError;
pub use start::{Settings, Slots, StartError, StartFailed, Storage};

pub use crate::wire::entropy::EntropyFeatures;
