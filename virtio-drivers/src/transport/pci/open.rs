//! Opening a function: capabilities to register windows, each checked.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities, §4.1.2.1 Device Requirements: PCI Device Discovery.

use pci_types::ConfigRegionAccess;

use super::capability::{Bars, CapabilityError, Location, walk_structures};
use super::endpoint::{Endpoint, MEMORY_SPACE};
use super::registers::{PciTransport, Windows};
use super::shared_memory::Regions;
use crate::hal::MapMmio;
use crate::raw::{MemoryBar, PciFunction, Registers, memory_bars};
use crate::wire::device_type::DeviceType;
use crate::wire::pci::{common, device_type, structure};

/// A function could not be opened as a modern virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Vendor and device id are not those of a virtio device.
    #[error("PCI id {vendor_id:04x}:{device_id:04x} is no virtio device")]
    NotVirtio {
        /// What the function says it is; all ones if there is none.
        vendor_id: u16,
        /// As above.
        device_id: u16,
    },
    /// The capability list cannot be walked.
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    /// No usable capability for a structure that every modern device has (a legacy device has none of them).
    #[error(
        "no usable capability for virtio structure {structure}: absent, misaligned, too short, beyond its BAR, its BAR has no address, or the device is legacy only"
    )]
    MissingStructure {
        /// The structure's number: 1 common configuration, 2 notification, 3 ISR; 5, the access through configuration space, if that is what it was to be opened through.
        structure: u8,
    },
    /// The function has no legacy interface: its id is a modern one, or its first BAR is none of ports, or of too few.
    #[error("the function has no legacy interface")]
    NotLegacy,
    /// The function's legacy interface is at ports that nobody gave an address: firmware does, or [`Bus::assign`](super::bus::Bus::assign).
    #[error("the function's ports have no address")]
    PortsWithoutAddress,
    /// The kernel could not map a structure's registers.
    #[error("the kernel cannot map the registers at {physical_address:#x}")]
    NotMapped {
        /// Where they are.
        physical_address: u64,
    },
}

/// What a structure must satisfy to be used, and how much of it is mapped at most: no device has more registers than that, whatever it says.
pub(super) struct Rule {
    pub(super) structure: u8,
    pub(super) align: u64,
    pub(super) bytes_min: u64,
    pub(super) bytes_max: u32,
}

pub(super) const COMMON_CONFIG: Rule = Rule {
    structure: structure::COMMON_CONFIG,
    align: 4,
    bytes_min: common::BASE_BYTES as u64,
    bytes_max: 4096,
};
pub(super) const NOTIFY: Rule =
    Rule { structure: structure::NOTIFY, align: 2, bytes_min: 2, bytes_max: 16 << 20 };
pub(super) const ISR: Rule = Rule { structure: structure::ISR, align: 1, bytes_min: 1, bytes_max: 4 };
pub(super) const DEVICE_CONFIG: Rule =
    Rule { structure: structure::DEVICE_CONFIG, align: 4, bytes_min: 1, bytes_max: 64 << 10 };

/// A structure that obeys its rule and is inside of its BAR.
#[derive(Clone, Copy)]
struct Placed<'b> {
    bar: &'b MemoryBar,
    offset: u64,
    bytes: u32,
    notify_multiplier: Option<u32>,
}

/// What a claimed function says it is.
pub(super) fn identify<A: ConfigRegionAccess>(function: &PciFunction<A>) -> Result<DeviceType, OpenError> {
    let (vendor_id, device_id) = function.ids();
    device_type(vendor_id, device_id).ok_or(OpenError::NotVirtio { vendor_id, device_id })
}

/// Whether a function has a usable capability for the first structure that a modern device needs. What is wrong with the others is for opening to say.
pub(in crate::transport) fn has_modern_interface<A: ConfigRegionAccess>(
    function: &mut PciFunction<A>,
) -> bool {
    let bars = memory_bars(function);
    Structures::find(function, &bars).is_ok_and(|structures| structures.common.is_some())
}

