//! Enabling virtual functions, and disabling them: the capability's registers in the one order that they may be written in.
//!
//! PCI Express Base Specification, §9.3.3.3 (control), §9.3.3.7 (NumVFs), §9.3.3.13 (page size), §9.3.3.14 (BARs).

use core::fmt;
use core::ops::RangeInclusive;

use pci_types::{ConfigRegionAccess, PciAddress};

use super::bars::Places;
use super::routing::Routing;
use super::{Enabled, SrIov, register};
use crate::hal::Patience;
use crate::raw::VirtualFunctionMemory;

/// Control: virtual functions are there; ownership may migrate, and that interrupts; they answer memory accesses.
const ENABLE: u32 = 1;
const MIGRATION: u32 = 0b110;
const MEMORY_SPACE: u32 = 1 << 3;
const CONTROL_BITS: u32 = 0xffff;

/// How long virtual functions are left alone after they were enabled, how long the capability is after they were disabled (§9.3.3.3.1); how much longer they may take to answer.
const ENABLE_MILLIS: u32 = 100;
const DISABLE_MILLIS: u32 = 1000;
const ANSWER_MILLIS: u32 = 1000;

/// The word with the kind of header, its third byte; virtual functions have kind 0, and all ones are read where none is.
const HEADER_KIND: u8 = 0x0c;

/// What to enable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many virtual functions.
    pub count: u16,
    /// Bytes of the kernel's pages: no two virtual functions have registers in one.
    pub page_bytes: u64,
    /// The buses that they may be on: those that the bridge above the physical function passes on.
    pub buses: RangeInclusive<u8>,
}

/// Virtual functions could not be enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnableError {
    /// None were asked for, or more than there are.
    #[error("{count} virtual functions cannot be enabled, {most} are the most")]
    Count {
        /// How many were asked for.
        count: u16,
        /// How many there are.
        most: u16,
    },
    /// The function knows no pages of that size.
    #[error("the function does not know pages of {page_bytes} bytes")]
    PageSize {
        /// What was asked for.
        page_bytes: u64,
    },
    /// A BAR is in I/O space, smaller than a page, of no possible size, or does not take its address.
    #[error("BAR {index} of the virtual functions is impossible")]
    ImpossibleBar {
        /// Which one.
        index: u8,
    },
    /// There are not enough addresses for a BAR of all virtual functions.
    #[error("no room for BAR {index} of the virtual functions, {bytes} bytes each")]
    NoRoom {
        /// Which one.
        index: u8,
        /// Bytes of each virtual function's.
        bytes: u64,
    },
    /// Two functions would be at one place.
    #[error("virtual functions at offset {offset} and stride {stride} are at one place")]
    Routing {
        /// From the physical function to the first virtual one.
        offset: u16,
        /// From each to the next.
        stride: u16,
    },
    /// Some would be on a bus that they may not be on.
    #[error("virtual functions at offset {offset} and stride {stride} are beyond the buses for them")]
    BeyondBuses {
        /// As above.
        offset: u16,
        /// As above.
        stride: u16,
    },
    /// Another function is where a virtual one would be.
    #[error("there is another function at {address} already")]
    PlaceTaken {
        /// Where.
        address: PciAddress,
    },
    /// The function does not take the number of virtual functions, or does not enable them.
    #[error("the function refuses to enable virtual functions")]
    Refused,
    /// A virtual function does not answer in time, or not as one.
    #[error("the virtual function at {address} does not answer")]
    NoAnswer {
        /// Which one.
        address: PciAddress,
    },
}

/// Virtual functions could not be enabled, and none is; the capability comes back.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct EnableFailed<A> {
    /// Why.
    pub error: EnableError,
    /// To be tried again.
    pub sr_iov: SrIov<A>,
    /// Free as before.
    pub memory: VirtualFunctionMemory,
}

