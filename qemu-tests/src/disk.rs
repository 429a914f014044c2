//! A virtio disk on QEMU's command line.

use std::path::Path;

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
    /// The drive fails when it is to be flushed.
    pub flush_fails: bool,
    /// The drive is slow: it does so many requests in a second, once it did a few at once.
    pub requests_per_second: Option<u32>,
    /// Requests for sectors beside each other may be done as one.
    pub request_merging: bool,
    /// Entries of its MSI-X table (PCI only).
    pub vectors: Option<u16>,
    /// Request queues; if it is not said, as many as there are processors (PCI), or one.
    pub queues: Option<u16>,
    /// Descriptors of each queue.
    pub queue_size: Option<u16>,
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
            flush_fails: false,
            requests_per_second: None,
            request_merging: true,
            queues: None,
            queue_size: None,
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

    pub(crate) fn properties(&self, machine: Machine, drive: &str) -> String {
        let device = match self.connection_on(machine) {
            Connection::Pci => "virtio-blk-pci,disable-legacy=on",
            Connection::PciTransitional => "virtio-blk-pci,disable-legacy=off,disable-modern=off",
            Connection::PciLegacy => "virtio-blk-pci,disable-legacy=off,disable-modern=on",
            Connection::Mmio | Connection::MmioLegacy => "virtio-blk-device",
        };
        let mut properties = format!(
            "{device},drive={drive},event_idx={},indirect_desc={},packed={},in_order={},iommu_platform={}",
            on_off(self.event_idx),
            on_off(self.indirect_desc),
            on_off(self.packed),
            on_off(self.in_order),
            on_off(self.iommu_platform)
        );
        if self.in_order || !self.request_merging {
            properties += ",request-merging=off";
        }
        if let Some(bus) = self.bus.or(self.behind_bridge.then_some("bridge")) {
            properties += &format!(",bus={bus}");
        }
        if let Some(id) = self.id {
            properties += &format!(",id={id}");
        }
        if !self.ioeventfd && !self.connection_on(machine).is_mmio() {
            properties += ",ioeventfd=off";
        }
        if let Some(vectors) = self.vectors {
            properties += &format!(",vectors={vectors}");
        }
        if let Some(queues) = self.queues {
            properties += &format!(",num-queues={queues}");
        }
        if let Some(size) = self.queue_size {
            properties += &format!(",queue-size={size}");
        }
        if let Some(serial) = &self.serial {
            properties += &format!(",serial={serial}");
        }
        properties
    }

    /// The drive behind it, with the options for it.
    pub(crate) fn drive(&self, path: &Path) -> String {
        let file = option_value(path);
        if self.flush_fails {
            return format!(
                "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={file},\
                 file.inject-error.0.event=flush_to_disk,file.inject-error.0.errno=5"
            );
        }
        // Through io_uring requests complete in order; QEMU 10.0.2 loses some that do not (see the guide's page on testing).
        let order = if self.in_order { ",aio=io_uring" } else { "" };
        let speed = self.requests_per_second.map(|most| format!(",throttling.iops-total={most}"));
        format!("format=raw,file={file}{order}{}", speed.unwrap_or_default())
    }
}
