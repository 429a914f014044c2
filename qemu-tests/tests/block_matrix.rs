//! The block driver over QEMU's device properties.
//!
//! Contents right in both directions, and the paths that were asked for.

mod common;

use common::{SECTORS, TERA_SECTORS};
use qemu_tests::{Connection, DiskDevice, Machine};

/// Makes a module of tests for each machine: one test per line, with the device and what the guest must say of it.
macro_rules! matrix {
    ($($machine:ident: $variant:ident),*) => {$(
        mod $machine {
            use super::*;

            fn check(sectors: u64, device: DiskDevice) -> String {
                common::check(Machine::$variant, sectors, &device)
            }

            #[test]
            fn a_modern_only_device_serves_every_request() {
                let output = check(SECTORS, DiskDevice { serial: Some("serial-4711".into()), ..DiskDevice::default() });
                assert!(output.contains("event_index=true indirect=true access_platform=false"), "{output}");
                assert!(output.contains("id: serial-4711"), "{output}");
            }

            #[test]
            fn a_transitional_device_serves_every_request() {
                check(SECTORS, DiskDevice { connection: Some(Connection::PciTransitional), ..DiskDevice::default() });
            }

            #[test]
            fn without_event_index_nothing_is_lost() {
                let output = check(SECTORS, DiskDevice { event_idx: false, ..DiskDevice::default() });
                assert!(output.contains("event_index=false indirect=true"), "{output}");
            }

            #[test]
            fn without_indirect_descriptors_nothing_is_lost() {
                let output = check(SECTORS, DiskDevice { indirect_desc: false, ..DiskDevice::default() });
                assert!(output.contains("event_index=true indirect=false"), "{output}");
            }

            #[test]
            fn without_either_nothing_is_lost() {
                let device = DiskDevice { event_idx: false, indirect_desc: false, ..DiskDevice::default() };
                assert!(check(SECTORS, device).contains("event_index=false indirect=false"));
            }

            #[test]
            fn four_descriptors_are_enough() {
                let output = check(SECTORS, DiskDevice { queue_size: Some(4), ..DiskDevice::default() });
                assert!(output.contains("queue_size=4 "), "{output}");
            }

            #[test]
            fn four_direct_descriptors_are_enough() {
                let device = DiskDevice { queue_size: Some(4), indirect_desc: false, ..DiskDevice::default() };
                assert!(check(SECTORS, device).contains("queue_size=4 "));
            }

            #[test]
            fn a_queue_of_1024_descriptors_is_used_in_full() {
                let output = check(SECTORS, DiskDevice { queue_size: Some(1024), ..DiskDevice::default() });
                assert!(output.contains("queue_size=1024 "), "{output}");
            }

            #[test]
            fn a_device_that_insists_on_platform_access_serves_every_request() {
                let output = check(SECTORS, DiskDevice { iommu_platform: true, ..DiskDevice::default() });
                assert!(output.contains("access_platform=true"), "{output}");
            }

            #[test]
            fn a_read_only_disk_is_read_and_never_asked_to_write() {
                let output = check(SECTORS, DiskDevice { read_only: true, ..DiskDevice::default() });
                assert!(output.contains("read_only=true") && output.contains("write refused: read-only"), "{output}");
            }

            #[test]
            fn a_disk_of_no_sectors_starts_and_refuses_every_range() {
                check(0, DiskDevice::default());
            }

            #[test]
            fn a_disk_of_one_sector_is_read_and_written() {
                let output = check(1, DiskDevice::default());
                assert!(output.contains("wrote 0 1"), "{output}");
            }

            #[test]
            fn a_disk_of_3_tebibytes_is_read_and_written_to_its_last_sector() {
                let sectors = 3 * TERA_SECTORS;
                let output = check(sectors, DiskDevice::default());
                assert!(output.contains(&format!("wrote {} 1", sectors - 1)), "{output}");
            }
        }
    )*};
}

matrix!(q35: Q35, pc: Pc);
