//! The chain of this process as the pool's upstream: templates pushed by its snapshots, blocks and payments by its mailbox.

use super::{Fetched, Mark, Submitted, UpstreamError, WalletError, Wanted};
use crate::chain::{ChainHandle, Client, SubmitError, Unavailable};
use adit_chain::{
    AddressPrefix, Block, BlockError, MempoolError, OutPoint, Output, Payment, SecretKey, TemplateRequest, Transaction,
    Unspent, WorkTemplate, payment,
};
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_pool::work::adit::{self, AditWork};
use adit_pool::work::farm::SpaceTemplate;
use adit_pool::work::template::{BlockTemplate, JOB_BYTES, TemplateError};
use adit_primitives::accounts::{PaymentOutput, SignedPayment};
use adit_primitives::contract::space::{Challenge, Registration};
use adit_primitives::{Amount, BlockId, Decode, Encode, Hash256, Height, TxId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How many of the pool's outputs are looked at for a payment.
const OUTPUTS_LOOKED_AT: usize = 10_000;

/// The earliest time between two templates of one state, however many transactions come.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Whom an Adit chain's blocks pay, and who pays miners.
pub struct Purse {
    /// Digest of the chain's rules: what payments are signed for.
    pub identity: Hash256,
    pub prefix: AddressPrefix,
    pub key: SecretKey,
    /// The bytes that a coinbase has for extranonces.
    pub extranonce_bytes: usize,
    /// What stands in the coinbase after them.
    pub tag: Vec<u8>,
    /// In atoms for each 1,000 bytes of a payment.
    pub fee_rate: Amount,
}

/// The chain of this process.
pub struct AditNode {
    pub chain: ChainHandle,
    pub purse: Purse,
}

impl Purse {
    /// Returns the coinbase's bytes after the height: room for what the pool puts in, and the tag.
    pub fn extra(&self) -> Vec<u8> {
        let mut extra = vec![0; JOB_BYTES + self.extranonce_bytes];
        extra.extend_from_slice(&self.tag);
        extra
    }

    /// Returns an address as the chain writes it.
    pub fn address(&self, text: &str) -> Option<String> {
        self.prefix.parse(text).ok().map(|address| address.to_string())
    }

    /// Makes and signs a payment from outputs that nobody has spent.
    pub fn pay(
        &self,
        outputs: &[PaymentOutput],
        spendable: &[(OutPoint, Unspent)],
    ) -> Result<SignedPayment, WalletError> {
        let output = |output: &PaymentOutput| {
            let address = self.prefix.parse(&output.address);
            let unknown = |_| WalletError::Address { address: output.address.clone() };
            address.map(|address| Output { amount: output.amount, key: address.key }).map_err(unknown)
        };
        let outputs = outputs.iter().map(output).collect::<Result<Vec<_>, _>>()?;
        let wish = Payment { outputs, fee_per_kilobyte: self.fee_rate };
        let funds = |error: adit_chain::PaymentError| WalletError::Funds { detail: error.to_string() };
        let transaction = payment::pay(&self.identity, &wish, spendable, &self.key).map_err(funds)?;
        let value = |at| spendable.iter().find(|(place, _)| *place == at).map(|(_, unspent)| unspent.output.amount);
        let put_in = Amount::checked_sum(transaction.inputs.iter().filter_map(|input| value(input.previous)));
        let fee = put_in.zip(transaction.output_sum()).and_then(|(put_in, paid)| put_in.checked_sub(paid));
        let fee = fee.ok_or_else(|| WalletError::Funds { detail: "amounts do not add up".to_owned() })?;
        Ok(SignedPayment { id: transaction.id(), raw: transaction.to_bytes(), fee })
    }
}

impl AditNode {
    pub fn name(&self) -> &'static str {
        "own chain"
    }

    pub async fn template(&self, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        if let Some(Mark::State(state)) = since {
            let mut snapshots = self.chain.watch();
            let moved = snapshots.wait_for(|snapshot| snapshot.state_version != *state);
            // Waiting for longer than that means that nothing happened: the template is then only renewed.
            drop(tokio::time::timeout(patience, moved).await);
        }
        let purse = &self.purse;
        let request = TemplateRequest { pay_to: purse.key.public(), extra: purse.extra(), difficulty: None };
        loop {
            match self.chain.template(Client::Own, request.clone()).await {
                Ok(Ok(template)) => {
                    let mark = Mark::State(template.state_version);
                    let template = match &template.challenge {
                        Some(challenge) => Wanted::Space(self.space_template(&template, challenge)),
                        None => Wanted::Work(block_template(&template, purse.extranonce_bytes)?),
                    };
                    return Ok(Fetched { template, mark });
                }
                Ok(Err(error)) => return Err(UpstreamError::Chain { detail: error.to_string() }),
                Err(Unavailable::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
                Err(Unavailable::Stopped) => return Err(stopped()),
            }
        }
    }

    fn space_template(&self, template: &WorkTemplate, challenge: &Challenge) -> SpaceTemplate {
        let most = usize::try_from(challenge.registrations_max).unwrap_or(usize::MAX);
        SpaceTemplate {
            height: template.requirements.height,
            previous: template.requirements.parents.first().copied().unwrap_or_default(),
            header: template.header.clone(),
            challenge: challenge.clone(),
            time: template.time,
            bits: template.requirements.bits,
            body_root: template.body_root,
            register: self.chain.plots().waiting_first(most),
            transactions: transactions(template),
            reward: template.coinbase.output_sum().unwrap_or(Amount::ZERO),
            fees: template.fees,
        }
    }

    pub async fn register(
        &self,
        source: IpAddr,
        plots: Vec<Registration>,
    ) -> Result<Vec<Option<Height>>, UpstreamError> {
        let failed = |detail: String| UpstreamError::Chain { detail };
        let known = Arc::clone(self.chain.plots());
        let heights = tokio::task::spawn_blocking(move || known.register(Some(source), &plots)).await;
        heights.map_err(|_| failed("looking for plots panicked".to_owned()))?.map_err(|error| failed(error.to_string()))
    }

    pub async fn submit(&self, block: &[u8]) -> Result<Submitted, UpstreamError> {
        submit(&self.chain, block).await
    }

    pub fn standing(&self, id: BlockId, height: Height) -> Option<Standing> {
        standing(&self.chain, id, height)
    }

    pub fn address(&self, text: &str) -> Option<String> {
        self.purse.address(text)
    }

    pub async fn sign(&self, outputs: &[PaymentOutput]) -> Result<SignedPayment, WalletError> {
        let holdings = self.read(|chain, key| chain.reader().holdings(key, OUTPUTS_LOOKED_AT)).await?;
        let pending = self.chain.pool().await.map_err(|error| UpstreamError::Chain { detail: error.to_string() })?;
        let spent: BTreeSet<_> =
            pending.iter().flat_map(|pending| &pending.transaction.inputs).map(|input| input.previous).collect();
        let mut spendable = holdings.spendable;
        spendable.retain(|(at, _)| !spent.contains(at));
        self.purse.pay(outputs, &spendable)
    }

    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        match self.chain.submit_transaction(read(raw)?).await {
            Ok(Ok(_) | Err(MempoolError::Known { .. })) => Ok(()),
            Ok(Err(error)) => Err(UpstreamError::Chain { detail: error.to_string() }),
            Err(error) => Err(UpstreamError::Chain { detail: error.to_string() }),
        }
    }

    pub async fn sighting(&self, id: TxId) -> Result<Sighting, UpstreamError> {
        let located = self.read(move |chain, _| chain.reader().transaction(id)).await?;
        let confirmations = |height: Height| self.chain.reader().tip().height.0.saturating_sub(height.0) + 1;
        if let Some(located) = located {
            return Ok(Sighting::Confirmed { confirmations: confirmations(located.height) });
        }
        let pending =
            self.chain.pending(id).await.map_err(|error| UpstreamError::Chain { detail: error.to_string() })?;
        Ok(if pending.is_some() { Sighting::Waiting } else { Sighting::Unknown })
    }

    /// Nobody but this pool holds the key: an output that is gone without the payment was spent by another of the operator's making.
    pub async fn holds_inputs(&self, raw: &[u8]) -> Result<bool, UpstreamError> {
        let inputs = read(raw)?.inputs;
        self.read(move |chain, _| {
            let reader = chain.reader();
            inputs.iter().try_fold(true, |all, input| Ok(all && reader.unspent(&input.previous)?.is_some()))
        })
        .await
    }

    /// Reads from the database, on a thread where that may take its time.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&ChainHandle, adit_chain::PublicKey) -> Result<T, adit_primitives::storage::StorageError>
        + Send
        + 'static,
    ) -> Result<T, UpstreamError> {
        let (chain, key) = (self.chain.clone(), self.purse.key.public());
        let asked = tokio::task::spawn_blocking(move || question(&chain, key)).await;
        let answer = asked.map_err(|_| UpstreamError::Chain { detail: "a read of the chain panicked".to_owned() })?;
        answer.map_err(|error| UpstreamError::Chain { detail: error.to_string() })
    }
}

