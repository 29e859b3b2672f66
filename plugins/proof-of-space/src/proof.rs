//! What of a proof can be checked without any other block.
//!
//! The cheapest comes first, so that whoever sends nonsense costs little: form and bounds, then the leaf, which is computed again from
//! key, seed and index and led to the root, then the signature. The score is not among it: the host hashes for it.

use crate::config::{Config, Leaf};
use crate::header::Proof;
use crate::violation::Rule;
use adit_plugin_sdk::plot::{leaf, plot_id, root_of, tree_height};
use adit_plugin_sdk::space::{PlotPlace, Registration, SpaceClaim, hard_score_input, plain_score_input};
use adit_plugin_sdk::{Hash256, PowInput, Violation};
use k256::schnorr::{Signature, VerifyingKey};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// How many leaves a plain plot may have.
const LEAVES: RangeInclusive<u64> = LEAVES_UNIT..=1 << 51;

/// A plain plot's leaves come in multiples of this.
const LEAVES_UNIT: u64 = 1024;

/// Checks everything about a proof that needs no other block.
pub fn check(config: &Config, proof: &Proof<'_>) -> Result<(), Violation> {
    let claim = &proof.proof.claim;
    check_registrations(config, &claim.registrations)?;
    match (config.leaf, &claim.place) {
        (Leaf::Plain, PlotPlace::Plain { .. }) => check_leaf(claim)?,
        (Leaf::Hard, PlotPlace::Hard { .. }) => {}
        (Leaf::Plain, _) => return Err(Rule::PlotKind.broken("hard, this chain counts plain plots".to_owned())),
        (Leaf::Hard, _) => return Err(Rule::PlotKind.broken("plain, this chain counts hard plots".to_owned())),
    }
    match is_signed(&claim.key, &proof.message(), &proof.proof.signature) {
        true => Ok(()),
        false => Err(Rule::Signature.broken(format!("key {} did not sign this header", claim.key))),
    }
}

/// Returns what the hash plugin scores a claim by.
pub fn score_input(claim: &SpaceClaim) -> PowInput {
    let (bytes, nonce_offset) = match &claim.place {
        PlotPlace::Plain { seed, index, .. } => {
            let leaf = leaf(&plot_id(&claim.key.0, &seed.0), *index);
            (plain_score_input(&claim.challenge, &leaf).to_vec(), 32)
        }
        PlotPlace::Hard { nonce } => (hard_score_input(&claim.key, *nonce, &claim.challenge).to_vec(), 8),
    };
    PowInput { bytes, nonce_offset, nonce_bytes: 8, roll_offset: 0, roll_mask: 0 }
}

/// Follows a leaf to the root of its plot.
fn check_leaf(claim: &SpaceClaim) -> Result<(), Violation> {
    let PlotPlace::Plain { seed, leaves, root, index, path, .. } = &claim.place else { return Ok(()) };
    check_size(*leaves)?;
    if index >= leaves {
        return Err(Rule::Leaf.broken(format!("leaf {index} of a plot of {leaves}")));
    }
    let height = tree_height(*leaves);
    if u32::try_from(path.len()) != Ok(height) {
        return Err(Rule::Leaf.broken(format!("a path of {} nodes, the tree has {height} levels", path.len())));
    }
    let own = leaf(&plot_id(&claim.key.0, &seed.0), *index);
    match root_of(&own, *index, path.iter().map(|node| &node.0)) == root.0 {
        true => Ok(()),
        false => Err(Rule::Leaf.broken(format!("the path of leaf {index} does not lead to root {root}"))),
    }
}

fn check_registrations(config: &Config, registrations: &[Registration]) -> Result<(), Violation> {
    let max = config.registrations() as usize;
    if registrations.len() > max {
        return Err(Rule::Registrations.broken(format!("{} plots, {max} are allowed", registrations.len())));
    }
    if BTreeSet::from_iter(registrations).len() < registrations.len() {
        return Err(Rule::Registrations.broken("a plot is registered twice".to_owned()));
    }
    registrations.iter().try_for_each(|plot| check_size(plot.leaves))
}

fn check_size(leaves: u64) -> Result<(), Violation> {
    match LEAVES.contains(&leaves) && leaves.is_multiple_of(LEAVES_UNIT) {
        true => Ok(()),
        false => Err(Rule::PlotSize
            .broken(format!("{leaves} leaves, a plot has multiples of {LEAVES_UNIT} up to {}", LEAVES.end()))),
    }
}

/// Tells whether a signature is the key's over a message, by BIP-340.
pub fn is_signed(key: &Hash256, message: &Hash256, signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_slice(&key.0) else { return false };
    Signature::from_bytes(signature).is_ok_and(|signature| key.verify_raw(&message.0, &signature).is_ok())
}
