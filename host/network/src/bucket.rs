//! A peer's allowance: a bucket of units that fills with time.

use crate::id::Moment;
use crate::settings::Allowance;

/// What a peer may still send.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// In thousandths of a unit, so that a rate is a number for each millisecond.
    left: u64,
    filled: Moment,
}

impl Bucket {
    /// Makes a full bucket.
    pub fn new(allowance: Allowance, now: Moment) -> Self {
        Self { left: allowance.burst.saturating_mul(1000), filled: now }
    }

    /// Takes `units` where as many are left, and tells whether they were.
    pub fn take(&mut self, allowance: Allowance, now: Moment, units: u64) -> bool {
        let millis = now.to_millis().saturating_sub(self.filled.to_millis());
        self.filled = now;
        let filled = self.left.saturating_add(millis.saturating_mul(allowance.units_per_second));
        self.left = filled.min(allowance.burst.saturating_mul(1000));
        let rest = self.left.checked_sub(units.saturating_mul(1000));
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_its_rate_after() {
        let allowance = Allowance { units_per_second: 10, burst: 5 };
        let mut bucket = Bucket::new(allowance, Moment::from_millis(0));
        let mut take = |millis, units| bucket.take(allowance, Moment::from_millis(millis), units);
        assert!(take(0, 5));
        assert!(!take(0, 1));
        assert!(!take(99, 1));
        assert!(take(100, 1));
        assert!(!take(100, 1));
        assert!(take(1_000_000, 5));
        assert!(!take(1_000_000, 1));
    }
}
