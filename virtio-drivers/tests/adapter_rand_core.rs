//! Random numbers from an entropy device, for `rand_core`'s users.
//!
//! Not under miri: safe code over calls that other tests make there.

#![cfg(all(feature = "rand_core", not(miri)))]

mod support;

use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use support::entropy::Make;
use virtio_guest::adapter::Randomness;
use virtio_guest::device::entropy::EntropyError;
use virtio_guest::hal::Attempts;

/// A generator that shows its seed.
struct Seeded([u8; 32]);

impl SeedableRng for Seeded {
    type Seed = [u8; 32];

    fn from_seed(seed: Self::Seed) -> Self {
        Self(seed)
    }
}

fn seed<R: TryCryptoRng>(from: &mut R) -> Result<[u8; 32], R::Error> {
    Seeded::try_from_rng(from).map(|seeded| seeded.0)
}

/// Spec: §5.4.6 Device Operation.
#[test]
fn numbers_and_seeds_are_made_of_the_bytes_that_the_device_wrote() {
    for make in Make::default().each() {
        let bench = make.start();
        let (model, source) = (bench.model.clone(), bench.source());
        let patience = move || {
            let (source, mut looks) = (source.clone(), 10);
            move || {
                source.serve();
                looks -= 1;
                looks > 0
            }
        };
        let mut randomness = Randomness::new(bench.driver, patience);

        let seed = seed(&mut randomness).unwrap();
        let words = (randomness.try_next_u32().unwrap(), randomness.try_next_u64().unwrap());

        let mut bytes = seed.to_vec();
        bytes.extend(words.0.to_le_bytes());
        bytes.extend(words.1.to_le_bytes());
        assert_eq!(model.given(), bytes);
        drop(randomness.into_entropy().close(Attempts(10)).unwrap());
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

#[test]
fn a_device_that_does_not_answer_gives_no_number() {
    let bench = Make::default().start();
    let mut randomness = Randomness::new(bench.driver, || Attempts(3));
    let mut bytes = [1; 5];

    assert_eq!(randomness.try_next_u32(), Err(EntropyError::TimedOut));
    assert_eq!(randomness.try_fill_bytes(&mut bytes), Err(EntropyError::TimedOut));

    assert_eq!(bytes, [0; 5]);
    bench.device.assert_driver_was_correct();
}
