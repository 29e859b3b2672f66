//! What a share validator of a peer-to-peer pool exchanges with the host: the terms on which nodes agree, and which shares of
//! others are checked where.
//!
//! A plugin chooses within the host's bounds: signatures and weights are counted by the host, more than two thirds are needed
//! whatever the terms say, and every share is hashed by some honest validators whatever the plan.

use crate::contract::shares::{ShareDifficulty, WorkerRecord};
use crate::{Decode, DecodeError, Encode, Reader, canonical_struct};

/// The terms of a pool: every node's are the same, for they enter the pool's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumTerms {
    /// What a certificate needs, in percent of the weight: the host asks for more than two thirds in any case.
    pub quorum_percent: u32,
    /// The most that one node weighs, in percent of all work in the window: 1 to 100.
    pub cap_percent: u32,
    /// How many certified rounds weigh: 1 to 10,000.
    pub window_rounds: u64,
    /// How many rounds after the one it was mined on a share is still credited: 1 to 64.
    pub base_rounds: u64,
    /// While the window holds fewer hashes, founders weigh what is missing.
    pub founding_work: u64,
    /// The easiest share that nodes tell each other.
    pub difficulty_least: ShareDifficulty,
    /// A round with any share is due so long after the one before, in milliseconds: 100 to 600,000.
    pub round_ms: u64,
    /// A round with so many shares is due at once.
    pub round_shares: u64,
}

/// A batch of another node's shares, before it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckQuestion {
    /// Shares in the batch: 1 to 100.
    pub shares: u32,
    /// What one hash takes here, in nanoseconds, as measured.
    pub hash_ns: u64,
    /// How busy this node's checkers were lately, in thousandths.
    pub load_permille: u32,
    /// How many nodes vote.
    pub validators: u32,
    /// The sending node's weight, in thousandths of all.
    pub weight_permille: u32,
    /// What is known of shares of the sending node.
    pub record: WorkerRecord,
}

/// Where a batch is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckPlan {
    /// Every share is hashed here.
    Local,
    /// One share in so many is hashed here. Which, nobody else knows.
    Sample { one_in: u32 },
    /// So many validators are asked first, and every share is hashed here where they do not answer in time.
    Ask { count: u32 },
}

impl Encode for CheckPlan {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, number) = match self {
            Self::Local => (0, 0),
            Self::Sample { one_in } => (1, *one_in),
            Self::Ask { count } => (2, *count),
        };
        out.push(kind);
        number.encode(out);
    }
}

impl Decode for CheckPlan {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.byte("plan")?;
        match (kind, u32::decode(reader)?) {
            (0, 0) => Ok(Self::Local),
            (1, one_in @ 1..) => Ok(Self::Sample { one_in }),
            (2, count @ 1..) => Ok(Self::Ask { count }),
            (0..3, number) => Err(DecodeError::Value { what: "number of a plan", value: number.into() }),
            _ => Err(DecodeError::Value { what: "plan", value: kind.into() }),
        }
    }
}

canonical_struct!(QuorumTerms {
    quorum_percent,
    cap_percent,
    window_rounds,
    base_rounds,
    founding_work,
    difficulty_least,
    round_ms,
    round_shares
});
canonical_struct!(CheckQuestion { shares, hash_ns, load_permille, validators, weight_permille, record });

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: [u8; 5], want: Option<CheckPlan>) {
        assert_eq!(CheckPlan::from_bytes(&bytes).ok(), want);
        assert!(want.is_none_or(|plan| plan.to_bytes() == bytes));
    }

    #[test]
    fn a_plan_that_checks_nothing_does_not_decode() {
        check([0, 0, 0, 0, 0], Some(CheckPlan::Local));
        check([1, 7, 0, 0, 0], Some(CheckPlan::Sample { one_in: 7 }));
        check([2, 3, 0, 0, 0], Some(CheckPlan::Ask { count: 3 }));
        check([0, 1, 0, 0, 0], None);
        check([1, 0, 0, 0, 0], None);
        check([2, 0, 0, 0, 0], None);
        check([3, 1, 0, 0, 0], None);
    }
}
