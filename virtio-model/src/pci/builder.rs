//! Putting a PCI device together.
//!
//! Every part has a default that works: vendor 0x1af4, one 64-bit BAR (number 4) with the
//! standard structures, one queue of 16. A test changes what its promise is about.

use super::PciDevice;
use super::bar::Bar;
use super::capability::{Capability, STANDARD_BAR, Structure};
use super::config_space::ConfigSpace;
use super::queue::QueueRegisters;
use super::state::State;

/// The BAR that holds the standard structures is this large.
const STANDARD_BAR_BYTES: u64 = 0x4000;
/// Where the firmware put it: above 4 GiB.
const STANDARD_BAR_ADDRESS: u64 = 0x38_0000_0000;

/// A device in the making.
#[derive(Debug, Clone)]
pub struct Builder {
    ids: (u16, u16),
    class: u32,
    features: u128,
    queue_sizes: Vec<u16>,
    config: Vec<u8>,
    bars: [Option<Bar>; 6],
    capabilities: Option<Vec<Capability>>,
    vectors: u16,
}

impl Default for Builder {
    fn default() -> Self {
        let mut bars = [None; 6];
        bars[usize::from(STANDARD_BAR)] = Some(Bar::memory64(STANDARD_BAR_BYTES, STANDARD_BAR_ADDRESS));
        Self {
            ids: (0x1af4, 0x1040),
            class: 0x00ff_0000,
            features: 1 << 32,
            queue_sizes: vec![16],
            config: Vec::new(),
            bars,
            capabilities: None,
            vectors: 0,
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

    /// Sets how many interrupt vectors the device grants; 0 makes every vector read back 0xffff.
    #[must_use]
    pub fn vectors(mut self, count: u16) -> Self {
        self.vectors = count;
        self
    }

    /// Powers the device up.
    pub fn build(self) -> PciDevice {
        let list = self.capabilities.unwrap_or_else(|| Capability::standard(self.config.len()));
        let structures: Vec<Structure> = list.iter().filter_map(Capability::structure).collect();
        let space = ConfigSpace::new(self.ids, self.class, self.bars, &list);
        let mut state = State::new(space, structures);
        state.offered = self.features;
        state.device_config = self.config;
        state.vectors = self.vectors;
        state.queues = (0..)
            .zip(self.queue_sizes)
            .map(|(index, max_size)| QueueRegisters::new(index, max_size))
            .collect();
        PciDevice::from_state(state)
    }
}
