//! The walk through a function's extended capabilities.
//!
//! PCI Express Base Specification, §7.6 (PCI Express extended capabilities). They stand behind the first 256 bytes of configuration space, which conventional PCI
//! does not have. The list is the device's: the walk ends after as many steps as there can be capabilities.

use super::capability::walk_words;

/// The capability that PCI Express functions have, among the ordinary ones.
const PCI_EXPRESS: u8 = 0x10;
/// Where the list begins, and where configuration space ends.
const FIRST: u16 = 0x100;
const END: u16 = 0x1000;
/// Bytes of the smallest capability: its head, and something behind it.
const BYTES_MIN: u16 = 8;

/// Where the first extended capability of a kind is, with `bytes` bytes behind that offset; `read` reads words of the function's configuration space.
///
/// Work: reads at most once for each place where a capability can be.
pub(super) fn find(kind: u16, bytes: u16, read: impl Fn(u16) -> u32) -> Option<u16> {
    if !has_extended_space(&read) {
        return None;
    }
    let mut at = FIRST;
    for _ in 0..(END - FIRST) / BYTES_MIN {
        let head = read(at);
        if head == 0 || head == u32::MAX {
            return None;
        }
        if head & 0xffff == u32::from(kind) {
            return (bytes <= END - at).then_some(at);
        }
        let next = (head >> 20) as u16 & !3;
        if next < FIRST {
            return None;
        }
        at = next;
    }
    None
}

/// Whether there is anything behind the first 256 bytes. Some ways to configuration space show those again instead.
fn has_extended_space(read: &impl Fn(u16) -> u32) -> bool {
    let mut is_express = false;
    let walked = walk_words(|offset| read(offset.into()), |id, _, _| is_express |= id == PCI_EXPRESS);
    walked.is_ok() && is_express && read(FIRST) != read(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// The kind that is looked for: SR-IOV.
    const KIND: u16 = 0x10;

    /// Configuration space of a PCI Express function, with these heads of extended capabilities.
    fn space(heads: &[(u16, u32)]) -> impl Fn(u16) -> u32 + '_ {
        move |offset| match offset {
            0 => 0x1041_1af4,
            0x04 => 1 << 20,
            0x34 => 0x40,
            0x40 => PCI_EXPRESS.into(),
            _ => heads.iter().find(|(at, _)| *at == offset).map_or(0, |(_, head)| *head),
        }
    }

    const fn head(kind: u16, next: u16) -> u32 {
        kind as u32 | 1 << 16 | (next as u32) << 20
    }

    #[test]
    fn a_capability_is_found_wherever_it_is() {
        assert_eq!(find(KIND, 64, space(&[(0x100, head(KIND, 0))])), Some(0x100));
        let behind_others = [(0x100, head(1, 0xfc0)), (0xfc0, head(KIND, 0))];
        assert_eq!(find(KIND, 64, space(&behind_others)), Some(0xfc0));
    }

    #[test]
    fn a_capability_that_goes_beyond_configuration_space_is_none() {
        assert_eq!(find(KIND, 64, space(&[(0x100, head(1, 0xfc4)), (0xfc4, head(KIND, 0))])), None);
    }

    #[test]
    fn an_empty_list_a_list_into_the_ordinary_space_and_a_missing_device_have_none() {
        assert_eq!(find(KIND, 64, space(&[])), None);
        assert_eq!(find(KIND, 64, space(&[(0x100, head(1, 0x40)), (0x40, head(KIND, 0))])), None);
        assert_eq!(find(KIND, 64, |_| u32::MAX), None);
    }

    #[test]
    fn a_list_that_loops_ends() {
        let reads = Cell::new(0);
        let heads = [(0x100, head(1, 0x200)), (0x200, head(2, 0x100))];
        let space = space(&heads);

        let found = find(KIND, 64, |offset| {
            reads.set(reads.get() + 1);
            space(offset)
        });

        assert_eq!(found, None);
        assert!(reads.get() <= 500, "{} reads", reads.get());
    }

    #[test]
    fn a_conventional_function_has_no_extended_capabilities() {
        let heads = [(0x100, head(KIND, 0))];
        let space = space(&heads);
        let conventional = |offset| if offset == 0x40 { 0x11 } else { space(offset) };

        assert_eq!(find(KIND, 64, conventional), None);
    }

    /// An access that leaves out the upper bits of an offset: the first 256 bytes are everywhere, and with this vendor id would be a capability.
    #[test]
    fn the_first_bytes_seen_again_are_no_extended_capabilities() {
        let space = space(&[]);
        let aliased = |offset: u16| match offset & 0xff {
            0 => head(KIND, 0),
            low => space(low),
        };

        assert_eq!(find(KIND, 64, aliased), None);
    }
}
