//! Entries of the capability list, honest or not.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. A test starts from
//! [`Capability::standard`], changes what it likes and hands the list to the builder. Whatever
//! the entries say is where the registers are, if the place exists.
//!
//! ```text
//!   0 id  1 next  2 cap_len  3 cfg_type  4 bar  5 id  6 padding  8 offset  12 length  16 extra
//! ```

/// The id of a vendor specific capability, which all virtio capabilities are.
pub const VENDOR_SPECIFIC: u8 = 0x09;

/// The id of the MSI-X capability.
pub const MSI_X: u8 = 0x11;

/// The id of the capability for messages of the older kind.
pub(super) const MSI: u8 = 0x05;

/// The structure types that the model serves.
pub mod cfg_type {
    /// Common configuration.
    pub const COMMON: u8 = 1;
    /// Notification area.
    pub const NOTIFY: u8 = 2;
    /// ISR status.
    pub const ISR: u8 = 3;
    /// Device-specific configuration.
    pub const DEVICE: u8 = 4;
    /// Window in configuration space through which BARs can be reached.
    pub const PCI_WINDOW: u8 = 5;
    /// Shared memory region.
    pub const SHARED_MEMORY: u8 = 8;
}

/// The BAR that holds the structures of the standard list.
pub const STANDARD_BAR: u8 = 4;

/// One entry of the capability list: all bytes but the link, and what overrides the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The capability id.
    pub id: u8,
    /// The bytes from offset 2 on.
    pub body: Vec<u8>,
    /// Where in configuration space it lies; if `None`, after its predecessor.
    pub at: Option<u8>,
    /// The link byte; if `None`, the entry that follows in the list.
    pub next: Option<u8>,
}

impl Capability {
    /// Makes an entry of any kind from the bytes that follow its link.
    pub fn raw(id: u8, body: &[u8]) -> Self {
        Self { id, body: body.to_vec(), at: None, next: None }
    }

    /// Makes a virtio entry of 16 bytes.
    pub fn virtio(cfg_type: u8, bar: u8, offset: u32, length: u32) -> Self {
        let mut body = vec![16, cfg_type, bar, 0, 0, 0];
        body.extend(offset.to_le_bytes());
        body.extend(length.to_le_bytes());
        Self::raw(VENDOR_SPECIFIC, &body)
    }

    /// Makes a notification entry.
    pub fn notify(bar: u8, offset: u32, length: u32, multiplier: u32) -> Self {
        Self::virtio(cfg_type::NOTIFY, bar, offset, length).extended(&multiplier.to_le_bytes())
    }

    /// Makes an MSI-X entry: a table of so many entries at an offset of a BAR, and behind it the bits that say what is pending.
    ///
    /// # Panics
    /// If the table has no entry.
    pub fn msi_x(entries: u16, bar: u8, table: u32) -> Self {
        let last = entries.checked_sub(1).expect("a table has at least one entry");
        let mut body = last.to_le_bytes().to_vec();
        body.extend((table | u32::from(bar)).to_le_bytes());
        let pending = table + 16 * u32::from(entries);
        body.extend((pending | u32::from(bar)).to_le_bytes());
        Self::raw(MSI_X, &body)
    }

    /// Makes a shared memory entry, with 64-bit offset and length.
    pub fn shared_memory(id: u8, bar: u8, offset: u64, length: u64) -> Self {
        let [offset, length] = [offset, length].map(u64::to_le_bytes);
        let mut entry = Self::virtio(cfg_type::SHARED_MEMORY, bar, 0, 0);
        entry.body[3] = id;
        entry.body[6..10].copy_from_slice(&offset[..4]);
        entry.body[10..14].copy_from_slice(&length[..4]);
        entry.extended(&offset[4..]).extended(&length[4..])
    }

    /// The five structures in [`STANDARD_BAR`], one page each; the notification multiplier is 4.
    ///
    /// # Panics
    /// If the configuration is longer than 32 bits can say.
    pub fn standard(device_config_len: usize) -> Vec<Self> {
        let config_len = u32::try_from(device_config_len).expect("a short device configuration");
        vec![
            Self::virtio(cfg_type::COMMON, STANDARD_BAR, 0x0000, 64),
            Self::virtio(cfg_type::ISR, STANDARD_BAR, 0x1000, 1),
            Self::virtio(cfg_type::DEVICE, STANDARD_BAR, 0x2000, config_len),
            Self::notify(STANDARD_BAR, 0x3000, 0x1000, 4),
            Self::virtio(cfg_type::PCI_WINDOW, 0, 0, 0).extended(&[0; 4]),
        ]
    }

    /// Appends bytes and counts them in `cap_len`.
    ///
    /// # Panics
    /// If the capability gets longer than its length byte can say.
    #[must_use]
    pub fn extended(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self.body[0] += u8::try_from(bytes.len()).expect("a capability is short");
        self
    }

    /// Changes the length that the entry claims for itself.
    #[must_use]
    pub fn with_cap_len(mut self, cap_len: u8) -> Self {
        self.body[0] = cap_len;
        self
    }

    /// Changes the structure type.
    #[must_use]
    pub fn with_cfg_type(mut self, cfg_type: u8) -> Self {
        self.body[1] = cfg_type;
        self
    }

    /// Changes the BAR number.
    #[must_use]
    pub fn with_bar(mut self, bar: u8) -> Self {
        self.body[2] = bar;
        self
    }

    /// Changes the offset into the BAR.
    #[must_use]
    pub fn with_offset(mut self, offset: u32) -> Self {
        self.body[6..10].copy_from_slice(&offset.to_le_bytes());
        self
    }

    /// Changes the length of the structure.
    #[must_use]
    pub fn with_length(mut self, length: u32) -> Self {
        self.body[10..14].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// Places the entry at a fixed offset of configuration space.
    #[must_use]
    pub fn placed_at(mut self, at: u8) -> Self {
        self.at = Some(at);
        self
    }

    /// Overrides the link to the next entry; 0 ends the list.
    #[must_use]
    pub fn linked_to(mut self, next: u8) -> Self {
        self.next = Some(next);
        self
    }

    /// The structure type, if this is a virtio entry.
    pub fn cfg_type(&self) -> Option<u8> {
        let is_virtio = self.id == VENDOR_SPECIFIC && self.body.len() >= 14;
        is_virtio.then(|| self.body[1])
    }

    /// Where the entry puts its structure.
    pub(super) fn structure(&self) -> Option<Structure> {
        let cfg_type = self.cfg_type()?;
        let word = |at: usize| {
            let bytes = self.body.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Structure {
            cfg_type,
            bar: self.body[2],
            offset: u64::from(word(6)?),
            length: u64::from(word(10)?),
            multiplier: u64::from(word(14).unwrap_or(0)),
        })
    }
}

/// A register structure and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Structure {
    pub(super) cfg_type: u8,
    pub(super) bar: u8,
    offset: u64,
    length: u64,
    pub(super) multiplier: u64,
}

impl Structure {
    /// The offset of an access within the structure, if it lies wholly inside.
    pub(super) fn locate(&self, bar: u8, offset: u64, width: u64) -> Option<u64> {
        let within = offset.checked_sub(self.offset)?;
        let end = within.checked_add(width)?;
        (bar == self.bar && end <= self.length).then_some(within)
    }
}
