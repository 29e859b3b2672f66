//! Whom a running pool bans, and the end of a ban before its time: asked of the pool, with the token of its data folder.

use super::books::{Choice, PoolPlace, read_chain, table};
use crate::config::ResolvedChain;
use crate::peers::duration;
use crate::stats;
use adit_node::client::AnyNode;
use adit_node::pool::api::bans::{BanBody, BansResponse};
use adit_node::pool::api::control::OrderResponse;
use adit_node::pool::hosting::LiftBan;
use adit_node::token::Token;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The most bans that a pool tells at once.
const BANS_AT_ONCE: usize = 1_000;

#[derive(clap::Args)]
pub struct BansArguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    place: PoolPlace,
    #[command(flatten)]
    key: TokenFile,
}

#[derive(clap::Args)]
pub struct UnbanArguments {
    /// The chain whose pool is meant.
    chain: PathBuf,
    /// Names and addresses, as `adit pool bans` shows them. A sender of nonsense has a ban for each.
    #[arg(required = true, value_name = "NAME_OR_ADDRESS")]
    who: Vec<String>,
    /// Why, for the record in the books.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    place: PoolPlace,
    #[command(flatten)]
    key: TokenFile,
}

#[derive(clap::Args)]
struct TokenFile {
    /// The file with the pool's token. Without it, that of the chain's data folder.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A running pool as its operator reaches it.
struct Operator {
    pool: AnyNode,
    url: String,
    runtime: Runtime,
}

impl Operator {
    fn new(chain: &ResolvedChain, place: &PoolPlace, key: &TokenFile) -> Result<Self> {
        let url = place.url(chain);
        let file = key.token_file.clone().unwrap_or_else(|| chain.settings.node.token_path());
        let token = Token::load(&file).context("bans are for the pool's operator, who has its token")?;
        let pool = AnyNode::new(&url, place.ca_file.as_deref())?.with_token(token);
        Ok(Self { pool, url, runtime: stats::runtime()? })
    }

    fn bans(&self, skip: usize, limit: usize) -> Result<BansResponse> {
        let path = format!("pool/bans?skip={skip}&limit={limit}");
        self.runtime.block_on(self.pool.ask(&path)).with_context(|| format!("the pool at {}", self.url))
    }

    fn lift(&self, lift: &LiftBan) -> Result<OrderResponse> {
        let lifted = self.runtime.block_on(self.pool.order("pool/bans/lift", lift));
        lifted.with_context(|| format!("the pool at {}", self.url))
    }
}

const BANS: [&str; 4] = ["who", "kind", "ends in", "reason"];

/// Shows whom the pool bans.
pub fn show(arguments: &BansArguments, json: bool) -> Result<ExitCode> {
    let BansArguments { choice, place, key } = arguments;
    let operator = Operator::new(&read_chain(&choice.chain)?, place, key)?;
    let (mut bans, mut total) = (Vec::new(), usize::MAX);
    while bans.len() < choice.rows.min(total) {
        let answer = operator.bans(bans.len(), (choice.rows - bans.len()).min(BANS_AT_ONCE))?;
        if answer.bans.is_empty() {
            break;
        }
        bans.extend(answer.bans);
        total = answer.total;
    }
    if json {
        println!("{}", serde_json::to_string(&bans)?);
        return Ok(ExitCode::SUCCESS);
    }
    table(false, &BANS, bans.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

fn row(ban: &BanBody) -> Vec<String> {
    let left = duration(Duration::try_from_secs_f64(ban.seconds_left).unwrap_or_default());
    // Who chose the name is not to move anything on a terminal.
    vec![ban.who.escape_debug().to_string(), ban.kind.clone(), left, ban.reason.clone()]
}

/// Lifts bans, one after another; ends at the first that cannot be lifted.
pub fn lift(arguments: &UnbanArguments, json: bool) -> Result<ExitCode> {
    let UnbanArguments { chain, who, reason, place, key } = arguments;
    let operator = Operator::new(&read_chain(chain)?, place, key)?;
    let mut lifted: Vec<Value> = Vec::new();
    for who in who {
        operator.lift(&LiftBan { who: who.clone(), reason: reason.clone() })?;
        if !json {
            println!("{}: the ban is lifted", who.escape_debug());
        }
        lifted.push(json!({ "who": who }));
    }
    if json {
        println!("{}", json!({ "lifted": lifted }));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_who_why_and_for_how_long_and_moves_nothing() {
        let ban = BanBody {
            who: "alice.\u{202e}gir".to_owned(),
            kind: "name".to_owned(),
            reason: "99 of 100 shares were invalid".to_owned(),
            until: 1_700_003_599.5,
            seconds_left: 3599.5,
        };
        assert_eq!(row(&ban), ["alice.\\u{202e}gir", "name", "59 min", "99 of 100 shares were invalid"]);
    }
}
