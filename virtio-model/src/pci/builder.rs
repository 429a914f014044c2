//! Putting a PCI device together.
//!
//! Every part has a default that works: vendor 0x1af4, one 64-bit BAR (number 4) with the
//! standard structures, one queue of 16. A test changes what its promise is about.

use super::PciDevice;
use super::bar::Bar;
use super::capability::{Capability, STANDARD_BAR, Structure};
use super::config_space::ConfigSpace;
use super::device_config::ConfigField;
use super::legacy::LEGACY_BAR;
use super::queue::QueueRegisters;
use super::state::State;

/// The BAR that holds the standard structures is this large.
const STANDARD_BAR_BYTES: u64 = 0x4000;
/// Where the firmware put it: above 4 GiB.
const STANDARD_BAR_ADDRESS: u64 = 0x38_0000_0000;

/// The BAR that holds the MSI-X table, and where the firmware put it.
const MSI_X_BAR: u8 = 1;
const MSI_X_BAR_ADDRESS: u64 = 0xfebd_0000;
/// Where the firmware put the ports.
const FIRST_PORT: u64 = 0xc000;
/// Ports before the configuration, with MSI-X on.
const PORTS_BEFORE_CONFIG: u64 = 0x18;

/// Which interfaces a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interfaces {
    Modern,
    Transitional,
    Legacy,
}

/// A device in the making.
#[derive(Debug, Clone)]
pub struct Builder {
    ids: (u16, u16),
    class: u32,
    features: u128,
    insisted_on: u128,
    forbidden: u128,
    queue_sizes: Vec<u16>,
    config: Vec<u8>,
    config_fields: Vec<ConfigField>,
    bars: [Option<Bar>; 6],
    capabilities: Option<Vec<Capability>>,
    interfaces: Interfaces,
    pin: u8,
    msi_x_entries: Option<u16>,
    vectors: u16,
    vector_registers: usize,
}

impl Default for Builder {
    fn default() -> Self {
        let mut bars = [None; 6];
        bars[usize::from(STANDARD_BAR)] = Some(Bar::memory64(STANDARD_BAR_BYTES, STANDARD_BAR_ADDRESS));
        Self {
            ids: (0x1af4, 0x1040),
            class: 0x00ff_0000,
            features: 1 << 32,
            insisted_on: 0,
            forbidden: 0,
            queue_sizes: vec![16],
            config: Vec::new(),
            config_fields: Vec::new(),
            bars,
            capabilities: None,
            interfaces: Interfaces::Modern,
            pin: 1,
            msi_x_entries: None,
            vectors: u16::MAX,
            vector_registers: usize::MAX,
        }
    }
}

impl Builder {
    /// Sets the PCI vendor id.
    #[must_use]
    pub fn vendor_id(mut self, id: u16) -> Self {
        self.ids.0 = id;
        self
    }

    /// Sets the PCI device id: 0x1040 plus the virtio device type.
    #[must_use]
    pub fn device_id(mut self, id: u16) -> Self {
        self.ids.1 = id;
        self
    }

    /// Sets the 24-bit class code.
    #[must_use]
    pub fn class(mut self, class: u32) -> Self {
        self.class = class;
        self
    }

    /// Sets the features that the device offers.
    #[must_use]
    pub fn features(mut self, features: u128) -> Self {
        self.features = features;
        self
    }

    /// Adds to the features that the device offers.
    #[must_use]
    pub fn with_features(mut self, features: u128) -> Self {
        self.features |= features;
        self
    }

    /// Has the device refuse `FEATURES_OK` without these features, as far as it offers them.
    #[must_use]
    pub fn insist_on(mut self, features: u128) -> Self {
        self.insisted_on = features;
        self
    }

    /// Makes it an error of the driver to accept these features, though they are offered.
    #[must_use]
    pub fn forbid(mut self, features: u128) -> Self {
        self.forbidden = features;
        self
    }

    /// Sets the number of queues and the largest size of each; 0 is a queue that is not there.
    #[must_use]
    pub fn queue_sizes(mut self, sizes: &[u16]) -> Self {
        self.queue_sizes = sizes.to_vec();
        self
    }

    /// Sets the device-specific configuration.
    #[must_use]
    pub fn config(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.config = bytes.into();
        self
    }

    /// Sets what is known of the fields in the device-specific configuration; with none, all of it can be read and written.
    #[must_use]
    pub fn config_fields(mut self, fields: Vec<ConfigField>) -> Self {
        self.config_fields = fields;
        self
    }

