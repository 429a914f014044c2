//! The block test kernel on a disk with random contents, looked at from both sides.

#![allow(dead_code, reason = "each test file uses its part")]

use qemu_tests::pattern::{SECTOR, checksum, fill, ranges_read, ranges_written};
use qemu_tests::{DiskDevice, Image, Machine, Qemu, random_seed};

/// 8 MiB: small enough to be compared in full.
pub const SECTORS: u64 = 16384;
/// 1 TiB.
pub const TERA_SECTORS: u64 = 1 << 31;

/// Runs the test kernel on a disk with random contents, and checks everything from outside. Returns what it printed.
pub fn check(machine: Machine, sectors: u64, device: &DiskDevice) -> String {
    check_with(machine, sectors, device, "")
}

/// The same, with more on the kernel's command line.
pub fn check_with(machine: Machine, sectors: u64, device: &DiskDevice, more: &str) -> String {
    check_guest(sectors, device, |seed, image| {
        Qemu::new(machine, "kernel-block-check")
            .append(format!("seed={seed}{more}"))
            .disk(image, device.clone())
            .run_to("block check: done")
    })
}

/// The same, with a guest of the caller's, which is told a seed and has the disk.
pub fn check_guest(sectors: u64, device: &DiskDevice, run: impl FnOnce(u64, &Image) -> String) -> String {
    let (old, new) = (random_seed(), random_seed());
    let image = Image::random(sectors, old);
    let reads: Vec<_> = ranges_read(sectors)
        .map(|(first, count)| format!("read {first} {count} {:016x}", checksum(&image.read(first, count))))
        .collect();

    let output = run(new, &image);

    assert!(output.contains(&format!("capacity: {sectors} sectors")), "{output}");
    assert!(output.contains("refusals: ok"), "{output}");
    for read in reads {
        let times = output.matches(&read).count();
        assert!(times >= 2 && times % 2 == 0, "{read}: in one piece and in several\n{output}");
    }
    let written: Vec<_> = if device.read_only { Vec::new() } else { ranges_written(sectors).collect() };
    let is_written = |sector| written.iter().any(|(first, count)| (*first..first + count).contains(&sector));
    for sector in sampled(sectors) {
        let mut expected = [0; SECTOR];
        fill(if is_written(sector) { new } else { old }, sector, &mut expected);
        assert!(image.read(sector, 1) == expected, "sector {sector} of {sectors}");
    }
    for (first, count) in written {
        assert!(output.contains(&format!("wrote {first} {count}")), "{output}");
    }
    output
}

/// All sectors, or on a large disk those around everything that happens.
fn sampled(sectors: u64) -> impl Iterator<Item = u64> {
    let middle = sectors / 2;
    let all = sectors <= SECTORS;
    let ranges =
        if all { [0..sectors, 0..0, 0..0] } else { [0..600, middle..middle + 100, sectors - 400..sectors] };
    ranges.into_iter().flatten()
}