impl<A: ConfigRegionAccess> PciTransport<A> {
    /// Opens a claimed function: finds its structures, checks them, and has them mapped. The function does not interrupt yet, nor does it access memory before it is brought up: it may still
    /// have queues from whoever drove it before.
    ///
    /// Of several capabilities for one structure the first sound one counts. The function's BARs must have addresses.
    ///
    /// A function that lost its configuration is opened again: when the guest slept, say, and the platform took its power. Its BARs get their addresses first, which is the kernel's business
    /// ([`Bus::assign`](super::bus::Bus::assign) gives some); its command register is set here, its messages by [`enable_msi_x`](PciTransport::enable_msi_x). The transport that it had is of no use
    /// any more, for it relies on what it wrote.
    ///
    /// ```no_run
    /// # use virtio_guest::hal::{MapMmio, MsiMessage};
    /// # use virtio_guest::transport::pci::OpenError;
    /// use pci_types::{ConfigRegionAccess, PciAddress};
    /// use virtio_guest::raw::PciFunction;
    /// use virtio_guest::transport::AnyTransport;
    ///
    /// /// `from_before` is what the driver gave back when it was taken down, and `messages` are those that it had.
    /// ///
    /// /// # Safety
    /// /// As for [`PciFunction::claim`]; the driver from before is gone, and the function's BARs have addresses again.
    /// unsafe fn open_again<A: ConfigRegionAccess>(
    ///     from_before: AnyTransport<A>, access: A, address: PciAddress, mapper: &impl MapMmio, messages: &[MsiMessage],
    /// ) -> Result<AnyTransport<A>, OpenError> {
    ///     drop(from_before);
    ///     // SAFETY: the caller's promise.
    ///     let function = unsafe { PciFunction::claim(access, address) };
    ///     let mut transport = AnyTransport::open_pci(function, mapper)?;
    ///     if transport.enable_msi_x(messages).is_err() {
    ///         log::warn!("{address}: no messages; its line, or polling, is left");
    ///     }
    ///     Ok(transport)
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`OpenError`]; the device was not touched beyond its configuration space.
    ///
    /// Spec: §4.1.4 Virtio Structure PCI Capabilities.
    pub fn open(mut function: PciFunction<A>, mapper: &impl MapMmio) -> Result<Self, OpenError> {
        let device_type = identify(&function)?;
        let bars = memory_bars(&mut function);
        let structures = Structures::find(&function, &bars)?;
        let windows = structures.map(mapper)?;
        let regions = structures.regions;
        let endpoint = Endpoint::new(function, &bars, mapper, MEMORY_SPACE);
        Ok(Self::new(device_type, endpoint, windows, regions))
    }
}

pub(super) const fn missing(rule: &Rule) -> OpenError {
    OpenError::MissingStructure { structure: rule.structure }
}

/// Whether doorbells with a position, which are 32 bits wide, are aligned in a notification structure at this offset (§4.1.4.4.1).
pub(super) const fn takes_positions(offset: u64) -> bool {
    offset.is_multiple_of(4)
}

/// The first sound capability for each structure.
#[derive(Default)]
struct Structures<'b> {
    common: Option<Placed<'b>>,
    notify: Option<Placed<'b>>,
    isr: Option<Placed<'b>>,
    device: Option<Placed<'b>>,
    regions: Regions,
}

impl<'b> Structures<'b> {
    fn find<A: ConfigRegionAccess>(function: &PciFunction<A>, bars: &'b Bars) -> Result<Self, OpenError> {
        let mut found = Self::default();
        walk_structures(function, |location| {
            let bar = bars.get(usize::from(location.bar)).and_then(Option::as_ref);
            let (rule, place) = match location.structure {
                structure::COMMON_CONFIG => (COMMON_CONFIG, &mut found.common),
                structure::NOTIFY => (NOTIFY, &mut found.notify),
                structure::ISR => (ISR, &mut found.isr),
                structure::DEVICE_CONFIG => (DEVICE_CONFIG, &mut found.device),
                structure::SHARED_MEMORY => return found.regions.add(&location, bar),
                _ => return,
            };
            if place.is_none() {
                *place = bar.and_then(|bar| rule.place(&location, bar));
            }
        })?;
        Ok(found)
    }

    /// Has the kernel map what is needed.
    fn map(&self, mapper: &impl MapMmio) -> Result<Windows, OpenError> {
        let map = |placed: Placed<'_>| -> Result<Registers, OpenError> {
            let Placed { bar, offset, bytes, .. } = placed;
            let not_mapped = OpenError::NotMapped { physical_address: bar.physical_address(offset) };
            bar.map(mapper, offset, bytes).ok_or(not_mapped)
        };
        let common = self.common.ok_or(missing(&COMMON_CONFIG))?;
        let notify = self.notify.ok_or(missing(&NOTIFY))?;
        let isr = self.isr.ok_or(missing(&ISR))?;
        Ok(Windows {
            common: map(common)?,
            notify: map(notify)?,
            notify_multiplier: notify.notify_multiplier.unwrap_or(0),
            notify_takes_positions: takes_positions(notify.offset),
            isr: map(isr)?,
            device: self.device.map(map).transpose()?,
        })
    }
}

impl Rule {
    /// Checks alignment, length and end.
    fn place<'b>(&self, location: &Location, bar: &'b MemoryBar) -> Option<Placed<'b>> {
        let Location { offset, length, notify_multiplier, .. } = *location;
        let sound =
            offset.is_multiple_of(self.align) && length >= self.bytes_min && bar.contains(offset, length);
        let bytes = u32::try_from(length).unwrap_or(u32::MAX).min(self.bytes_max);
        sound.then_some(Placed { bar, offset, bytes, notify_multiplier })
    }
}
