//! scrypt with N = 1024, r = 1, p = 1, the input as password and as salt: the hash of Litecoin and its kin.
//!
//! This is the reference that native kernels are compared with, so it shares no code with them. It keeps nothing between calls but
//! its working memory, which each hash overwrites before it reads.
//!
//! Reading order: [`Scrypt`]; `romix` (where the time goes), `pbkdf2` (what stands around ROMix).

mod pbkdf2;
mod romix;
#[cfg(test)]
mod tests;

use adit_plugin_sdk::{ConfigError, Found, Hash256, HashAlgorithm, NoConfig, Scan, SearchJob};
use pbkdf2::Hmac;
use romix::{HASHES, Memory};
use std::cell::RefCell;

/// The algorithm, with the working memory for some hashes.
#[derive(Clone)]
pub struct Scrypt(RefCell<Memory>);

/// A search ends early with this many finds: an easy target must not fill the memory.
const FOUND_MAX: usize = 4096;

impl Scrypt {
    /// Hashes at most [`HASHES`] inputs.
    fn digest_few<'a>(&self, inputs: impl Iterator<Item = &'a [u8]>, digests: &mut Vec<Hash256>) {
        let mut states = [[0; 32]; HASHES];
        let mut keys = [None; HASHES];
        for ((input, state), key) in inputs.zip(&mut states).zip(&mut keys) {
            *state = key.insert(Hmac::new(input)).expand(input);
        }
        self.0.borrow_mut().mix(&mut states);
        digests.extend(keys.iter().flatten().zip(&states).map(|(key, state)| Hash256(key.extract(state))));
    }
}

impl HashAlgorithm for Scrypt {
    const NAME: &'static str = "scrypt";
    const SUMMARY: &'static str = "scrypt with N = 1024, r = 1, p = 1, as Litecoin hashes its headers.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self(RefCell::new(Memory::new())))
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        let mut digests = Vec::with_capacity(1);
        self.digest_few(std::iter::once(input), &mut digests);
        digests[0]
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        for few in inputs.chunks((HASHES * each).max(1)) {
            self.digest_few(few.chunks_exact(each.max(1)), digests);
        }
    }

    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let mut scan = Scan::default();
        let mut copies = Vec::new();
        let mut digests = Vec::new();
        while scan.scanned < count && scan.found.len() < FOUND_MAX {
            let steps = scan.scanned..count.min(scan.scanned + HASHES as u64);
            let nonces = steps.clone().map(|step| first.wrapping_add(step) & mask);
            for (number, input) in (0..).zip(&job.inputs) {
                copies.clear();
                for nonce in nonces.clone() {
                    let start = copies.len();
                    copies.extend_from_slice(input);
                    job.write_nonce(&mut copies[start..], nonce);
                }
                digests.clear();
                self.digest_many(&copies, input.len(), &mut digests);
                let met = nonces.clone().zip(&digests).filter(|(_, digest)| job.target.is_met_by(&digest.0));
                scan.found.extend(met.map(|(nonce, _)| Found { nonce, input: number }));
            }
            scan.scanned = steps.end;
        }
        scan
    }
}

adit_plugin_sdk::export_hash!(Scrypt);
