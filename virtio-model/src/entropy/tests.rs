//! Promises of the entropy device, against a driver of bare stores.

use super::Entropy;
use crate::bare::Bare;
use crate::block::{Order, WrittenLen};

struct Bench {
    bare: Bare,
    entropy: Entropy,
}

impl Bench {
    fn new() -> Self {
        let entropy = Entropy::new(7);
        Self { bare: Bare::new(entropy.builder()), entropy }
    }

    fn serve(&self) -> usize {
        self.entropy.serve(&self.bare.device, &self.bare.memory)
    }
}

/// Spec: §5.4.6 Device Operation.
#[test]
fn a_buffer_is_filled_with_bytes_that_are_kept_for_comparison() {
    let mut bench = Bench::new();
    let parts = bench.bare.submit(0, &[], &[24, 40]);

    bench.serve();

    assert_eq!(bench.bare.used(0), [(0, 64)]);
    let got = [bench.bare.read(parts[0], 24), bench.bare.read(parts[1], 40)].concat();
    assert_eq!(got, bench.entropy.given());
    assert!(got.iter().all(|byte| *byte != 0) && got[..32] != got[32..]);
    let mut again = Bench::new();
    again.bare.submit(0, &[], &[64]);
    again.serve();
    assert_eq!(again.entropy.given(), got, "the same seed says the same");
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn a_buffer_may_be_filled_in_part_or_have_to_wait_for_a_ration() {
    let mut bench = Bench::new();
    bench.entropy.fill_at_most(5);
    bench.entropy.ration(7);
    for _ in 0..3 {
        bench.bare.submit(0, &[], &[16]);
    }
    bench.serve();
    assert_eq!((bench.bare.used(0), bench.entropy.held()), (vec![(0, 5), (1, 2)], 1));
    bench.serve();
    assert_eq!(bench.bare.used(0), []);

    bench.entropy.supply(1);
    bench.serve();
    assert_eq!((bench.bare.used(0), bench.entropy.requests()), (vec![(2, 1)], vec![16; 3]));
}

#[test]
fn buffers_are_held_and_given_back_in_either_order() {
    let mut bench = Bench::new();
    bench.entropy.hold();
    for _ in 0..3 {
        bench.bare.submit(0, &[], &[4]);
    }
    bench.serve();
    assert_eq!((bench.bare.used(0), bench.entropy.given()), (vec![], vec![]));

    bench.entropy.complete_in(Order::Reverse);
    bench.entropy.release(1);
    bench.serve();
    assert_eq!(bench.bare.used(0), [(2, 4)]);
    bench.entropy.release_all();
    bench.serve();
    assert_eq!(bench.bare.used(0), [(1, 4), (0, 4)]);
}

#[test]
fn lies_about_random_bytes_are_told() {
    let mut bench = Bench::new();
    let buffers = [(); 2].map(|()| bench.bare.submit(0, &[], &[8])[0]);
    bench.entropy.misbehave(|lies| lies.writes_nothing = true);
    bench.entropy.hold();
    bench.entropy.release(1);
    bench.serve();
    bench.entropy.misbehave(|lies| {
        (lies.written, lies.used_id, lies.writes_nothing) = (WrittenLen::More(1), Some(6), false);
    });
    bench.entropy.release_all();
    bench.serve();

    assert_eq!(bench.bare.used(0), [(0, 8), (6, 9)]);
    assert_eq!((bench.bare.read(buffers[0], 8), bench.entropy.given().len()), (vec![0; 8], 8));
}

/// Spec: §5.4.6.1 Driver Requirements: Device Operation.
#[test]
fn a_buffer_that_the_device_may_read_is_a_driver_error() {
    let mut bench = Bench::new();
    bench.bare.submit(0, &[b"x"], &[4]);
    bench.serve();
    assert!(bench.bare.only_error().contains("readable"));
}
