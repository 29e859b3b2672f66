//! What the rules say about the next block, and how the chain stands in all.

use super::{BestHeader, Counts, DagStanding, DifficultyLayers, PoolSize, Snapshot, TIPS_MAX};
use crate::statistics::Statistics;
use adit_chain::index::Version;
use adit_chain::{Chain, Conflicts, TemplateError};
use adit_primitives::contract::Requirements;

/// What the rules said about the next block, and what that depends on.
pub struct Outlook {
    pub basis: Basis,
    pub difficulty: DifficultyLayers,
    pub next: Requirements,
    /// Blocks on which nothing valid stands.
    tips: usize,
}

/// What the rules' answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    pub blocks: Version,
    pub configured: Option<u64>,
    pub forced: Option<u64>,
}

impl Outlook {
    /// Asks the rules.
    pub fn new(chain: &mut Chain, basis: Basis, genesis: String) -> Result<Self, TemplateError> {
        let computed = chain.requirements(None)?;
        let (configured, refused) = match basis.configured.map(|wish| chain.requirements(Some(wish))) {
            None => (None, None),
            Some(Ok(next)) => (Some(next), None),
            Some(Err(TemplateError::Refused(violation))) => (None, Some(violation.to_string())),
            Some(Err(error)) => return Err(error),
        };
        let is_computed = configured.is_none();
        let configured = configured.unwrap_or(computed);
        let next = match basis.forced {
            Some(wish) => chain.requirements(Some(wish))?,
            None => configured.clone(),
        };
        let difficulty = DifficultyLayers {
            genesis,
            configured: configured.difficulty,
            current: next.difficulty.clone(),
            computed: is_computed,
            forced: basis.forced,
            refused,
        };
        let tips = if merges(chain) { chain.index().tips(TIPS_MAX).len() } else { 1 };
        Ok(Self { basis, difficulty, next, tips })
    }

    /// Puts everything together that readers see.
    pub fn snapshot(&self, chain: &Chain, counts: Counts, statistics: &Statistics) -> Snapshot {
        let pool = chain.mempool();
        let best = chain.index().best_header();
        Snapshot {
            state_version: chain.state_version(),
            tip: chain.tip(),
            best_header: BestHeader { id: best.id, height: best.height, work: best.work },
            difficulty: self.difficulty.clone(),
            next: self.next.clone(),
            pool: PoolSize { transactions: pool.count(), bytes: pool.bytes(), version: pool.version() },
            counts,
            dag: merges(chain).then(|| DagStanding { tips: self.tips, colours: statistics.colours() }),
        }
    }
}

/// Tells whether blocks of this chain may merge others: a ledger that refuses blocks for conflicts cannot judge merged ones.
pub fn merges(chain: &Chain) -> bool {
    chain.config().ledger.conflicts == Conflicts::SkipTransaction
}
