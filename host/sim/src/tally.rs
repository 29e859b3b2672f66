//! What is counted while a simulation runs. Sums alone: in whatever order threads count, the end is the same.

use crate::knowledge::Reorg;
use crate::scenario::Micros;
use adit_network::wire::Kind;
use std::collections::BTreeMap;

/// Buckets to an octave of a [`Delays`].
const PER_OCTAVE: u64 = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    /// Frames and their bytes, by the place of their kind in [`Kind::ALL`].
    pub frames: [(u64, u64); Kind::ALL.len()],
    /// How long after it was found each block was whole at each node, in microseconds; cleared as blocks are summed up.
    pub arrivals: BTreeMap<u32, Vec<u32>>,
    /// How often nodes gave so many blocks of their selected chain up.
    pub reorgs: BTreeMap<u32, u64>,
    pub shares: Delays,
    pub transactions: Delays,
    /// Frames that were dropped from a full queue, and frames that a partition swallowed.
    pub dropped: u64,
    pub swallowed: u64,
    /// Sessions that began and that ended.
    pub opened: u64,
    pub closed: u64,
    pub bans: u64,
    pub events: u64,
}

/// Times, counted by their length to within a sixteenth.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Delays {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Tally {
    /// Counts a frame.
    pub fn frame(&mut self, kind: Kind, bytes: usize) {
        let place = Kind::ALL.iter().position(|one| *one == kind).expect("every kind is in the list");
        self.frames[place].0 += 1;
        self.frames[place].1 += bytes as u64;
    }

    /// Counts that a node has a block.
    pub fn arrival(&mut self, block: u32, after: Micros) {
        self.arrivals.entry(block).or_default().push(u32::try_from(after).unwrap_or(u32::MAX));
    }

    /// Counts that a node changed its mind.
    pub fn reorg(&mut self, reorg: Reorg) {
        *self.reorgs.entry(reorg.depth).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        for (ours, theirs) in self.frames.iter_mut().zip(other.frames) {
            *ours = (ours.0 + theirs.0, ours.1 + theirs.1);
        }
        for (block, mut after) in other.arrivals {
            self.arrivals.entry(block).or_default().append(&mut after);
        }
        for (depth, count) in other.reorgs {
            *self.reorgs.entry(depth).or_default() += count;
        }
        self.shares.add(&other.shares);
        self.transactions.add(&other.transactions);
        self.dropped += other.dropped;
        self.swallowed += other.swallowed;
        self.opened += other.opened;
        self.closed += other.closed;
        self.bans += other.bans;
        self.events += other.events;
    }
}

impl Delays {
    /// Counts a time.
    pub fn count(&mut self, time: Micros) {
        *self.counts.entry(bucket(time)).or_default() += 1;
        self.total += 1;
    }

    /// Returns how many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns a time that so many of a thousand do not exceed by more than a sixteenth; 0 where nothing was counted.
    pub fn quantile(&self, thousandths: u64) -> Micros {
        let wanted = (self.total * thousandths).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                return lowest(*bucket);
            }
        }
        0
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
        self.total += other.total;
    }
}

/// Returns the bucket of a time: its octave, and the sixteenth of it.
fn bucket(time: Micros) -> u64 {
    match time.checked_ilog2() {
        Some(octave) if octave >= 4 => u64::from(octave - 3) * PER_OCTAVE + (time >> (octave - 4)) - PER_OCTAVE,
        _ => time,
    }
}

/// Returns the shortest time of a bucket.
fn lowest(bucket: u64) -> Micros {
    if bucket < PER_OCTAVE { bucket } else { (PER_OCTAVE + bucket % PER_OCTAVE) << (bucket / PER_OCTAVE - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_times_within_a_sixteenth() {
        for time in (0..5000).chain([1 << 40, (1 << 40) + 12_345, 999_999_999]) {
            let low = lowest(bucket(time));
            assert!(low <= time && time - low <= time / 16, "{time} is in the bucket of {low}");
            assert_eq!(lowest(bucket(low)), low);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_counted_times() {
        let mut delays = Delays::default();
        (1..=1000).for_each(|time| delays.count(time * 1000));
        let near = |thousandths: u64, want: u64| {
            let got = delays.quantile(thousandths);
            assert!(got <= want && want - got <= want / 15, "{got} instead of {want}");
        };
        near(500, 500_000);
        near(990, 990_000);
        assert_eq!((delays.total(), Delays::default().quantile(500)), (1000, 0));
    }
}
