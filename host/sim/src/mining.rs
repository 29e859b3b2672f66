//! Who finds the next block, and when: a Poisson process whose rate is the hash rate over the expected hashes of a block.
//!
//! Nobody hashes. Every miner works at the difficulty that the rules ask for over the tips of its own node, so the process is thinned:
//! moments are drawn for the easiest block that anybody works on, and at each one a miner, drawn by its hash rate, finds a
//! block with the chance that its own is as easy.

use crate::random::Random;
use crate::scenario::{HashRates, Micros, Scenario, micros};
use crate::tree::{GENESIS, RulesError, Tree, expected_hashes};
use crate::world::{Purpose, WARM_UP};
use std::collections::HashMap;

/// Blocks somewhat easier than the easiest known may be worked on over several tips.
const MARGIN: f64 = 0.9;
/// Answers of the rules that are kept.
const ASKED_MAX: usize = 10_000;

/// See the module.
pub struct Mining {
    random: Random,
    /// Each miner's part of the hash rate, summed up to it: the last is 1.
    parts: Vec<f64>,
    /// Hashes a second of all.
    rate: f64,
    surge: Option<(Micros, f64)>,
    /// The expected hashes of the easiest block that anybody works on, or less.
    easiest: f64,
    /// The expected hashes of a block over one tip.
    asked: HashMap<u32, f64>,
    /// When the next block may be found.
    next: Micros,
}

impl Mining {
    /// Gives the miners the hash rate with which the first block takes the scenario's interval.
    pub fn new(scenario: &Scenario, tree: &Tree) -> Result<Self, RulesError> {
        let weight = |miner: u32| match scenario.hash_rates {
            HashRates::Equal => 1.0,
            HashRates::Skewed => 1.0 / f64::from(miner + 1),
        };
        let weights: Vec<f64> = (0..scenario.miners).map(weight).collect();
        let all: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let parts = weights.iter().map(|weight| {
            sum += weight / all;
            sum
        });
        let parts = parts.collect();
        let first = expected_hashes(tree.required(&[GENESIS])?.target);
        let mut mining = Self {
            random: Random::new(scenario.seed, Purpose::Mining as u64),
            parts,
            rate: first / scenario.interval.as_secs_f64(),
            surge: scenario.surge.map(|surge| (WARM_UP + micros(surge.at), surge.factor)),
            easiest: first,
            asked: HashMap::new(),
            next: WARM_UP,
        };
        mining.draw();
        Ok(mining)
    }

    /// Returns when the next block may be found.
    pub fn next(&self) -> Micros {
        self.next
    }

    /// Returns each miner's part of the hash rate.
    pub fn part(&self, miner: usize) -> f64 {
        self.parts[miner] - miner.checked_sub(1).map_or(0.0, |before| self.parts[before])
    }

    /// Draws the miner who may find a block now.
    pub fn miner(&mut self) -> u32 {
        let at = self.random.unit();
        let miner = self.parts.partition_point(|part| *part <= at).min(self.parts.len() - 1);
        u32::try_from(miner).expect("miners are numbered by 32 bits")
    }

    /// Returns bits that no other block has.
    pub fn nonce(&mut self) -> u64 {
        self.random.bits()
    }

    /// Tells whether a miner finds a block of so many expected hashes, at a moment drawn for it.
    pub fn finds(&mut self, hashes: f64) -> bool {
        let found = self.random.unit() * hashes < self.easiest;
        self.easiest = self.easiest.min(hashes);
        found
    }

    /// Draws the next moment. Where the hash rate changes before it, what is left of the time changes with it.
    pub fn draw(&mut self) {
        let mut left = self.random.exponential(self.easiest / self.rate) * 1_000_000.0;
        if let Some((at, factor)) = self.surge {
            #[expect(clippy::cast_precision_loss, reason = "no simulation lasts 2^53 microseconds")]
            let before = at.saturating_sub(self.next) as f64;
            if left >= before {
                self.surge = None;
                self.rate *= factor;
                left = before + (left - before) / factor;
            }
        }
        self.next += crate::globe::whole(left).max(1);
    }

    /// Looks at what the miners work on now: `tips` are the selected ones of their nodes.
    pub fn look(&mut self, tree: &Tree, tips: impl Iterator<Item = u32>) -> Result<(), RulesError> {
        if self.asked.len() > ASKED_MAX {
            self.asked.clear();
        }
        let mut easiest = f64::INFINITY;
        for tip in tips {
            let hashes = match self.asked.get(&tip) {
                Some(hashes) => *hashes,
                None => {
                    let hashes = expected_hashes(tree.required(&[tip])?.target);
                    self.asked.insert(tip, hashes);
                    hashes
                }
            };
            easiest = easiest.min(hashes);
        }
        self.easiest = easiest * MARGIN;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mining(hash_rates: HashRates) -> Mining {
        let weights: &[f64] = if hash_rates == HashRates::Equal { &[0.5, 1.0] } else { &[0.75, 1.0] };
        Mining {
            random: Random::new(3, 3),
            parts: weights.to_vec(),
            rate: 100.0,
            surge: None,
            easiest: 1000.0,
            asked: HashMap::new(),
            next: 0,
        }
    }

    #[test]
    fn moments_are_as_far_apart_as_the_easiest_block_takes() {
        let mut mining = mining(HashRates::Equal);
        (0..10_000).for_each(|_| mining.draw());
        let mean = mining.next() / 10_000;
        assert!((9_800_000..10_200_000).contains(&mean), "{mean}");
    }

    #[test]
    fn a_harder_block_is_found_as_much_more_seldom() {
        let mut mining = mining(HashRates::Equal);
        let found = (0..10_000).filter(|_| mining.finds(4000.0)).count();
        assert!((2300..2700).contains(&found), "{found}");
    }

    #[test]
    fn a_miner_is_drawn_by_its_part() {
        let mut mining = mining(HashRates::Skewed);
        let first = (0..10_000).filter(|_| mining.miner() == 0).count();
        assert!((7300..7700).contains(&first), "{first}");
        assert!((mining.part(1) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_surge_acts_from_its_moment_on() {
        let mut mining = mining(HashRates::Equal);
        mining.surge = Some((50_000_000_000, 10.0));
        (0..5_000).for_each(|_| mining.draw());
        assert!((48_000_000_000..50_100_000_000).contains(&mining.next()), "{}", mining.next());
        let before = mining.next();
        (0..5_000).for_each(|_| mining.draw());
        let after = mining.next() - before;
        assert!((4_700_000_000..7_500_000_000).contains(&after), "{after}");
    }
}
