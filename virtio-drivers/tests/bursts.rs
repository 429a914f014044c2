//! Chains on their way to the device: shown whole, in bursts or one by one, or not at all.
//!
//! Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device. Each promise holds for every kind of ring.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, RefusedReason};

const HEADER: Portion = Portion { offset: 0, len: 16 };
const DATA: Portion = Portion { offset: 64, len: 32 };
const STATUS: Portion = Portion { offset: 128, len: 1 };
const ONE_READABLE: Chain<'_> = Chain { readable: &[HEADER], writable: &[] };
const ONE_WRITABLE: Chain<'_> = Chain { readable: &[], writable: &[STATUS] };

/// A chain that the device was shown comes back, whatever has been made available since and is not published.
#[test]
fn a_published_chain_comes_back_while_others_are_not_published() {
    for mut bench in RingBench::variants(8) {
        for context in 0..2 {
            bench.queue.make_available(ONE_WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        for context in 2..5 {
            bench.queue.make_available(ONE_WRITABLE, Tag(context)).unwrap();
        }

        for context in 0..2 {
            let chain = bench.pop();
            bench.complete(&chain, 1);
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
        }

        assert!(bench.other_side.pop().unwrap().is_none(), "the others are not published");
        assert_eq!(bench.finish().len(), 3);
    }
}

/// Spec: §2.7.13 — the device sees nothing of a burst before it is published, and then all of it; chains from before the burst as well.
#[test]
fn a_burst_is_shown_whole_with_one_notification() {
    for mut bench in RingBench::variants(8) {
        bench.queue.make_available(ONE_READABLE, Tag(0)).unwrap();
        let chains = (1..4).map(|context| (ONE_WRITABLE, Tag(context)));
        assert_eq!(bench.queue.make_available_burst(chains).unwrap(), 3);
        assert!(bench.other_side.pop().unwrap().is_none(), "the burst is not published");

        assert!(bench.queue.publish());

        assert_eq!(bench.queue.statistics().notifications_sent, 1);
        for expected in 0..4u32 {
            let chain = bench.pop();
            bench.complete(&chain, u32::from(expected > 0));
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(expected));
        }
        assert!(bench.finish().is_empty());
    }
}

/// Nothing is published by itself, in whatever calls it was made available; and a reset gives the contexts back.
#[test]
fn what_several_calls_made_available_is_published_together() {
    for mut bench in RingBench::variants(8) {
        bench.queue.make_available_burst([(ONE_READABLE, Tag(1))]).unwrap();
        bench.queue.make_available(ONE_WRITABLE, Tag(2)).unwrap();
        assert_eq!((bench.queue.in_flight(), bench.queue.free_descriptors()), (2, 6));
        assert!(bench.other_side.pop().unwrap().is_none(), "nothing is published");

        assert!(bench.queue.publish());

        assert_eq!(bench.pop().readable_lens(), [16]);
        assert_eq!(bench.pop().writable_lens(), [1]);
        bench.queue.make_available_burst([(ONE_READABLE, Tag(3))]).unwrap();
        let mut returned: Vec<_> = bench.finish().into_iter().map(|Tag(context)| context).collect();
        returned.sort_unstable();
        assert_eq!(returned, [1, 2, 3]);
    }
}

/// A burst ends where a chain is refused: those before it are made available, and those after it are not asked for.
#[test]
fn a_burst_ends_with_the_chain_that_is_refused() {
    for mut bench in RingBench::variants(4) {
        let mut chains = (0..9).map(|context| (ONE_READABLE, Tag(context)));

        let burst = bench.queue.make_available_burst(&mut chains).unwrap_err();

        assert_eq!((burst.made_available, burst.refused.reason), (4, RefusedReason::Full));
        assert_eq!(burst.refused.payload, Tag(4));
        assert_eq!(chains.len(), 4);
        assert_eq!(bench.queue.make_available_burst([]).unwrap(), 0);
        assert_eq!((bench.queue.in_flight(), bench.queue.statistics().chains), (4, 4));
        assert!(bench.queue.publish());
        for context in 0..4 {
            let chain = bench.pop();
            bench.complete(&chain, 0);
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
        }
        assert!(bench.finish().is_empty());
    }
}

/// A chain that turns out bad at its end leaves nothing behind that the device could take for a chain, wherever it was in the ring.
#[test]
fn a_refused_chain_leaves_nothing_behind() {
    let outside = Portion { offset: 4095, len: 2 };
    let bad = [HEADER, DATA, outside];
    for mut bench in RingBench::variants(5) {
        let size = bench.queue.size();
        for context in 0..u32::from(size) * 2 {
            bench.queue.make_available(ONE_WRITABLE, Tag(context)).unwrap();
            let refused = bench.queue.make_available(Chain { readable: &bad, writable: &[] }, Tag(u32::MAX));
            assert_eq!(refused.unwrap_err().reason, RefusedReason::BadPortion);
            bench.queue.publish();

            let chain = bench.pop();
            assert!(bench.other_side.pop().unwrap().is_none(), "there is one chain, not more");
            assert_eq!(bench.queue.free_descriptors(), size - 1);

            bench.complete(&chain, 1);
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
            assert!(bench.queue.take_used().unwrap().is_none());
        }
        assert!(bench.finish().is_empty());
    }
}

/// Bursts: of how many segments each chain is, and whether its last one is bad; and whether all is published in the end.
fn bursts() -> impl Strategy<Value = (Vec<(usize, bool)>, bool)> {
    (prop::collection::vec((1..5usize, prop::bool::weighted(0.3)), 0..6), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever a burst is made of and however it ends, and in whatever order its chains come back: each comes back once, and what was refused leaves nothing behind.
    #[test]
    fn of_any_burst_each_chain_comes_back_once(
        ring in 0..16usize,
        size in 1..14u16,
        rounds in prop::collection::vec((bursts(), any::<u64>()), if cfg!(miri) { 10 } else { 100 }),
    ) {
        let ring = Ring::all().nth(ring % Ring::all().count()).expect("there are some");
        let mut bench = RingBench::<Tag<u32>>::with(size, ring);
        let size = bench.queue.size();
        let (mut context, mut out, mut hidden) = (0, BTreeMap::new(), Vec::new());
        for ((chains, is_published), order) in rounds {
            let portions: Vec<_> = chains.iter().map(|&(segments, is_bad)| {
                let mut portions = vec![HEADER; segments];
                if is_bad {
                    portions[segments - 1] = Portion { offset: 4095, len: 2 };
                }
                (portions, is_bad)
            }).collect();
            // A refused chain ends a burst; the next one begins behind it.
            let mut rest = &portions[..];
            while !rest.is_empty() {
                let mut asked = 0;
                let chains = rest.iter().map(|(portions, _)| {
                    asked += 1;
                    (Chain { readable: portions, writable: &[] }, Tag(context + asked - 1))
                });
                let refused = bench.queue.make_available_burst(chains).is_err();
                let (burst, later) = rest.split_at(asked as usize);
                for (portions, is_bad) in &burst[..burst.len() - usize::from(refused)] {
                    prop_assert!(!is_bad);
                    out.insert(context, if ring.indirect && portions.len() > 1 { 1 } else { portions.len() });
                    hidden.push(context);
                    context += 1;
                }
                rest = later;
            }
            if is_published {
                bench.queue.publish();
            }
            prop_assert_eq!(usize::from(bench.queue.in_flight()), out.len());
            prop_assert_eq!(usize::from(size - bench.queue.free_descriptors()), out.values().sum::<usize>());
            if !is_published {
                prop_assert!(bench.other_side.pop().unwrap().is_none(), "nothing is published");
                continue;
            }
            let mut held: Vec<_> = hidden.drain(..).map(|context| (bench.pop().head, context)).collect();
            prop_assert!(bench.other_side.pop().unwrap().is_none(), "nothing else is published");
            if ring.in_order && !held.is_empty() {
                let batch: Vec<_> = held.iter().map(|(head, _)| (*head, 0)).collect();
                bench.other_side.complete_batch(&batch).unwrap();
            } else if !held.is_empty() {
                let turn = order as usize % held.len();
                held.rotate_left(turn);
                held[turn / 2..].reverse();
                for (head, _) in &held {
                    bench.other_side.complete(*head, 0).unwrap();
                }
            }
            let mut back = Vec::new();
            bench.queue.take_used_burst(usize::MAX, |used| back.push(used.payload.0)).unwrap();
            let expected: Vec<_> = held.iter().map(|(_, context)| *context).collect();
            prop_assert_eq!(&back, &expected);
            out.retain(|context, _| !back.contains(context));
        }
        prop_assert_eq!(bench.finish().len(), out.len());
    }
}
