//! Modern devices without a mapped BAR: all registers through configuration space.
//!
//! Spec: §4.1.4.9 PCI configuration access capability. For kernels that cannot map BARs, or whose BARs have no addresses: slower, as each register access is four
//! to configuration space, and the device does not interrupt. Its drivers look again and again (a [`Patience`](crate::hal::Patience) that does not sleep).
//!
//! ```no_run
//! # use pci_types::ConfigRegionAccess;
//! # use virtio_guest::raw::PciFunction;
//! use virtio_guest::transport::pci::{ConfigWindow, PciTransport};
//! # fn open<A: ConfigRegionAccess + Send + 'static>(function: PciFunction<A>) -> Result<(), Box<dyn core::error::Error>> {
//!
//! let window = Box::leak(Box::new(ConfigWindow::find(function)?));
//! let transport = PciTransport::open_through_config_space(window);
//! // ... to the driver ...
//! # drop(transport);
//! # Ok(()) }
//! ```

use core::fmt;

use pci_types::ConfigRegionAccess;

use super::capability::{Location, walk_structures};
use super::endpoint::Endpoint;
use super::open::{
    COMMON_CONFIG, DEVICE_CONFIG, ISR, NOTIFY, OpenError, Rule, identify, missing, takes_positions,
};
use super::registers::{PciTransport, Windows};
use super::shared_memory::Regions;
use crate::raw::{PciFunction, STRUCTURES, StructurePlace, WindowedFunction};
use crate::wire::device_type::DeviceType;
use crate::wire::pci::structure;

/// The structures' places in a [`WindowedFunction`].
const COMMON: usize = 0;
const NOTIFICATION: usize = 1;
const INTERRUPT: usize = 2;
const DEVICE: usize = 3;
const RULES: [Rule; STRUCTURES] = [COMMON_CONFIG, NOTIFY, ISR, DEVICE_CONFIG];

/// A claimed function whose registers can be reached through its configuration space. It stays where it is for as long as the kernel runs: doorbells lead to it.
///
/// There is a spin lock in it, since one register access is several to configuration space. Whoever uses such a device in an interrupt handler must not
/// interrupt somebody who uses it.
pub struct ConfigWindow<A> {
    device_type: DeviceType,
    function: WindowedFunction<A>,
    notify_multiplier: u32,
    notify_takes_positions: bool,
}

impl<A> fmt::Debug for ConfigWindow<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigWindow")
            .field("device_type", &self.device_type)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl<A: ConfigRegionAccess + Send> ConfigWindow<A> {
    /// Finds a claimed function's structures, and its capability for reaching them. Nothing is written yet; BARs need no addresses, and are not looked at.
    ///
    /// # Errors
    /// See [`OpenError`]: a device without the capability lacks structure 5.
    pub fn find(function: PciFunction<A>) -> Result<Self, OpenError> {
        let device_type = identify(&function)?;
        let mut at = None;
        let mut notify_multiplier = None;
        let mut places = [None; STRUCTURES];
        walk_structures(&function, |location| {
            if location.structure == structure::PCI_CONFIG_ACCESS {
                at = at.or(Some(location.at));
            }
            let rules = RULES.iter().zip(&mut places);
            for (rule, place) in rules.filter(|(rule, _)| rule.structure == location.structure) {
                if place.is_none() {
                    *place = rule.place_in_window(&location);
                    if rule.structure == structure::NOTIFY && place.is_some() {
                        notify_multiplier = location.notify_multiplier;
                    }
                }
            }
        })?;
        let needed = RULES.iter().zip(places).take(DEVICE);
        if let Some((rule, _)) = needed.into_iter().find(|(_, place)| place.is_none()) {
            return Err(missing(rule));
        }
        let at = at.ok_or(OpenError::MissingStructure { structure: structure::PCI_CONFIG_ACCESS })?;
        let notify_takes_positions =
            places[NOTIFICATION].is_some_and(|place| takes_positions(place.offset.into()));
        let function = WindowedFunction::new(function, at, places);
        Ok(Self {
            device_type,
            function,
            notify_multiplier: notify_multiplier.unwrap_or(0),
            notify_takes_positions,
        })
    }
}

impl Rule {
    /// Checks alignment, length and end, as far as they can be without the BAR: an access beyond its end would be the device's to refuse.
    fn place_in_window(&self, location: &Location) -> Option<StructurePlace> {
        let Location { bar, offset, length, .. } = *location;
        let (first, end) = (u32::try_from(offset).ok()?, offset.checked_add(length)?);
        let is_reachable = u32::try_from(end).is_ok();
        let sound = offset.is_multiple_of(self.align) && length >= self.bytes_min && is_reachable;
        let bytes = u32::try_from(length).ok()?.min(self.bytes_max);
        sound.then_some(StructurePlace { bar, offset: first, bytes })
    }
}

impl<A: ConfigRegionAccess + Send + 'static> PciTransport<A> {
    /// Opens a function through its configuration space. It accesses no memory before it is brought up. It does not interrupt, neither with messages (their table is in a BAR) nor with its line
    /// (a handler could not wait for the window), and has no shared memory regions.
    ///
    /// Ownership: the window is the transport's from now on, and its doorbells'; `Box::leak` makes such a reference, or a cell for statics that is taken once.
    pub fn open_through_config_space(window: &'static mut ConfigWindow<A>) -> Self {
        let ConfigWindow { device_type, function, notify_multiplier, notify_takes_positions } = window;
        let (endpoint, function) = Endpoint::windowed(function);
        let windows = Windows {
            common: function.registers::<COMMON>(),
            notify: function.registers::<NOTIFICATION>(),
            notify_multiplier: *notify_multiplier,
            notify_takes_positions: *notify_takes_positions,
            isr: function.registers::<INTERRUPT>(),
            device: Some(function.registers::<DEVICE>()),
        };
        Self::new(*device_type, endpoint, windows, Regions::default())
    }
}
