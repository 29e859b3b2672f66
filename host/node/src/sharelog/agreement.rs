//! What nodes of a pool agree on before they meet: two that differ in any of it are two pools.

use adit_network::NodeId;
use adit_network::shares::weights::VALIDATORS_MAX;
use adit_network::shares::{PoolId, Terms};
use adit_primitives::contract::quorum::QuorumTerms;
use adit_primitives::{Encode, Hash256};
use std::collections::BTreeMap;
use std::time::Duration;

/// A pool's name and terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub pool: PoolId,
    pub terms: Terms,
    /// A round with any share is due this long after the one before.
    pub round: Duration,
    /// A round with so many shares is due at once.
    pub round_shares: usize,
}

/// Why there can be no such pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    #[error(
        "a pool has 1 to {VALIDATORS_MAX} founders, not {count}: without any, nobody could certify its first round"
    )]
    Founders { count: usize },
    #[error("the founder {node} has no weight")]
    Weightless { node: NodeId },
}

impl Agreement {
    /// Joins what is agreed on: the chain's identity, `own` (whatever else the coinbases of the pool's jobs follow from: payout scheme with its
    /// digest and configuration, fees, text), the founders with relative weights, and what the share validator says.
    pub fn new(
        chain: Hash256,
        own: &str,
        founders: &BTreeMap<NodeId, u64>,
        quorum: &QuorumTerms,
    ) -> Result<Self, AgreementError> {
        if founders.is_empty() || founders.len() > VALIDATORS_MAX {
            return Err(AgreementError::Founders { count: founders.len() });
        }
        if let Some((node, _)) = founders.iter().find(|(_, weight)| **weight == 0) {
            return Err(AgreementError::Weightless { node: *node });
        }
        let mut bytes = chain.to_bytes();
        own.encode(&mut bytes);
        for (node, weight) in founders {
            node.encode(&mut bytes);
            weight.encode(&mut bytes);
        }
        quorum.encode(&mut bytes);
        let terms = Terms {
            founders: founders.clone(),
            founding_work: quorum.founding_work,
            window_rounds: quorum.window_rounds,
            cap_percent: quorum.cap_percent,
            quorum_percent: quorum.quorum_percent,
            base_rounds: quorum.base_rounds,
            difficulty_least: quorum.difficulty_least,
        };
        Ok(Self {
            pool: PoolId(blake3::derive_key("adit pool 2", &bytes)),
            terms,
            round: Duration::from_millis(quorum.round_ms),
            round_shares: usize::try_from(quorum.round_shares).unwrap_or(usize::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::shares::ShareDifficulty;

    fn quorum() -> QuorumTerms {
        QuorumTerms {
            quorum_percent: 67,
            cap_percent: 100,
            window_rounds: 10,
            base_rounds: 4,
            founding_work: 1,
            difficulty_least: ShareDifficulty::MIN,
            round_ms: 100,
            round_shares: 10,
        }
    }

    fn founders(numbers: &[u8]) -> BTreeMap<NodeId, u64> {
        numbers.iter().map(|number| (NodeId([*number; 32]), 1)).collect()
    }

    #[test]
    fn pools_that_differ_in_anything_have_other_names() {
        let pool = |chain, own: &str, of: &[u8], quorum: QuorumTerms| {
            Agreement::new(Hash256([chain; 32]), own, &founders(of), &quorum).unwrap().pool
        };
        let first = pool(1, "pplns", &[1, 2], quorum());
        assert_eq!(first, pool(1, "pplns", &[2, 1], quorum()));
        for other in [
            pool(2, "pplns", &[1, 2], quorum()),
            pool(1, "solo", &[1, 2], quorum()),
            pool(1, "pplns", &[1], quorum()),
            pool(1, "pplns", &[1, 2], QuorumTerms { round_ms: 101, ..quorum() }),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_pool_without_founders_is_none() {
        let made = |founders| Agreement::new(Hash256([1; 32]), "", &founders, &quorum());
        assert_eq!(made(BTreeMap::new()), Err(AgreementError::Founders { count: 0 }));
        let node = NodeId([1; 32]);
        assert_eq!(made([(node, 0)].into()), Err(AgreementError::Weightless { node }));
    }
}
