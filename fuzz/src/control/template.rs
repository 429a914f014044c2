//! Configuration space as an honest function has it, for the fuzzer to start from.
//!
//! Spec: §4.1.2, §4.1.4; PCI Local Bus Specification 3.0, §6.1, §6.8.2.
//!
//! ```text
//!   BAR 0      64 ports                  the legacy interface, if there is one
//!   BAR 1      4 KiB below 4 GiB         MSI-X
//!   BAR 2, 3   1 GiB, 64 bits            shared memory
//!   BAR 4, 5   16 KiB, 64 bits           a page for each structure
//! ```

/// Bytes of configuration space that capabilities are in.
pub(crate) const BYTES: usize = 256;
/// BARs of a function.
pub(crate) const BARS: usize = 6;

/// Which interfaces the function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interfaces {
    Modern,
    Both,
    Legacy,
}

/// What the function's configuration space holds, and which bits of its BARs can be written.
pub(crate) fn space(interfaces: Interfaces) -> ([u8; BYTES], [u32; BARS]) {
    let mut space = [0; BYTES];
    let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
    let device_id: u16 = if interfaces == Interfaces::Modern { 0x1042 } else { 0x1001 };
    put(0x00, &[0xf4, 0x1a]);
    put(0x02, &device_id.to_le_bytes());
    // It decodes nothing yet, and has a capability list.
    put(0x04, &[0, 0, 0x10, 0]);
    put(0x34, &[0x40]);
    // Line 11, pin A.
    put(0x3c, &[11, 1]);

    let mut masks = [0, 0xffff_f000, 0xc000_0000, u32::MAX, 0xffff_c000, u32::MAX];
    let bars: [u32; BARS] = [0, 0xfebd_0000, 0xc, 0x80, 0xc, 0xfe];
    for (bar, value) in bars.into_iter().enumerate() {
        put(0x10 + 4 * bar, &value.to_le_bytes());
    }
    if interfaces != Interfaces::Modern {
        put(0x10, &0xc041u32.to_le_bytes());
        masks[0] = 0xffff_ffc0;
    }

    // Four messages, in a table at the start of BAR 1.
    let is_last = interfaces == Interfaces::Legacy;
    put(0x40, &[0x11, if is_last { 0 } else { 0x4c }, 3, 0, 1, 0, 0, 0, 1, 8, 0, 0]);
    if !is_last {
        put(0x4c, &structure(0x5c, 16, 1, 4, 0x0000, 0x1000));
        put(0x5c, &structure(0x70, 20, 2, 4, 0x3000, 0x1000));
        // Bytes between two doorbells.
        put(0x6c, &[4, 0, 0, 0]);
        put(0x70, &structure(0x80, 16, 3, 4, 0x1000, 0x1000));
        put(0x80, &structure(0x90, 16, 4, 4, 0x2000, 0x1000));
        put(0x90, &structure(0xa8, 24, 8, 2, 0x1000, 0x10_0000));
        put(0xa8, &structure(0, 20, 5, 0, 0, 0));
    }
    (space, masks)
}

/// A capability for a structure, but for what only some have at its end.
fn structure(next: u8, length: u8, kind: u8, bar: u8, offset: u32, bytes: u32) -> [u8; 16] {
    let mut capability = [0; 16];
    capability[..5].copy_from_slice(&[0x09, next, length, kind, bar]);
    capability[8..12].copy_from_slice(&offset.to_le_bytes());
    capability[12..].copy_from_slice(&bytes.to_le_bytes());
    capability
}
