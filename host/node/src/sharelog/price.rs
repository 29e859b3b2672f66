//! What a hash costs here, in time of a processor.
//!
//! Counts the thread that hashes alone: what else the machine is at makes no peer's shares dearer.

use adit_primitives::Hash256;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The price follows so many hashes by an eighth, fewer by less: a batch of one share says little.
const HASHES_FULL: u64 = 64;

/// The price of one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashPrice {
    ns: u64,
}

/// What was hashed, and what that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub hashes: u64,
    pub cpu: Duration,
}

/// An engine whose digests are counted.
pub struct Metered<'a> {
    hash: &'a mut dyn HashEngine,
    pub spent: Spent,
}

impl HashPrice {
    /// Takes over a first measurement.
    pub fn new(spent: Spent) -> Self {
        Self { ns: spent.each_ns().unwrap_or(0) }
    }

    /// Follows a later one.
    pub fn follow(&mut self, spent: Spent) {
        let Some(each) = spent.each_ns() else { return };
        let (weight, whole) = (u128::from(spent.hashes.min(HASHES_FULL)), u128::from(8 * HASHES_FULL));
        let ns = (u128::from(self.ns) * (whole - weight) + u128::from(each) * weight) / whole;
        self.ns = u64::try_from(ns).expect("a mean is no more than the greater of two");
    }

    /// Returns the price in nanoseconds.
    pub const fn to_ns(self) -> u64 {
        self.ns
    }

    /// Returns how many microseconds so many hashes take, rounded up.
    pub const fn micros(self, hashes: u64) -> u64 {
        self.ns.saturating_mul(hashes).div_ceil(1_000)
    }
}

impl Spent {
    fn each_ns(self) -> Option<u64> {
        u64::try_from(self.cpu.as_nanos()).unwrap_or(u64::MAX).checked_div(self.hashes)
    }
}

impl<'a> Metered<'a> {
    pub fn new(hash: &'a mut dyn HashEngine) -> Self {
        Self { hash, spent: Spent::default() }
    }
}

impl HashEngine for Metered<'_> {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let began = cpu_time();
        let done = self.hash.digest_many(inputs, each, digests);
        self.spent.cpu += cpu_time().saturating_sub(began);
        self.spent.hashes += inputs.len().checked_div(each).unwrap_or(0) as u64;
        done
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        self.hash.search(job, first, count)
    }
}

/// Returns how long the calling thread was on a processor.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(hashes: u64, micros: u64) -> Spent {
        Spent { hashes, cpu: Duration::from_micros(micros) }
    }

    #[test]
    fn the_price_is_what_one_hash_took() {
        let price = HashPrice::new(spent(64, 640));
        assert_eq!((price.to_ns(), price.micros(1), price.micros(0)), (10_000, 10, 0));
        assert_eq!(HashPrice::new(spent(1_000, 1)).micros(5), 1, "rounded up");
        assert_eq!(HashPrice::new(spent(1, u64::MAX / 1_000)).micros(u64::MAX), u64::MAX.div_ceil(1_000));
        assert_eq!(HashPrice::new(Spent::default()).micros(100), 0);
    }

    #[test]
    fn the_price_follows_what_is_measured_full_batches_more_than_small_ones() {
        let first = HashPrice::new(spent(64, 64));
        let after = |spent| {
            let mut price = first;
            price.follow(spent);
            price.to_ns()
        };
        assert_eq!(after(spent(64, 64 * 9)), 2_000);
        assert_eq!(after(spent(100, 100 * 9)), 2_000);
        assert_eq!(after(spent(1, 513)), 2_000);
        assert_eq!(after(Spent::default()), 1_000);
        let mut price = first;
        (0..200).for_each(|_| price.follow(spent(64, 64 * 9)));
        assert!((8_900..=9_000).contains(&price.to_ns()), "{price:?}");
    }

    /// A hash that copies.
    struct Copy;

    impl HashEngine for Copy {
        fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
            digests.extend(inputs.chunks(each).map(|input| Hash256(*input.first_chunk().expect("80 bytes"))));
            Ok(())
        }

        fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
            unreachable!("nothing searches here")
        }
    }

    #[test]
    fn digests_are_counted_and_pass_through() {
        let (mut hash, mut digests) = (Copy, Vec::new());
        let mut metered = Metered::new(&mut hash);
        metered.digest_many(&[7; 240], 80, &mut digests).unwrap();
        metered.digest_many(&[7; 80], 80, &mut digests).unwrap();
        assert_eq!((metered.spent.hashes, digests), (4, vec![Hash256([7; 32]); 4]));
    }
}
