//! How long a template takes with 10,000 transactions waiting: rebuilt after one more came or a block, and reused; on a longest chain and on a DAG.

use super::sandbox::{RULES, source};
use super::{BenchArguments, median};
use crate::engine::cpu_time;
use crate::plugin::{NoWork, rolled};
use adit_chain::{
    Block, Chain, ChainConfig, CoinbaseData, Conflicts, Input, LedgerRules, MempoolLimits, OrphanLimits, OutPoint,
    Output, SecretKey, Signature, Solution, TemplateLimits, TemplateRequest, Transaction, WorkTemplate,
};
use adit_plugin_host::Sandbox;
use adit_primitives::contract::Draft;
use adit_primitives::engine::RulesEngine;
use adit_primitives::storage::{MemoryStorage, Storage};
use adit_primitives::{Amount, Hash256, Timestamp};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;

/// Transactions that wait.
pub const PENDING: u32 = 10_000;
const IDENTITY: Hash256 = Hash256([9; 32]);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Blocks of a DAG before its templates are measured: rounds, and blocks found at once in each.
const ROUNDS: u64 = 500;
const BESIDE: u8 = 2;

/// Rules of a DAG with one block a second.
const DAG: &str = r#"{"difficulty":{"min":20,"rule":"window","size":240,"target-ms":1000},"genesis":{"bits":504365056,"message":"bench","time-ms":1699990000000},"k":18,"median-time":{"sample-rate":10,"size":27},"merge-depth":3600,"subsidy":{"initial-atoms":5000000000}}"#;

/// A chain on which templates are made.
pub struct Bench {
    pub chain: Chain,
    pub rules: Arc<dyn RulesEngine>,
    key: SecretKey,
    pub now: Timestamp,
}

/// Prints a row for each case.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    println!("\ntemplate, {PENDING} transactions waiting");
    Bench::on_longest_chain(sandbox)?.measure("longest chain", arguments)?;
    Bench::on_dag(sandbox)?.measure(&format!("DAG, {} recent blocks", ROUNDS * u64::from(BESIDE)), arguments)
}

/// Returns the CPU time that something takes.
pub fn time<T, E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration> {
    let start = cpu_time();
    work().map_err(Into::into)?;
    Ok(cpu_time().saturating_sub(start))
}

fn rules(sandbox: &Arc<Sandbox>, name: &str, config: &str) -> Result<Arc<dyn RulesEngine>> {
    Ok(Arc::new(sandbox.load(&source(name)?)?.rules(config)?))
}

impl Bench {
    fn on_longest_chain(sandbox: &Arc<Sandbox>) -> Result<Self> {
        let storage = Arc::new(MemoryStorage::default());
        Self::open(rules(sandbox, "longest-chain", RULES)?, config(Conflicts::RefuseBlock), storage)
    }

    /// Opens a DAG with its recent blocks.
    pub fn on_dag(sandbox: &Arc<Sandbox>) -> Result<Self> {
        Self::on_dag_over(sandbox, Arc::new(MemoryStorage::default()), usize::MAX)
    }

    /// The same over a storage, with so many bytes of placements in memory.
    pub fn on_dag_over(sandbox: &Arc<Sandbox>, storage: Arc<dyn Storage>, placement_bytes_max: usize) -> Result<Self> {
        let config = ChainConfig { placement_bytes_max, ..config(Conflicts::SkipTransaction) };
        let mut dag = Self::open(rules(sandbox, "ghostdag", DAG)?, config, storage)?;
        for _ in 0..ROUNDS {
            dag.mine(BESIDE)?;
        }
        Ok(dag)
    }

    fn open(rules: Arc<dyn RulesEngine>, config: ChainConfig, storage: Arc<dyn Storage>) -> Result<Self> {
        let chain = Chain::open(config, storage, Arc::clone(&rules), Box::new(NoWork))?;
        Ok(Self { chain, rules, key: SecretKey::from_bytes([3; 32])?, now: START })
    }

    /// Fills the mempool and prints what templates take.
    fn measure(&mut self, name: &str, arguments: &BenchArguments) -> Result<()> {
        let rounds = u32::from(arguments.rounds);
        let mut late = self.fill(rounds)?.into_iter();
        let request = self.request(vec![0]);
        let (mut rebuilt, mut reused, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            self.chain.submit_transaction(self.now, late.next().context("one transaction for each round")?)?;
            rebuilt.push(time(|| self.chain.template(self.now, &request))?);
            reused.push(time(|| self.chain.template(self.now, &request))?);
        }
        for _ in 0..rounds {
            self.add_empty_block()?;
            moved.push(time(|| self.chain.template(self.now, &request))?);
        }
        let row = |what: &str, times| println!("{:<56} {:>12.2?}", format!("{name}: {what}"), median(times));
        row("rebuilt after one more came", rebuilt);
        row("rebuilt after a block came", moved);
        row("reused", reused);
        Ok(())
    }

