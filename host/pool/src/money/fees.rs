//! What foundation and pool take of a reward before it is split.

use adit_primitives::Amount;
use std::fmt;

/// Hundredths of a percent: 10,000 are the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(pub u16);

/// The whole.
const WHOLE: u128 = 10_000;

/// The fees in force: each at most 10 %. Both are shown to everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    foundation: BasisPoints,
    pool: BasisPoints,
}

/// Why fees cannot be in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeeError {
    #[error("the foundation's fee is {found}, at most {} is allowed", Fees::MAX)]
    Foundation { found: BasisPoints },
    #[error("the pool's fee is {found}, at most {} is allowed", Fees::MAX)]
    Pool { found: BasisPoints },
}

/// A reward, divided. The parts add up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divided {
    pub foundation: Amount,
    pub pool: Amount,
    /// What there is for miners.
    pub distributable: Amount,
}

impl Fees {
    /// The foundation's fee where the operator sets no other: 1 %.
    pub const FOUNDATION_DEFAULT: BasisPoints = BasisPoints(100);
    /// The most that foundation or pool may take: 10 %.
    pub const MAX: BasisPoints = BasisPoints(1_000);

    /// Takes the fees, each up to [`Self::MAX`].
    pub fn new(foundation: BasisPoints, pool: BasisPoints) -> Result<Self, FeeError> {
        if foundation > Self::MAX {
            return Err(FeeError::Foundation { found: foundation });
        }
        if pool > Self::MAX {
            return Err(FeeError::Pool { found: pool });
        }
        Ok(Self { foundation, pool })
    }

    /// Returns the foundation's fee.
    pub const fn foundation(self) -> BasisPoints {
        self.foundation
    }

    /// Returns the pool's fee.
    pub const fn pool(self) -> BasisPoints {
        self.pool
    }

    /// Divides a reward: first the foundation's part of it, then the pool's part of what is left, each rounded down.
    pub fn divide(self, reward: Amount) -> Divided {
        let (foundation, left) = part(reward, self.foundation);
        let (pool, distributable) = part(left, self.pool);
        Divided { foundation, pool, distributable }
    }
}

/// Returns the part rounded down, and the rest.
fn part(of: Amount, points: BasisPoints) -> (Amount, Amount) {
    let part = u128::from(of.to_atoms()) * u128::from(points.0) / WHOLE;
    let part =
        Amount::from_atoms(u64::try_from(part).expect("fees are at most 10 %, so a part is less than the whole"));
    (part, of.checked_sub(part).expect("a part is less than the whole"))
}

/// As percent, with as many decimals as there are.
impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole} %"),
            _ if rest % 10 == 0 => write!(f, "{whole}.{} %", rest / 10),
            _ => write!(f, "{whole}.{rest:02} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(foundation: u16, pool: u16, reward: u64, want: (u64, u64, u64)) {
        let fees = Fees::new(BasisPoints(foundation), BasisPoints(pool)).unwrap();
        let got = fees.divide(Amount::from_atoms(reward));
        assert_eq!((got.foundation.to_atoms(), got.pool.to_atoms(), got.distributable.to_atoms()), want);
    }

    #[test]
    fn the_foundation_is_first_and_the_pool_takes_of_the_rest() {
        check(100, 1_000, 5_000_000_000, (50_000_000, 495_000_000, 4_455_000_000));
        check(100, 0, 99, (0, 0, 99));
        check(0, 150, 199, (0, 2, 197));
        check(
            1_000,
            1_000,
            u64::MAX,
            (1_844_674_407_370_955_161, 1_660_206_966_633_859_645, 14_941_862_699_704_736_809),
        );
    }

    #[test]
    fn more_than_ten_percent_is_refused() {
        let fees = |foundation, pool| Fees::new(BasisPoints(foundation), BasisPoints(pool)).map(|_| ());
        assert_eq!(fees(1_000, 1_000), Ok(()));
        assert_eq!(fees(1_001, 0), Err(FeeError::Foundation { found: BasisPoints(1_001) }));
        let error = fees(100, 1_050).unwrap_err();
        assert_eq!(error.to_string(), "the pool's fee is 10.5 %, at most 10 % is allowed");
    }

    proptest::proptest! {
        #[test]
        fn no_atom_is_lost(foundation in 0u16..=1_000, pool in 0u16..=1_000, reward: u64) {
            let divided = Fees::new(BasisPoints(foundation), BasisPoints(pool)).unwrap().divide(Amount::from_atoms(reward));
            let sum = Amount::checked_sum([divided.foundation, divided.pool, divided.distributable]);
            proptest::prop_assert_eq!(sum, Some(Amount::from_atoms(reward)));
        }
    }
}
