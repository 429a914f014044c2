//! A device's life: from reset to DRIVER_OK, and down again from every rung.
//!
//! Spec: §3.1 Device Initialization, §2.4 Device Reset. Each step is a type that offers only what is legal then; a step that fails, or is dropped,
//! sets FAILED where that is due and resets the device. The same steps serve device types that this crate has no driver for.
//!
//! ```text
//!   Negotiating::begin      reset, wait for status 0, ACKNOWLEDGE, DRIVER      read configuration
//!        │ negotiate        features written, FEATURES_OK, read back
//!        ▼
//!   Installing              install_queue, as often as needed                  read and write configuration
//!        │ start            DRIVER_OK
//!        ▼
//!   Running                 activate: queues are live; configuration; status
//!        │                  park, suspend: Suspended, which resumes
//!        │ reset            status 0 seen: ConfirmedReset
//!        ▼
//!   the transport again, and a proof with which queues give their memory and buffers back
//! ```
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::lifecycle::{Negotiating, Wants};
//! use virtio_guest::raw::Tag;
//! use virtio_guest::ring::{QueueSettings, Storage};
//! # use virtio_guest::wire::block::BlockFeatures as WatchdogFeatures;
//! # fn bring_up(transport: impl Transport, hal: &impl Hal) -> Result<(), Box<dyn core::error::Error>> {
//! let device = Negotiating::begin(transport, Attempts(100_000))?;
//! let mut device = device.negotiate(Wants::<WatchdogFeatures>::none())?;
//! let mut storage = Storage::<Tag<u32>, 16>::new();
//! let settings = QueueSettings { size_max: 16, indirect_segments: 0, memory_bytes: 64 };
//! let queue = device.install_queue(0, hal, &settings, &mut storage).map_err(|failed| failed.error)?;
//! let device = device.start();
//! let mut queue = device.activate(queue);
//! // ... queue.make_available(...), queue.publish(), queue.take_used() ... and at the end:
//! let (transport, reset) = device.reset(Attempts(100_000)).map_err(|failed| failed.error)?;
//! drop(queue.reclaim(&reset));
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod condition;
mod config;
mod control_half;
mod install;
mod interrupts;
mod ladder;
mod negotiate;
mod parking;
mod queue_reset;
mod queues;
mod running;
mod suspend;
mod vectors;

pub use condition::Condition;
pub(crate) use config::write as write_config;
pub use config::{Config, ConfigError, Fields};
pub(crate) use control_half::settle;
pub use control_half::{ControlHalf, Down, DownFailed};
pub use install::{InstallError, InstallFailed};
pub use interrupts::{
    HandlerStillRunning, Interrupt, Interrupts, QueueSignal, Signals, SignalsInUse, SignalsRef,
};
pub use ladder::{Negotiating, ResetError};
pub use negotiate::{NegotiateError, NegotiatedFeatures, OfferedFeatures, Wants};
pub use queue_reset::{QueueResetError, QueueResetFailed, ReinstallFailed, ResetQueue, Vacancy};
pub use queues::Installing;
pub use running::{ResetFailed, Running};
pub use suspend::{
    ResumeFailed, SuspendFailed, SuspendNotConfirmed, SuspendRefused, Suspended, Suspending, Unconfirmed,
};
pub use vectors::VectorRouting;
