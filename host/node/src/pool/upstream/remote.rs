//! Another Adit node as the pool's upstream: templates pushed over its WebSocket, blocks and payments by its API.

use super::adit::Purse;
use super::{Fetched, Mark, Submitted, UpstreamError, WalletError, Wanted};
use crate::api::block::{BlockDetail, OfferedBlock};
use crate::api::blocks::{MineBlockRequest, MineBlockResponse, SubmitBlockResponse};
use crate::api::shapes::{self, Hex, TransactionBody};
use crate::api::space::{PLOTS_MAX, PlotBody, PlotsRequest, PlotsResponse};
use crate::api::status::StatusResponse;
use crate::api::transactions::{HoldingsResponse, LocatedBody, TransactionResponse};
use crate::client::{NodeClient, Patience, Subscription};
use crate::retry::Failure;
use adit_chain::{OutPoint, Output, Transaction, Unspent};
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_pool::work::adit::{self, AditWork};
use adit_pool::work::farm::SpaceTemplate;
use adit_pool::work::template::TemplateError;
use adit_primitives::accounts::{PaymentOutput, SignedPayment};
use adit_primitives::contract::PowInput;
use adit_primitives::contract::space::Registration;
use adit_primitives::{Amount, BlockId, Decode, Encode, Height, Target, Timestamp, TxId, U256};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A node that does not answer gives its turn to the next: it is not asked twice here.
const ONCE: Patience = Patience::Attempts(1);

/// How long to wait before a broken subscription is opened again.
const PAUSE: Duration = Duration::from_millis(250);

/// A node of the same chain.
pub struct RemoteNode {
    name: String,
    /// Of this node alone. It compares rules before it asks anything.
    client: NodeClient,
    purse: Purse,
    pushed: Mutex<Option<Subscription>>,
}

