//! The memory balloon: pages that the kernel can do without, for its host.
//!
//! Spec: §5.5 Traditional Memory Balloon Device.
//!
//! The device says how many frames of 4096 bytes it wants in the balloon; the driver takes pages from the kernel and tells the device of them, a burst at a time, or asks for them back. Each page is in one place, whoever
//! fails when: with the kernel, on its way, in the balloon, on its way back. The kernel implements [`Pages`] on its allocator, and [`BalloonPage`](crate::hal::BalloonPage) for its page.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, BalloonPage, Hal}, transport::Transport};
//! use virtio_guest::device::balloon::{Balloon, Pages, Progress, Storage};
//!
//! # fn example<P: BalloonPage>(transport: impl Transport, hal: impl Hal, allocator: &mut impl Pages<Page = P>, within_a_second: impl Fn() -> Attempts)
//! #     -> Result<(), Box<dyn core::error::Error>> {
//! let mut storage = Storage::<P, 1024>::new(); // room for 1024 pages; or in a static
//! let balloon = Balloon::start(transport, &hal, &mut storage, within_a_second());
//! let mut balloon = balloon.map_err(|failed| failed.error)?;
//!
//! // Now, and after each interrupt:
//! let progress = balloon.reach_target_blocking(allocator, within_a_second())?;
//! assert!(progress == Progress::AtTarget || progress == Progress::OutOfPages);
//!
//! // At the end all pages come back.
//! let down = balloon.take_down(within_a_second()).map_err(|failed| failed.error)?;
//! down.pages.for_each(|page| allocator.take_back(page));
//! # Ok(()) }
//! ```
//!
//! Beside that a device may want [`Statistics`], which are sent as it asks for them. It may take [`Hints`] at what is free while the machine is moved to another host, and [`Reports`] of what is free for a while, with
//! [`Starting`]:
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, BalloonPage, DmaBuffer, Hal}, lifecycle::Wants, transport::Transport};
//! use virtio_guest::device::balloon::{FreeBlocks, HANDLED, HintSlots, Pages, ReportSlots, Settings, Slots, Starting};
//!
//! # fn example<P: BalloonPage, B: DmaBuffer>(transport: impl Transport, hal: impl Hal, allocator: &mut (impl Pages<Page = P> + FreeBlocks<Block = B>))
//! #     -> Result<(), Box<dyn core::error::Error>> {
//! let settings = Settings { notifications: true, ..Settings::default() };
//! let mut device = Starting::begin(transport, &settings, Wants::features(HANDLED), Attempts(100_000))?;
//! let hints = device.install_hints(&hal, HintSlots::allocate(1024)).ok(); // the device may have no such queue
//! let reports = device.install_reports(&hal, ReportSlots::allocate(32)).ok();
//! let mut balloon = device.start(&hal, Slots::allocate(4096)).map_err(|failed| failed.error)?;
//! let mut hints = hints.map(|idle| balloon.activate_hints(idle));
//! let mut reports = reports.map(|idle| balloon.activate_reports(idle));
//!
//! let mut command = balloon.hint_command()?; // once its interrupts are connected
//!
//! // Whenever something happened, or some time has passed. The command is read once after each change.
//! balloon.poll(allocator)?;
//! if balloon.control().take_configuration_change().is_some() {
//!     command = balloon.hint_command()?;
//! }
//! if let Some(hints) = &mut hints {
//!     hints.poll(command, allocator)?;
//! }
//! if let Some(reports) = &mut reports {
//!     reports.poll(allocator)?;
//! }
//! # Ok(()) }
//! ```

mod books;
mod bursts;
mod control;
mod driver;
mod end;
mod hints;
mod kernel;
mod places;
mod reports;
mod slots;
mod start;
mod statistics;
mod waiting;

pub use control::{Control, HintCommand};
pub use driver::{Balloon, BalloonError, Progress};
pub use end::{Down, DownFailed, ReturnedPages};
pub use hints::{HintProgress, Hints, HintsFailed, IdleHints};
pub use kernel::{FreeBlocks, Pages, Statistics};
pub use reports::{IdleReports, ReportError, ReportProgress, Reports, ReportsFailed};
pub use slots::{HintSlots, HintStorage, ReportSlots, ReportStorage, Slots, Storage};
pub use start::{HANDLED, PLAIN, Settings, StartError, StartFailed, Starting};

pub use crate::wire::balloon::BalloonFeatures;
