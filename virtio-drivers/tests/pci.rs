//! What the PCI transport promises, whatever configuration space says.
//!
//! Spec: §4.1 Virtio Over PCI Bus. Every capability is checked before it is used; a function that is opened is left decoding memory.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::sync::Mutex;

use support::{Mapper, Pci, claim};
use virtio_guest::hal::{MapMmio, RegisterWindow};
use virtio_guest::transport::Transport;
use virtio_guest::transport::pci::{CapabilityError, OpenError};
use virtio_guest::wire::device_type::DeviceType;
use virtio_model::pci::{Bar, Capability, PciDevice, STANDARD_BAR, cfg_type};

fn open(device: &PciDevice) -> Result<Pci, OpenError> {
    Pci::open(claim(device), &Mapper(device.clone()))
}

fn with_capabilities(edit: impl FnOnce(&mut Vec<Capability>)) -> PciDevice {
    PciDevice::builder().device_id(0x1042).config([0; 64]).edit_capabilities(edit).build()
}

fn find(list: &mut [Capability], kind: u8) -> &mut Capability {
    list.iter_mut().find(|capability| capability.cfg_type() == Some(kind)).expect("in the standard list")
}

fn change(kind: u8, edit: impl FnOnce(Capability) -> Capability) -> PciDevice {
    with_capabilities(|list| {
        let capability = find(list, kind);
        *capability = edit(capability.clone());
    })
}

fn missing(structure: u8) -> OpenError {
    OpenError::MissingStructure { structure }
}

#[test]
fn an_opened_function_decodes_memory() {
    let device = with_capabilities(|_| {});
    device.poke_config(0x04, &[0b11, 0]); // firmware left it decoding
    let transport = open(&device).unwrap();

    assert_eq!(transport.device_type(), DeviceType::BLOCK);
    assert_eq!(device.command(), 0x400 | 0b11, "as before, with its line off");
    assert_eq!(device.bar_writes_while_decoding(), 0, "BARs are sized with decoding off");
    device.assert_driver_was_correct();
}

#[test]
fn transitional_ids_are_known_and_others_are_not_virtio() {
    let transitional = PciDevice::builder().device_id(0x1001).config([0; 64]).build();
    assert_eq!(open(&transitional).unwrap().device_type(), DeviceType::BLOCK);

    let other = PciDevice::builder().vendor_id(0x8086).device_id(0x1042).build();
    assert_eq!(open(&other).unwrap_err(), OpenError::NotVirtio { vendor_id: 0x8086, device_id: 0x1042 });

    let gone = PciDevice::builder().vendor_id(0xffff).device_id(0xffff).build();
    assert!(matches!(open(&gone), Err(OpenError::NotVirtio { .. })));
}

#[test]
fn a_capability_list_that_loops_is_refused() {
    let device = with_capabilities(|list| {
        let last = list.pop().expect("not empty").placed_at(0x80).linked_to(0x80);
        list.push(last);
    });

    assert_eq!(open(&device).unwrap_err(), OpenError::Capabilities(CapabilityError::Loop { offset: 0x80 }));
}

#[test]
fn a_capability_list_that_leads_into_the_header_is_refused() {
    let device = with_capabilities(|list| {
        let last = list.pop().expect("not empty").linked_to(0x10);
        list.push(last);
    });

    assert_eq!(
        open(&device).unwrap_err(),
        OpenError::Capabilities(CapabilityError::IntoHeader { offset: 0x10 })
    );
}

#[test]
fn a_function_without_capabilities_is_refused() {
    let device = with_capabilities(|_| {});
    device.poke_config(0x06, &[0, 0]);

    assert_eq!(open(&device).unwrap_err(), OpenError::Capabilities(CapabilityError::NoList));
}

#[test]
fn unknown_capabilities_and_structures_are_skipped() {
    let device = with_capabilities(|list| {
        list.insert(0, Capability::raw(0x05, &[0; 12]));
        list.insert(1, Capability::virtio(77, STANDARD_BAR, 0x2400, 64));
        list.insert(2, Capability::shared_memory(1, STANDARD_BAR, 0x2800, 16));
    });

    assert_eq!(open(&device).unwrap().device_features(), 1 << 32, "the right registers");
    device.assert_driver_was_correct();
}

