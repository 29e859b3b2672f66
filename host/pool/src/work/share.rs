//! Shares: what a miner sends, and what it is answered.

use crate::work::extranonce::{Extranonce, PART_BYTES_MAX};
use crate::work::job::{Job, JobId};
use crate::work::template::{Commitment, HEADER_BYTES};
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::{ShareDifficulty, ShareVerdict};
use adit_primitives::{BlockId, Hash256, Target, U256};
use std::sync::Arc;

/// A share as a session gives it on: read, and bound to what its job was sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    pub account: AccountId,
    pub worker: WorkerId,
    pub job: JobId,
    /// The difficulty that the job was sent with.
    pub difficulty: ShareDifficulty,
    /// The pool's part of the extranonce, as the job was sent with it.
    pub extranonce1: Extranonce,
    /// The miner's part.
    pub extranonce2: Extranonce,
    /// The header's time, in seconds.
    pub time: u32,
    pub nonce: u32,
    /// What the miner put into the bits of the version that it may roll; `None` where it rolls none.
    pub version_bits: Option<u32>,
    /// The bits that the connection was allowed to roll when the job was sent.
    pub version_mask: u32,
    /// In a peer-to-peer pool: what the job was sent with. It is over account, worker and difficulty.
    pub commitment: Option<Commitment>,
}

/// What becomes of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It counts, once it is in the log.
    Accepted {
        /// Whether the chain's own target is met too: a block.
        is_block: bool,
    },
    Refused(Refusal),
}

/// Why a share does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The job was never sent, or is forgotten.
    UnknownJob,
    /// The job's tip has gone.
    Stale,
    /// The same share came before.
    Duplicate,
    /// The digest misses the target of the share's difficulty.
    LowDifficulty,
    /// The header's time is outside of what is allowed.
    Time,
    /// The version has bits that may not be rolled.
    Version,
    /// The extranonce has not the length that the job has room for.
    Extranonce,
    /// A farmer's proof does not hold: signature, path, plot or challenge is another.
    Proof,
    /// A farmer's plot is not registered, or not for long enough.
    Unregistered,
    /// The share validator's own policy.
    Policy,
    /// So many shares came for the job that no more can be remembered.
    Full,
    /// The share could not be judged: a plugin gave no answer. Not the miner's fault.
    Unjudged,
}

/// A header that meets the chain's target, with everything that an upstream has to be told.
#[derive(Debug, Clone)]
pub struct SolvedBlock {
    pub job: Arc<Job>,
    pub submission: Submission,
    pub header: [u8; HEADER_BYTES],
    /// The double SHA-256 of the header: the block's id wherever headers have 80 bytes.
    pub id: BlockId,
    /// The proof of work's digest.
    pub digest: Hash256,
    /// The whole block.
    pub block: Vec<u8>,
}

/// The length of a share's key: two extranonces with their lengths, version, time, nonce and half a commitment.
pub(crate) const SHARE_KEY_BYTES: usize = 2 * (1 + PART_BYTES_MAX) + 3 * 4 + 16;

/// The bytes that tell the shares of one job apart. Never all zeros: the first one is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ShareKey([u8; SHARE_KEY_BYTES]);

