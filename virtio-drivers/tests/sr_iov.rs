//! What enabling virtual functions promises, whatever the physical function says.
//!
//! PCI Express Base Specification, chapter 9. The model refuses registers that are written out of order, and functions that are spoken to before their time.

mod support;

use support::DiskBench;
use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::transport::pci::sr_iov::{EnableError, Enabled, Settings, SrIov, SrIovError};
use virtio_guest::transport::pci::{LegacyPciTransport, OpenError, PciTransport};
use virtio_guest::wire::features::CommonFeatures;
use virtio_model::pci::sr_iov::CAPABILITY;
use virtio_model::pci::{Capability, Completion, PciDevice, SrIovDevice};
use virtio_test_hal::sr_iov::{
    Segment, VirtualMapper, claim_capability, claim_physical, claim_virtual, memory,
};

/// The BARs of seven virtual functions.
const MEMORY: std::ops::Range<u64> = 0x38_0000_0000..0x38_0000_0000 + 7 * 0x4000;

fn settings(count: u16) -> Settings {
    Settings { count, page_bytes: 4096, buses: 1..=1 }
}

/// A physical function of some other vendor's, with seven virtual ones.
fn seven() -> SrIovDevice {
    with_virtuals(0x8086, (0..7).map(|_| PciDevice::builder().device_id(0x1042).build()).collect())
}

fn with_virtuals(vendor_id: u16, virtuals: Vec<PciDevice>) -> SrIovDevice {
    let builder = PciDevice::builder().vendor_id(vendor_id).device_id(0x1042);
    let express = |list: &mut Vec<Capability>| list.push(Capability::raw(0x10, &[2, 0]));
    SrIovDevice::new(builder.edit_capabilities(express).build(), virtuals)
}

/// Patience that has time pass.
fn within(device: &SrIovDevice) -> impl FnMut(u32) -> Box<dyn FnMut() -> bool> {
    let device = device.clone();
    move |millis| {
        let device = device.clone();
        let mut looks = 10;
        Box::new(move || {
            looks -= 1;
            if looks == 0 {
                device.pass(millis);
            }
            looks > 0
        })
    }
}

fn enable(device: &SrIovDevice, settings: &Settings) -> Result<Enabled<Segment>, EnableError> {
    let sr_iov = SrIov::find(claim_capability(device)).expect("it has the capability");
    sr_iov.enable(settings, memory(0..0, MEMORY), within(device)).map_err(|failed| failed.error)
}

/// A device that lies is refused with this error, is left with nothing enabled, and works again once it is honest.
fn refused(device: &SrIovDevice, settings: &Settings, expected: EnableError) {
    assert_eq!(enable(device, settings).unwrap_err(), expected);
    assert_eq!(device.enabled(), None);
    assert_eq!(device.driver_errors(), [] as [&str; 0]);
}

#[test]
fn virtual_functions_are_enabled_listed_and_disabled() {
    let device = seven();

    let enabled = enable(&device, &settings(3)).unwrap();

    assert_eq!((enabled.count(), device.enabled()), (3, Some(3)));
    let functions: Vec<_> = enabled.virtual_functions().collect();
    let places: Vec<_> =
        functions.iter().map(|found| (found.address().to_string(), found.bar(4).unwrap())).collect();
    let base = MEMORY.start;
    let expected = [
        ("0000:01:10.0", base..base + 0x4000),
        ("0000:01:10.2", base + 0x4000..base + 0x8000),
        ("0000:01:10.4", base + 0x8000..base + 0xc000),
    ];
    assert_eq!(places, expected.map(|(place, bar)| (place.to_owned(), bar)));
    assert_eq!((functions[0].vendor_id(), functions[0].device_id()), (0x8086, 0x1042));
    assert_eq!((functions[0].bar(0), functions[0].bar(5), functions[0].bar(99)), (None, None, None));

    let (sr_iov, memory) = enabled.disable(within(&device));
    assert_eq!(device.enabled(), None);
    let again = sr_iov.enable(&settings(7), memory, within(&device)).unwrap();
    assert_eq!(again.count(), 7);
    assert_eq!(device.driver_errors(), [] as [&str; 0]);
}

