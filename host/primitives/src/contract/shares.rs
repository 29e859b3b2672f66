//! What a share validator exchanges with the host: facts that the host has established, and policy as the answer.
//!
//! A validator can only be stricter than the host: a share whose hash misses its target, a duplicate, or one for an unknown job
//! is refused whatever the validator says.

use crate::{Decode, DecodeError, Encode, Reader, canonical_struct};

/// How hard a share is: the base-two logarithm of the hashes that it takes, 0 to 62. Stratum's difficulty 1 is 32 (16 for
/// scrypt); each step doubles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareDifficulty(u8);

impl ShareDifficulty {
    pub const MIN: Self = Self(0);
    /// Sums of the work of a billion such shares still fit 128 bits.
    pub const MAX: Self = Self(62);

    /// Takes the logarithm, cut to the range.
    pub const fn from_log2_hashes(log2: u8) -> Self {
        if log2 > Self::MAX.0 { Self::MAX } else { Self(log2) }
    }

    /// Returns the logarithm.
    pub const fn to_log2_hashes(self) -> u8 {
        self.0
    }

    /// Returns the expected hashes.
    pub const fn work(self) -> u64 {
        1 << self.0
    }
}

/// What is known of a worker's shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerRecord {
    pub valid: u64,
    /// Late shares are counted neither here nor there.
    pub invalid: u64,
    /// Milliseconds since the worker was first seen.
    pub known_ms: u64,
}

/// A share as the host found it. The job is known, the hash computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub difficulty: ShareDifficulty,
    /// Whether the hash meets the target of that difficulty.
    pub meets: bool,
    /// Whether the same bytes were submitted before.
    pub duplicate: bool,
    /// Whether the version differs from the job's outside the bits that may be rolled.
    pub version_outside: bool,
    /// Seconds from the job's time to the share's.
    pub time_offset_s: i64,
    /// Milliseconds since the job's previous block ceased to be the tip; 0 while it is.
    pub stale_ms: u64,
    pub record: WorkerRecord,
}

/// What a validator makes of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: ShareVerdict,
    /// Whether the native hash is to be computed again in the sandbox.
    pub audit: bool,
}

/// Whether a share counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareVerdict {
    Accept,
    /// Too late for its job. Stratum's error 21.
    Stale,
    /// Submitted before. Stratum's error 22.
    Duplicate,
    /// The hash misses the target. Stratum's error 23.
    LowDifficulty,
    /// The time is outside of what is allowed. Stratum's error 20.
    Time,
    /// The version has bits that may not be rolled. Stratum's error 20.
    Version,
    /// The validator's own policy, such as a bad record. Stratum's error 20.
    Policy,
}

/// What one connection has done lately, for a new difficulty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkHistory {
    pub difficulty: ShareDifficulty,
    /// The least difficulty that the server bears.
    pub least: ShareDifficulty,
    /// The greatest that is sensible: that of a block.
    pub greatest: ShareDifficulty,
    /// Slices of time, the newest first, at most 32. The newest may be short.
    pub slices: Vec<WorkSlice>,
}

/// The shares of a slice of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkSlice {
    pub length_ms: u64,
    pub shares: u64,
    /// Of those shares together, in expected hashes.
    pub work: u64,
}

impl ShareVerdict {
    const ALL: [Self; 7] =
        [Self::Accept, Self::Stale, Self::Duplicate, Self::LowDifficulty, Self::Time, Self::Version, Self::Policy];
}

impl Encode for ShareVerdict {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for ShareVerdict {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let byte = reader.byte("verdict")?;
        Self::ALL
            .into_iter()
            .find(|verdict| *verdict as u8 == byte)
            .ok_or(DecodeError::Value { what: "verdict", value: byte.into() })
    }
}

impl Encode for ShareDifficulty {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
}

impl Decode for ShareDifficulty {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let log2 = reader.byte("share difficulty")?;
        if log2 > Self::MAX.0 {
            Err(DecodeError::Value { what: "share difficulty", value: log2.into() })
        } else {
            Ok(Self(log2))
        }
    }
}

canonical_struct!(WorkerRecord { valid, invalid, known_ms });
canonical_struct!(Claim { difficulty, meets, duplicate, version_outside, time_offset_s, stale_ms, record });
canonical_struct!(Judgement { verdict, audit });
canonical_struct!(WorkHistory { difficulty, least, greatest, slices });
canonical_struct!(WorkSlice { length_ms, shares, work });
