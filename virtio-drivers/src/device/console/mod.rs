//! The console: streams of bytes between guest and host, one for each port.
//!
//! Spec: §5.3 Console Device.
//!
//! ```text
//!   port 0     queue 0 ◀── what comes      queue 1 ──▶ what goes        a console, as a rule; always there
//!   control    queue 2 ◀── messages        queue 3 ──▶ messages         only with MULTIPORT: ports come, go, have names, are opened and closed
//!   port i     queue 2i + 2 ◀──            queue 2i + 3 ──▶             consoles, or for whatever both sides agree on
//! ```
//!
//! Bytes are gathered in buffers on their way out, and go when one is full, or at a flush. Nothing is lost on either side: where there is no room, that is told. Three levels: blocking calls on slices, here;
//! calls that never wait ([`ReceiveQueue::read`], [`TransmitQueue::write`]), and tasks ([`ReceiveQueue::read_some`], [`TransmitQueue::write_all`], [`Control::event`]). Several ports are brought up by [`Starting`].
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use virtio_guest::device::console::{Console, Storage};
//! # fn example(transport: impl Transport, hal: impl Hal, within_a_second: impl Fn() -> virtio_guest::hal::Attempts)
//! #     -> Result<(), Box<dyn core::error::Error>> {
//!
//! let mut storage = Storage::<16>::new(); // or in a static
//! let console = Console::start(transport, hal, &mut storage, within_a_second());
//! let mut console = console.map_err(|failed| failed.error)?;
//!
//! console.write_all_blocking(b"Your name? ", within_a_second())?;
//! console.flush()?;
//! let mut name = [0; 80];
//! let len = console.read_blocking(&mut name, within_a_second())?;
//! console.write_all_blocking(&name[..len], within_a_second())?;
//! console.transmit_queue().drain_blocking(within_a_second())?;
//! console.close(within_a_second()).map_err(|failed| failed.error)?;
//! # Ok(()) }
//! ```

mod blocking;
mod buffers;
mod control;
mod driver;
mod emergency;
mod end;
mod messages;
mod port;
mod ports;
mod receive;
mod record;
mod settings;
mod slots;
mod start;
mod table;
mod transmit;
mod waiting;
mod writer;

pub use control::{Control, Down, DownFailed};
pub use driver::{Console, StartFailed};
pub use emergency::{EmergencyError, emergency_write};
pub use end::{CloseFailed, Closed};
pub use port::IdlePort;
pub use ports::ControlError;
pub use receive::ReceiveQueue;
pub use record::NAME_BYTES_MAX;
pub use settings::{Settings, Size, SizeOrder};
pub use slots::{Buffer, ControlSlots, ControlStorage, Slots, Storage};
pub use start::{ControlFailed, HANDLED, NotStarted, PortFailed, StartError, Starting};
pub use table::{ControlCounts, Port, PortEvent};
pub use transmit::TransmitQueue;
pub use waiting::StreamError;
pub use writer::Writer;

pub use crate::wire::console::ConsoleFeatures;