/// Spec: §4.1.4.1 — later versions may add to a capability's end.
#[test]
fn capabilities_that_are_longer_than_they_need_be_are_taken() {
    for kind in [cfg_type::COMMON, cfg_type::ISR, cfg_type::NOTIFY] {
        let device = with_capabilities(|list| {
            let last = list.len() - 1;
            let at = list.iter().position(|c| c.cfg_type() == Some(kind)).expect("there");
            list[at] = list[at].clone().extended(&[0xff; 4]);
            list.swap(at, last);
        });

        assert_eq!(open(&device).unwrap().device_features(), 1 << 32, "structure {kind}");
    }
}

#[test]
fn of_several_capabilities_for_a_structure_the_first_sound_one_counts() {
    let device = with_capabilities(|list| {
        let sound = find(list, cfg_type::COMMON).clone();
        list.insert(0, sound.clone().with_bar(6));
        list.insert(1, sound.clone().with_offset(0x3ff0));
        list.push(sound.with_offset(0x2000));
    });

    let mut transport = open(&device).unwrap();

    assert_eq!(transport.device_features(), 1 << 32, "the right registers");
}

/// Each way in which a capability can be unsound: reserved BAR, absent BAR, misaligned, too short, beyond the end, wrapping, cut off.
#[test]
fn an_unsound_capability_does_not_count() {
    type Edit = fn(Capability) -> Capability;
    let edits: [(&str, u8, Edit); 15] = [
        ("reserved BAR", cfg_type::COMMON, |c| c.with_bar(6)),
        ("reserved BAR", cfg_type::ISR, |c| c.with_bar(255)),
        ("absent BAR", cfg_type::COMMON, |c| c.with_bar(0)),
        ("upper half of a BAR", cfg_type::COMMON, |c| c.with_bar(STANDARD_BAR + 1)),
        ("upper half of a BAR", cfg_type::NOTIFY, |c| c.with_bar(STANDARD_BAR + 1).with_offset(0)),
        ("upper half of a BAR", cfg_type::ISR, |c| c.with_bar(STANDARD_BAR + 1).with_offset(0)),
        ("misaligned", cfg_type::COMMON, |c| c.with_offset(2)),
        ("misaligned", cfg_type::NOTIFY, |c| c.with_offset(0x3001)),
        ("too short", cfg_type::COMMON, |c| c.with_length(55)),
        ("empty", cfg_type::ISR, |c| c.with_length(0)),
        ("empty", cfg_type::NOTIFY, |c| c.with_length(0)),
        ("beyond the end", cfg_type::COMMON, |c| c.with_offset(0x3ff0)),
        ("wrapping", cfg_type::NOTIFY, |c| c.with_offset(0xffff_fffc).with_length(0xffff_ffff)),
        ("cut off", cfg_type::COMMON, |c| c.with_cap_len(15)),
        ("no multiplier", cfg_type::NOTIFY, |c| c.with_cap_len(16)),
    ];
    for (what, kind, edit) in edits {
        let device = change(kind, edit);
        assert_eq!(open(&device).unwrap_err(), missing(kind), "{what}");
        assert_eq!(device.command() & 0b100, 0, "a refused function gets no access to memory");
    }
}

#[test]
fn a_capability_at_the_very_end_of_configuration_space_does_not_wrap_around() {
    let device = with_capabilities(|list| {
        let sound = find(list, cfg_type::ISR).clone();
        *find(list, cfg_type::ISR) = sound.placed_at(0xfc).linked_to(0);
        let isr = list.iter().position(|c| c.cfg_type() == Some(cfg_type::ISR)).expect("there");
        let last = list.len() - 1;
        list.swap(isr, last);
    });

    assert_eq!(open(&device).unwrap_err(), missing(cfg_type::ISR));
}