/// Page size, then BARs, then their number, then the switch; on the way back first the switch.
#[test]
fn registers_are_written_in_the_one_right_order() {
    let device = seven();
    let enabled = enable(&device, &settings(2)).unwrap();
    let on: Vec<_> = device.writes();
    enabled.disable(within(&device));
    let off: Vec<_> = device.writes().split_off(on.len());

    // Once what an earlier owner left is gone:
    let start = on.iter().position(|(register, _)| *register == 0x20).expect("the page size is written");
    assert!(on[..start].iter().all(|(_, value)| *value == 0), "{on:x?}");
    let on: Vec<_> = on[start..].iter().filter(|(_, value)| ![0, u32::MAX].contains(value)).collect();
    let low = (MEMORY.start & 0xffff_ffff) as u32;
    let expected = [(0x20, 1), (0x38, 0x38), (0x10, 2), (0x08, 0b1001)];
    assert_eq!(low, 0, "so that its register is not among these");
    assert_eq!(on, expected.iter().collect::<Vec<_>>());
    assert_eq!(off[0], (0x08, 0), "{off:x?}");
    assert_eq!(off[1], (0x10, 0), "{off:x?}");
    assert_eq!(off.len(), 8, "and all BARs: {off:x?}");
}

#[test]
fn functions_without_the_capability_have_no_virtual_functions() {
    let device = seven();
    device.poke(0x100, 0);
    assert_eq!(SrIov::find(claim_capability(&device)).unwrap_err(), SrIovError::Absent);

    let conventional =
        SrIovDevice::new(PciDevice::builder().vendor_id(0x8086).device_id(1).build(), Vec::new());
    assert_eq!(SrIov::find(claim_capability(&conventional)).unwrap_err(), SrIovError::Absent);

    let looping = seven();
    looping.poke(CAPABILITY, 0x0003 | 0x100 << 20);
    assert_eq!(SrIov::find(claim_capability(&looping)).unwrap_err(), SrIovError::Absent);
}

/// Spec: §6.1 — a virtio device's virtual functions are enabled only after `SR_IOV` was agreed on.
#[test]
fn a_virtio_device_is_asked_only_after_negotiation() {
    let device = with_virtuals(0x1af4, Vec::new());

    assert_eq!(SrIov::find(claim_capability(&device)).unwrap_err(), SrIovError::NotNegotiated);
    let negotiated = |features| SrIov::find_negotiated(claim_capability(&device), features);
    assert_eq!(negotiated(CommonFeatures::VERSION_1).unwrap_err(), SrIovError::NotNegotiated);
    assert!(negotiated(CommonFeatures::SR_IOV).is_ok());
}

#[test]
fn no_more_functions_are_enabled_than_there_are() {
    let device = seven();
    refused(&device, &settings(0), EnableError::Count { count: 0, most: 7 });
    refused(&device, &settings(8), EnableError::Count { count: 8, most: 7 });
    device.poke(CAPABILITY + 0x0c, 0xffff << 16 | 3);
    refused(&device, &settings(4), EnableError::Count { count: 4, most: 3 });
    device.poke(CAPABILITY + 0x0c, 2 << 16 | 0xffff);
    refused(&device, &settings(3), EnableError::Count { count: 3, most: 2 });
}

#[test]
fn pages_are_of_a_size_that_the_function_knows() {
    for page_bytes in [0, 1, 2048, 4097, 8192, 1 << 44, 1 << 63] {
        refused(&seven(), &Settings { page_bytes, ..settings(2) }, EnableError::PageSize { page_bytes });
    }
    assert!(enable(&seven(), &Settings { page_bytes: 16384, ..settings(2) }).is_ok());
    // It has BARs of 16 KiB, whatever the pages are.
    let device = seven();
    device.poke(CAPABILITY + 0x1c, 0b1000);
    let wide = Settings { page_bytes: 32768, ..settings(2) };
    refused(&device, &wide, EnableError::ImpossibleBar { index: 4 });
}

