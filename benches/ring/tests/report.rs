//! The table and the JSON say what was measured, all of it, and nothing else.

use std::collections::HashMap;

use bench_page::with_table;
use ring_bench::case::{BURSTS, Case, Mode, Shape, Whose};
use ring_bench::counts::Counts;
use ring_bench::instructions::Instructions;
use ring_bench::results::{Measured, Results};
use ring_bench::table;
use ring_bench::times::Nanoseconds;

/// Results unlike each other: the case at `index` takes 1000 + `index` instructions and 5000 + `index` nanoseconds.
fn results() -> Results {
    let measured = (0u16..).map(f64::from).zip(Case::all()).map(|(index, case)| Measured {
        case,
        instructions: Instructions { driver: 1000.0 + index, device: 1.0 },
        nanoseconds: Some(Nanoseconds { driver: 5000.0 + index, device: 1.0 }),
    });
    let counts = Counts {
        whose: Whose::Ours,
        indirect: false,
        allocations: 77.25,
        doorbells: 78.25,
        doorbells_unwanted: 79.25,
        register_accesses: 80.25,
    };
    Results {
        measured: measured.collect(),
        counts: vec![counts],
        two_cores: vec![(Case::all()[0], 81.5e6)],
        processor: "a processor of its own".into(),
    }
}

#[test]
fn the_json_has_every_case_with_its_figures() {
    let results = results();
    let json = results.to_json();
    let cases = json["cases"].as_array().unwrap();
    let by_name: HashMap<_, _> = cases.iter().map(|case| (case["name"].as_str().unwrap(), case)).collect();

    assert_eq!(by_name.len(), results.measured.len());
    for Measured { case, instructions, nanoseconds } in &results.measured {
        let json = by_name[case.to_string().as_str()];
        assert_eq!(json["instructions"], instructions.driver, "{case}");
        assert_eq!(json["nanoseconds"], nanoseconds.unwrap().driver, "{case}");
        assert_eq!(json["burst"], case.burst);
    }
    assert_eq!(json["counts"][0]["allocations_per_operation"], 77.25);
}

#[test]
fn the_table_has_every_shape_and_burst_with_its_figures() {
    let results = results();
    let text = table::all(&results);

    for shape in Shape::ALL {
        for burst in BURSTS {
            let mode = Mode { packed: true, in_order: true, event_index: true };
            let measured = results.of(Whose::Ours, mode, shape, burst).unwrap();
            let cell =
                format!("{:.1} · {:.1}", measured.instructions.driver, measured.nanoseconds.unwrap().driver);
            assert!(text.contains(&cell), "{shape}, burst {burst}: {cell}");
        }
    }
    for figure in ["77.25", "78.25 and 79.25", "80.25", "81.5 million", "a processor of its own"] {
        assert!(text.contains(figure), "{figure}");
    }
}

#[test]
fn a_peer_is_shown_with_its_best_setting() {
    let results = results();
    let shape = Shape::ALL[0];
    let of = |event_index| {
        let mode = Mode { packed: false, in_order: false, event_index };
        results.of(Whose::Rcore, mode, shape, 32).unwrap().instructions.driver
    };

    let best = results.best_of(Whose::Rcore, false, shape, 32).unwrap();

    assert!((best.instructions.driver - of(false).min(of(true))).abs() < f64::EPSILON);
}

#[test]
fn the_page_keeps_what_is_around_the_table() {
    let page = "before\n<!-- the table begins -->\nold\n<!-- the table ends -->\nafter\n";

    let page = with_table(page, "new").unwrap();

    assert!(page.starts_with("before\n") && page.ends_with("after\n"));
    assert!(page.contains("\nnew\n") && !page.contains("old"));
    assert!(with_table("no marks", "new").is_err());
}