    /// Fills the mempool, and returns as many payments more as `late` says.
    pub fn fill(&mut self, late: u32) -> Result<Vec<Transaction>> {
        let (reward, spent) = self.mine(1)?;
        self.mine(1)?;
        let count = PENDING + late;
        let share = Amount::from_atoms(spent.amount.to_atoms() / u64::from(count) - 1_000);
        let outputs = vec![Output { amount: share, key: self.key.public() }; count as usize];
        let fan = spend(&IDENTITY, reward, spent, outputs, &self.key);
        let id = fan.id();
        self.chain.submit_transaction(self.now, fan)?;
        self.mine(1)?;
        let pay = |index: u32| {
            // Fees differ, so that there is something to sort.
            let left = Amount::from_atoms(share.to_atoms() - 1_000 - u64::from(index % 500));
            let (from, to) = (Output { amount: share, key: self.key.public() }, self.key.public());
            let outputs = vec![Output { amount: left, key: to }];
            spend(&IDENTITY, OutPoint { transaction: id, index }, from, outputs, &self.key)
        };
        let mut payments: Vec<Transaction> = (0..count).map(pay).collect();
        let late = payments.split_off(PENDING as usize);
        for answer in self.chain.submit_transactions(self.now, payments)? {
            answer?;
        }
        Ok(late)
    }

    /// Adds blocks found at once, and returns the reward of the first.
    fn mine(&mut self, blocks: u8) -> Result<(OutPoint, Output)> {
        self.now = Timestamp::from_millis(self.now.to_millis() + 1000);
        let templates: Vec<Arc<WorkTemplate>> = (0..blocks)
            .map(|extra| self.chain.template(self.now, &self.request(vec![extra])))
            .collect::<Result<_, _>>()?;
        let mut first = None;
        for template in templates {
            let block = self.chain.assemble(&template, Solution::Nonce { nonce: 0, rolled: rolled(&template.pow) })?;
            let accepted = self.chain.submit_block(self.now, block)?;
            let transaction = self.chain.reader().transaction_id(&template.coinbase, accepted.id);
            first.get_or_insert((OutPoint { transaction, index: 0 }, template.coinbase.outputs[0]));
        }
        first.context("at least one block was found")
    }

    /// Adds a block that takes nothing out of the mempool.
    pub fn add_empty_block(&mut self) -> Result<()> {
        self.now = Timestamp::from_millis(self.now.to_millis() + 1000);
        let next = self.chain.requirements(None)?;
        let reward = Output { amount: Amount::from_atoms(next.subsidy), key: self.key.public() };
        let data = CoinbaseData { height: next.height, extra: Vec::new() };
        let mut block = Block { header: Vec::new(), body: vec![Transaction::coinbase(&data, vec![reward])] };
        let time = self.now.max(next.earliest);
        let draft = Draft { parents: next.parents, bits: next.bits, time, body_root: block.body_root()? };
        let template = self.rules.encode(&draft)??;
        block.header = self.rules.seal(&template.header, 0, rolled(&template.pow))??;
        self.chain.submit_block(self.now, block)?;
        Ok(())
    }

    /// Asks as a miner with its own bytes in the coinbase.
    pub fn request(&self, extra: Vec<u8>) -> TemplateRequest {
        TemplateRequest { pay_to: self.key.public(), extra, difficulty: None }
    }
}

/// Signs a transaction with one input.
pub fn spend(
    identity: &Hash256,
    previous: OutPoint,
    spent: Output,
    outputs: Vec<Output>,
    key: &SecretKey,
) -> Transaction {
    let input = Input { previous, signature: Signature([0; 64]) };
    let mut transaction = Transaction { version: 1, inputs: vec![input], outputs, data: Vec::new() };
    transaction.sign(identity, &[spent], key);
    transaction
}

fn config(conflicts: Conflicts) -> ChainConfig {
    ChainConfig {
        identity: IDENTITY,
        ledger: LedgerRules {
            coinbase_maturity: 1,
            conflicts,
            block_bytes_max: 4_000_000,
            block_transactions_max: 100_000,
            header_bytes_max: 1_000,
            data_bytes_max: 100,
            money_max: Amount::from_atoms(2_100_000_000_000_000),
        },
        mempool: MempoolLimits {
            transactions_max: 20_000,
            bytes_max: 64 << 20,
            fee_per_kilobyte_min: Amount::from_atoms(1),
            package_max: 25,
        },
        orphans: OrphanLimits { blocks_max: 10, bytes_max: 1 << 20, early_ms_max: 0, fork_depth_max: u64::MAX },
        templates: TemplateLimits { lifetime_ms: 600_000, templates_max: 16 },
        placement_bytes_max: usize::MAX,
    }
}