    /// Puts a BAR at `index`; a 64-bit BAR takes the next index as well.
    #[must_use]
    pub fn bar(mut self, index: u8, bar: Bar) -> Self {
        self.bars[usize::from(index)] = Some(bar);
        self
    }

    /// Leaves out the BAR at `index`.
    #[must_use]
    pub fn without_bar(mut self, index: u8) -> Self {
        self.bars[usize::from(index)] = None;
        self
    }

    /// Replaces the capability list; see [`Capability::standard`].
    #[must_use]
    pub fn capabilities(mut self, list: Vec<Capability>) -> Self {
        self.capabilities = Some(list);
        self
    }

    /// Changes the capability list as it is so far; set the configuration first.
    #[must_use]
    pub fn edit_capabilities(mut self, edit: impl FnOnce(&mut Vec<Capability>)) -> Self {
        edit(self.capabilities.get_or_insert_with(|| Capability::standard(self.config.len())));
        self
    }

    /// Gives the device MSI-X: a table of so many entries, in BAR 1.
    #[must_use]
    pub fn msi_x(mut self, entries: u16) -> Self {
        self.msi_x_entries = Some(entries);
        self
    }

    /// Has the device grant vectors below this one only; with 0, every vector reads back 0xffff.
    #[must_use]
    pub fn vectors(mut self, count: u16) -> Self {
        self.vectors = count;
        self
    }

    /// Has the device keep track of so many vectors at a time: one for each queue, and one for the configuration, are usual.
    #[must_use]
    pub fn vector_registers(mut self, count: usize) -> Self {
        self.vector_registers = count;
        self
    }

    /// Sets the interrupt pin: 1 (INTA) to 4, or 0 for none.
    #[must_use]
    pub fn interrupt_pin(mut self, pin: u8) -> Self {
        self.pin = pin;
        self
    }

    /// Makes this a device of before version 1: its registers are ports. Set a transitional device id, too.
    #[must_use]
    pub fn legacy(mut self) -> Self {
        self.interfaces = Interfaces::Legacy;
        self
    }

    /// Gives the device the ports of a legacy one beside its modern registers. Set a transitional device id, too.
    #[must_use]
    pub fn transitional(mut self) -> Self {
        self.interfaces = Interfaces::Transitional;
        self
    }

    /// Powers the device up.
    pub fn build(mut self) -> PciDevice {
        let has_ports = self.interfaces != Interfaces::Modern;
        let is_legacy = self.interfaces == Interfaces::Legacy;
        if is_legacy {
            self.bars[usize::from(STANDARD_BAR)] = None;
            self.capabilities.get_or_insert_default();
        }
        if has_ports && self.bars[usize::from(LEGACY_BAR)].is_none() {
            let ports = PORTS_BEFORE_CONFIG + self.config.len() as u64;
            self.bars[usize::from(LEGACY_BAR)] = Some(Bar::io(ports.next_power_of_two(), FIRST_PORT));
        }
        let mut list = self.capabilities.unwrap_or_else(|| Capability::standard(self.config.len()));
        if let Some(entries) = self.msi_x_entries {
            let bytes = (17 * u64::from(entries)).next_power_of_two().max(4096);
            self.bars[usize::from(MSI_X_BAR)] = Some(Bar::memory32(bytes, MSI_X_BAR_ADDRESS));
            list.push(Capability::msi_x(entries, MSI_X_BAR, 0));
        }
        let structures: Vec<Structure> = list.iter().filter_map(Capability::structure).collect();
        let revision = u32::from(!has_ports);
        let mut space = ConfigSpace::new(self.ids, self.class << 8 | revision, self.bars, &list);
        space.put(0x3d, &[self.pin]);
        let mut state = State::new(space, structures);
        state.offered = self.features;
        (state.insisted_on, state.forbidden) = (self.insisted_on, self.forbidden);
        (state.device_config, state.config_fields) = (self.config, self.config_fields);
        (state.has_ports, state.is_legacy) = (has_ports, is_legacy);
        state.is_transitional = self.interfaces == Interfaces::Transitional;
        if let Some(msi_x) = &mut state.msi_x {
            (msi_x.granted, msi_x.registers) = (self.vectors, self.vector_registers);
        }
        state.queues = (0..)
            .zip(self.queue_sizes)
            .map(|(index, max_size)| QueueRegisters::new(index, max_size))
            .collect();
        PciDevice::from_state(state)
    }
}
