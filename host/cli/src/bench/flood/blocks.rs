//! The DAG that a node is flooded with.

use super::FloodArguments;
use crate::bench::headers::first_nonce;
use crate::bench::template::spend;
use crate::plugin::{NoWork, rolled};
use adit_chain::{Block, Chain, CoinbaseData, OutPoint, Output, SecretKey, Transaction};
use adit_primitives::contract::{Draft, SearchJob};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_primitives::storage::MemoryStorage;
use adit_primitives::{Amount, Timestamp};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;

/// When the genesis of the chain was, and after it, when each layer is.
const GENESIS_MS: u64 = 1_700_000_000_000;
const LAYER_MS: u64 = 1_000;

/// What a payment leaves to whoever mines it.
const FEE: u64 = 1_000;

/// Blocks in an order in which parents come before their children.
pub struct Flood {
    /// Blocks that make the outputs which the others spend.
    pub before: Vec<Block>,
    pub blocks: Vec<Block>,
}

/// A chain without a disk, on which the blocks are made.
struct Maker {
    chain: Chain,
    rules: Arc<dyn RulesEngine>,
    search: Box<dyn HashEngine>,
    key: SecretKey,
    layers: u64,
}

impl Flood {
    /// Makes the blocks of a node with this `chain.toml`.
    pub fn make(file: &Path, arguments: &FloodArguments) -> Result<Self> {
        let FloodArguments { blocks, payments, beside, .. } = arguments;
        let mut maker = Maker::open(file)?;
        let mut before = maker.layer(vec![Vec::new()])?;
        let (fan, share) = maker.fan(&before[0], blocks * payments)?;
        let outputs = fan.id();
        before.extend(maker.layer(vec![vec![fan]])?);
        let mut unspent = 0..blocks * payments;
        let mut all = Vec::new();
        while let Some(left) = (*blocks as usize).checked_sub(all.len()).filter(|left| *left > 0) {
            let mut body = |_| -> Vec<Transaction> {
                let next = unspent.by_ref().take(*payments as usize);
                next.map(|index| maker.pay(OutPoint { transaction: outputs, index }, share)).collect()
            };
            let bodies = (0..left.min(*beside as usize)).map(&mut body).collect();
            all.extend(maker.layer(bodies)?);
        }
        Ok(Self { before, blocks: all })
    }
}

impl Maker {
    fn open(file: &Path) -> Result<Self> {
        let opened = crate::run::open(file.to_owned())?;
        let chosen = &opened.chain;
        let rules: Arc<dyn RulesEngine> = Arc::new(chosen.consensus.plugin.rules(&chosen.consensus.config)?);
        let config = adit_node::run::chain_config(&chosen.rules, chosen.ledger.clone(), &chosen.settings.node);
        // What was searched needs no second look here.
        let chain = Chain::open(config, Arc::new(MemoryStorage::default()), Arc::clone(&rules), Box::new(NoWork))?;
        let search = Box::new(chosen.hash.plugin.hash(&chosen.hash.config)?);
        Ok(Self { chain, rules, search, key: SecretKey::from_bytes([7; 32])?, layers: 0 })
    }

    /// Makes a block of each body, all on the same parents, and takes them.
    fn layer(&mut self, bodies: Vec<Vec<Transaction>>) -> Result<Vec<Block>> {
        self.layers += 1;
        let now = Timestamp::from_millis(GENESIS_MS + self.layers * LAYER_MS);
        let next = self.chain.requirements(None)?;
        let mut blocks = Vec::new();
        for (number, payments) in (0u32..).zip(bodies) {
            let reward = Output { amount: Amount::from_atoms(next.subsidy), key: self.key.public() };
            let data = CoinbaseData { height: next.height, extra: number.to_le_bytes().to_vec() };
            let coinbase = Transaction::coinbase(&data, vec![reward]);
            let body = std::iter::once(coinbase).chain(payments).collect();
            let mut block = Block { header: Vec::new(), body };
            let time = now.max(next.earliest);
            let draft = Draft { parents: next.parents.clone(), bits: next.bits, time, body_root: block.body_root()? };
            block.header = self.solve(&draft)?;
            blocks.push(block);
        }
        for block in &blocks {
            self.chain.submit_block(now, block.clone())?;
        }
        Ok(blocks)
    }

    fn solve(&mut self, draft: &Draft) -> Result<Vec<u8>> {
        let template = self.rules.encode(draft)??;
        let pow = template.pow;
        let rolled = rolled(&pow);
        let job = SearchJob {
            inputs: vec![pow.bytes],
            nonce_offset: pow.nonce_offset,
            nonce_bytes: pow.nonce_bytes,
            target: template.target,
        };
        Ok(self.rules.seal(&template.header, first_nonce(&mut *self.search, &job)?, rolled)??)
    }

    /// Splits a block's reward into so many equal outputs, and returns what each holds.
    fn fan(&self, block: &Block, outputs: u32) -> Result<(Transaction, Amount)> {
        let coinbase = block.body.first().context("a block has a coinbase")?;
        let reader = self.chain.reader();
        let previous = OutPoint { transaction: reader.transaction_id(coinbase, self.chain.tip().id), index: 0 };
        let spent = coinbase.outputs[0];
        let count = outputs.max(1);
        let share = Amount::from_atoms(spent.amount.to_atoms() / u64::from(count) - FEE);
        let outputs = vec![Output { amount: share, key: self.key.public() }; count as usize];
        Ok((spend(&self.chain.config().identity, previous, spent, outputs, &self.key), share))
    }

    /// Pays one of these outputs to whoever holds it, less the fee.
    fn pay(&self, previous: OutPoint, share: Amount) -> Transaction {
        let key = self.key.public();
        let left = Amount::from_atoms(share.to_atoms().saturating_sub(FEE));
        let outputs = vec![Output { amount: left, key }];
        spend(&self.chain.config().identity, previous, Output { amount: share, key }, outputs, &self.key)
    }
}