impl ShareKey {
    /// Makes the key of a share whose header has that version.
    ///
    /// Of a commitment it has the first half: one who makes two that begin alike has the second share refused.
    pub(crate) fn new(submission: &Submission, version: u32) -> Self {
        let part = |extranonce: &Extranonce| {
            let (mut part, bytes) = ([0; 1 + PART_BYTES_MAX], extranonce.as_bytes());
            part[0] = 1 + u8::try_from(bytes.len()).expect("an extranonce's part is short");
            part[1..=bytes.len()].copy_from_slice(bytes);
            part
        };
        let commitment = submission.commitment.as_ref().and_then(|bytes| bytes.first_chunk::<16>());
        let parts: [&[u8]; 6] = [
            &part(&submission.extranonce1),
            &part(&submission.extranonce2),
            &version.to_le_bytes(),
            &submission.time.to_le_bytes(),
            &submission.nonce.to_le_bytes(),
            commitment.unwrap_or(&[0; 16]),
        ];
        let (mut key, mut at) = ([0; SHARE_KEY_BYTES], 0);
        for part in parts {
            key[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self(key)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SHARE_KEY_BYTES] {
        &self.0
    }
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 12] = [
        Self::UnknownJob,
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Time,
        Self::Version,
        Self::Extranonce,
        Self::Proof,
        Self::Unregistered,
        Self::Policy,
        Self::Full,
        Self::Unjudged,
    ];

    /// Returns Stratum's error code.
    pub const fn code(self) -> u16 {
        match self {
            Self::UnknownJob | Self::Stale => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty => 23,
            Self::Time | Self::Version | Self::Extranonce | Self::Proof | Self::Unregistered => 20,
            Self::Policy | Self::Full | Self::Unjudged => 20,
        }
    }

    /// Returns what the miner is told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownJob => "job not found",
            Self::Stale => "stale share",
            Self::Duplicate => "duplicate share",
            Self::LowDifficulty => "low difficulty share",
            Self::Time => "time out of range",
            Self::Version => "version bits outside of the mask",
            Self::Extranonce => "extranonce2 of the wrong length",
            Self::Proof => "the proof does not hold",
            Self::Unregistered => "the plot is not registered, or not for long enough",
            Self::Policy => "refused by the pool's policy",
            Self::Full => "too many shares for this job",
            Self::Unjudged => "share could not be judged",
        }
    }

    /// Returns the word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown-job",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low-difficulty",
            Self::Time => "time",
            Self::Version => "version",
            Self::Extranonce => "extranonce",
            Self::Proof => "proof",
            Self::Unregistered => "unregistered",
            Self::Policy => "policy",
            Self::Full => "full",
            Self::Unjudged => "unjudged",
        }
    }

    /// Tells whether it speaks against the miner. Late shares are normal, what the pool could not judge or keep is its own matter, and a policy that
    /// refuses bad records must not make them worse.
    pub const fn is_invalid(self) -> bool {
        match self {
            Self::Duplicate | Self::LowDifficulty | Self::Time | Self::Version | Self::Extranonce | Self::Proof => true,
            // A farmer may know of a registration, or of the end of one, before the pool does.
            Self::UnknownJob | Self::Stale | Self::Unregistered | Self::Policy | Self::Full | Self::Unjudged => false,
        }
    }

    /// Tells whether it came too late: its job's tip has gone, or the job is forgotten.
    pub const fn is_late(self) -> bool {
        matches!(self, Self::UnknownJob | Self::Stale)
    }

    /// Returns what a validator's verdict comes to; `None` where it accepts.
    pub(crate) const fn of(verdict: ShareVerdict) -> Option<Self> {
        match verdict {
            ShareVerdict::Accept => None,
            ShareVerdict::Stale => Some(Self::Stale),
            ShareVerdict::Duplicate => Some(Self::Duplicate),
            ShareVerdict::LowDifficulty => Some(Self::LowDifficulty),
            ShareVerdict::Time => Some(Self::Time),
            ShareVerdict::Version => Some(Self::Version),
            ShareVerdict::Policy => Some(Self::Policy),
        }
    }
}

/// Returns the target of a difficulty, as Stratum's miners compute it: 0xffff · 2^208 for 2^32 hashes, halved with each step. It is the
/// same for sha256d and scrypt: the latter's difficulty 1 is that of 2^16 hashes.
pub fn target_of(difficulty: ShareDifficulty) -> Target {
    Target(U256::from(0xffff_u64) << (240 - usize::from(difficulty.to_log2_hashes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_target(log2: u8, want: &str) {
        let target = target_of(ShareDifficulty::from_log2_hashes(log2)).to_string();
        assert_eq!(target, format!("{want:0<64}"));
    }

    #[test]
    fn difficulty_one_has_stratums_target() {
        check_target(32, "00000000ffff");
        check_target(16, "0000ffff");
        check_target(33, "000000007fff8");
        check_target(0, "ffff");
    }

    #[test]
    fn codes_are_those_that_miners_know() {
        let codes = Refusal::ALL.map(Refusal::code);
        assert_eq!(codes, [21, 21, 22, 23, 20, 20, 20, 20, 20, 20, 20, 20]);
    }
}
