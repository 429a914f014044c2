//! What a device promises whose registers are reached through configuration space.
//!
//! Spec: §4.1.4.9 PCI configuration access capability. The model refuses an access through the window that is misaligned, has another width than its register, or
//! is in no structure.

mod support;

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use pci_types::{ConfigRegionAccess, PciAddress};
use support::{DiskBench, Mapper, Pci, TestHal, claim};
use virtio_guest::device::block::{Block, Sector, Settings, Storage};
use virtio_guest::hal::{AccessWidth, Attempts, MsiMessage};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PciFunction;
use virtio_guest::transport::Transport;
use virtio_guest::transport::pci::{ConfigWindow, MsiXError, OpenError, PciTransport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::status::Status;
use virtio_model::pci::{Bar, Capability, PciDevice, STANDARD_BAR, cfg_type};

const ROUNDS: usize = 50;

fn open(device: &PciDevice) -> Result<Pci, OpenError> {
    let window = ConfigWindow::find(claim(device))?;
    Ok(PciTransport::open_through_config_space(Box::leak(Box::new(window))))
}

/// A device with 64 bytes of configuration, whose capabilities are changed like this.
fn with_capabilities(edit: impl FnOnce(&mut Vec<Capability>)) -> PciDevice {
    PciDevice::builder().device_id(0x1042).config([0x5a; 64]).edit_capabilities(edit).build()
}

fn find(list: &mut [Capability], kind: u8) -> &mut Capability {
    list.iter_mut().find(|capability| capability.cfg_type() == Some(kind)).expect("in the standard list")
}

/// The BAR has no address, and the function does not decode memory: nothing but configuration space is there.
#[test]
fn a_disk_works_without_any_bar() {
    let bench = DiskBench::new(|_| {});
    bench.device.config_write(0x20, 0);
    bench.device.config_write(0x24, 0);
    let transport = open(&bench.device).unwrap();
    let mut storage = Storage::<16>::new();
    let (settings, wants) = (Settings::default(), Wants::features(BlockFeatures::all()));
    let hal: TestHal = bench.hal.clone();

    let mut disk =
        Block::start_with(transport, hal.clone(), &mut storage, &settings, wants, Attempts(10)).unwrap();
    let mut read = [0; 3 * 512];
    disk.read_blocking(Sector(5), &mut read, bench.working(ROUNDS)).unwrap();
    disk.write_blocking(Sector(9), &[0xaa; 1024], bench.working(ROUNDS)).unwrap();
    disk.flush_blocking(bench.working(ROUNDS)).unwrap();
    let closed = disk.close(Attempts(10)).unwrap();
    let again = Block::start(closed.transport, hal.clone(), closed.storage, Attempts(10)).unwrap();

    assert_eq!((read[0], read[512], read[1535]), (5, 6, 7));
    assert_eq!(bench.disk.contents()[9 * 512..11 * 512], [0xaa; 1024]);
    assert_eq!(again.capacity_sectors(), 64);
    again.close(Attempts(10)).unwrap();
    assert_eq!(bench.device.command() & 0b111, 0b100, "a master of the bus that decodes nothing");
    bench.assert_all_returned();
}

#[test]
fn a_device_without_the_capability_is_refused() {
    type Edit = fn(&mut Vec<Capability>);
    let edits: [(&str, Edit); 3] = [
        ("absent", |list| list.retain(|capability| capability.cfg_type() != Some(cfg_type::PCI_WINDOW))),
        ("without its data", |list| {
            let window = find(list, cfg_type::PCI_WINDOW);
            *window = window.clone().with_cap_len(16);
        }),
        ("beyond the end of configuration space", |list| {
            let window = find(list, cfg_type::PCI_WINDOW);
            *window = window.clone().placed_at(0xf0);
        }),
    ];
    for (what, edit) in edits {
        let device = with_capabilities(edit);
        let error = open(&device).unwrap_err();
        assert_eq!(error, OpenError::MissingStructure { structure: 5 }, "{what}");
        assert_eq!(device.command(), 0, "a refused function gets no access to memory");
    }
}

/// What an earlier driver left in the window's fields says nothing of the window.
#[test]
fn the_window_is_found_whatever_it_was_used_for_last() {
    let device = with_capabilities(|list| {
        let window = find(list, cfg_type::PCI_WINDOW);
        *window = window.clone().with_bar(0xff).with_offset(0xffff_ffff).with_length(0xffff_ffff);
    });

    assert_eq!(open(&device).unwrap().read_config(8, AccessWidth::Long), 0x5a5a_5a5a);
    device.assert_driver_was_correct();
}

#[test]
fn an_unsound_structure_does_not_count() {
    type Edit = fn(Capability) -> Capability;
    let edits: [(&str, u8, Edit); 6] = [
        ("misaligned", cfg_type::COMMON, |c| c.with_offset(2)),
        ("misaligned", cfg_type::NOTIFY, |c| c.with_offset(0x3001)),
        ("too short", cfg_type::COMMON, |c| c.with_length(55)),
        ("empty", cfg_type::ISR, |c| c.with_length(0)),
        ("wrapping", cfg_type::NOTIFY, |c| c.with_offset(0xffff_fffc).with_length(0xffff_ffff)),
        ("reserved BAR", cfg_type::ISR, |c| c.with_bar(6)),
    ];
    for (what, kind, edit) in edits {
        let device = with_capabilities(|list| {
            let capability = find(list, kind);
            *capability = edit(capability.clone());
        });
        assert_eq!(open(&device).unwrap_err(), OpenError::MissingStructure { structure: kind }, "{what}");
    }
}

/// Spec: §4.1.4.9.2 — no access but aligned ones inside of a structure.
#[test]
fn accesses_beyond_a_structure_or_across_registers_reach_no_device() {
    let device = with_capabilities(|_| {});
    let mut transport = open(&device).unwrap();

    assert_eq!(transport.read_config(60, AccessWidth::Long), 0x5a5a_5a5a);
    assert_eq!(transport.read_config(63, AccessWidth::Byte), 0x5a, "and nothing of what was read before");
    assert_eq!(transport.read_config(64, AccessWidth::Byte), 0xff);
    assert_eq!(transport.read_config(62, AccessWidth::Long), u32::MAX);
    assert_eq!(transport.read_config(2, AccessWidth::Long), u32::MAX);
    transport.write_config(64, AccessWidth::Byte, 1);
    transport.write_config(usize::MAX, AccessWidth::Byte, 1);

    assert!(device.config_writes().is_empty());
    device.assert_driver_was_correct();
}

/// A doorbell that carries a position is 32 bits wide, and would not be aligned here.
#[test]
fn positions_are_no_part_of_notifications_where_doorbells_are_not_aligned_for_them() {
    for (offset, aligned) in [(0x3000, true), (0x3002, false)] {
        let device = with_capabilities(|list| {
            let notify = find(list, cfg_type::NOTIFY);
            *notify = notify.clone().with_offset(offset).with_length(0x100);
        });
        for transport in [open(&device).unwrap(), Pci::open(claim(&device), &Mapper(device.clone())).unwrap()]
        {
            let features = transport.supported_features();
            assert_eq!(features.contains(CommonFeatures::NOTIFICATION_DATA), aligned);
        }
    }
}

/// Configuration space of the modelled function, with a note of each write.
struct Noted(PciDevice, Arc<Mutex<Vec<(u16, u32)>>>);

impl ConfigRegionAccess for Noted {
    unsafe fn read(&self, _: PciAddress, offset: u16) -> u32 {
        self.0.config_read(offset)
    }

    unsafe fn write(&self, _: PciAddress, offset: u16, value: u32) {
        self.1.lock().unwrap().push((offset, value));
        self.0.config_write(offset, value);
    }
}

/// There is nobody who could answer an interrupt: a handler must not wait for the window, and the table of messages is in a BAR.
#[test]
fn a_device_behind_the_window_does_not_interrupt() {
    let device = with_capabilities(|list| {
        // Firmware left MSI-X on, with a table of one entry.
        list.push(Capability::raw(0x11, &[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]).placed_at(0xa0));
    });
    let writes = Arc::default();
    // SAFETY: the function is modelled, and reaches no memory.
    let function = unsafe {
        PciFunction::claim(Noted(device.clone(), Arc::clone(&writes)), PciAddress::new(0, 0, 4, 0))
    };
    let window = Box::leak(Box::new(ConfigWindow::find(function).unwrap()));
    assert_eq!(*writes.lock().unwrap(), [], "finding it changes nothing");

    let mut transport = PciTransport::open_through_config_space(window);

    assert!(writes.lock().unwrap().contains(&(0xa0, 0x11)), "MSI-X is off");
    assert_eq!(device.command() >> 10, 1, "the line is off");
    assert!(transport.use_interrupt_line().is_none());
    // SAFETY: the model writes nowhere.
    let message = unsafe { MsiMessage::new(0, 0) };
    assert_eq!(transport.enable_msi_x(&[message]), Err(MsiXError::Absent));
    assert_eq!((transport.msi_x_entries(), transport.vectors()), (0, 0));
    assert_eq!(device.command() >> 10, 1);
}

/// One access is several to configuration space, and no other comes in between.
#[test]
fn accesses_from_two_threads_do_not_mix() {
    let rounds = if cfg!(miri) { 20 } else { 50_000 };
    let device = with_capabilities(|_| {});
    let mut transport = open(&device).unwrap();
    transport.set_status(Status::empty());
    assert_eq!(transport.status(), Status::empty());
    transport.set_status(Status::ACKNOWLEDGE);
    let (transport, together) = (&transport, &Barrier::new(2));

    thread::scope(|scope| {
        scope.spawn(|| {
            together.wait();
            for _ in 0..rounds {
                assert_eq!(transport.read_config(8, AccessWidth::Long), 0x5a5a_5a5a);
            }
        });
        together.wait();
        for _ in 0..rounds {
            assert_eq!(transport.status(), Status::ACKNOWLEDGE);
        }
    });

    device.assert_driver_was_correct();
}

/// The window goes where the capabilities say.
#[test]
fn structures_in_several_bars_are_told_apart() {
    let device = PciDevice::builder()
        .device_id(0x1042)
        .config([0x77; 16])
        .bar(0, Bar::memory32(0x1000, 0))
        .edit_capabilities(|list| {
            let config = find(list, cfg_type::DEVICE);
            *config = config.clone().with_bar(0).with_offset(0x40);
        })
        .build();
    let mut transport = open(&device).unwrap();

    assert_eq!(transport.read_config(0, AccessWidth::Word), 0x7777);
    assert_eq!(transport.device_features(), 1 << 32, "in BAR {STANDARD_BAR}");
    assert_eq!(transport.config_bytes(), 16);
    device.assert_driver_was_correct();
}