#[test]
fn a_bar_that_cannot_be_is_refused() {
    let huge = EnableError::NoRoom { index: 4, bytes: 1 << 63 };
    let cases = [
        ("I/O space", 2, 1, !0x3fff, EnableError::ImpossibleBar { index: 2 }),
        ("no size", 2, 0, 0x5000_0000, EnableError::ImpossibleBar { index: 2 }),
        ("smaller than a page", 0, 0, !0xff, EnableError::ImpossibleBar { index: 0 }),
        ("64 bits, and no register for half of them", 5, 4, !0xffff, EnableError::ImpossibleBar { index: 5 }),
        ("nothing but its kind", 2, 4, 0, EnableError::ImpossibleBar { index: 2 }),
        ("more than the addresses there are", 4, 0xc, 0, huge),
    ];
    for (what, index, low, mask, error) in cases {
        let device = seven();
        if index == 4 {
            device.set_bar(5, 0, 1 << 31);
        } else {
            device.set_bar(4, 0, 0);
            device.set_bar(5, 0, 0);
        }
        device.set_bar(index, low, mask);
        println!("{what}");
        refused(&device, &settings(2), error);
    }
}

/// Otherwise virtual functions would answer at addresses that are something else's.
#[test]
fn a_bar_that_keeps_another_address_is_refused() {
    for half in [0x34, 0x38] {
        let device = seven();
        device.misbehave(|lies| lies.keeps_address = Some(half));
        let sr_iov = SrIov::find(claim_capability(&device)).unwrap();
        let memory = memory(0..0, 0x38_1000_0000..0x39_0000_0000);

        let failed = sr_iov.enable(&settings(2), memory, within(&device)).unwrap_err();

        assert_eq!(failed.error, EnableError::ImpossibleBar { index: 4 });
        assert_eq!(device.enabled(), None);
    }
}

#[test]
fn room_for_all_functions_is_needed() {
    let enable_in = |memory_32, memory_64| {
        let device = seven();
        let sr_iov = SrIov::find(claim_capability(&device)).unwrap();
        let enabled = sr_iov.enable(&settings(7), memory(memory_32, memory_64), within(&device));
        enabled.map(|enabled| enabled.virtual_functions().next().unwrap().bar(4).unwrap().start)
    };
    let no_room = EnableError::NoRoom { index: 4, bytes: 0x4000 };

    assert_eq!(enable_in(0..0, MEMORY).unwrap(), MEMORY.start);
    assert_eq!(enable_in(0..0, MEMORY.start..MEMORY.end - 1).unwrap_err().error, no_room);
    assert_eq!(enable_in(0..0, MEMORY.start + 1..MEMORY.end).unwrap_err().error, no_room);
    assert_eq!(enable_in(0..0, u64::MAX - 0x4000..u64::MAX).unwrap_err().error, no_room);
    // Where there is no room far up, there may be some below 4 GiB.
    assert_eq!(enable_in(0xfe00_1000..0xff00_0000, 0..0).unwrap(), 0xfe00_4000);
    assert_eq!(enable_in(0xffff_8000..1 << 33, 0..0).unwrap_err().error, no_room);
}

#[test]
fn a_bar_of_32_bits_is_below_4_gib() {
    let device = seven();
    device.set_bar(0, 0, !0x3fff);
    let sr_iov = SrIov::find(claim_capability(&device)).unwrap();
    let memory = memory(0xfe00_0000..0xff00_0000, MEMORY);

    let enabled = sr_iov.enable(&settings(2), memory, within(&device)).unwrap();

    let second = enabled.virtual_functions().nth(1).unwrap();
    assert_eq!(second.bar(0).unwrap(), 0xfe00_4000..0xfe00_8000);
    assert_eq!(second.bar(4).unwrap().start, MEMORY.start + 0x4000);
}

