//! A virtio disk on QEMU's command line.

use std::path::Path;

use crate::drive::Fault;
use crate::machine::{Connection, Machine};

pub(crate) fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// A path as a part of an option: a comma there is written twice.
pub(crate) fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Properties of a virtio disk, and of the drive behind it.
#[derive(Clone, Debug)]
pub struct DiskDevice {
    /// How it is connected, unless in the machine's own way.
    pub connection: Option<Connection>,
    /// Offer `EVENT_IDX`.
    pub event_idx: bool,
    /// Offer `INDIRECT_DESC`.
    pub indirect_desc: bool,
    /// Offer `RING_PACKED` (`packed`).
    pub packed: bool,
    /// Offer `IN_ORDER` (`in_order`).
    pub in_order: bool,
    /// Offer, and insist on, `ACCESS_PLATFORM` (`iommu_platform`).
    pub iommu_platform: bool,
    /// It is on a bus behind a PCI Express port.
    pub behind_bridge: bool,
    /// It is on this bus.
    pub bus: Option<&'static str>,
    /// What QMP calls it.
    pub id: Option<&'static str>,
    /// It is served by a process of its own, QEMU's storage daemon, in the guest's memory (vhost-user).
    pub storage_daemon: bool,
    /// What the drive fails at.
    pub faults: Vec<Fault>,
    /// Writes can be stopped in the drive ([`Qmp::stop_next_write`](crate::Qmp::stop_next_write)).
    pub breakpoints: bool,
    /// The drive is slow: it does so many requests in a second, once it did a few at once.
    pub requests_per_second: Option<u32>,
    /// What is discarded may be given back to the host's file system.
    pub unmap: bool,
    /// Requests for sectors beside each other may be done as one; a storage daemon does not do that.
    pub request_merging: bool,
    /// Entries of its MSI-X table (PCI only).
    pub vectors: Option<u16>,
    /// Request queues; if it is not said, as many as there are processors (PCI), or one.
    pub queues: Option<u16>,
    /// Descriptors of each queue.
    pub queue_size: Option<u16>,
    /// Offer `DISCARD`.
    pub discard: bool,
    /// Offer `WRITE_ZEROES`.
    pub write_zeroes: bool,
    /// Most sectors that one request discards.
    pub max_discard_sectors: Option<u32>,
    /// Most sectors that one request fills with zeros.
    pub max_write_zeroes_sectors: Option<u32>,
    /// The cache is a write-back one at first, or is not; if it is not said, it is.
    pub write_cache: Option<bool>,
    /// Offer `CONFIG_WCE`.
    pub config_wce: bool,
    /// The logical and the physical block's bytes, in this order.
    pub block_bytes: Option<(u32, u32)>,
    /// The least and the best bytes of a transfer, in this order.
    pub transfer_bytes: Option<(u32, u32)>,
    /// Cylinders, heads, and sectors of a track.
    pub geometry: Option<(u16, u8, u8)>,
    /// Doorbells wake a thread of QEMU's, unseen by traces.
    pub ioeventfd: bool,
    /// The drive is read-only.
    pub read_only: bool,
    /// The id string.
    pub serial: Option<String>,
}

impl Default for DiskDevice {
    /// Modern only, with everything offered that QEMU offers.
    fn default() -> Self {
        Self {
            connection: None,
            vectors: None,
            event_idx: true,
            indirect_desc: true,
            packed: false,
            in_order: false,
            iommu_platform: false,
            behind_bridge: false,
            bus: None,
            id: None,
            storage_daemon: false,
            faults: Vec::new(),
            breakpoints: false,
            requests_per_second: None,
            unmap: true,
            request_merging: true,
            queues: None,
            queue_size: None,
            discard: true,
            write_zeroes: true,
            max_discard_sectors: None,
            max_write_zeroes_sectors: None,
            write_cache: None,
            config_wce: true,
            block_bytes: None,
            transfer_bytes: None,
            geometry: None,
            ioeventfd: true,
            read_only: false,
            serial: None,
        }
    }
}

