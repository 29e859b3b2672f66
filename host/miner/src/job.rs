//! What to search: the bytes of a template, where its nonce lies, and which of its bits may be rolled.

use adit_primitives::Target;
use adit_primitives::contract::{PowInput, SearchJob};

/// The caller's number of a job, given back with each find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A template to be searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiningJob {
    pub id: JobId,
    pub pow: PowInput,
    pub target: Target,
}

/// Why a job cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error("the template has no bytes to hash")]
    NothingToHash,
    #[error("the nonce or the rolled field lies outside of the bytes to hash")]
    Unsound,
    #[error("the nonce and the rolled field overlap")]
    Overlap,
}

/// A job whose fields lie where they should. Its rolled versions are numbered: version 0 is the template's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedJob {
    job: MiningJob,
}

impl MiningJob {
    /// Checks that the job can be searched.
    pub fn check(self) -> Result<CheckedJob, JobError> {
        let pow = &self.pow;
        if pow.bytes.is_empty() {
            return Err(JobError::NothingToHash);
        }
        if !pow.is_sound() {
            return Err(JobError::Unsound);
        }
        let (nonce, rolled) = (u64::from(pow.nonce_offset), u64::from(pow.roll_offset));
        if pow.roll_mask != 0 && rolled < nonce + u64::from(pow.nonce_bytes) && nonce < rolled + 4 {
            return Err(JobError::Overlap);
        }
        Ok(CheckedJob { job: self })
    }
}

impl CheckedJob {
    pub fn id(&self) -> JobId {
        self.job.id
    }

    /// Returns how many versions the rolled bits allow: 1 where none may be rolled.
    pub fn versions(&self) -> u64 {
        1 << self.job.pow.roll_mask.count_ones()
    }

    /// Returns how many nonces the field holds: up to 2^64.
    pub fn nonces(&self) -> u128 {
        1 << (8 * self.job.pow.nonce_bytes)
    }

    /// Returns the search over `count` versions from `first`, wrapping after the last.
    pub fn search(&self, first: u64, count: u64) -> SearchJob {
        let last = self.versions() - 1;
        let inputs = (0..count).map(|step| self.input(first.wrapping_add(step) & last)).collect();
        let pow = &self.job.pow;
        SearchJob { inputs, nonce_offset: pow.nonce_offset, nonce_bytes: pow.nonce_bytes, target: self.job.target }
    }

    /// Returns the rolled field as it stands in `input`: what a consensus plugin needs to seal a find. 0 where there is no such field.
    pub fn rolled(&self, input: &[u8]) -> u32 {
        let offset = self.job.pow.roll_offset as usize;
        let field = offset.checked_add(4).and_then(|end| input.get(offset..end));
        field.map_or(0, |field| u32::from_le_bytes(field.try_into().expect("four bytes were taken")))
    }

    fn input(&self, version: u64) -> Vec<u8> {
        let pow = &self.job.pow;
        let mut bytes = pow.bytes.clone();
        if pow.roll_mask != 0 {
            let rolled = self.rolled(&bytes) ^ spread(version, pow.roll_mask);
            let offset = pow.roll_offset as usize;
            bytes[offset..offset + 4].copy_from_slice(&rolled.to_le_bytes());
        }
        bytes
    }
}

/// Lays the low bits of `number` into the bits of `mask`, lowest first.
fn spread(mut number: u64, mask: u32) -> u32 {
    let mut out = 0;
    for bit in (0..32).map(|bit| 1 << bit).filter(|bit| mask & bit != 0) {
        if number & 1 != 0 {
            out |= bit;
        }
        number >>= 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn job(roll_mask: u32) -> MiningJob {
        let mut bytes = vec![0; 80];
        bytes[..4].copy_from_slice(&0x2000_0005_u32.to_le_bytes());
        let pow = PowInput { bytes, nonce_offset: 76, nonce_bytes: 4, roll_offset: 0, roll_mask };
        MiningJob { id: JobId(1), pow, target: Target::MAX }
    }

    #[test]
    fn version_0_is_the_templates_own() {
        let checked = job(0x1fff_e000).check().unwrap();
        assert_eq!(checked.search(0, 1).inputs, [job(0).pow.bytes]);
        assert_eq!(checked.rolled(&checked.search(0, 1).inputs[0]), 0x2000_0005);
    }

    #[test]
    fn every_version_differs_and_only_under_the_mask() {
        let mask = 0x0140_e001;
        let checked = job(mask).check().unwrap();
        assert_eq!(checked.versions(), 64);
        let inputs = checked.search(7, 64).inputs;
        let rolled: BTreeSet<u32> = inputs.iter().map(|input| checked.rolled(input)).collect();
        assert_eq!(rolled.len(), 64);
        assert!(rolled.iter().all(|rolled| (rolled ^ 0x2000_0005) & !mask == 0));
        assert!(inputs.iter().all(|input| input[4..] == job(0).pow.bytes[4..]));
    }

    #[test]
    fn without_a_mask_there_is_one_version_and_the_field_is_still_told() {
        let checked = job(0).check().unwrap();
        assert_eq!(checked.versions(), 1);
        assert_eq!(checked.rolled(&checked.search(0, 1).inputs[0]), 0x2000_0005);
    }

    #[test]
    fn a_field_outside_of_the_bytes_is_refused() {
        let mut outside = job(0);
        outside.pow.nonce_offset = 77;
        assert_eq!(outside.check(), Err(JobError::Unsound));
        let mut outside = job(1);
        outside.pow.roll_offset = u32::MAX;
        assert_eq!(outside.check(), Err(JobError::Unsound));
    }

    #[test]
    fn a_chain_without_proof_of_work_is_no_job() {
        let mut empty = job(0);
        empty.pow.bytes.clear();
        assert_eq!(empty.check(), Err(JobError::NothingToHash));
    }

    #[test]
    fn rolling_over_the_nonce_is_refused() {
        let mut overlap = job(1);
        overlap.pow.roll_offset = 73;
        assert_eq!(overlap.clone().check(), Err(JobError::Overlap));
        overlap.pow.roll_offset = 72;
        assert!(overlap.check().is_ok());
    }
}
