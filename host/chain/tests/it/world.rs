//! A chain in memory, and blocks of any shape on it.

use crate::rules::{Header, SUBSIDY, TestHash, TestRules};
use adit_chain::{
    Accepted, Block, BlockError, Chain, ChainConfig, CoinbaseData, Conflicts, Input, LedgerRules, MempoolLimits,
    OrphanLimits, OutPoint, Output, PublicKey, SecretKey, Signature, TemplateLimits, Transaction,
};
use adit_primitives::storage::{Entries, MemoryStorage, Storage, Table};
use adit_primitives::{Amount, BlockId, Encode, Hash256, Height, Timestamp, sha256d};
use std::sync::Arc;

pub const CHAIN: Hash256 = Hash256([0xad; 32]);
pub const MATURITY: u64 = 2;
/// Far ahead of every header that these tests make.
pub const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

pub fn config() -> ChainConfig {
    ChainConfig {
        identity: CHAIN,
        ledger: LedgerRules {
            coinbase_maturity: MATURITY,
            conflicts: Conflicts::RefuseBlock,
            block_bytes_max: 1_000_000,
            block_transactions_max: 100_000,
            header_bytes_max: 1000,
            data_bytes_max: 100,
            money_max: Amount::from_atoms(1 << 60),
        },
        mempool: MempoolLimits {
            transactions_max: 1000,
            bytes_max: 1_000_000,
            fee_per_kilobyte_min: Amount::from_atoms(1000),
            package_max: 25,
        },
        orphans: OrphanLimits { blocks_max: 200, bytes_max: 1_000_000, early_ms_max: 60_000, fork_depth_max: u64::MAX },
        templates: TemplateLimits { lifetime_ms: 30_000, templates_max: 8 },
        // Few stay in memory, so that what lies in the storage is asked for.
        placement_bytes_max: 1_000,
    }
}

/// The same for a chain whose blocks merge others.
pub fn merging() -> ChainConfig {
    let config = config();
    ChainConfig { ledger: LedgerRules { conflicts: Conflicts::SkipTransaction, ..config.ledger }, ..config }
}

pub fn atoms(atoms: u64) -> Amount {
    Amount::from_atoms(atoms)
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32]).unwrap()
}

pub struct World {
    pub chain: Chain,
    pub storage: Arc<dyn Storage>,
    pub rules: Arc<TestRules>,
}

/// A block with its id.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: BlockId,
    pub block: Block,
    pub height: u64,
}

/// What a block is made of; what a test does not care about stays as in [`plain`].
#[derive(Debug, Clone)]
pub struct Recipe {
    pub parents: Vec<BlockId>,
    pub height: u64,
    pub work: u32,
    pub nonce: u64,
    pub time: Timestamp,
    pub miner: PublicKey,
    pub reward: u64,
    pub payments: Vec<Transaction>,
}

impl World {
    pub fn new() -> Self {
        Self::with(config(), TestRules::default())
    }

    pub fn with(config: ChainConfig, rules: TestRules) -> Self {
        Self::over(config, rules, Arc::new(MemoryStorage::default()))
    }

    pub fn over(config: ChainConfig, rules: TestRules, storage: Arc<dyn Storage>) -> Self {
        let rules = Arc::new(rules);
        let chain = Chain::open(config, storage.clone(), rules.clone(), Box::new(TestHash)).unwrap();
        Self { chain, storage, rules }
    }

    /// Drops the chain and opens it again from its storage.
    pub fn reopened(self) -> Self {
        let (config, storage) = (self.chain.config().clone(), self.storage);
        drop(self.chain);
        let chain = Chain::open(config, storage.clone(), self.rules.clone(), Box::new(TestHash)).unwrap();
        Self { chain, storage, rules: self.rules }
    }

    pub fn genesis(&self) -> Made {
        let id = self.chain.reader().id_at(Height(0)).unwrap();
        Made { id, block: self.chain.reader().block(id).unwrap().unwrap(), height: 0 }
    }

    /// Submits a block, and what had waited for it.
    pub fn submit(&mut self, made: &Made) -> Result<Accepted, BlockError> {
        let answer = self.chain.submit_block(NOW, made.block.clone());
        self.settle();
        answer
    }

