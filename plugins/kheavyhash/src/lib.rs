//! kHeavyHash, Kaspa's proof of work: two Keccak hashes with a product of matrix and vector between them.
//!
//! An input of any bytes has a digest. x is its cSHAKE256 named `ProofOfWorkHash`; its first 32 bytes, shorter inputs padded with
//! zeros, seed a matrix of 64 × 64 nibbles; the digest is the cSHAKE256 named `HeavyHash` of x ⊕ (matrix · x). Kaspa's input has 80
//! bytes: the hash of the header without time and nonce, the time in milliseconds, 32 zeros and the nonce.
//!
//! This is the reference that native kernels are compared with, so it shares no code with them. It keeps nothing between calls.
//!
//! Reading order: [`KHeavyHash`]; `keccak` (the permutation, of one state or two), `sponge` (cSHAKE256), `matrix` (its seed and rank),
//! `products` (its product), `search` (what need not be computed for each nonce).

mod keccak;
mod matrix;
mod products;
mod search;
mod sponge;
#[cfg(test)]
mod tests;

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig, Scan, SearchJob};
use matrix::Matrix;
use sponge::Named;

/// The algorithm.
#[derive(Debug, Clone)]
pub struct KHeavyHash {
    /// Hashes the input.
    outer: Named,
    /// Hashes what the matrix made of it.
    heavy: Named,
}

impl HashAlgorithm for KHeavyHash {
    const NAME: &'static str = "kheavyhash";
    const SUMMARY: &'static str =
        "Kaspa's kHeavyHash: cSHAKE256, a matrix of nibbles seeded by the first 32 bytes, cSHAKE256.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self { outer: Named::new(b"ProofOfWorkHash"), heavy: Named::new(b"HeavyHash") })
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        self.digest_by(&Matrix::from_seed(matrix::seed(input)), input)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        let mut last: Option<([u8; 32], Matrix)> = None;
        for input in inputs.chunks_exact(each.max(1)) {
            let seed = matrix::seed(input);
            // Inputs that differ in the nonce alone stand side by side, and a matrix costs as much as fifty digests.
            let known = last.take().filter(|(of, _)| *of == seed);
            let (_, matrix) = last.insert(known.unwrap_or_else(|| (seed, Matrix::from_seed(seed))));
            digests.push(self.digest_by(matrix, input));
        }
    }

    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        search::search(self, job, first, count)
    }
}

impl KHeavyHash {
    /// Hashes an input whose matrix is known.
    fn digest_by(&self, matrix: &Matrix, input: &[u8]) -> Hash256 {
        let mixed = matrix.mix(self.outer.hash(input));
        Hash256(sponge::to_bytes(self.heavy.hash_words(mixed)))
    }
}

adit_plugin_sdk::export_hash!(KHeavyHash);
