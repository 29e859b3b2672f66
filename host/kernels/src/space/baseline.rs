//! One leaf, nonce or scoop at a time, with the crates that everybody uses: what the others are compared with.

use adit_primitives::space::{BestLeaf, LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, SCOOPS, ScoreHash, SpaceEngine};
use sha2::{Digest, Sha256};
use shabal::Shabal256;

/// The bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// The most bytes of a nonce that one digest hashes.
const REACH: usize = 4_096;

/// The crates' way.
#[derive(Debug, Clone, Copy)]
pub struct Baseline;

/// Returns the score of one leaf.
pub(super) fn score(hash: ScoreHash, challenge: &[u8; 32], leaf: &[u8]) -> [u8; 32] {
    match hash {
        ScoreHash::Sha256 => Sha256::new().chain_update(challenge).chain_update(leaf).finalize().into(),
        ScoreHash::Blake3 => *blake3::Hasher::new().update(challenge).update(leaf).finalize().as_bytes(),
    }
}

/// Compares scores as little-endian numbers.
pub(super) fn is_below(score: &[u8; 32], other: &[u8; 32]) -> bool {
    score.iter().rev().lt(other.iter().rev())
}

impl SpaceEngine for Baseline {
    fn name(&self) -> &'static str {
        "crates"
    }

    fn lanes(&self) -> usize {
        1
    }

    fn leaves(&self, plot: &[u8; 32], first: u64, leaves: &mut [u8]) {
        for (index, leaf) in leaves.as_chunks_mut::<LEAF_BYTES>().0.iter_mut().enumerate() {
            let index = first.wrapping_add(index as u64).to_le_bytes();
            *leaf = Sha256::new().chain_update(plot).chain_update(index).finalize().into();
        }
    }

    fn nodes(&self, pairs: &[u8], nodes: &mut [u8]) {
        for (pair, node) in pairs.chunks_exact(2 * LEAF_BYTES).zip(nodes.as_chunks_mut::<LEAF_BYTES>().0) {
            *node = Sha256::digest(pair).into();
        }
    }

    fn best_leaf(&self, hash: ScoreHash, challenge: &[u8; 32], leaves: &[u8]) -> Option<BestLeaf> {
        let mut best: Option<BestLeaf> = None;
        for (index, leaf) in leaves.chunks_exact(LEAF_BYTES).enumerate() {
            let score = score(hash, challenge, leaf);
            if best.is_none_or(|best| is_below(&score, &best.score)) {
                best = Some(BestLeaf { index, score });
            }
        }
        best
    }

    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]) {
        let mut nonce = vec![0; NONCE_BYTES + 16];
        nonce[NONCE_BYTES..].copy_from_slice([account, first].map(u64::to_be_bytes).as_flattened());
        for place in (0..NONCE_BYTES).step_by(DIGEST_BYTES).rev() {
            let from = place + DIGEST_BYTES;
            let digest = Shabal256::digest(&nonce[from..nonce.len().min(from + REACH)]);
            nonce[place..from].copy_from_slice(&digest);
        }
        let whole = Shabal256::digest(&nonce);
        let (digests, _) = nonce.as_chunks::<DIGEST_BYTES>();
        for (scoop, out) in scoops.chunks_exact_mut(SCOOP_BYTES).enumerate() {
            let mixed =
                digests[2 * scoop].iter().zip(&whole).chain(digests[2 * (SCOOPS - 1 - scoop) + 1].iter().zip(&whole));
            out.iter_mut().zip(mixed).for_each(|(out, (byte, mask))| *out = byte ^ mask);
        }
    }

    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        for (scoop, quality) in scoops.chunks_exact(SCOOP_BYTES).zip(qualities) {
            let digest = Shabal256::new().chain_update(signature).chain_update(scoop).finalize();
            *quality = u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"));
        }
    }
}