impl<A> fmt::Debug for EnableFailed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnableFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<A: ConfigRegionAccess> SrIov<A> {
    /// Enables virtual functions, waits until they may be spoken to, and checks that each answers. Those that somebody left enabled are disabled first.
    ///
    /// `within_millis` makes a patience of so many milliseconds from now on. It is used up whole where the specification says how long to wait: 100 ms after enabling,
    /// 1 s after disabling (also if it fails after it had enabled some).
    ///
    /// Ownership: the addresses are the virtual functions' until [`Enabled::disable`] gives them back.
    /// Work: bounded by a few accesses for each virtual function; waits at most 100 ms, then up to 1 s for answers.
    ///
    /// # Errors
    /// See [`EnableError`]; none is enabled, and the BARs have no addresses.
    pub fn enable<P: Patience>(
        mut self,
        settings: &Settings,
        memory: VirtualFunctionMemory,
        mut within_millis: impl FnMut(u32) -> P,
    ) -> Result<Enabled<A>, EnableFailed<A>> {
        match self.try_enable(settings, &memory, &mut within_millis) {
            Ok((routing, places)) => Ok(Enabled::new(self, routing, places, memory)),
            Err(error) => {
                self.switch_off(&mut within_millis);
                Err(EnableFailed { error, sr_iov: self, memory })
            }
        }
    }

    fn try_enable<P: Patience>(
        &mut self,
        settings: &Settings,
        memory: &VirtualFunctionMemory,
        within_millis: &mut impl FnMut(u32) -> P,
    ) -> Result<(Routing, Places), EnableError> {
        let (count, most) = (settings.count, self.count_max());
        if count == 0 || count > most {
            return Err(EnableError::Count { count, most });
        }
        self.switch_off(within_millis);
        self.set_page_size(settings.page_bytes)?;
        let places = self.place_bars(settings, memory)?;
        self.write(register::COUNT, count.into());
        if self.read(register::COUNT) & 0xffff != u32::from(count) {
            return Err(EnableError::Refused);
        }
        // Offset and stride may depend on the number.
        let offset_and_stride = self.read(register::OFFSET_AND_STRIDE);
        let offset_and_stride = ((offset_and_stride & 0xffff) as u16, (offset_and_stride >> 16) as u16);
        let routing = Routing::new(self.function.address(), offset_and_stride, count, &settings.buses)?;
        let taken = routing.addresses().find(|address| self.header_kind(*address) != u8::MAX);
        if let Some(address) = taken {
            return Err(EnableError::PlaceTaken { address });
        }

        let on = self.control() | ENABLE | MEMORY_SPACE;
        self.write(register::CONTROL, on);
        if self.control() != on {
            return Err(EnableError::Refused);
        }
        use_up(within_millis(ENABLE_MILLIS));
        let mut patience = within_millis(ANSWER_MILLIS);
        for address in routing.addresses() {
            while self.header_kind(address) != 0 {
                if !patience.keep_waiting() {
                    return Err(EnableError::NoAnswer { address });
                }
            }
        }
        Ok((routing, places))
    }

    /// Disables virtual functions, if any are enabled, and waits as long as the capability is to be left alone; then takes number and addresses away.
    pub(super) fn switch_off<P: Patience>(&mut self, within_millis: &mut impl FnMut(u32) -> P) {
        let control = self.control();
        self.write(register::CONTROL, control & !(ENABLE | MEMORY_SPACE | MIGRATION));
        if control & ENABLE != 0 {
            use_up(within_millis(DISABLE_MILLIS));
        }
        self.write(register::COUNT, 0);
        self.clear_bars();
    }

    /// Before BARs are sized: none is smaller than a page.
    fn set_page_size(&mut self, page_bytes: u64) -> Result<(), EnableError> {
        let error = EnableError::PageSize { page_bytes };
        let bit = u32::try_from(page_bytes >> 12).map_err(|_| error)?;
        if !page_bytes.is_power_of_two() || self.read(register::SUPPORTED_PAGES) & bit == 0 {
            return Err(error);
        }
        self.write(register::PAGE, bit);
        if self.read(register::PAGE) == bit { Ok(()) } else { Err(error) }
    }

    /// The control register. Its word's upper half is a status register, whose bits are cleared by ones.
    fn control(&self) -> u32 {
        self.read(register::CONTROL) & CONTROL_BITS
    }

    /// What kind of function is somewhere: all ones if there is none.
    fn header_kind(&self, address: PciAddress) -> u8 {
        let [_, _, kind, _] = self.function.read_of(address, HEADER_KIND).to_le_bytes();
        kind
    }
}

/// Waits as long as that.
fn use_up(mut patience: impl Patience) {
    while patience.keep_waiting() {}
}