/// Hands a block in.
pub(super) async fn submit(chain: &ChainHandle, block: &[u8]) -> Result<Submitted, UpstreamError> {
    let block = Block::from_bytes(block).map_err(|error| UpstreamError::Chain { detail: error.to_string() })?;
    loop {
        return match chain.submit_block(block.clone(), None).await {
            Ok(Ok(_) | Err(SubmitError::Block(BlockError::Known { .. }))) => Ok(Submitted::Taken),
            Ok(Err(SubmitError::Block(error @ (BlockError::Fault(_) | BlockError::Storage(_))))) => {
                Err(UpstreamError::Chain { detail: error.to_string() })
            }
            Ok(Err(error)) => Ok(Submitted::Refused { reason: error.to_string() }),
            Err(Unavailable::Busy) => {
                tokio::time::sleep(BUSY_PAUSE).await;
                continue;
            }
            Err(Unavailable::Stopped) => Err(stopped()),
        };
    }
}

/// Tells where a block stands. A merged block counts like one of the selected chain: from the block on that applied it.
pub(super) fn standing(chain: &ChainHandle, id: BlockId, height: Height) -> Option<Standing> {
    let reader = chain.reader();
    reader.indexed(id)?;
    let tip = reader.tip().height.0;
    let from = |height: Height| tip.saturating_add(1).saturating_sub(height.0);
    let applied_by = reader.standing(id).and_then(|standing| standing.applied_by);
    Some(match applied_by.and_then(|by| reader.indexed(by)) {
        Some(by) => Standing::OnChain { confirmations: from(by.known.height) },
        None => Standing::OffChain { blocks_from_its_height: from(height) },
    })
}

