//! Numbers that mean something: targets, work, amounts, heights, times.

use ruint::Uint;
use std::fmt;

/// An unsigned integer of 256 bits.
pub type U256 = Uint<256, 4>;

/// The number that a proof-of-work digest, read as a little-endian integer, must not exceed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub U256);

/// What was done: the expected number of hashes behind a block, or behind a chain of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(pub U256);

/// A place on the selected chain: 0 for the genesis; the blue score on a block DAG.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height(pub u64);

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// A sum of money in atoms, the smallest unit. Arithmetic is checked: there is no `+`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u64);

/// Why 32 bits are not a target in compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    #[error("compact target {bits:#010x} is negative")]
    Negative { bits: u32 },
    #[error("compact target {bits:#010x} is zero")]
    Zero { bits: u32 },
    #[error("compact target {bits:#010x} does not fit 256 bits")]
    Overflow { bits: u32 },
}

impl Target {
    /// The easiest target: every digest meets it.
    pub const MAX: Self = Self(U256::MAX);

    /// Reads Bitcoin's compact form: one byte of size, three of mantissa.
    pub fn from_compact(bits: u32) -> Result<Self, CompactError> {
        let size = bits >> 24;
        let mantissa = bits & 0x007f_ffff;
        if mantissa == 0 {
            return Err(CompactError::Zero { bits });
        }
        if bits & 0x0080_0000 != 0 {
            return Err(CompactError::Negative { bits });
        }
        let mantissa_bytes = (32 - mantissa.leading_zeros()).div_ceil(8);
        if size > 3 && size - 3 + mantissa_bytes > 32 {
            return Err(CompactError::Overflow { bits });
        }
        let value = if size <= 3 {
            U256::from(mantissa >> (8 * (3 - size)))
        } else {
            U256::from(mantissa) << (8 * (size as usize - 3))
        };
        if value.is_zero() { Err(CompactError::Zero { bits }) } else { Ok(Self(value)) }
    }

    /// Returns the compact form, rounded down as Bitcoin does: the low bits that do not fit three bytes are dropped.
    pub fn to_compact(self) -> u32 {
        let mut size = self.0.bit_len().div_ceil(8);
        let low = |value: U256| u32::try_from(value).expect("at most three bytes are left");
        let mut mantissa = if size <= 3 { low(self.0) << (8 * (3 - size)) } else { low(self.0 >> (8 * (size - 3))) };
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        mantissa | u32::try_from(size).expect("a 256-bit number has at most 33 bytes in compact form") << 24
    }

    /// Tells whether a digest, read as a little-endian integer, does not exceed this target.
    pub fn is_met_by(self, digest: &[u8; 32]) -> bool {
        U256::from_le_bytes(*digest) <= self.0
    }

    /// Returns the expected number of hashes to meet this target: 2^256 / (target + 1), rounded down.
    pub fn work(self) -> Work {
        // (2^256 − 1 − target) / (target + 1) + 1 is the same number and stays within 256 bits.
        match self.0.checked_add(U256::ONE) {
            Some(above) => Work((!self.0) / above + U256::ONE),
            None => Work(U256::ONE),
        }
    }
}

impl Work {
    /// No work at all.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Adds, stopping at the largest number: 2^256 hashes are out of anybody's reach, so nothing honest is lost.
    pub fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl Timestamp {
    /// Makes a time from milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a time from whole seconds since the epoch, stopping at the largest representable time.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the epoch.
    pub const fn to_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the epoch, rounded down.
    pub const fn to_secs(self) -> u64 {
        self.0 / 1000
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Makes an amount from atoms.
    pub const fn from_atoms(atoms: u64) -> Self {
        Self(atoms)
    }

    /// Returns the number of atoms.
    pub const fn to_atoms(self) -> u64 {
        self.0
    }

    /// Adds, or returns `None` where the sum does not fit.
    pub const fn checked_add(self, more: Self) -> Option<Self> {
        match self.0.checked_add(more.0) {
            Some(atoms) => Some(Self(atoms)),
            None => None,
        }
    }

    /// Subtracts, or returns `None` where less than nothing would be left.
    pub const fn checked_sub(self, less: Self) -> Option<Self> {
        match self.0.checked_sub(less.0) {
            Some(atoms) => Some(Self(atoms)),
            None => None,
        }
    }

    /// Adds up, or returns `None` where the sum does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:064x}", self.0)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} atoms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_compact(bits: u32, want: Result<&str, CompactError>) {
        let got = Target::from_compact(bits).map(|target| target.to_string());
        assert_eq!(got, want.map(str::to_owned));
    }

    #[test]
    fn bitcoins_limit_reads_as_published() {
        check_compact(0x1d00_ffff, Ok("00000000ffff0000000000000000000000000000000000000000000000000000"));
    }

    #[test]
    fn a_negative_mantissa_is_refused() {
        check_compact(0x1d80_0001, Err(CompactError::Negative { bits: 0x1d80_0001 }));
    }

    #[test]
    fn a_target_past_256_bits_is_refused() {
        check_compact(0x2300_0001, Err(CompactError::Overflow { bits: 0x2300_0001 }));
        check_compact(0x2101_0000, Err(CompactError::Overflow { bits: 0x2101_0000 }));
    }

    #[test]
    fn a_mantissa_shifted_to_nothing_is_refused() {
        check_compact(0x0100_0001, Err(CompactError::Zero { bits: 0x0100_0001 }));
    }

    #[test]
    fn difficulty_one_is_worth_two_to_the_32_and_a_little() {
        let work = Target::from_compact(0x1d00_ffff).expect("a valid compact target").work();
        assert_eq!(work, Work(U256::from(0x0001_0001_0001_u64)));
    }

    #[test]
    fn the_easiest_target_is_worth_one_hash() {
        assert_eq!(Target::MAX.work(), Work(U256::ONE));
    }

    proptest::proptest! {
        #[test]
        fn compact_form_rounds_down_and_is_stable(words: [u64; 4]) {
            let target = Target(U256::from_limbs(words));
            proptest::prop_assume!(!target.0.is_zero());
            let once = Target::from_compact(target.to_compact()).expect("compact form of a target is valid");
            proptest::prop_assert!(once <= target);
            proptest::prop_assert_eq!(once.to_compact(), target.to_compact());
        }
    }
}
