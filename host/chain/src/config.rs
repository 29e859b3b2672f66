//! What the makers of a chain and the operator of a node choose.

use adit_primitives::{Amount, Hash256};

/// Everything that a [`crate::Chain`] is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// The digest of the chain's rules (`primitives::identity::Rules::identity`): in every signature, and in the database.
    pub identity: Hash256,
    pub ledger: LedgerRules,
    pub mempool: MempoolLimits,
    pub orphans: OrphanLimits,
    pub templates: TemplateLimits,
    /// The most bytes of placements that stay in memory, merge sets and the rules' notes: those of older blocks are read from the storage.
    pub placement_bytes_max: usize,
}

/// The ledger's parameters: rules, the same on every node of the chain, part of its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRules {
    /// How many blocks above its own a coinbase's outputs may first be spent. At least 1.
    pub coinbase_maturity: u64,
    /// What becomes of a block with a payment that cannot be applied.
    pub conflicts: Conflicts,
    /// The most bytes of a block: header and body as [`crate::Block`] encodes them.
    pub block_bytes_max: usize,
    /// The most transactions of a block, its coinbase among them.
    pub block_transactions_max: u32,
    /// The most bytes of a header.
    pub header_bytes_max: usize,
    /// The most bytes of data in a transaction or a coinbase, the coinbase's 8 bytes of height among them. At least 8.
    pub data_bytes_max: usize,
    /// The most atoms that a transaction may move: sums below it cannot overflow.
    pub money_max: Amount,
}

/// What becomes of a block that holds a payment which cannot be applied where the order of blocks puts it: its inputs are spent or
/// missing, it spends more than they hold, a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// The block is invalid. No block may merge others: what is refused would hang on what a node merged first.
    RefuseBlock,
    /// The payment is left out and the block stays valid: two blocks found at once may hold payments that conflict, of which the first in order
    /// counts. A coinbase is cut to what its block earned.
    SkipTransaction,
}

/// What the mempool holds at most, and for how little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolLimits {
    pub transactions_max: usize,
    /// Canonical bytes of the transactions.
    pub bytes_max: usize,
    /// The least fee of a transaction, in atoms for each 1,000 bytes, rounded up. Also the least by which a replacement pays more.
    pub fee_per_kilobyte_min: Amount,
    /// The most transactions of a chain of dependent ones, up or down, the transaction itself among them.
    pub package_max: usize,
}

/// What is kept of blocks that are not on the chain: how many wait for a parent, and as many again for their time, and which branches are of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanLimits {
    pub blocks_max: usize,
    pub bytes_max: usize,
    /// How far ahead of the clock a block may be valid and still be kept, in milliseconds.
    pub early_ms_max: u64,
    /// How far below the selected tip, in heights, a block may leave the selected chain and still be taken where no better chain of headers leads
    /// through it. Where blocks are merged it must reach deeper than blocks may be merged.
    pub fork_depth_max: u64,
}

/// How long templates last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateLimits {
    /// Milliseconds after which a template is made anew even when nothing changed, so that its time stays current.
    pub lifetime_ms: u64,
    /// How many templates are remembered, to be given again for the same request. At least 1.
    pub templates_max: usize,
}

impl Conflicts {
    /// Returns the name in `chain.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RefuseBlock => "refuse-block",
            Self::SkipTransaction => "skip-transaction",
        }
    }
}

impl LedgerRules {
    /// Returns the parameters as canonical JSON (keys sorted, no white space), for `primitives::identity::Rules::ledger`.
    pub fn canonical_json(&self) -> String {
        let Self {
            coinbase_maturity,
            conflicts,
            block_bytes_max,
            block_transactions_max,
            header_bytes_max,
            data_bytes_max,
            money_max,
        } = self;
        let money_max = money_max.to_atoms();
        let conflicts = conflicts.name();
        format!(
            "{{\"block_bytes_max\":{block_bytes_max},\"block_transactions_max\":{block_transactions_max},\
             \"coinbase_maturity\":{coinbase_maturity},\"conflicts\":\"{conflicts}\",\"data_bytes_max\":{data_bytes_max},\
             \"header_bytes_max\":{header_bytes_max},\"money_max\":{money_max}}}"
        )
    }
}
