//! What of a proof can be checked without any other block.
//!
//! The cheapest comes first, so that whoever sends nonsense costs little: form and bounds, then the leaf, which is computed again from
//! key, seed and index and led to the root, then the signature. The score is not among it: the host hashes for it.

use crate::config::{Config, Leaf};
use crate::header::Proof;
use crate::violation::Rule;
use adit_plugin_sdk::plot::{LEAVES_MAX, LEAVES_STEP, leaf, plot_id, root_of, tree_height};
use adit_plugin_sdk::space::{PlotPlace, Registration, SpaceClaim, hard_score_input, plain_score_input};
use adit_plugin_sdk::{BlockId, Hash256, PowInput, Violation};
use k256::schnorr::{Signature, VerifyingKey};
use std::collections::BTreeSet;

/// Checks everything about a proof that needs no other block.
pub fn check(config: &Config, genesis: &BlockId, proof: &Proof<'_>) -> Result<(), Violation> {
    let claim = &proof.proof.claim;
    check_registrations(config, &claim.registrations)?;
    match (config.leaf, &claim.place, plot_of(claim)) {
        (Leaf::Plain, PlotPlace::Plain { index, path, .. }, Some(plot)) => check_leaf(&plot, *index, path)?,
        (Leaf::Hard, PlotPlace::Hard { .. }, _) => {}
        (Leaf::Plain, ..) => return Err(Rule::PlotKind.broken("hard, this chain counts plain plots".to_owned())),
        (Leaf::Hard, ..) => return Err(Rule::PlotKind.broken("plain, this chain counts hard plots".to_owned())),
    }
    match is_signed(&claim.key, &proof.message(genesis), &proof.proof.signature) {
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

/// Returns the plain plot that a claim is about, as a header registers it. `None` where it is about a hard one.
pub fn plot_of(claim: &SpaceClaim) -> Option<Registration> {
    match &claim.place {
        PlotPlace::Plain { seed, leaves, root, .. } => {
            Some(Registration { key: claim.key, seed: *seed, leaves: *leaves, root: *root })
        }
        PlotPlace::Hard { .. } => None,
    }
}

/// Follows a leaf to the root of its plot.
fn check_leaf(plot: &Registration, index: u64, path: &[Hash256]) -> Result<(), Violation> {
    check_size(plot)?;
    if index >= plot.leaves {
        return Err(Rule::Leaf.broken(format!("leaf {index} of a plot of {}", plot.leaves)));
    }
    let height = tree_height(plot.leaves);
    if u32::try_from(path.len()) != Ok(height) {
        return Err(Rule::Leaf.broken(format!("a path of {} nodes, the tree has {height} levels", path.len())));
    }
    let own = leaf(&plot_id(&plot.key.0, &plot.seed.0), index);
    match root_of(&own, index, path.iter().map(|node| &node.0)) == plot.root.0 {
        true => Ok(()),
        false => Err(Rule::Leaf.broken(format!("the path of leaf {index} does not lead to root {}", plot.root))),
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
    registrations.iter().try_for_each(check_size)
}

fn check_size(plot: &Registration) -> Result<(), Violation> {
    match plot.is_sound() {
        true => Ok(()),
        false => Err(Rule::PlotSize
            .broken(format!("{} leaves, a plot has multiples of {LEAVES_STEP} up to {LEAVES_MAX}", plot.leaves))),
    }
}

/// Tells whether a signature is the key's over a message, by BIP-340.
pub fn is_signed(key: &Hash256, message: &Hash256, signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_slice(&key.0) else { return false };
    Signature::from_bytes(signature).is_ok_and(|signature| key.verify_raw(&message.0, &signature).is_ok())
}
