//! The driver: `no_std` but for its neighbours, and as safe against its device as the library's own.

use bitflags::bitflags;
use virtio_guest::hal::{Hal, Patience};
use virtio_guest::lifecycle::{
    ConfigError, InstallError, NegotiateError, Negotiating, ResetError, Running, Wants,
};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{self, Broken, Chain, Portion, QueueSettings, Virtqueue};
use virtio_guest::transport::Transport;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::DeviceFeatures;
use virtio_guest::wire::field::Field;

// What a page of the specification would say.

/// A type that nobody else has.
pub const DEVICE_TYPE: DeviceType = DeviceType(63);

bitflags! {
    /// The device's own feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CalculatorFeatures: u128 {
        /// The configuration says how many numbers it adds at most.
        const LIMIT = 1 << 0;
    }
}

impl DeviceFeatures for CalculatorFeatures {}

/// The configuration's only field, with `LIMIT`: how many numbers a chain may have.
const TERMS_MAX: Field<u32> = Field::at(0);

// What the driver chooses.

/// As many numbers as the driver has memory for, behind the sum.
const TERMS: u32 = 16;
const SUM: Portion = Portion { offset: 0, len: 8 };
const NUMBERS: u32 = 8;
const NUMBER_BYTES: u32 = 4;

/// What the driver keeps in memory of its own. The number of a request is handed in with its chain, and comes back with it.
pub type Storage = ring::Storage<Tag<u32>, 8>;

/// Why a calculator could not be brought up. It was reset, if it is one.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("device type {0:?} is no calculator")]
    NotACalculator(DeviceType),
    #[error(transparent)]
    Reset(#[from] ResetError),
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Queue(#[from] InstallError),
}

/// Why there is no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    #[error("the device adds at most {at_most} numbers")]
    TooMany { at_most: u32 },
    #[error("the device did not answer in time")]
    TimedOut,
    #[error("the device wrote less than a sum")]
    Cut,
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// A calculator that is up.
#[derive(Debug)]
pub struct Calculator<'s, T: Transport, H: Hal> {
    device: Running<T, CalculatorFeatures>,
    queue: Virtqueue<'s, H, Tag<u32>>,
    terms_max: u32,
    /// The last request's number.
    request: u32,
}

impl<'s, T: Transport, H: Hal> Calculator<'s, T, H> {
    /// The steps of §3.1.1; whichever fails, or is dropped, resets the device.
    pub fn start(
        transport: T,
        hal: &H,
        storage: &'s mut Storage,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        if transport.device_type() != DEVICE_TYPE {
            return Err(StartError::NotACalculator(transport.device_type()));
        }
        let device = Negotiating::begin(transport, patience)?;
        let mut device = device.negotiate(Wants::features(CalculatorFeatures::LIMIT))?;
        // What a device says is brought into bounds once, where it is read.
        let has_limit = device.features().device.contains(CalculatorFeatures::LIMIT);
        let terms_max = if has_limit { device.config().read(TERMS_MAX)?.min(TERMS) } else { TERMS };
        let memory_bytes = (NUMBERS + TERMS * NUMBER_BYTES) as usize;
        let settings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes };
        let queue = device.install_queue(0, hal, &settings, storage).map_err(|failed| failed.error)?;
        let device = device.start();
        let queue = device.activate(queue);
        Ok(Self { device, queue, terms_max, request: 0 })
    }

    /// How many numbers it adds at most.
    pub fn terms_max(&self) -> u32 {
        self.terms_max
    }

    /// Has the device add numbers, and waits for it.
    pub fn sum(&mut self, numbers: &[u32], mut patience: impl Patience) -> Result<u64, SumError> {
        let at_most = self.terms_max;
        let count = u32::try_from(numbers.len()).ok().filter(|count| *count <= at_most);
        let count = count.ok_or(SumError::TooMany { at_most })?;
        // The memory is one request's at a time: one that came too late has to be back before the next goes out.
        while self.queue.in_flight() > 0 {
            if self.queue.take_used()?.is_none() && !patience.keep_waiting() {
                return Err(SumError::TimedOut);
            }
        }
        self.request = self.request.wrapping_add(1);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        // Both are inside of the memory, which was asked for at bring-up.
        let _ = self.queue.write_memory(NUMBERS as usize, &bytes);
        let readable = [Portion { offset: NUMBERS, len: count * NUMBER_BYTES }];
        let readable = if count > 0 { &readable[..] } else { &[] };
        let chain = Chain { readable, writable: &[SUM] };
        if self.queue.make_available(chain, Tag(self.request)).is_ok() {
            self.queue.publish();
        }
        loop {
            if let Some(used) = self.queue.take_used()?
                && used.payload.0 == self.request
            {
                if used.written_len < SUM.len {
                    return Err(SumError::Cut);
                }
                let mut sum = [0; SUM.len as usize];
                let _ = self.queue.read_memory(SUM.offset as usize, &mut sum);
                return Ok(u64::from_le_bytes(sum));
            }
            if !patience.keep_waiting() {
                return Err(SumError::TimedOut);
            }
        }
    }

    /// Resets the device; then the queue may give back its memory.
    pub fn close(self, patience: impl Patience) -> Result<(), ResetError> {
        let (_, reset) = self.device.reset(patience).map_err(|failed| failed.error)?;
        drop(self.queue.reclaim(&reset));
        Ok(())
    }
}