    /// Submits what had waited for blocks that have come, as a node does. Returns what was taken, in order.
    pub fn settle(&mut self) -> Vec<BlockId> {
        let mut taken = Vec::new();
        while self.chain.has_ready() || self.chain.has_unchecked() {
            let ready = self.chain.take_ready(3).into_iter();
            let mut answers: Vec<_> = ready
                .map(|(source, checked)| (source, checked.and_then(|it| self.chain.submit_checked(NOW, it))))
                .collect();
            for waited in self.chain.take_unchecked(3) {
                answers.push((waited.source, self.chain.submit_block(NOW, waited.block)));
            }
            for (source, answer) in answers {
                match answer {
                    Ok(accepted) => taken.push(accepted.id),
                    Err(BlockError::Invalid { .. }) => self.chain.blame(source),
                    Err(_) => {}
                }
            }
        }
        taken
    }

    /// Mines empty blocks on the tip, paying key `seed`.
    pub fn mine(&mut self, blocks: u64, seed: u8) -> Vec<Made> {
        let mine_one = |_| {
            let tip = self.chain.tip();
            let parent =
                Made { id: tip.id, block: Block { header: Vec::new(), body: Vec::new() }, height: tip.height.0 };
            let made = plain(&parent, seed).make();
            self.submit(&made).unwrap();
            made
        };
        (0..blocks).map(mine_one).collect()
    }

    /// Returns everything that the ledger keeps.
    pub fn ledger(&self) -> Vec<(Table, Entries)> {
        let tables = [Table::Unspent, Table::Owned, Table::Undo, Table::Selected, Table::Transactions];
        tables.into_iter().map(|table| (table, self.storage.scan(table, &[], usize::MAX).unwrap())).collect()
    }

    /// Returns every byte that is kept.
    pub fn kept(&self) -> Vec<(Table, Entries)> {
        Table::ALL.into_iter().map(|table| (table, self.storage.scan(table, &[], usize::MAX).unwrap())).collect()
    }

    /// Returns the sum of all unspent outputs.
    pub fn money(&self) -> u128 {
        use adit_primitives::Decode;
        let entries = self.storage.scan(Table::Unspent, &[], usize::MAX).unwrap();
        let amount = |bytes: &[u8]| adit_chain::Unspent::from_bytes(bytes).unwrap().output.amount.to_atoms();
        entries.iter().map(|(_, value)| u128::from(amount(value))).sum()
    }
}

/// An empty block that follows `parent` and pays key `seed`.
pub fn plain(parent: &Made, seed: u8) -> Recipe {
    let height = parent.height + 1;
    Recipe {
        parents: vec![parent.id],
        height,
        work: 10,
        nonce: 0,
        time: Timestamp::from_millis(1000 * height),
        miner: key(seed).public(),
        reward: SUBSIDY,
        payments: Vec::new(),
    }
}

impl Recipe {
    pub fn make(self) -> Made {
        let output = Output { amount: atoms(self.reward), key: self.miner };
        let data = CoinbaseData { height: Height(self.height), extra: self.nonce.to_bytes() };
        let mut body = vec![Transaction::coinbase(&data, vec![output])];
        body.extend(self.payments);
        let mut block = Block { header: Vec::new(), body };
        let body_root = block.body_root().unwrap();
        let (parents, time, nonce, work) = (self.parents, self.time, self.nonce, self.work);
        block.header = Header { parents, body_root, time, nonce, work }.to_bytes();
        Made { id: BlockId(sha256d(&block.header)), block, height: self.height }
    }
}

impl Made {
    /// Returns the coinbase's only output.
    pub fn reward(&self) -> (OutPoint, Output) {
        output(&self.block.body[0], 0)
    }

    /// The same on a chain whose blocks merge others.
    pub fn merged_reward(&self) -> (OutPoint, Output) {
        let coinbase = &self.block.body[0];
        let transaction = coinbase.id_in(self.id, Conflicts::SkipTransaction);
        (OutPoint { transaction, index: 0 }, coinbase.outputs[0])
    }
}

pub fn output(transaction: &Transaction, index: usize) -> (OutPoint, Output) {
    let at = OutPoint { transaction: transaction.id(), index: u32::try_from(index).unwrap() };
    (at, transaction.outputs[index])
}

/// Spends outputs of one key.
pub fn spend(inputs: &[(OutPoint, Output)], owner: u8, outputs: &[(u8, u64)]) -> Transaction {
    let unsigned = |(previous, _): &(OutPoint, Output)| Input { previous: *previous, signature: Signature([0; 64]) };
    let output = |(seed, amount): &(u8, u64)| Output { amount: atoms(*amount), key: key(*seed).public() };
    let mut transaction = Transaction {
        version: 1,
        inputs: inputs.iter().map(unsigned).collect(),
        outputs: outputs.iter().map(output).collect(),
        data: Vec::new(),
    };
    let spent: Vec<Output> = inputs.iter().map(|(_, output)| *output).collect();
    transaction.sign(&CHAIN, &spent, &key(owner));
    transaction
}
