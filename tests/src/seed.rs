//! Seeds of tests that draw their cases: others on every run, and the same again by `ADIT_SEED`.

use std::hash::{BuildHasher, RandomState};

/// Returns the seed of this run and says it: a runner of tests shows what a test said where it failed.
///
/// # Panics
/// Where `ADIT_SEED` is no number.
pub fn drawn() -> u64 {
    let seed = match std::env::var("ADIT_SEED") {
        Ok(text) => text.parse().expect("ADIT_SEED is a number"),
        Err(_) => RandomState::new().hash_one("a seed"),
    };
    println!("ADIT_SEED={seed}");
    seed
}

/// A small generator of numbers that look random (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, and 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % bound.max(1) as u64).expect("below a usize")
    }

    /// Returns an order in which blocks with these parents may arrive, the first, which has none, left out.
    pub fn arrival(&mut self, parents: &[Vec<usize>]) -> Vec<usize> {
        let mut missing: Vec<usize> = parents.iter().map(Vec::len).collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
        for (block, parents) in parents.iter().enumerate() {
            parents.iter().for_each(|parent| children[*parent].push(block));
        }
        let (mut ready, mut order) = (vec![0], Vec::new());
        while !ready.is_empty() {
            let block = ready.swap_remove(self.below(ready.len()));
            order.push(block);
            for child in &children[block] {
                missing[*child] -= 1;
                if missing[*child] == 0 {
                    ready.push(*child);
                }
            }
        }
        order.split_off(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_arrive_before_their_children_and_everybody_once() {
        let parents = [vec![], vec![0], vec![0], vec![1, 2], vec![2], vec![3, 4]];
        let order = Random(7).arrival(&parents);
        for (at, block) in order.iter().enumerate() {
            assert!(parents[*block].iter().all(|parent| *parent == 0 || order[..at].contains(parent)), "{order:?}");
        }
        assert_eq!(order.len(), 5);
        assert!((8..40).any(|seed| Random(seed).arrival(&parents) != order), "seeds give other orders");
    }
}
