//! BLAKE3 with 32 bytes of output.
//!
//! This is the reference that native kernels are compared with, so it shares no code with them. It keeps nothing between calls.
//!
//! Reading order: [`Blake3`]; `compress` (the rounds, on one input or four), `digest` (whole inputs), `search` (what need not be computed for each nonce).

mod compress;
mod digest;
mod search;
#[cfg(test)]
mod tests;

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig, Scan, SearchJob};

/// The algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Blake3;

impl HashAlgorithm for Blake3 {
    const NAME: &'static str = "blake3";
    const SUMMARY: &'static str = "BLAKE3 with a digest of 32 bytes.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(digest::digest(input))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        let each = each.max(1);
        let mut rest = inputs;
        if each <= digest::CHUNK {
            while let Some((four, more)) = rest.split_at_checked(4 * each) {
                let four = [0, 1, 2, 3].map(|number| &four[number * each..][..each]);
                digests.extend(digest::digest_four(four).map(Hash256));
                rest = more;
            }
        }
        digests.extend(rest.chunks_exact(each).map(|input| self.digest(input)));
    }

    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        if search::is_fast_for(job) {
            search::in_last_block(job, first, count)
        } else {
            search::anywhere(job, first, count)
        }
    }
}

adit_plugin_sdk::export_hash!(Blake3);
