//! Proof of space: making plots and scanning them.
//!
//! Nothing here reads a file, knows a chain or decides: what a scan proposes, the chain's plugin computes again.
//!
//! Reading order: [`leaves`] is the plain scheme, [`shabal`] the hash of the hard one, [`poc2`]; this file is the ways to run them, `baseline` what they are compared with.

mod baseline;
mod leaves;
mod poc2;
mod shabal;
#[cfg(test)]
mod tests;

pub use baseline::Baseline;

use crate::words::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::words::{
    avx2::{Avx2, Words8},
    avx512::{Avx512, Words16},
};
use adit_primitives::space::{BestLeaf, LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, ScoreHash, SpaceEngine};
use leaves::{Made, Task};

/// A way to compute on this machine. Whoever has one may use it.
#[derive(Clone, Copy)]
pub struct Backend(Way);

#[derive(Clone, Copy)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Scalar,
}

impl Backend {
    /// Returns every way that this machine has, the widest first.
    pub fn all() -> Vec<Self> {
        let ways = [
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Way::Avx512),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Way::Avx2),
            Some(Way::Scalar),
        ];
        ways.into_iter().flatten().map(Self).collect()
    }

    /// Returns the widest way that this machine has.
    pub fn widest() -> Self {
        Self::all()[0]
    }
}

/// Calls a function of lanes by the way at hand, where the compiler may use its instructions.
macro_rules! by_way {
    ($way:expr, $module:ident::$function:ident($($argument:ident: $type:ty),*)) => {
        match $way {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(machine) => {
                #[target_feature(enable = "avx512f")]
                fn run(machine: Avx512, $($argument: $type),*) {
                    $module::$function::<Words16>(machine, $($argument),*);
                }
                // SAFETY: `Avx512` proves the feature.
                unsafe { run(machine, $($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(machine) => {
                #[target_feature(enable = "avx2")]
                fn run(machine: Avx2, $($argument: $type),*) {
                    $module::$function::<Words8>(machine, $($argument),*);
                }
                // SAFETY: `Avx2` proves the feature.
                unsafe { run(machine, $($argument),*) }
            }
            Way::Scalar => $module::$function::<Portable<1>>((), $($argument),*),
        }
    };
}

impl SpaceEngine for Backend {
    fn name(&self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(_) => "avx512-16",
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(_) => "avx2-8",
            Way::Scalar => "scalar",
        }
    }

    fn lanes(&self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(_) => 8,
            Way::Scalar => 1,
        }
    }

    fn leaves(&self, plot: &[u8; 32], first: u64, leaves: &mut [u8]) {
        assert!(leaves.len().is_multiple_of(LEAF_BYTES), "room for whole leaves");
        let whole = self.whole(leaves.len() / LEAF_BYTES);
        let (leaves, odd) = leaves.split_at_mut(whole * LEAF_BYTES);
        by_way!(self.0, leaves::leaves(plot: &[u8; 32], first: u64, leaves: &mut [u8]));
        leaves::leaves::<Portable<1>>((), plot, first.wrapping_add(whole as u64), odd);
    }

    fn nodes(&self, pairs: &[u8], nodes: &mut [u8]) {
        assert!(nodes.len().is_multiple_of(LEAF_BYTES) && pairs.len() == 2 * nodes.len(), "a pair for each node");
        let whole = self.whole(nodes.len() / LEAF_BYTES);
        let (pairs, odd_pairs) = pairs.split_at(whole * 2 * LEAF_BYTES);
        let (nodes, odd) = nodes.split_at_mut(whole * LEAF_BYTES);
        by_way!(self.0, leaves::nodes(pairs: &[u8], nodes: &mut [u8]));
        leaves::nodes::<Portable<1>>((), odd_pairs, odd);
    }

    fn best_leaf(&self, hash: ScoreHash, challenge: &[u8; 32], leaves: &[u8]) -> Option<BestLeaf> {
        assert!(leaves.len().is_multiple_of(LEAF_BYTES), "whole leaves");
        let whole = self.whole(leaves.len() / LEAF_BYTES);
        let (leaves, odd) = leaves.split_at(whole * LEAF_BYTES);
        let (task, rest) =
            (Task { hash, challenge, leaves, start: 0 }, Task { hash, challenge, leaves: odd, start: whole });
        let (mut found, task) = (None, &task);
        let best = &mut found;
        by_way!(self.0, leaves::best(task: &Task<'_>, best: &mut Option<BestLeaf>));
        leaves::best::<Portable<1>>((), &rest, &mut found);
        found
    }

    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]) {
        assert_eq!(scoops.len(), self.lanes() * NONCE_BYTES, "room for one nonce in each lane");
        by_way!(self.0, poc2::nonces(account: u64, first: u64, scoops: &mut [u8]));
    }

    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        assert_eq!(scoops.len(), qualities.len() * SCOOP_BYTES, "a scoop for each quality");
        let whole = self.whole(qualities.len());
        let (scoops, odd_scoops) = scoops.split_at(whole * SCOOP_BYTES);
        let (qualities, odd) = qualities.split_at_mut(whole);
        by_way!(self.0, poc2::qualities(signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]));
        poc2::qualities::<Portable<1>>((), signature, odd_scoops, odd);
    }
}

/// What somebody without a plot does: makes what a challenge asks for, and keeps nothing.
impl Backend {
    /// Makes `count` leaves from the one numbered `first` on, and returns the best: what [`SpaceEngine::leaves`] and then
    /// [`SpaceEngine::best_leaf`] do.
    pub fn best_made(
        self,
        hash: ScoreHash,
        challenge: &[u8; 32],
        plot: &[u8; 32],
        first: u64,
        count: usize,
    ) -> Option<BestLeaf> {
        let whole = self.whole(count);
        let made = Made { hash, challenge, plot, first, count: whole, start: 0 };
        let rest = Made { first: first.wrapping_add(whole as u64), count: count - whole, start: whole, ..made };
        let (mut found, made) = (None, &made);
        let best = &mut found;
        by_way!(self.0, leaves::best_made(made: &Made<'_>, best: &mut Option<BestLeaf>));
        leaves::best_made::<Portable<1>>((), &rest, &mut found);
        found
    }

    /// Makes [`SpaceEngine::lanes`] PoC2 nonces of an account, from `first` on, and puts down one scoop of each.
    ///
    /// # Panics
    /// Where `scoop` is no scoop's number, or `scoops` not of [`SpaceEngine::lanes`] times [`SCOOP_BYTES`] bytes.
    pub fn scoop(self, account: u64, first: u64, scoop: usize, scoops: &mut [u8]) {
        assert_eq!(scoops.len(), self.lanes() * SCOOP_BYTES, "room for one scoop in each lane");
        by_way!(self.0, poc2::scoop(account: u64, first: u64, scoop: usize, scoops: &mut [u8]));
    }
}

impl Backend {
    /// Returns how many of so many fill all lanes: the rest goes one by one.
    fn whole(self, count: usize) -> usize {
        count / self.lanes() * self.lanes()
    }
}