#[test]
fn functions_at_one_place_are_refused() {
    for (offset, stride, count) in [(0, 2, 1), (0, 0, 1), (0x80, 0, 2)] {
        let device = seven();
        device.poke(CAPABILITY + 0x14, u32::from(stride) << 16 | u32::from(offset));
        refused(&device, &settings(count), EnableError::Routing { offset, stride });
    }
    let device = seven();
    device.poke(CAPABILITY + 0x14, 0x80);
    assert!(enable(&device, &settings(1)).is_ok(), "one function needs no stride");
}

#[test]
fn functions_beyond_the_buses_are_refused() {
    for (offset, stride) in [(0x100, 1), (0xfe, 1), (0x80, 0x80), (0xffff, 1), (0xfeff, 0xffff)] {
        let device = seven();
        device.poke(CAPABILITY + 0x14, u32::from(stride) << 16 | u32::from(offset));
        refused(&device, &settings(3), EnableError::BeyondBuses { offset, stride });
    }
    // The second one of these would wrap around to the first bus; the first one of those is before it.
    for (stride, buses) in [(0xff90, 1..=1), (0x80, 2..=2)] {
        let device = seven();
        device.poke(CAPABILITY + 0x14, u32::from(stride) << 16 | 0x80);
        let error = EnableError::BeyondBuses { offset: 0x80, stride };
        refused(&device, &Settings { buses, ..settings(2) }, error);
    }
    let next_bus = seven();
    next_bus.poke(CAPABILITY + 0x14, 2 << 16 | 0x180);
    let enabled = enable(&next_bus, &Settings { buses: 1..=2, ..settings(3) }).unwrap();
    let last = enabled.virtual_functions().last().unwrap();
    assert_eq!(last.address().to_string(), "0000:02:10.4");
}

#[test]
fn functions_are_not_enabled_where_another_one_is() {
    let device = seven();
    device.misbehave(|lies| lies.neighbour = Some(0x184));
    let taken = enable(&device, &settings(3)).unwrap_err();
    assert!(matches!(taken, EnableError::PlaceTaken { address } if address.device() == 16), "{taken}");
    assert!(device.writes().iter().all(|(register, value)| *register != 0x08 || *value == 0));
    assert!(enable(&device, &settings(2)).is_ok());
}

#[test]
fn a_function_that_takes_no_number_or_does_not_enable_is_refused() {
    let device = seven();
    device.misbehave(|lies| lies.ignores_count = true);
    refused(&device, &settings(2), EnableError::Refused);
    let device = seven();
    device.misbehave(|lies| lies.ignores_enable = true);
    refused(&device, &settings(2), EnableError::Refused);
    device.misbehave(|lies| lies.ignores_enable = false);
    assert!(enable(&device, &settings(2)).is_ok());
}

#[test]
fn functions_that_answer_late_are_waited_for_and_those_that_never_do_are_an_error() {
    let device = seven();
    device.misbehave(|lies| lies.answers = Completion::AfterReads(5));
    assert!(enable(&device, &settings(2)).is_ok());

    let device = seven();
    device.misbehave(|lies| lies.answers = Completion::Never);
    let sr_iov = SrIov::find(claim_capability(&device)).unwrap();
    let failed = sr_iov.enable(&settings(2), memory(0..0, MEMORY), within(&device)).unwrap_err();
    assert!(matches!(failed.error, EnableError::NoAnswer { .. }), "{failed}");
    assert_eq!(device.enabled(), None);
    device.misbehave(|lies| lies.answers = Completion::Prompt);
    assert!(failed.sr_iov.enable(&settings(2), failed.memory, within(&device)).is_ok());
    assert_eq!(device.driver_errors(), [] as [&str; 0], "it was left alone for long enough");
}

#[test]
fn functions_that_somebody_left_enabled_are_disabled_first() {
    let device = seven();
    drop(enable(&device, &settings(7)).unwrap());
    assert_eq!(device.enabled(), Some(7));

    assert_eq!(enable(&device, &settings(2)).unwrap().count(), 2);
    assert_eq!((device.enabled(), device.driver_errors()), (Some(2), Vec::new()));
}

