//! Fee rates, compared exactly: as fractions, without division.

use crate::Pending;
use adit_primitives::Amount;
use std::cmp::{Ordering, Reverse};

/// Atoms for a number of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    fee: u128,
    size: u64,
}

/// Fees, bytes and number of some transactions. Packages are small, so that 128 bits hold their fees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums {
    fee: u128,
    pub(crate) size: u64,
    pub(crate) count: usize,
}

/// The greatest is mined first: the highest rate, and of equals the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MiningKey {
    pub(crate) rate: Rate,
    arrival: Reverse<u64>,
}

/// The least is dropped first: the lowest rate, and of equals the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvictionKey {
    pub(crate) rate: Rate,
    arrival: Reverse<u64>,
}

impl Rate {
    pub(crate) fn of(fee: Amount, size: usize) -> Self {
        Self { fee: fee.to_atoms().into(), size: size as u64 }
    }

    pub(crate) fn of_pending(pending: &Pending) -> Self {
        Self::of(pending.fee, pending.size)
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        // A package's fees stay below 2^96 and its bytes below 2^32: the products fit.
        let left = self.fee.saturating_mul(other.size.into());
        let right = other.fee.saturating_mul(self.size.into());
        left.cmp(&right)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rate {}

impl Sums {
    pub(crate) fn of(pending: &Pending) -> Self {
        Self { fee: pending.fee.to_atoms().into(), size: pending.size as u64, count: 1 }
    }

    pub(crate) fn rate(&self) -> Rate {
        Rate { fee: self.fee, size: self.size }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.fee += more.fee;
        self.size += more.size;
        self.count += more.count;
    }

    pub(crate) fn subtract(&mut self, less: &Self) {
        self.fee -= less.fee;
        self.size -= less.size;
        self.count -= less.count;
    }
}

impl MiningKey {
    pub(crate) fn new(rate: Rate, arrival: u64) -> Self {
        Self { rate, arrival: Reverse(arrival) }
    }
}

impl EvictionKey {
    pub(crate) fn new(rate: Rate, arrival: u64) -> Self {
        Self { rate, arrival: Reverse(arrival) }
    }
}
