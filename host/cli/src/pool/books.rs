//! What a pool's books hold, as tables: blocks, payouts, the audit; and what the running pool says of workers, shares and bans.

use super::bans::{self, BansArguments, UnbanArguments};
use super::books_path;
use crate::config::ResolvedChain;
use crate::{config, sandbox, stats};
use adit_node::api::shapes::decimal;
use adit_node::pool::api::reads::{StatsResponse, WorkerBody, WorkersResponse};
use adit_pool::money::audit::{Audit, audit};
use adit_primitives::Amount;
use adit_primitives::accounts::{Accounts, Block, BlockState, Payment};
use adit_store::Books;
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rows that are shown without a wish.
const ROWS: usize = 50;

/// The most workers that a pool tells at once.
const WORKERS_AT_ONCE: usize = 1_000;

#[derive(clap::Subcommand)]
pub enum BooksCommand {
    /// Show the workers of a running pool: speed, shares, what they are owed.
    Workers(Question),
    /// Show the shares of a running pool since its start: how many count, and why others do not.
    Shares(Question),
    /// Show whom a running pool bans, why and for how long.
    Bans(BansArguments),
    /// Lift bans of a running pool, for good: a restart brings none of them back.
    Unban(UnbanArguments),
    /// Show the blocks that the pool found, the newest first.
    Blocks(Choice),
    /// Show the payments, the newest first.
    Payouts(Choice),
    /// Compute every balance again from the journal, and say whether the books add up.
    Audit(Choice),
}

#[derive(clap::Args)]
pub struct Choice {
    /// The chain whose pool is meant.
    pub chain: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = ROWS)]
    pub rows: usize,
}

#[derive(clap::Args)]
pub struct Question {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    place: PoolPlace,
}