impl RemoteNode {
    /// Takes a client of one node.
    pub fn new(name: String, client: NodeClient, purse: Purse) -> Self {
        Self { name, client, purse, pushed: Mutex::new(None) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub async fn agree(&self) -> Result<(), UpstreamError> {
        self.client.handshake(ONCE).await.map(|_| ()).map_err(failed)
    }

    pub async fn template(&self, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        if let Some(Mark::State(state)) = since {
            self.news(*state, patience).await;
        }
        let request = MineBlockRequest {
            miner_address: self.own_address(),
            client_version: None,
            timestamp: None,
            extra: Some(Hex(self.purse.extra())),
            compact: false,
        };
        let (_, response): (_, MineBlockResponse) =
            self.client.ask("mine_block", Some(&request), ONCE).await.map_err(failed)?;
        let mark = Mark::State(response.block_template.state_version);
        Ok(Fetched { template: self.wanted(response)?, mark })
    }

    /// Waits until the node pushes a template of another state, for so long at most.
    async fn news(&self, state: u64, patience: Duration) {
        let until = Instant::now() + patience;
        let mut pushed = self.pushed.lock().await;
        while Instant::now() < until {
            if pushed.is_none() {
                *pushed = self.client.subscribe(&self.own_address(), ONCE).await.ok();
            }
            let Some(subscription) = pushed.as_mut() else {
                return tokio::time::sleep_until(until.min(Instant::now() + PAUSE)).await;
            };
            match tokio::time::timeout_at(until, subscription.next()).await {
                Ok(Ok(response)) if response.block_template.state_version != state => return,
                Ok(Ok(_)) => {}
                Ok(Err(_)) => {
                    *pushed = None;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => return,
            }
        }
    }

    pub async fn submit(&self, block: &[u8]) -> Result<Submitted, UpstreamError> {
        let offered = OfferedBlock { bytes: Hex(block.to_vec()) };
        let answer: Result<(_, SubmitBlockResponse), _> = self.client.ask("block", Some(&offered), ONCE).await;
        match answer {
            Ok(_) => Ok(Submitted::Taken),
            Err(Failure::Rejected { code, .. }) if code == "known" => Ok(Submitted::Taken),
            Err(Failure::Rejected { message, .. }) => Ok(Submitted::Refused { reason: message }),
            Err(failure) => Err(failed(failure)),
        }
    }

    pub async fn standing(&self, id: BlockId, height: Height) -> Result<Option<Standing>, UpstreamError> {
        let Some(detail): Option<BlockDetail> = self.known(&format!("block/{id}")).await? else { return Ok(None) };
        let (_, status): (_, StatusResponse) = self.client.ask("status", None::<&()>, ONCE).await.map_err(failed)?;
        let from = |height: u64| status.blockchain_length.saturating_sub(height);
        let Some(by) = detail.applied_by else {
            return Ok(Some(Standing::OffChain { blocks_from_its_height: from(height.0) }));
        };
        let by: Option<BlockDetail> = self.known(&format!("block/{by}")).await?;
        Ok(by.map(|by| Standing::OnChain { confirmations: from(by.block.index) }))
    }

    pub async fn register(&self, plots: &[Registration]) -> Result<Vec<Option<Height>>, UpstreamError> {
        let mut heights = Vec::with_capacity(plots.len());
        for part in plots.chunks(PLOTS_MAX) {
            let request = PlotsRequest { plots: part.iter().map(|plot| PlotBody::new(plot, None)).collect() };
            let (_, answer): (_, PlotsResponse) =
                self.client.ask("plots", Some(&request), ONCE).await.map_err(failed)?;
            if answer.plots.len() != part.len() {
                return Err(garbled("it is about other plots".to_owned()));
            }
            heights.extend(answer.plots.iter().map(|plot| plot.registered.map(Height)));
        }
        Ok(heights)
    }

    pub fn address(&self, text: &str) -> Option<String> {
        self.purse.address(text)
    }

    pub async fn sign(&self, outputs: &[PaymentOutput]) -> Result<SignedPayment, WalletError> {
        self.purse.pay(outputs, &self.spendable(&self.holdings().await?)?)
    }

    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        let transaction = Transaction::from_bytes(raw).map_err(|error| garbled(error.to_string()))?;
        let body = TransactionBody::new(&transaction, None, &self.purse.prefix);
        let sent: Result<(_, TransactionResponse), _> = self.client.ask("transaction", Some(&body), ONCE).await;
        match sent {
            Ok(_) => Ok(()),
            Err(Failure::Rejected { code, .. }) if code == "known" => Ok(()),
            Err(failure) => Err(failed(failure)),
        }
    }

    pub async fn sighting(&self, id: TxId) -> Result<Sighting, UpstreamError> {
        let located: Option<LocatedBody> = self.known(&format!("transaction/{id}")).await?;
        Ok(match located {
            None => Sighting::Unknown,
            Some(located) if located.block_hash.is_none() => Sighting::Waiting,
            Some(located) => Sighting::Confirmed { confirmations: located.confirmations },
        })
    }

    pub async fn holds_inputs(&self, raw: &[u8]) -> Result<bool, UpstreamError> {
        let transaction = Transaction::from_bytes(raw).map_err(|error| garbled(error.to_string()))?;
        let held = self.holdings().await?;
        let is_held = |at: OutPoint| {
            let is_it = |id: &str| id.parse() == Ok(at.transaction);
            held.unspent.iter().any(|unspent| unspent.output_index == at.index && is_it(&unspent.transaction_id))
        };
        let all = transaction.inputs.iter().all(|input| is_held(input.previous));
        if !all && held.more {
            let detail = "the pool's address has more outputs than the node lists".to_owned();
            return Err(UpstreamError::Chain { detail });
        }
        Ok(all)
    }

    async fn holdings(&self) -> Result<HoldingsResponse, UpstreamError> {
        let path = format!("address/{}", self.own_address());
        self.client.ask(&path, None::<&()>, ONCE).await.map(|(_, held)| held).map_err(failed)
    }

    fn own_address(&self) -> String {
        self.purse.prefix.address(self.purse.key.public()).to_string()
    }

    /// Asks for something that the node may not know.
    async fn known<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, UpstreamError> {
        match self.client.ask(path, None::<&()>, ONCE).await {
            Ok((_, answer)) => Ok(Some(answer)),
            Err(Failure::Rejected { status: 404, .. }) => Ok(None),
            Err(failure) => Err(failed(failure)),
        }
    }

    /// Outputs that no waiting transaction spends.
    fn spendable(&self, held: &HoldingsResponse) -> Result<Vec<(OutPoint, Unspent)>, UpstreamError> {
        let key = self.purse.key.public();
        let free = held.unspent.iter().filter(|unspent| !unspent.spent_by_pending);
        free.map(|unspent| {
            let transaction =
                unspent.transaction_id.parse().map_err(|_| garbled("it names no transaction".to_owned()))?;
            let output = Unspent {
                output: Output { amount: Amount::from_atoms(unspent.amount_atoms), key },
                height: Height(unspent.block_index),
                coinbase: unspent.coinbase,
            };
            Ok((OutPoint { transaction, index: unspent.output_index }, output))
        })
        .collect()
    }

    fn wanted(&self, response: MineBlockResponse) -> Result<Wanted, UpstreamError> {
        let template = response.block_template;
        let read = |body: TransactionBody| body.read(&self.purse.prefix).map_err(|error| garbled(error.message));
        let mut transactions = template.transactions.unwrap_or_default().into_iter().map(read);
        let coinbase = transactions.next().ok_or_else(|| garbled("it has no coinbase".to_owned()))??;
        let others = transactions.map(|transaction| transaction.map(|transaction| transaction.to_bytes()));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let bytes = coinbase.to_bytes();
        let (reward, height) = (coinbase.output_sum().unwrap_or(Amount::ZERO), Height(template.index));
        let fees = Amount::from_atoms(response.mining_metadata.total_fees_atoms);
        let time = shapes::time_of("timestamp", template.timestamp).map_err(|error| garbled(error.message))?;
        if let Some(space) = template.space {
            let (challenge, register) = space.read().ok_or_else(|| garbled("what farmers are asked".to_owned()))?;
            let (previous, body_root) = (&template.previous_hash, &template.merkle_root);
            return Ok(Wanted::Space(SpaceTemplate {
                height,
                previous: shapes::parse("previous_hash", previous).map_err(|error| garbled(error.message))?,
                header: template.header.0,
                challenge,
                time,
                bits: template.bits,
                body_root: shapes::parse("merkle_root", body_root).map_err(|error| garbled(error.message))?,
                register,
                transactions: std::iter::once(bytes).chain(others).collect(),
                reward,
                fees,
            }));
        }
        let target = U256::from_str_radix(&template.work.target, 16);
        let target = target.map_err(|_| TemplateError::Missing { field: "target" })?;
        let extra = coinbase.coinbase_data().map_or(0, |data| data.extra.len());
        Ok(Wanted::Work(adit::template(&AditWork {
            height,
            header: template.header.0,
            pow: PowInput {
                bytes: template.work.bytes.0,
                nonce_offset: template.work.nonce_offset,
                nonce_bytes: template.work.nonce_bytes,
                roll_offset: template.work.roll_offset,
                roll_mask: template.work.roll_mask,
            },
            target: Target(target),
            // The node says no earliest time of its own: its template's, in the whole seconds of such headers, is one that holds.
            earliest: Timestamp::from_secs(time.to_secs()),
            extranonce_offset: bytes.len() - extra,
            extranonce_bytes: self.purse.extranonce_bytes,
            reward,
            fees,
            coinbase: bytes,
            transactions: others,
        })?))
    }
}

fn failed(failure: Failure) -> UpstreamError {
    UpstreamError::Chain { detail: failure.to_string() }
}

fn garbled(detail: String) -> UpstreamError {
    UpstreamError::Chain { detail: format!("the answer is not understood: {detail}") }
}
