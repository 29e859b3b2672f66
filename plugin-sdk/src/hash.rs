//! What the author of a hash algorithm writes.

use crate::ConfigError;
use adit_primitives::Hash256;
use adit_primitives::contract::{Found, Scan, SearchJob};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A hash algorithm. Only [`HashAlgorithm::digest`] has to be written; the bulk functions are worth writing where several
/// inputs at once are cheaper than one after another.
pub trait HashAlgorithm: Sized {
    /// The plugin's name in `chain.toml`: lower-case words joined by dashes.
    const NAME: &'static str;
    /// One sentence on what it is.
    const SUMMARY: &'static str;
    /// The plugin's `config` table.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes an instance. What serde cannot check is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigError>;

    /// Makes ready for an epoch, where the algorithm has them.
    fn prepare(&mut self, _epoch: u64, _seed: Hash256) {}

    /// Hashes one input. The digest is compared with a target as a little-endian integer.
    fn digest(&self, input: &[u8]) -> Hash256;

    /// Hashes inputs of `each` bytes that stand one after another, and appends their digests.
    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        digests.extend(inputs.chunks_exact(each.max(1)).map(|input| self.digest(input)));
    }

    /// Tries `count` nonces from `first`, wrapping at the width of the nonce field, with each input of the job.
    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let mut found = Vec::new();
        for (number, input) in (0u32..).zip(&job.inputs) {
            let mut bytes = input.clone();
            for nonce in (0..count).map(|step| first.wrapping_add(step) & mask) {
                job.write_nonce(&mut bytes, nonce);
                if job.target.is_met_by(&self.digest(&bytes).0) {
                    found.push(Found { nonce, input: number });
                }
            }
        }
        Scan { scanned: count, found }
    }
}

/// Makes a type the hash algorithm that this crate's component exports. One line, once, at the crate's root.
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_hash {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Hash, HashAlgorithm);
    $crate::glue::hash::bindings::export_hash_world!(Exported with_types_in $crate::glue::hash::bindings);
        };
    };
}