/// Where a running pool is reached.
#[derive(clap::Args)]
pub struct PoolPlace {
    /// Where the pool is asked. Without it at `pool.api`, or at `node.api` where the chain has no `pool.upstreams` and its pool runs by `adit up`.
    #[arg(long, value_name = "URL")]
    pool: Option<String>,
    /// A PEM file of authorities that sign the pool's certificate. Without it, the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Shows what was asked for.
pub fn show(command: &BooksCommand, json: bool) -> Result<ExitCode> {
    match command {
        BooksCommand::Workers(question) => workers(question, json),
        BooksCommand::Shares(question) => shares(question, json),
        BooksCommand::Bans(arguments) => bans::show(arguments, json),
        BooksCommand::Unban(arguments) => bans::lift(arguments, json),
        BooksCommand::Blocks(choice) => {
            let blocks = open(choice)?.blocks(0, choice.rows)?;
            table(json, &BLOCKS, blocks.iter().map(block_row).collect());
            Ok(ExitCode::SUCCESS)
        }
        BooksCommand::Payouts(choice) => {
            let payments = open(choice)?.payments(0, choice.rows)?;
            table(json, &PAYMENTS, payments.iter().map(payment_row).collect());
            Ok(ExitCode::SUCCESS)
        }
        BooksCommand::Audit(choice) => {
            let books = open(choice)?;
            let audit = audit(&books)?;
            tell(&audit, json);
            Ok(if audit.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn open(choice: &Choice) -> Result<Books> {
    let chain = read_chain(&choice.chain)?;
    let path = books_path(&chain);
    Books::open_to_read(&path).with_context(|| format!("failed to read the books in {}", path.display()))
}

/// Reads the chain whose pool is meant.
pub fn read_chain(file: &Path) -> Result<ResolvedChain> {
    config::read(file, &sandbox::open()?)?.into_chain()
}

impl PoolPlace {
    /// Returns where the pool of a chain is asked.
    pub fn url(&self, chain: &ResolvedChain) -> String {
        let settings = &chain.settings;
        let is_embedded = settings.pool.upstreams.is_empty();
        let own = || if is_embedded { stats::url_of(&settings.node) } else { format!("http://{}", settings.pool.api) };
        self.pool.clone().unwrap_or_else(own)
    }
}

impl Question {
    /// Returns where the pool is asked.
    fn url(&self) -> Result<String> {
        match &self.place.pool {
            Some(url) => Ok(url.clone()),
            None => Ok(self.place.url(&read_chain(&self.choice.chain)?)),
        }
    }

    fn ask<A: DeserializeOwned>(&self, url: &str, path: &str) -> Result<A> {
        stats::ask(url, self.place.ca_file.as_deref(), path)
    }
}

fn workers(question: &Question, json: bool) -> Result<ExitCode> {
    let (url, wanted) = (question.url()?, question.choice.rows);
    let (mut workers, mut after) = (Vec::new(), String::new());
    while workers.len() < wanted {
        let limit = (wanted - workers.len()).min(WORKERS_AT_ONCE);
        let answer: WorkersResponse = question.ask(&url, &format!("pool/workers?limit={limit}{after}"))?;
        workers.extend(answer.workers);
        let Some(next) = answer.next else { break };
        after = format!("&after={next}");
    }
    let row = |worker: &WorkerBody| {
        vec![
            worker.worker.clone(),
            worker.hashes_per_second.to_string(),
            worker.shares_valid.to_string(),
            worker.shares_invalid.to_string(),
            worker.shares_stale.to_string(),
            worker.balance.clone(),
        ]
    };
    table(json, &WORKERS, workers.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

fn shares(question: &Question, json: bool) -> Result<ExitCode> {
    let answer: StatsResponse = question.ask(&question.url()?, "pool/stats")?;
    let mut rows = vec![vec!["valid".to_owned(), answer.shares_valid.to_string()]];
    rows.extend(answer.shares_invalid_by_reason.iter().map(|(reason, count)| vec![reason.clone(), count.to_string()]));
    rows.push(vec!["valid, with earlier runs".to_owned(), answer.shares_logged.to_string()]);
    table(json, &SHARES, rows);
    Ok(ExitCode::SUCCESS)
}

const WORKERS: [&str; 6] = ["worker", "hashes/s", "valid", "invalid", "stale", "owed"];
const SHARES: [&str; 2] = ["shares", "count"];
const BLOCKS: [&str; 6] = ["height", "block", "state", "split", "reward", "fees"];
const PAYMENTS: [&str; 6] = ["number", "state", "outputs", "sum", "fee", "transaction"];

fn block_row(block: &Block) -> Vec<String> {
    vec![
        block.height.0.to_string(),
        block.id.to_string(),
        block.state.to_string(),
        match (block.split, block.state) {
            (true, BlockState::Orphaned) => "taken back",
            (true, _) => "yes",
            (false, _) => "no",
        }
        .to_owned(),
        decimal(block.reward),
        decimal(block.fees),
    ]
}

fn payment_row(payment: &Payment) -> Vec<String> {
    let sum = Amount::checked_sum(payment.outputs.iter().map(|output| output.amount));
    let signed = payment.signed.as_ref();
    vec![
        payment.number.to_string(),
        payment.state.to_string(),
        payment.outputs.len().to_string(),
        sum.map_or_else(|| "more than there can be".to_owned(), decimal),
        signed.map_or_else(String::new, |signed| decimal(signed.fee)),
        signed.map_or_else(String::new, |signed| signed.id.to_string()),
    ]
}

/// Prints rows under their heads, each column as wide as its widest entry; or as a JSON list of objects.
pub fn table<const N: usize>(json: bool, heads: &[&str; N], rows: Vec<Vec<String>>) {
    if json {
        let object = |row: Vec<String>| {
            let fields = heads.iter().map(|head| (*head).to_owned()).zip(row.into_iter().map(Value::from));
            Value::Object(fields.collect())
        };
        let rows: Vec<Value> = rows.into_iter().map(object).collect();
        return println!("{}", Value::from(rows));
    }
    let width = |column: usize| {
        let entries = rows.iter().map(|row| row[column].chars().count());
        entries.chain([heads[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |entries: Vec<&str>| {
        let padded = entries.iter().zip(&widths).map(|(entry, width)| format!("{entry:<width$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(heads.to_vec());
    rows.iter().for_each(|row| line(row.iter().map(String::as_str).collect()));
}

fn tell(audit: &Audit, as_json: bool) {
    let totals = &audit.totals;
    let sums = [
        ("brought by blocks", totals.brought),
        ("not split yet", totals.income),
        ("owed to miners", totals.payees),
        ("foundation", totals.foundation),
        ("operator", totals.operator),
        ("on its way", totals.on_its_way),
        ("paid out", totals.paid),
        ("network fees", totals.network_fees),
    ];
    let verdict =
        audit.difference.as_ref().map_or_else(|| "the books add up to the last atom".to_owned(), ToString::to_string);
    if as_json {
        let sums: serde_json::Map<String, Value> =
            sums.iter().map(|(name, atoms)| (name.replace(' ', "_"), Value::from(atoms.to_string()))).collect();
        let whole = json!({ "sound": audit.difference.is_none(), "verdict": verdict, "atoms": sums,
            "accounts": totals.accounts, "postings": totals.postings, "entries": totals.entries,
            "blocks": totals.blocks, "payments": totals.payments, "shares_to_pay_for": totals.shares_due });
        return println!("{whole}");
    }
    println!(
        "{} accounts, {} postings with {} entries, {} blocks, {} payments",
        totals.accounts, totals.postings, totals.entries, totals.blocks, totals.payments
    );
    sums.iter().for_each(|(name, atoms)| println!("{name:<18} {atoms:>24} atoms"));
    if totals.shares_due > 0 {
        println!("{:<18} {:>24} shares", "to be paid for", totals.shares_due);
    }
    println!("{verdict}");
}
