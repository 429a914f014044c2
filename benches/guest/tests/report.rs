//! What kernels and QEMU say is read for what it is, and table and JSON show it.

use bench_page::with_table;
use guest_bench::lines::{KERNELS, Setup, Whose};
use guest_bench::output::{self, Counts};
use guest_bench::results::{Interrupted, Measured, Results};
use guest_bench::table;
use guest_bench::trace::{self, Traced};

#[test]
fn a_line_is_read_as_the_kernels_print_it() {
    let printed = "memory: 249 MiB\nline block-4k-depth16 burst 16 bursts 10 submit 1600 160 161 00ff complete 800 79 81 abcd allocations 3\nline of something else\ndone";

    let lines = output::lines(printed);

    assert_eq!(lines.len(), 1);
    assert_eq!(
        (lines[0].name.as_str(), lines[0].operations(), lines[0].allocations),
        ("block-4k-depth16", 160, 3)
    );
    assert_eq!(lines[0].submit, Counts { sum: 1600, least: 160, most: 161, trace: "00ff".into() });
    assert_eq!(lines[0].complete, Counts { sum: 800, least: 79, most: 81, trace: "abcd".into() });
}

/// A mark, as QEMU traces it.
fn mark(value: &str) -> String {
    format!("memory_region_ops_write cpu 0 mr 0x55 addr 0x80 value {value} size 1 name 'ioport80'")
}

fn access(what: &str, name: &str) -> String {
    format!("memory_region_ops_{what} cpu 0 mr 0x55 addr 0xfebf8016 value 0x0 size 2 name '{name}'")
}

#[test]
fn accesses_count_where_the_marks_say_so_and_interrupts_wherever_they_come() {
    let (doorbell, common) = ("virtio-pci-notify-virtio-blk", "virtio-pci-common-virtio-blk");
    let before = [mark("0x11"), access("write", doorbell), mark("0x13")];
    let burst = [
        mark("0x11"),
        access("write", common),
        access("read", common),
        access("write", doorbell),
        "virtio_queue_notify vdev 0x1 n 0 vq 0x11".into(),
        access("write", "serial"),
        mark("0x13"),
        "virtio_notify vdev 0x1 vq 0x11".into(),
        access("read", common),
        mark("0x12"),
        access("write", common),
        mark("0x13"),
    ];
    let text = [&before[..], &[mark("0x10")], &burst, &burst, &[mark("0x14"), access("read", common)]];

    let lines = trace::read(&text.concat().join("\n"));

    assert_eq!(lines, [Traced { bursts: 2, doorbells: 2, reads: 2, writes: 4, interrupts: 2 }]);
}

#[test]
fn interrupts_of_a_card_that_only_sends_for_others_do_not_count() {
    let text = [
        mark("0x10"),
        "virtio_queue_notify vdev 0x1 n 1 vq 0x11".into(),
        "virtio_notify vdev 0x1 vq 0x11".into(),
        "virtio_notify vdev 0x2 vq 0x22".into(),
        mark("0x12"),
        "virtio_queue_notify vdev 0x2 n 0 vq 0x22".into(),
        mark("0x13"),
        mark("0x14"),
    ];

    let lines = trace::read(&text.join("\n"));

    assert_eq!(lines, [Traced { bursts: 1, interrupts: 1, ..Traced::default() }]);
}

/// Results unlike each other: the line at `index` takes 1000 + `index` instructions to submit, and 3000 to complete.
fn results() -> Results {
    let mut measured = Vec::new();
    for setup in Setup::polling(&[]) {
        for line in setup.kernel.lines {
            measured.push(Measured {
                line: (*line).into(),
                whose: setup.whose,
                packed: setup.packed,
                burst: 16,
                operations: 160,
                submit: 1000.25 + f64::from(u16::try_from(measured.len()).unwrap()),
                complete: 3000.0,
                least: 1.0,
                most: 2.0,
                repeats: true,
                second: 4.0,
                doorbells: 0.0625,
                reads: 0.0,
                writes: 0.0,
                interrupts: 0.0,
                allocations: 0.0,
            });
        }
    }
    let interrupted = vec![Interrupted { line: "block-4k-depth16".into(), packed: true, per_burst: 7.5 }];
    Results { measured, interrupted, qemu: "77.7".into() }
}

#[test]
fn table_and_json_have_every_line_of_everybody() {
    let results = results();
    let (text, json) = (table::all(&results), results.to_json());

    let lines = json["lines"].as_array().unwrap();
    assert_eq!(lines.len(), results.measured.len());
    for (measured, json) in results.measured.iter().zip(lines) {
        let sum = format!("{:.1}", measured.submit + measured.complete);
        assert!(text.contains(&sum), "{}: {sum}", measured.line);
        assert_eq!(json["instructions"], measured.submit + measured.complete);
        assert_eq!(json["whose"], measured.whose.name());
    }
    assert!(KERNELS.iter().flat_map(|kernel| kernel.lines).all(|line| text.contains(line)));
    assert!(text.contains("77.7") && text.contains("7.500"));
    assert!(text.contains("the same in a second run"));
}

#[test]
fn a_target_is_met_or_missed_by_its_figure() {
    let mut results = results();
    let ours = |measured: &&mut Measured| measured.whose == Whose::Ours && !measured.packed;
    for measured in results.measured.iter_mut().filter(ours) {
        (measured.submit, measured.complete) = (60.0, 20.0);
    }

    let text = table::all(&results);

    let verdict = |start: &str| {
        let row = text.lines().find(|row| row.starts_with(&format!("| {start}"))).unwrap();
        row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().trim().to_owned()
    };
    assert_eq!(verdict("block-4k-depth16: instructions"), "met");
    assert_eq!(verdict("transmit-64-burst32: instructions"), "missed");
    assert_eq!(verdict("block-4k-depth16: packed by split"), "missed");
    assert_eq!(verdict("every line: register reads"), "met");
    assert_eq!(verdict("block-4k-depth16, packed: interrupts per burst"), "missed");
}

#[test]
fn what_does_not_repeat_is_named() {
    let mut results = results();
    results.measured[3].repeats = false;

    let text = table::all(&results);

    assert!(!text.contains("Every count was the same"));
    assert!(text.contains(&format!("- {}, ours", results.measured[3].line)));
}

#[test]
fn the_page_keeps_what_is_around_the_table() {
    let page = "before\n<!-- the table begins -->\nold\n<!-- the table ends -->\nafter\n";

    let page = with_table(page, "new").unwrap();

    assert!(page.starts_with("before\n") && page.ends_with("after\n"));
    assert!(page.contains("\nnew\n") && !page.contains("old"));
    assert!(with_table("no marks", "new").is_err());
}
