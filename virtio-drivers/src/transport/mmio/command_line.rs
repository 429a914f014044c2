//! Devices that a kernel's command line names.
//!
//! Where there is neither a device tree nor ACPI (QEMU's `microvm`, Firecracker), the machine says where its virtio devices are with words in the form that Linux has:
//!
//! ```text
//!   virtio_mmio.device=<size>@<address>:<interrupt>[:<id>]        virtio_mmio.device=512@0xfeb00e00:12
//! ```

/// A place where a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where its registers are.
    pub physical_address: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// The number of its interrupt, as the machine counts them.
    pub interrupt: u32,
    /// The number that the device is to have, if it matters.
    pub id: Option<u32>,
}

/// The slots that a command line names, in its order. Words that are not well-formed are left out.
///
/// ```
/// use virtio_guest::transport::mmio::command_line::{Slot, slots};
///
/// let line = "console=ttyS0 virtio_mmio.device=4K@0xfeb00e00:12 virtio_mmio.device=broken";
/// let slot = Slot { physical_address: 0xfeb0_0e00, size_bytes: 4096, interrupt: 12, id: None };
/// assert_eq!(slots(line).collect::<Vec<_>>(), [slot]);
/// ```
pub fn slots(command_line: &str) -> impl Iterator<Item = Slot> + '_ {
    let words = command_line.split_ascii_whitespace();
    words.filter_map(|word| slot(word.strip_prefix("virtio_mmio.device=")?))
}

fn slot(text: &str) -> Option<Slot> {
    let (size, place) = text.split_once('@')?;
    let mut parts = place.split(':');
    let physical_address = number(parts.next()?)?;
    let interrupt = parts.next()?.parse().ok()?;
    let id = parts.next().map(str::parse).transpose().ok()?;
    if parts.next().is_some() {
        return None;
    }
    Some(Slot { physical_address, size_bytes: number(size)?, interrupt, id })
}

/// A number as Linux has them there: decimal, octal after `0`, hexadecimal after `0x`, times 1024 for each of K, M, G, T.
fn number(text: &str) -> Option<u64> {
    const SUFFIXES: [[char; 2]; 4] = [['K', 'k'], ['M', 'm'], ['G', 'g'], ['T', 't']];
    let suffix = (1..).zip(SUFFIXES).find(|(_, letters)| text.ends_with(letters.as_slice()));
    let (digits, shift) = match suffix {
        Some((power, letters)) => (text.strip_suffix(letters.as_slice())?, 10 * power),
        None => (text, 0),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8),
        _ => digits.parse(),
    };
    value.ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::{Slot, slots};

    #[test]
    fn slots_are_found_among_other_words() {
        let line = "a virtio_mmio.device=512@0xFEB00E00:12\tb=virtio_mmio.device=1@2:3 virtio_mmio.device=1k@01000:7:3";

        let first = Slot { physical_address: 0xfeb0_0e00, size_bytes: 512, interrupt: 12, id: None };
        let second = Slot { physical_address: 0o1000, size_bytes: 1024, interrupt: 7, id: Some(3) };
        assert!(slots(line).eq([first, second]));
    }

    #[test]
    fn what_is_not_well_formed_is_left_out() {
        for word in [
            "virtio_mmio.device=",
            "virtio_mmio.device=512",
            "virtio_mmio.device=512@",
            "virtio_mmio.device=512@0x1000",
            "virtio_mmio.device=512@0x1000:",
            "virtio_mmio.device=@0x1000:1",
            "virtio_mmio.device=K@0x1000:1",
            "virtio_mmio.device=512@0x:1",
            "virtio_mmio.device=512@09:1",
            "virtio_mmio.device=512@0x1000:-1",
            "virtio_mmio.device=512@0x1000:1:x",
            "virtio_mmio.device=512@0x1000:1:2:3",
            "virtio_mmio.device=16777216T@0:1",
            "virtio_mmio.device=512@0x10000000000000000:1",
            "virtio_mmio.device=-1@0:1",
            "virtio_mmio.device=512@0x1000:4294967296",
        ] {
            assert_eq!(slots(word).count(), 0, "{word}");
        }
    }
}
