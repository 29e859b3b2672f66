//! `adit send` and `adit balance`: enough of a wallet to make real transactions.
//!
//! The key never leaves this process: the node is asked what an address holds, and is given a signed transaction.

use crate::config::{self, ResolvedChain};
use crate::{key, sandbox};
use adit_chain::payment::{Payment, pay};
use adit_chain::{OutPoint, Output, PublicKey, Unspent};
use adit_node::api::shapes::{TransactionBody, decimal};
use adit_node::api::transactions::{HoldingsResponse, TransactionResponse};
use adit_node::client::{NodeClient, Patience};
use adit_primitives::{Amount, Height, TxId};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// How often a node is asked before a command gives up.
const ATTEMPTS: u32 = 3;

/// Atoms of a coin, as decimal places.
const DECIMALS: usize = 8;

#[derive(clap::Args)]
pub struct NodeChoice {
    /// The chain.
    chain: PathBuf,
    /// The node to ask: the one of chain.toml unless told otherwise.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
}

#[derive(clap::Args)]
pub struct SendArguments {
    #[command(flatten)]
    node: NodeChoice,
    /// The key file that pays.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The address that is paid.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The amount in coins: `1.5`.
    #[arg(long, value_parser = parse_coins)]
    amount: Amount,
    /// The fee in atoms for each 1,000 bytes.
    #[arg(long, default_value_t = 1_000, value_name = "ATOMS")]
    fee_rate: u64,
}

#[derive(clap::Args)]
pub struct BalanceArguments {
    #[command(flatten)]
    node: NodeChoice,
    /// The address.
    #[arg(long, required_unless_present = "key", conflicts_with = "key")]
    address: Option<String>,
    /// A key file, for its address.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A connection to one node of a chain.
struct Wallet {
    chain: ResolvedChain,
    client: NodeClient,
    runtime: tokio::runtime::Runtime,
}

impl Wallet {
    fn open(choice: &NodeChoice) -> Result<Self> {
        let chain = config::read(&choice.chain, &sandbox::open()?)?.into_chain()?;
        let node = &chain.settings.node;
        let scheme = if node.tls.is_some() { "https" } else { "http" };
        let url = choice.node.clone().unwrap_or_else(|| format!("{scheme}://{}", node.api));
        let ca_file = chain.settings.miner.ca_file.as_deref();
        let client = NodeClient::new(&[url], ca_file, chain.rules.clone(), crate::run::entropy())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        Ok(Self { chain, client, runtime })
    }

    fn holdings(&self, address: &str) -> Result<HoldingsResponse> {
        let path = format!("address/{address}");
        let ask = self.client.ask::<(), _>(&path, None, Patience::Attempts(ATTEMPTS));
        Ok(self.runtime.block_on(ask)?.1)
    }
}

/// Pays.
pub fn send(arguments: &SendArguments, json: bool) -> Result<ExitCode> {
    let key = key::read(&arguments.key)?;
    let wallet = Wallet::open(&arguments.node)?;
    let prefix = &wallet.chain.prefix;
    let to = prefix.parse(&arguments.to).with_context(|| format!("{} is no address of this chain", arguments.to))?;
    let own = prefix.address(key.public()).to_string();
    let holdings = wallet.holdings(&own)?;
    let payment = Payment {
        outputs: vec![Output { amount: arguments.amount, key: to.key }],
        fee_per_kilobyte: Amount::from_atoms(arguments.fee_rate),
    };
    let spendable = spendable(&holdings, key.public())?;
    let transaction = pay(&wallet.chain.rules.identity(), &payment, &spendable, &key)?;
    let body = TransactionBody::new(&transaction, None, prefix);
    let ask = wallet.client.ask::<_, TransactionResponse>("transaction", Some(&body), Patience::Attempts(ATTEMPTS));
    let (_, answer) = wallet.runtime.block_on(ask)?;
    let amount = arguments.amount;
    if json {
        let (id, to, atoms) = (answer.transaction_id, &arguments.to, amount.to_atoms());
        println!("{}", json!({ "transaction_id": id, "to": to, "amount": decimal(amount), "amount_atoms": atoms }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}: {} to {}", answer.transaction_id, decimal(amount), arguments.to);
    Ok(ExitCode::SUCCESS)
}

/// Outputs that no waiting transaction spends.
fn spendable(holdings: &HoldingsResponse, key: PublicKey) -> Result<Vec<(OutPoint, Unspent)>> {
    let free = holdings.unspent.iter().filter(|unspent| !unspent.spent_by_pending);
    free.map(|unspent| {
        let transaction: TxId = unspent.transaction_id.parse().context("the node names no transaction")?;
        let output = Unspent {
            output: Output { amount: Amount::from_atoms(unspent.amount_atoms), key },
            height: Height(unspent.block_index),
            coinbase: unspent.coinbase,
        };
        Ok((OutPoint { transaction, index: unspent.output_index }, output))
    })
    .collect()
}

/// Shows what an address holds.
pub fn balance(arguments: &BalanceArguments, json: bool) -> Result<ExitCode> {
    let wallet = Wallet::open(&arguments.node)?;
    let address = match (&arguments.address, &arguments.key) {
        (Some(address), _) => address.clone(),
        (None, Some(file)) => wallet.chain.prefix.address(key::read(file)?.public()).to_string(),
        (None, None) => bail!("an address or a key file is wanted"),
    };
    let holdings = wallet.holdings(&address)?;
    if json {
        let HoldingsResponse { balance, balance_atoms, immature, immature_atoms, more, .. } = holdings;
        let whole = json!({ "address": address, "balance": balance, "balance_atoms": balance_atoms, "immature": immature,
            "immature_atoms": immature_atoms, "more": more });
        println!("{whole}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{address}");
    println!("spendable  {}", holdings.balance);
    println!("immature   {}", holdings.immature);
    if holdings.more {
        println!("there are more outputs than the node looked at: the sums are too low");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads coins with at most eight decimal places.
fn parse_coins(text: &str) -> Result<Amount, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
        return Err(format!("{text:?} is no amount: digits, and at most {DECIMALS} after the point"));
    }
    let atoms =
        format!("{whole}{fraction:0<DECIMALS$}").parse().map_err(|_| format!("{text:?} is more than there can be"))?;
    Ok(Amount::from_atoms(atoms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<u64>) {
        assert_eq!(parse_coins(text).ok().map(Amount::to_atoms), want, "{text}");
    }

    #[test]
    fn coins_are_read_to_the_last_atom() {
        check("1", Some(100_000_000));
        check("0.00000001", Some(1));
        check("1.5", Some(150_000_000));
        check("184467440737.09551615", Some(u64::MAX));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".5", "1.000000001", "-1", "1e3", "184467440737.09551616", "1.2.3", "٣"] {
            check(text, None);
        }
    }
}
