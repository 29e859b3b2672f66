//! How long a template takes with 10,000 transactions waiting: rebuilt after one more came, and reused.

use super::sandbox::{RULES, source};
use super::{BenchArguments, median};
use crate::engine::cpu_time;
use crate::plugin::{NoWork, rolled};
use adit_chain::{
    Chain, ChainConfig, Conflicts, Input, LedgerRules, MempoolLimits, OrphanLimits, OutPoint, Output, SecretKey,
    Signature, Solution, TemplateLimits, TemplateRequest, Transaction,
};
use adit_plugin_host::Sandbox;
use adit_primitives::engine::RulesEngine;
use adit_primitives::storage::MemoryStorage;
use adit_primitives::{Amount, Hash256, Timestamp};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;

const PENDING: u32 = 10_000;
const IDENTITY: Hash256 = Hash256([9; 32]);
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Prints a row for each case.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let rules: Arc<dyn RulesEngine> = Arc::new(sandbox.load(&source("longest-chain")?)?.rules(RULES)?);
    let key = SecretKey::from_bytes([3; 32])?;
    let request = TemplateRequest { pay_to: key.public(), extra: Vec::new(), difficulty: None };
    let mut chain = Chain::open(config(), Arc::new(MemoryStorage::default()), rules, Box::new(NoWork))?;
    let rounds = u32::from(arguments.rounds);
    let mut late = fill(&mut chain, &request, &key, rounds)?.into_iter();
    let (mut rebuilt, mut reused) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        chain.submit_transaction(NOW, late.next().context("one transaction for each round")?)?;
        rebuilt.push(time(|| chain.template(NOW, &request))?);
        reused.push(time(|| chain.template(NOW, &request))?);
    }
    println!("\ntemplate, {PENDING} transactions waiting");
    println!("{:<56} {:>12.2?}", "rebuilt after one more came", median(rebuilt));
    println!("{:<56} {:>12.2?}", "reused", median(reused));
    Ok(())
}

fn time<T, E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration> {
    let start = cpu_time();
    work().map_err(Into::into)?;
    Ok(cpu_time().saturating_sub(start))
}

/// Fills the mempool, and returns as many payments more as `late` says.
fn fill(chain: &mut Chain, request: &TemplateRequest, key: &SecretKey, late: u32) -> Result<Vec<Transaction>> {
    let reward = mine(chain, request)?;
    mine(chain, request)?;
    let count = PENDING + late;
    let spent = reward.outputs[0];
    let share = Amount::from_atoms(spent.amount.to_atoms() / u64::from(count) - 1_000);
    let outputs = vec![Output { amount: share, key: key.public() }; count as usize];
    let fan = spend(OutPoint { transaction: reward.id(), index: 0 }, spent, outputs, key);
    let id = fan.id();
    chain.submit_transaction(NOW, fan)?;
    mine(chain, request)?;
    let pay = |index: u32| {
        // Fees differ, so that there is something to sort.
        let left = Amount::from_atoms(share.to_atoms() - 1_000 - u64::from(index % 500));
        let output = Output { amount: left, key: key.public() };
        spend(OutPoint { transaction: id, index }, Output { amount: share, key: key.public() }, vec![output], key)
    };
    let mut payments: Vec<Transaction> = (0..count).map(pay).collect();
    let late = payments.split_off(PENDING as usize);
    for answer in chain.submit_transactions(NOW, payments)? {
        answer?;
    }
    Ok(late)
}

fn spend(previous: OutPoint, spent: Output, outputs: Vec<Output>, key: &SecretKey) -> Transaction {
    let input = Input { previous, signature: Signature([0; 64]) };
    let mut transaction = Transaction { version: 1, inputs: vec![input], outputs, data: Vec::new() };
    transaction.sign(&IDENTITY, &[spent], key);
    transaction
}

/// Adds a block, and returns its coinbase.
fn mine(chain: &mut Chain, request: &TemplateRequest) -> Result<Transaction> {
    let template = chain.template(NOW, request)?;
    let block = chain.assemble(&template, Solution { nonce: 0, rolled: rolled(&template.pow) })?;
    chain.submit_block(NOW, block)?;
    Ok(template.coinbase.clone())
}

fn config() -> ChainConfig {
    ChainConfig {
        identity: IDENTITY,
        ledger: LedgerRules {
            coinbase_maturity: 1,
            conflicts: Conflicts::RefuseBlock,
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
        orphans: OrphanLimits { blocks_max: 10, bytes_max: 1 << 20, early_ms_max: 0 },
        templates: TemplateLimits { lifetime_ms: 600_000, templates_max: 16 },
    }
}
