//! How long requests took: a histogram with places that grow with what they hold.
//!
//! A place for each number below 16; from there on eight for each power of two, so that what is read from it is at most an eighth too large. It takes 4 KiB, whatever is recorded.

/// Places for each power of two.
const STEPS: u64 = 8;
/// Numbers that have a place of their own: those of four bits.
const EXACT: u64 = 2 * STEPS;
/// For numbers of up to 64 bits: 16 of their own, and eight for each power of two from the fourth on.
const PLACES: usize = 16 + 60 * 8;

/// Numbers, as far as percentiles need them.
pub struct Histogram {
    places: [u64; PLACES],
    count: u64,
    largest: u64,
}

impl Histogram {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { places: [0; PLACES], count: 0, largest: 0 }
    }

    /// Where a number belongs.
    fn place(number: u64) -> usize {
        let place = if number < EXACT {
            number
        } else {
            let power = u64::from(number.ilog2());
            let step = (number >> (power - 3)) - STEPS;
            EXACT + (power - 4) * STEPS + step
        };
        usize::try_from(place).unwrap_or(PLACES)
    }

    /// The largest number that belongs there.
    fn last_of(place: usize) -> u64 {
        let place = place as u64;
        let Some(behind) = place.checked_sub(EXACT) else { return place };
        let (power, step) = (behind / STEPS + 4, behind % STEPS);
        let width = 1 << (power - 3);
        (STEPS + step) * width + (width - 1)
    }

    /// One more number.
    pub fn record(&mut self, number: u64) {
        if let Some(place) = self.places.get_mut(Self::place(number)) {
            *place += 1;
        }
        self.count += 1;
        self.largest = self.largest.max(number);
    }

    /// All of another one's numbers.
    pub fn add(&mut self, other: &Self) {
        for (place, more) in self.places.iter_mut().zip(&other.places) {
            *place += more;
        }
        self.count += other.count;
        self.largest = self.largest.max(other.largest);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest of them.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// What so many of a thousand are not above, at most an eighth too large.
    pub fn per_mille(&self, thousandths: u64) -> u64 {
        let wanted = (self.count * thousandths).div_ceil(1000);
        let mut seen = 0;
        for (place, count) in self.places.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Self::last_of(place).min(self.largest);
            }
        }
        self.largest
    }
}