pub(super) fn stopped() -> UpstreamError {
    UpstreamError::Chain { detail: "the chain has stopped".to_owned() }
}

fn read(raw: &[u8]) -> Result<Transaction, UpstreamError> {
    Transaction::from_bytes(raw).map_err(|error| UpstreamError::Chain { detail: error.to_string() })
}

/// Returns coinbase and payments in canonical bytes.
fn transactions(template: &WorkTemplate) -> Vec<Vec<u8>> {
    let payments = template.transactions.iter().map(|pending| pending.transaction.to_bytes());
    std::iter::once(template.coinbase.to_bytes()).chain(payments).collect()
}

/// Makes a template for miners of what the chain's own miners get: possible where headers are Bitcoin's 80 bytes.
fn block_template(template: &WorkTemplate, extranonce_bytes: usize) -> Result<BlockTemplate, TemplateError> {
    let coinbase = template.coinbase.to_bytes();
    let extra = template.coinbase.coinbase_data().map_or(0, |data| data.extra.len());
    adit::template(&AditWork {
        height: template.requirements.height,
        header: template.header.clone(),
        pow: template.pow.clone(),
        target: template.target,
        earliest: template.requirements.earliest,
        extranonce_offset: coinbase.len() - extra,
        extranonce_bytes,
        coinbase,
        transactions: template.transactions.iter().map(|pending| pending.transaction.to_bytes()).collect(),
        reward: template.coinbase.output_sum().unwrap_or(Amount::ZERO),
        fees: template.fees,
    })
}