impl DiskDevice {
    /// How it is connected on this machine.
    pub fn connection_on(&self, machine: Machine) -> Connection {
        self.connection.unwrap_or(machine.default_connection())
    }

    /// The device's properties; `backend` is what the drive, or the connection to the storage daemon, is called.
    ///
    /// # Panics
    /// If something is asked for that a device which another process serves does not have.
    pub(crate) fn properties(&self, machine: Machine, backend: &str) -> String {
        let mut properties = format!(
            "{},event_idx={},indirect_desc={},packed={},in_order={},iommu_platform={},config-wce={},discard={},write-zeroes={}",
            self.driver(machine),
            on_off(self.event_idx),
            on_off(self.indirect_desc),
            on_off(self.packed),
            on_off(self.in_order),
            on_off(self.iommu_platform),
            on_off(self.config_wce),
            on_off(self.discard),
            on_off(self.write_zeroes),
        );
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                properties += &format!(",{name}={value}");
            }
        };
        add("bus", self.bus.or(self.behind_bridge.then_some("bridge")).map(Into::into));
        add("id", self.id.map(Into::into));
        let is_pci = !self.connection_on(machine).is_mmio();
        add("ioeventfd", (!self.ioeventfd && is_pci).then(|| "off".into()));
        add("vectors", self.vectors.map(|vectors| vectors.to_string()));
        add("num-queues", self.queues.map(|queues| queues.to_string()));
        add("queue-size", self.queue_size.map(|size| size.to_string()));
        if self.storage_daemon {
            assert!(
                self.drive_properties().is_empty(),
                "vhost-user-blk has no {:?}",
                self.drive_properties()
            );
            add("chardev", Some(backend.into()));
        } else {
            add("drive", Some(backend.into()));
            let merging = self.request_merging && !self.in_order;
            add("request-merging", (!merging).then(|| "off".into()));
            for (name, value) in self.drive_properties() {
                add(name, Some(value));
            }
        }
        properties
    }

    /// What QEMU calls a device that is connected in this way.
    fn driver(&self, machine: Machine) -> String {
        let interfaces = match self.connection_on(machine) {
            Connection::Pci => "disable-legacy=on",
            Connection::PciTransitional => "disable-legacy=off,disable-modern=off",
            Connection::PciLegacy => "disable-legacy=off,disable-modern=on",
            Connection::Mmio | Connection::MmioLegacy if self.storage_daemon => {
                return "vhost-user-blk".into();
            }
            Connection::Mmio | Connection::MmioLegacy => return "virtio-blk-device".into(),
        };
        let name = if self.storage_daemon { "vhost-user-blk-pci" } else { "virtio-blk-pci" };
        format!("{name},{interfaces}")
    }

    /// Properties that only a device with a drive has, as far as they are set.
    fn drive_properties(&self) -> Vec<(&'static str, String)> {
        let number = |name, value: Option<u32>| value.map(|value| (name, value.to_string()));
        let (logical, physical) = self.block_bytes.unzip();
        let (least, best) = self.transfer_bytes.unzip();
        let (cylinders, heads, track) = match self.geometry {
            Some((cylinders, heads, track)) => {
                (Some(cylinders.into()), Some(heads.into()), Some(track.into()))
            }
            None => (None, None, None),
        };
        [
            self.serial.clone().map(|serial| ("serial", serial)),
            self.write_cache.map(|on| ("write-cache", on_off(on).into())),
            number("max-discard-sectors", self.max_discard_sectors),
            number("max-write-zeroes-sectors", self.max_write_zeroes_sectors),
            number("logical_block_size", logical),
            number("physical_block_size", physical),
            number("min_io_size", least),
            number("opt_io_size", best),
            number("cyls", cylinders),
            number("heads", heads),
            number("secs", track),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