/// Every register reads all ones: the physical function is gone.
#[test]
fn a_function_that_is_gone_has_no_virtual_functions() {
    let device = seven();
    let sr_iov = SrIov::find(claim_capability(&device)).unwrap();
    device.misbehave(|lies| lies.gone = true);

    let failed = sr_iov.enable(&settings(2), memory(0..0, MEMORY), |_| Attempts(3)).unwrap_err();

    assert!(matches!(failed.error, EnableError::PageSize { .. }), "{failed}");
}

/// Its configuration space has neither ids nor BARs, and it is a disk all the same.
#[test]
fn a_disk_that_is_a_virtual_function_works() {
    let bench = DiskBench::new(|_| {});
    let idle = DiskBench::new(|_| {});
    let device = with_virtuals(0x1af4, vec![idle.device.clone(), bench.device.clone()]);
    let sr_iov = SrIov::find_negotiated(claim_capability(&device), CommonFeatures::SR_IOV).unwrap();
    let enabled = sr_iov.enable(&settings(2), memory(0..0, MEMORY), within(&device)).unwrap();
    let second = enabled.virtual_functions().nth(1).unwrap();

    let transport = PciTransport::open(claim_virtual(&device, &second), &VirtualMapper(device.clone()));
    let mut storage = Storage::<16>::new();
    let disk = Block::start(transport.unwrap(), bench.hal.clone(), &mut storage, Attempts(10));
    let mut disk = disk.map_err(|failed| failed.error).unwrap();
    let mut read = [0; 512];
    disk.read_blocking(Sector(5), &mut read, bench.working(50)).unwrap();

    assert_eq!(read, [5; 512]);
    disk.close(Attempts(10)).unwrap();
    bench.assert_all_returned();
    assert_eq!(idle.device.statuses_written(), [] as [u8; 0], "the first one is left alone");
    assert_eq!(device.driver_errors(), [] as [&str; 0], "its own BARs were not written");
}

/// Ports that a virtual function claims for itself are somebody else's.
#[test]
fn what_a_virtual_function_says_of_its_own_bars_is_not_believed() {
    let transitional = PciDevice::builder().device_id(0x1001).capabilities(Vec::new()).build();
    let device = with_virtuals(0x1af4, vec![transitional]);
    let sr_iov = SrIov::find_negotiated(claim_capability(&device), CommonFeatures::SR_IOV).unwrap();
    let enabled = sr_iov.enable(&settings(1), memory(0..0, MEMORY), within(&device)).unwrap();
    let function = enabled.virtual_functions().next().unwrap();
    device.misbehave(|lies| lies.own_bars = 0xc001);

    let opened = LegacyPciTransport::open(claim_virtual(&device, &function), &VirtualMapper(device.clone()));

    assert_eq!(opened.unwrap_err(), OpenError::NotLegacy);
    assert_eq!(device.driver_errors(), [] as [&str; 0], "they were not sized, either");
}

#[test]
fn a_virtual_function_that_was_disabled_is_gone() {
    let device = with_virtuals(0x8086, vec![PciDevice::builder().device_id(0x1042).build()]);
    let enabled = enable(&device, &settings(1)).unwrap();
    let function = enabled.virtual_functions().next().unwrap();
    enabled.disable(within(&device));

    let error = PciTransport::open(claim_virtual(&device, &function), &VirtualMapper(device.clone()));

    assert!(matches!(error, Err(OpenError::NotVirtio { vendor_id: 0x8086, .. })));
}

/// Spec: §6.1 — `SR_IOV` is agreed on where it is offered and the function has the capability, and nowhere else.
#[test]
fn the_feature_is_for_functions_with_the_capability() {
    use virtio_guest::transport::Transport;
    let device = with_virtuals(0x1af4, Vec::new());
    let supported = |device: &SrIovDevice| {
        let transport = PciTransport::open(claim_physical(device), &VirtualMapper(device.clone())).unwrap();
        transport.supported_features().contains(CommonFeatures::SR_IOV)
    };

    assert!(supported(&device));
    device.poke(0x100, 0);
    assert!(!supported(&device));
}
