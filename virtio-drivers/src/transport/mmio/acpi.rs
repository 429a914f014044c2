//! Devices that ACPI's tables name, where nothing else does (QEMU's `microvm` with ACPI, Firecracker).
//!
//! Such a device is one of hardware id `LNRO0005` in the DSDT or an SSDT, with a list of resources: its registers' memory, and its interrupt. The tables are programs (AML), but those
//! machines write the list out, so that it can be read without running anything. (ACPI Specification 6.5, §20.2 for the encoding, §6.4 for resources, §6.1.5 and §6.2.2 for `_HID` and `_CRS`.)
//!
//! ```text
//!   Device (VR00) {
//!     Name (_HID, "LNRO0005")
//!     Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xFEB00E00, 0x200)  Interrupt (...) { 28 } })
//!   }
//! ```
//!
//! A table that computes the list instead needs an interpreter; such devices are not found here.

/// What a device of this kind calls itself, as a named string.
const HARDWARE_ID: &[u8] = b"\x08_HID\x0dLNRO0005\0";
/// Where a list of resources begins: a name for a buffer.
const RESOURCES: &[u8] = b"\x08_CRS\x11";
/// What starts any device.
const DEVICE: &[u8] = b"\x5b\x82";
/// Large resources: memory at a fixed place of 32 bits, an address range of 64 bits, interrupts; and the small one at the end.
const MEMORY_32_FIXED: u8 = 0x86;
const ADDRESS_SPACE_64: u8 = 0x8a;
const EXTENDED_INTERRUPT: u8 = 0x89;
const END_TAG: u8 = 0x0f;

/// A place where a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where its registers are.
    pub physical_address: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// Its interrupt: a global system interrupt, as ACPI counts them.
    pub interrupt: Option<u32>,
}

/// The slots that a table (DSDT or SSDT; with or without its header) names, in its order.
///
/// Work: reads the table a few times at most. What is malformed is left out.
pub fn slots(table: &[u8]) -> impl Iterator<Item = Slot> + '_ {
    let mut rest = table;
    core::iter::from_fn(move || {
        loop {
            let at = find(rest, HARDWARE_ID)?;
            rest = rest.get(at + HARDWARE_ID.len()..)?;
            // What belongs to this device ends where the next one begins.
            let device = find(rest, DEVICE).map_or(rest, |end| rest.get(..end).unwrap_or_default());
            if let Some(slot) = find(device, RESOURCES)
                .and_then(|at| device.get(at + RESOURCES.len()..))
                .and_then(buffer)
                .and_then(slot)
            {
                return Some(slot);
            }
        }
    })
}

/// Where `pattern` is first in `bytes`.
fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// The contents of a buffer whose package length comes next: then its size, as a constant, then its bytes.
fn buffer(encoded: &[u8]) -> Option<&[u8]> {
    let lead = *encoded.first()?;
    // The upper two bits say how many bytes of the length follow.
    let behind_length = 1 + usize::from(lead >> 6);
    let (kind, behind) = encoded.get(behind_length..)?.split_first()?;
    let (size, contents) = match kind {
        0x0a => (u32::from(*behind.first()?), behind.get(1..)?),
        0x0b => (u32::from(u16::from_le_bytes(*behind.first_chunk()?)), behind.get(2..)?),
        0x0c => (u32::from_le_bytes(*behind.first_chunk()?), behind.get(4..)?),
        _ => return None,
    };
    contents.get(..usize::try_from(size).ok()?)
}

/// What a list of resources says of registers and interrupt.
fn slot(mut resources: &[u8]) -> Option<Slot> {
    let (mut memory, mut interrupt) = (None, None);
    while let Some((tag, behind)) = resources.split_first() {
        let is_large = tag & 0x80 != 0;
        let (length, header) = if is_large {
            (usize::from(u16::from_le_bytes(*behind.first_chunk()?)), 2)
        } else {
            (usize::from(tag & 7), 0)
        };
        let data = behind.get(header..)?.get(..length)?;
        match *tag {
            MEMORY_32_FIXED => memory = memory.or(Some((number(data, 1, 4)?, number(data, 5, 4)?))),
            // Minimum and length; memory is range type 0.
            ADDRESS_SPACE_64 if data.first() == Some(&0) => {
                memory = memory.or(Some((number(data, 11, 8)?, number(data, 35, 8)?)));
            }
            EXTENDED_INTERRUPT if data.get(1).is_some_and(|count| *count > 0) => {
                interrupt = interrupt.or(u32::try_from(number(data, 2, 4)?).ok());
            }
            small if !is_large && small >> 3 == END_TAG => break,
            _ => {}
        }
        resources = behind.get(header + length..)?;
    }
    let (physical_address, size_bytes) = memory?;
    Some(Slot { physical_address, size_bytes, interrupt })
}

/// A little-endian number of some bytes.
fn number(data: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let bytes = data.get(at..)?.get(..bytes)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Slot, slots};

    /// As QEMU writes it: a device with its id, its number, and a list of resources.
    fn device(resources: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x5b\x82\x3eVR00\x08_HID\x0dLNRO0005\0\x08_UID\0\x08_CCA\x01\x08_CRS\x11".to_vec();
        bytes.push(u8::try_from(resources.len()).expect("short") + 3);
        bytes.extend([0x0a, u8::try_from(resources.len()).expect("short")]);
        bytes.extend(resources);
        bytes
    }

    const MEMORY: [u8; 12] = [0x86, 9, 0, 1, 0, 0x0e, 0xb0, 0xfe, 0, 2, 0, 0];
    const INTERRUPT: [u8; 9] = [0x89, 6, 0, 1, 1, 28, 0, 0, 0];
    const END: [u8; 2] = [0x79, 0];
    const SLOT: Slot = Slot { physical_address: 0xfeb0_0e00, size_bytes: 0x200, interrupt: Some(28) };

    #[test]
    fn resources_that_are_written_out_are_read() {
        let sound = [&MEMORY[..], &INTERRUPT, &END].concat();
        let table =
            [&b"DSDT...."[..], &device(&sound), &device(&[&INTERRUPT[..], &MEMORY, &END].concat())].concat();

        assert!(slots(&table).eq([SLOT, SLOT]));
    }

    #[test]
    fn registers_above_4_gib_are_found_too() {
        let mut range = [0u8; 46];
        range[..3].copy_from_slice(&[0x8a, 43, 0]);
        range[14..22].copy_from_slice(&0x12_3456_7000u64.to_le_bytes());
        range[38..46].copy_from_slice(&0x1000u64.to_le_bytes());
        let table = device(&[&range[..], &END].concat());

        let expected = Slot { physical_address: 0x12_3456_7000, size_bytes: 0x1000, interrupt: None };
        assert!(slots(&table).eq([expected]));
    }

    /// A device whose resources are not written out must not be given those of the next one.
    #[test]
    fn a_device_without_resources_is_left_out_and_the_next_one_is_not() {
        let bare = b"\x5b\x82\x3eVR00\x08_HID\x0dLNRO0005\0\x08_UID\0";
        let sound = device(&[&MEMORY[..], &INTERRUPT, &END].concat());
        let without_memory = device(&[&INTERRUPT[..], &END].concat());

        assert!(slots(&[&bare[..], &without_memory, &sound].concat()).eq([SLOT]));
    }

    #[test]
    fn wherever_a_table_ends_nothing_is_read_beyond() {
        let table = device(&[&MEMORY[..], &INTERRUPT, &END].concat());
        for end in 0..table.len() {
            assert_eq!(slots(&table[..end]).count(), 0, "{end} of {}", table.len());
        }
    }
}
