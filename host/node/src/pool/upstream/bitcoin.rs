//! A node of Bitcoin's family as the pool's upstream: `getblocktemplate`, `submitblock`, and the node's wallet for payments.
//!
//! What is relied on was tried with Litecoin Core 0.21. A node's errors are read by their codes, never by their texts.

use super::rpc::{Rpc, RpcError, RpcSettingsError};
use super::{Fetched, Mark, Submitted, UpstreamError, WalletError, Wanted};
use crate::api::shapes::Hex;
use crate::settings::pool::UpstreamSettings;
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_pool::work::bitcoin::{self, CoinbaseRequest, NodeTemplate};
use adit_primitives::accounts::{PaymentOutput, SignedPayment};
use adit_primitives::{Amount, BlockId, Height, TxId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// `RPC_INVALID_ADDRESS_OR_KEY`: what was asked for is not known.
const NOT_FOUND: i64 = -5;

/// `RPC_VERIFY_ALREADY_IN_CHAIN`.
const ALREADY_IN_CHAIN: i64 = -27;

/// `RPC_WALLET_INSUFFICIENT_FUNDS` and the wallet's other refusals to make a transaction.
const WALLET_ERRORS: std::ops::RangeInclusive<i64> = -19..=-3;

/// `RPC_WALLET_INVALID_LABEL_NAME`: no address stands under the label.
const NO_LABEL: i64 = -11;

/// Under which the wallet keeps the address that blocks pay, where the operator names none.
const LABEL: &str = "adit-pool";

/// How long a call that waits for news is given. A node answers it with the next block, or after a minute where there are new transactions.
const NEWS_TIME: Duration = Duration::from_secs(3_600);

/// The digits of the tip, which a `longpollid` begins with.
const TIP_DIGITS: usize = 64;

/// Coins have eight decimal places.
const DECIMALS: usize = 8;

/// The atoms of a coin.
const COIN: u64 = 100_000_000;

/// The rules of templates that the pool knows how to keep.
const RULES: [&str; 2] = ["mweb", "segwit"];

/// A node of Bitcoin's family.
pub struct BitcoinNode {
    rpc: Arc<Rpc>,
    name: String,
    /// The chain's genesis as its rules have it.
    genesis: BlockId,
    /// Whom blocks pay. `None`: an address of the node's own wallet, kept there under [`LABEL`].
    address: Option<String>,
    /// The script of that address, once the node has told it.
    script: OnceLock<Vec<u8>>,
    shape: CoinbaseShape,
    news: Mutex<News>,
}

/// The one call that waits for news. A node does not notice that a caller has gone: each such call holds one of its few threads until the
/// next block, so a new one is made only when the last has come back.
#[derive(Default)]
struct News {
    /// Since when: a `longpollid`.
    since: String,
    /// At most one.
    call: JoinSet<Result<NodeTemplate, RpcError>>,
}

/// What the pool puts into coinbases.
#[derive(Debug, Clone)]
pub struct CoinbaseShape {
    pub extranonce_bytes: usize,
    /// Where a node wants so much in its coinbases that there is no room for as many.
    pub extranonce_bytes_min: usize,
    pub tag: Vec<u8>,
    /// Which bits of a version miners may roll.
    pub version_mask: u32,
}

#[derive(Deserialize)]
struct ValidAddress {
    isvalid: bool,
    #[serde(default)]
    address: Option<String>,
    #[serde(default, rename = "scriptPubKey")]
    script: Option<String>,
    #[serde(default)]
    ismweb: bool,
}

#[derive(Deserialize)]
struct HeaderAnswer {
    confirmations: i64,
    height: u64,
}

#[derive(Deserialize)]
struct Funded {
    hex: String,
    fee: Box<RawValue>,
}

#[derive(Deserialize)]
struct Signed {
    hex: String,
    complete: bool,
}

#[derive(Deserialize)]
struct Decoded {
    txid: String,
}

#[derive(Deserialize)]
struct Spending {
    vin: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    txid: String,
    vout: u32,
}

#[derive(Deserialize)]
struct WalletTransaction {
    confirmations: i64,
    #[serde(default = "trusted")]
    trusted: bool,
}

/// Confirmed transactions come without it.
const fn trusted() -> bool {
    true
}

impl BitcoinNode {
    /// Makes a client; nothing is connected yet.
    pub fn new(
        settings: &UpstreamSettings,
        genesis: BlockId,
        address: Option<String>,
        shape: CoinbaseShape,
    ) -> Result<Self, RpcSettingsError> {
        let rpc = Arc::new(Rpc::new(settings)?);
        let name = rpc.url().trim_end_matches('/').to_owned();
        Ok(Self { rpc, name, genesis, address, script: OnceLock::new(), shape, news: Mutex::default() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub async fn agree(&self) -> Result<(), UpstreamError> {
        let found: String = self.rpc.call("getblockhash", json!([0])).await?;
        let want = self.genesis.to_string();
        if found == want { Ok(()) } else { Err(UpstreamError::OtherChain { found, want }) }
    }

    pub async fn template(&self, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        let script = self.script().await?.to_vec();
        let answer = match since {
            Some(Mark::LongPoll(Some(id))) => self.news(id, patience).await?,
            Some(_) => {
                tokio::time::sleep(patience).await;
                self.now().await?
            }
            None => {
                // What was asked before the node failed will not be answered.
                *self.news.lock().await = News::default();
                self.now().await?
            }
        };
        let CoinbaseShape { extranonce_bytes, extranonce_bytes_min, tag, version_mask } = &self.shape;
        let request = CoinbaseRequest {
            pay_to: &script,
            tag,
            extranonce_bytes: *extranonce_bytes,
            extranonce_bytes_min: *extranonce_bytes_min,
            version_mask: *version_mask,
        };
        let template = bitcoin::template(&answer, &request)?;
        Ok(Fetched { template: Wanted::Work(template), mark: Mark::LongPoll(answer.longpollid) })
    }

    /// Returns a template when there is news, or after `patience`.
    async fn news(&self, id: &str, patience: Duration) -> Result<NodeTemplate, RpcError> {
        let mut news = self.news.lock().await;
        let tip = |id: &str| id.get(..TIP_DIGITS).unwrap_or(id).to_owned();
        // The tip has moved and the call has not come back: its connection is dead.
        if tip(&news.since) != tip(id) {
            *news = News { since: id.to_owned(), call: JoinSet::new() };
        }
        if news.call.is_empty() {
            let (rpc, request) = (Arc::clone(&self.rpc), json!([{ "rules": RULES, "longpollid": id }]));
            news.call.spawn(async move { rpc.wait("getblocktemplate", request, NEWS_TIME).await });
        }
        match tokio::time::timeout(patience, news.call.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            // Nothing new, and the call goes on.
            _ => self.now().await,
        }
    }

    async fn now(&self) -> Result<NodeTemplate, RpcError> {
        self.rpc.call("getblocktemplate", json!([{ "rules": RULES }])).await
    }

    pub async fn submit(&self, block: &[u8]) -> Result<Submitted, UpstreamError> {
        let answer: Option<String> = self.rpc.call("submitblock", json!([Hex(block.to_vec())])).await?;
        // A block beside the tip is stored, and may yet win.
        Ok(match answer.as_deref() {
            None | Some("duplicate" | "inconclusive" | "duplicate-inconclusive") => Submitted::Taken,
            // The node has lost its newest blocks, as after a crash. It gets them back from its peers.
            Some("prev-blk-not-found") => {
                return Err(UpstreamError::Chain { detail: "it does not know the block before ours yet".to_owned() });
            }
            Some(reason) => Submitted::Refused { reason: reason.to_owned() },
        })
    }

    pub async fn standing(&self, id: BlockId, height: Height) -> Result<Option<Standing>, UpstreamError> {
        let answer: HeaderAnswer = match self.rpc.call("getblockheader", json!([id.to_string()])).await {
            Ok(answer) => answer,
            Err(RpcError::Refused { code: NOT_FOUND, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Ok(confirmations) = u64::try_from(answer.confirmations) {
            return Ok(Some(Standing::OnChain { confirmations }));
        }
        let tip: u64 = self.rpc.call("getblockcount", json!([])).await?;
        let height = answer.height.max(height.0);
        Ok(Some(Standing::OffChain { blocks_from_its_height: (tip + 1).saturating_sub(height) }))
    }

    pub async fn address(&self, text: &str) -> Result<Option<String>, UpstreamError> {
        Ok(self.valid(text).await?.map(|(address, _)| address))
    }

    pub async fn sign(&self, outputs: &[PaymentOutput]) -> Result<SignedPayment, WalletError> {
        for output in outputs {
            if self.valid(&output.address).await?.is_none() {
                return Err(WalletError::Address { address: output.address.clone() });
            }
        }
        let wanted: Vec<Value> =
            outputs.iter().map(|output| json!({ &output.address: coins(output.amount) })).collect();
        let bare: String = self.wallet("createrawtransaction", json!([[], wanted])).await?;
        // Our outputs keep their order: what is left goes to the last place. Nothing is locked: payments are made one at a time, and locks would
        // outlive a crash of the pool.
        let options = json!({ "changePosition": outputs.len() });
        let funded: Funded = self.wallet("fundrawtransaction", json!([bare, options])).await?;
        let signed: Signed = self.wallet("signrawtransactionwithwallet", json!([funded.hex])).await?;
        if !signed.complete {
            return Err(WalletError::Funds { detail: "the wallet cannot sign for what it chose to spend".to_owned() });
        }
        let decoded: Decoded = self.wallet("decoderawtransaction", json!([signed.hex])).await?;
        let garbled = |detail: &str| UpstreamError::Rpc(RpcError::Garbled { detail: detail.to_owned() });
        let id: TxId = decoded.txid.parse().map_err(|_| garbled("it names no transaction id"))?;
        let raw = unhex(&signed.hex).ok_or_else(|| garbled("the transaction is not hexadecimal"))?;
        let fee = amount(funded.fee.get()).ok_or_else(|| garbled("the fee is no amount"))?;
        Ok(SignedPayment { id, raw, fee })
    }

    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        let sent: Result<String, _> = self.rpc.call("sendrawtransaction", json!([Hex(raw.to_vec())])).await;
        match sent {
            Ok(_) | Err(RpcError::Refused { code: ALREADY_IN_CHAIN, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn sighting(&self, id: TxId) -> Result<Sighting, UpstreamError> {
        let known: WalletTransaction = match self.rpc.call_wallet("gettransaction", json!([id.to_string()])).await {
            Ok(known) => known,
            Err(RpcError::Refused { code: NOT_FOUND, .. }) => return Ok(Sighting::Unknown),
            Err(error) => return Err(error.into()),
        };
        Ok(match known.confirmations {
            0 if known.trusted => Sighting::Waiting,
            // The wallet has it and the mempool has not: it is to be sent again.
            0 => Sighting::Unknown,
            under if under > 0 => Sighting::Confirmed { confirmations: under.unsigned_abs() },
            against => Sighting::Conflicted { confirmations: against.unsigned_abs() },
        })
    }

    pub async fn holds_inputs(&self, raw: &[u8]) -> Result<bool, UpstreamError> {
        // It gives a template only when it has caught up: before that it does not know what is there.
        self.now().await?;
        let spending: Spending = self.rpc.call("decoderawtransaction", json!([Hex(raw.to_vec())])).await?;
        for Input { txid, vout } in spending.vin {
            // With its mempool and without: change that waits is only there with it, and what a waiting transaction spends only without.
            let with: Option<Value> = self.rpc.call("gettxout", json!([txid, vout, true])).await?;
            let without: Option<Value> = self.rpc.call("gettxout", json!([txid, vout, false])).await?;
            if with.or(without).is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the script that blocks pay.
    async fn script(&self) -> Result<&[u8], UpstreamError> {
        if let Some(script) = self.script.get() {
            return Ok(script);
        }
        let address = match &self.address {
            Some(address) => address.clone(),
            None => self.labelled().await?,
        };
        let detail = || format!("{address} is no address of its chain that a block can pay");
        let (_, script) = self.valid(&address).await?.ok_or_else(|| UpstreamError::Chain { detail: detail() })?;
        tracing::info!(address, "the pool's blocks pay this address");
        Ok(self.script.get_or_init(|| script))
    }

    /// Returns the address under the pool's label, made at the first start.
    async fn labelled(&self) -> Result<String, UpstreamError> {
        let known: Result<BTreeMap<String, Value>, _> =
            self.rpc.call_wallet("getaddressesbylabel", json!([LABEL])).await;
        match known {
            Ok(addresses) => match addresses.into_keys().next() {
                Some(address) => Ok(address),
                None => Ok(self.rpc.call_wallet("getnewaddress", json!([LABEL, "bech32"])).await?),
            },
            Err(RpcError::Refused { code: NO_LABEL, .. }) => {
                Ok(self.rpc.call_wallet("getnewaddress", json!([LABEL, "bech32"])).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns an address in the one form that the node itself writes, with its script. An address without a script, as those of MWEB, is
    /// none here: an output to it could be taken by anyone.
    async fn valid(&self, text: &str) -> Result<Option<(String, Vec<u8>)>, UpstreamError> {
        let answer: ValidAddress = self.rpc.call("validateaddress", json!([text])).await?;
        let script = answer.script.as_deref().and_then(unhex).filter(|script| !script.is_empty());
        let sound = answer.isvalid && !answer.ismweb;
        Ok(script.filter(|_| sound).map(|script| (answer.address.unwrap_or_else(|| text.to_owned()), script)))
    }

    async fn wallet<T: serde::de::DeserializeOwned>(&self, method: &str, parameters: Value) -> Result<T, WalletError> {
        self.rpc.call_wallet(method, parameters).await.map_err(|error| match error {
            RpcError::Refused { code, message } if WALLET_ERRORS.contains(&code) => {
                WalletError::Funds { detail: format!("{message} (code {code})") }
            }
            error => WalletError::Upstream(error.into()),
        })
    }
}

/// Writes an amount in coins, exactly.
fn coins(amount: Amount) -> String {
    let atoms = amount.to_atoms();
    format!("{}.{:0DECIMALS$}", atoms / COIN, atoms % COIN)
}

/// Reads an amount in coins, exactly. `None` where it has more decimal places, a sign or an exponent.
fn amount(text: &str) -> Option<Amount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok().map(Amount::from_atoms)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    Hex::parse(text).map(|hex| hex.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_and_read_to_the_last_atom() {
        for (atoms, text) in [(1, "0.00000001"), (150_000_000, "1.50000000"), (u64::MAX, "184467440737.09551615")] {
            assert_eq!(coins(Amount::from_atoms(atoms)), text);
            assert_eq!(amount(text), Some(Amount::from_atoms(atoms)));
        }
        for text in ["-1.0", "1e-5", "0.000000001", "", ".5", "184467440737.09551616"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }
}
