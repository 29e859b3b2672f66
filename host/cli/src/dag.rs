//! `adit dag`: a picture of part of the DAG.
//!
//! A running node is asked; where none runs, the chain's database is opened, which needs that no other process has it. Reading order: this file,
//! [`layout`] says where each block stands, [`svg`] draws, [`table`] is the same in words.

mod layout;
mod svg;
mod table;

use crate::config::{self, ResolvedChain};
use crate::{sandbox, stats};
use adit_chain::Chain;
use adit_node::client::AnyNode;
use adit_node::dag::{DEPTH, DEPTH_MAX, DagPart, DagWish, part};
use adit_node::retry::Failure;
use adit_primitives::BlockId;
use adit_store::{Options, Store};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes of the database's blocks that are kept in memory.
const STORE_CACHE_BYTES: u64 = 16 << 20;

#[derive(clap::Args)]
pub struct DagArguments {
    /// The chain.
    chain: PathBuf,
    /// A block to have in the middle; without it, the newest blocks are shown.
    #[arg(long, value_name = "ID")]
    around: Option<BlockId>,
    /// Heights from the lowest to the highest block.
    #[arg(long, default_value_t = DEPTH, value_parser = clap::value_parser!(u64).range(1..=DEPTH_MAX), value_name = "HEIGHTS")]
    depth: u64,
    /// Where to write the picture.
    #[arg(long, default_value = "dag.svg", value_name = "FILE")]
    out: PathBuf,
    /// Print a table instead of writing a picture.
    #[arg(long, conflicts_with = "out")]
    text: bool,
    /// The node to ask: the one of chain.toml unless told otherwise.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
}

/// Draws.
pub fn run(arguments: &DagArguments) -> Result<ExitCode> {
    let chain = config::read(&arguments.chain, &sandbox::open()?)?.into_chain()?;
    let wish = DagWish { around: arguments.around, depth: arguments.depth };
    let part = match ask(&chain, arguments.node.as_deref(), wish)? {
        Some(part) => part,
        None => read(&chain, wish)?,
    };
    if arguments.text {
        print!("{}", table::table(&part));
        return Ok(ExitCode::SUCCESS);
    }
    let picture = svg::picture(&part);
    std::fs::write(&arguments.out, picture).with_context(|| format!("failed to write {}", arguments.out.display()))?;
    println!("wrote {}: {} blocks", arguments.out.display(), part.blocks.len());
    Ok(ExitCode::SUCCESS)
}

/// Asks a running node; `None` where the chain's own does not run.
fn ask(chain: &ResolvedChain, node: Option<&str>, wish: DagWish) -> Result<Option<DagPart>> {
    let url = node.map_or_else(|| stats::url_of(&chain.settings.node), str::to_owned);
    let around = wish.around.map(|id| format!("&around={id}")).unwrap_or_default();
    let path = format!("dag?depth={}{around}", wish.depth);
    let client = AnyNode::new(&url, chain.settings.miner.ca_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    match runtime.block_on(client.ask(&path)) {
        Ok(part) => Ok(Some(part)),
        Err(Failure::Refused { .. }) if node.is_none() => Ok(None),
        Err(failure) => Err(failure).with_context(|| format!("the node at {url} gives no answer")),
    }
}

/// Reads the database of a chain whose node does not run.
fn read(chain: &ResolvedChain, wish: DagWish) -> Result<DagPart> {
    let node = &chain.settings.node;
    let database = node.data_dir.join("chain");
    anyhow::ensure!(
        database.is_dir(),
        "no node answers at {}, and there is no database in {}",
        stats::url_of(node),
        database.display()
    );
    let store = Store::open(&Options { path: database.clone(), cache_bytes: STORE_CACHE_BYTES })
        .with_context(|| format!("failed to open the database in {}", database.display()))?;
    let config = adit_node::run::chain_config(&chain.rules, chain.ledger.clone(), node);
    let rules = Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?);
    let hash = Box::new(chain.hash.plugin.hash(&chain.hash.config)?);
    let opened = Chain::open(config, Arc::new(store), rules, hash).context("the chain does not open")?;
    part(&opened.reader(), &chain.rules.chain, wish).context("there is no such block")
}
