//! The ring's layouts and features under QEMU: the same requests on each.

mod common;

use common::{SECTORS, check, check_with};
use qemu_tests::{DiskDevice, Machine};

/// Whether a feature is offered, in the order in which they are named here.
#[derive(Clone, Copy)]
struct Features([bool; 4]);

impl Features {
    fn device(self) -> DiskDevice {
        let [packed, in_order, event_idx, indirect_desc] = self.0;
        DiskDevice { packed, in_order, event_idx, indirect_desc, ..DiskDevice::default() }
    }

    /// What the test kernel says of the paths that it uses then.
    fn paths(self) -> String {
        let [packed, in_order, event_idx, indirect_desc] = self.0;
        let layout = if packed { "Packed" } else { "Split" };
        format!("layout={layout} in_order={in_order} event_index={event_idx} indirect={indirect_desc} ")
    }
}

/// One test per layout and order: every combination of event index and indirect descriptors.
macro_rules! matrix {
    ($($name:ident: packed $packed:literal, in_order $in_order:literal;)*) => {$(
        #[test]
        fn $name() {
            for (event_idx, indirect_desc) in [(false, false), (false, true), (true, false), (true, true)] {
                let features = Features([$packed, $in_order, event_idx, indirect_desc]);

                let output = check(Machine::Q35, SECTORS, &features.device());

                let expected = features.paths();
                assert!(output.contains(&expected), "{expected} is not in\n{output}");
            }
        }
    )*};
}

matrix! {
    a_packed_ring_serves_every_request: packed true, in_order false;
    a_split_ring_in_order_serves_every_request: packed false, in_order true;
    a_packed_ring_in_order_serves_every_request: packed true, in_order true;
}

/// A packed ring whose size is no power of two.
#[test]
fn a_packed_ring_of_100_descriptors_is_used_in_full() {
    let device = DiskDevice { packed: true, queue_size: Some(128), ..DiskDevice::default() };

    let output = check_with(Machine::Q35, SECTORS, &device, " queue=100");

    assert!(output.contains("queue_size=100 "), "{output}");
}

/// Bursts until every index has wrapped: 16-bit ones after 65,536 requests, wrap counters hundreds of times.
#[test]
fn bursts_past_65536_requests_lose_nothing() {
    for (packed, in_order) in [(false, false), (true, false), (false, true), (true, true)] {
        let output = check_with(
            Machine::Q35,
            SECTORS,
            &Features([packed, in_order, true, true]).device(),
            " requests=70000",
        );

        let bursts = output.lines().find_map(|line| line.strip_prefix("bursts: ")).expect("it says how many");
        let requests: u64 = bursts.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
        assert!(requests >= 70_000, "{output}");
    }
}