#[test]
fn a_device_configuration_is_needed_by_its_driver_alone() {
    let device =
        with_capabilities(|list| list.retain(|capability| capability.cfg_type() != Some(cfg_type::DEVICE)));

    let transport = open(&device).unwrap();

    assert_eq!(transport.config_bytes(), 0);
    assert_eq!(transport.read_config(0, virtio_guest::hal::AccessWidth::Long), u32::MAX);
}

#[test]
fn structures_are_found_in_bars_of_every_kind_that_holds_memory() {
    for bar in [
        Bar::memory64(0x4000, 0x3800_0000_0000),
        Bar::memory64(0x4000, 0xffff_ffff_ffff_0000),
        Bar::memory32(0x4000, 0xfe00_0000),
    ] {
        let device = PciDevice::builder().device_id(0x1042).bar(STANDARD_BAR, bar).build();
        assert_eq!(open(&device).unwrap().device_features(), 1 << 32);
        device.assert_driver_was_correct();
    }
}

#[test]
fn bars_in_io_space_or_without_an_address_hold_no_structures() {
    for bar in [Bar::io(0x4000, 0x8000), Bar::memory64(0x4000, 0), Bar::memory32(0x4000, 0)] {
        let device = PciDevice::builder().device_id(0x1042).bar(STANDARD_BAR, bar).build();
        assert_eq!(open(&device).unwrap_err(), missing(cfg_type::COMMON));
    }
}

/// Spec: §4.1.4.4 — a multiplier of 0 puts all doorbells in one place.
#[test]
fn a_multiplier_of_zero_is_fine() {
    let device = change(cfg_type::NOTIFY, |_| Capability::notify(STANDARD_BAR, 0x3000, 2, 0));

    assert!(open(&device).is_ok());
}

struct NoRoom;

// SAFETY: it maps nothing.
unsafe impl MapMmio for NoRoom {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        None
    }
}

#[test]
fn registers_that_the_kernel_cannot_map_are_an_error() {
    let device = with_capabilities(|_| {});

    let error = Pci::open(claim(&device), &NoRoom).unwrap_err();

    assert!(matches!(error, OpenError::NotMapped { .. }));
}

struct Recorder(Mapper, Mutex<Vec<usize>>);

// SAFETY: the mapper inside made the promise.
unsafe impl MapMmio for Recorder {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        self.1.lock().unwrap().push(size_bytes);
        // SAFETY: the caller's promise.
        unsafe { self.0.map_mmio(physical_address, size_bytes) }
    }
}

/// A device that claims gigabytes of registers has the kernel map no more than any device needs.
#[test]
fn a_huge_structure_is_not_mapped_whole() {
    let device = PciDevice::builder()
        .device_id(0x1042)
        .config([0; 64])
        .bar(STANDARD_BAR, Bar::memory64(1 << 40, 1 << 50))
        .edit_capabilities(|list| {
            let isr = find(list, cfg_type::ISR);
            *isr = isr.clone().with_length(0xffff_0000);
        })
        .build();
    let recorder = Recorder(Mapper(device.clone()), Mutex::default());

    Pci::open(claim(&device), &recorder).unwrap();

    let sizes = recorder.1.into_inner().unwrap();
    assert!(sizes.iter().all(|bytes| *bytes <= 16 << 20) && sizes.contains(&4), "{sizes:?}");
}

/// BARs that no function has: one that ends beyond all addresses, a 64-bit one without room for its upper half.
#[test]
fn impossible_bars_hold_no_structures() {
    let standard = Bar::memory64(0x4000, 0x38_0000_0000);
    let beyond_all_addresses = Bar::memory64(0x4000, 0xffff_ffff_ffff_c000);
    for (what, index, bar, sound) in
        [("ordinary", 2, standard, true), ("ends beyond all addresses", 2, beyond_all_addresses, false)]
    {
        let device = PciDevice::builder()
            .device_id(0x1042)
            .config([0; 64])
            .without_bar(STANDARD_BAR)
            .bar(index, bar)
            .edit_capabilities(|list| {
                for capability in list.iter_mut().filter(|capability| capability.cfg_type().is_some()) {
                    *capability = capability.clone().with_bar(index);
                }
            })
            .build();

        assert_eq!(open(&device).is_ok(), sound, "{what}");
    }
}
