//! The chain of this process as the upstream of a peer-to-peer pool: its coinbases pay miners, and nobody here holds a key.

use super::{Fetched, Mark, Submitted, UpstreamError, WalletError, Wanted, adit};
use crate::chain::{ChainHandle, Client, Unavailable};
use crate::pool::shared::Payouts;
use adit_chain::{PublicKey, TemplateRequest, WorkTemplate};
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_pool::work::template::BlockTemplate;
use adit_primitives::accounts::SignedPayment;
use adit_primitives::{BlockId, Height};
use std::sync::Arc;
use std::time::Duration;

/// What is said wherever a wallet would be asked.
const NO_WALLET: &str = "a peer-to-peer pool holds no money: its blocks pay miners themselves";

/// The chain of this process, and what its blocks pay.
pub struct SharedNode {
    pub chain: ChainHandle,
    pub payouts: Arc<Payouts>,
    /// What stands in the coinbase behind the extranonces.
    pub tag: Vec<u8>,
}

impl SharedNode {
    pub fn name(&self) -> &'static str {
        "own chain"
    }

    pub async fn template(&self, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        if let Some(Mark::Shared { state, round }) = since {
            let (mut snapshots, mut rounds) = (self.chain.watch(), self.payouts.watch());
            let moved = async {
                tokio::select! {
                    _ = snapshots.wait_for(|snapshot| snapshot.state_version != *state) => {}
                    _ = rounds.wait_for(|newest| newest.round != *round) => {}
                }
            };
            // Waiting for longer than that means that nothing happened: the template is then only renewed.
            drop(tokio::time::timeout(patience, moved).await);
        }
        // The coinbase that is asked for is never hashed: the pool's takes its place.
        let request =
            TemplateRequest { pay_to: PublicKey([0; 32]), extra: Payouts::extra(&self.tag), difficulty: None };
        loop {
            match self.chain.template(Client::Own, request.clone()).await {
                Ok(Ok(template)) => {
                    let state = template.state_version;
                    let template = self.work(template).await?;
                    let round = template.coinbase.base.map_or(0, |base| base.round);
                    return Ok(Fetched { template: Wanted::Work(template), mark: Mark::Shared { state, round } });
                }
                Ok(Err(error)) => return Err(UpstreamError::Chain { detail: error.to_string() }),
                Err(Unavailable::Busy) => tokio::time::sleep(adit::BUSY_PAUSE).await,
                Err(Unavailable::Stopped) => return Err(adit::stopped()),
            }
        }
    }

    /// Computes the coinbase, on a thread where the sandbox and the disk may take their time.
    async fn work(&self, template: Arc<WorkTemplate>) -> Result<BlockTemplate, UpstreamError> {
        let (payouts, tag) = (Arc::clone(&self.payouts), self.tag.clone());
        let made = tokio::task::spawn_blocking(move || payouts.work(&template, &tag)).await;
        let failed = |detail: String| UpstreamError::Chain { detail };
        made.map_err(|_| failed("computing a coinbase panicked".to_owned()))?.map_err(|error| failed(error.to_string()))
    }

    pub async fn submit(&self, block: &[u8]) -> Result<Submitted, UpstreamError> {
        adit::submit(&self.chain, block).await
    }

    pub fn standing(&self, id: BlockId, height: Height) -> Option<Standing> {
        adit::standing(&self.chain, id, height)
    }

    pub fn address(&self, text: &str) -> Option<String> {
        self.payouts.address(text)
    }

    pub fn sign(&self) -> Result<SignedPayment, WalletError> {
        Err(WalletError::Funds { detail: NO_WALLET.to_owned() })
    }

    pub fn send(&self) -> Result<(), UpstreamError> {
        Err(UpstreamError::Chain { detail: NO_WALLET.to_owned() })
    }

    pub fn sighting(&self) -> Result<Sighting, UpstreamError> {
        Err(UpstreamError::Chain { detail: NO_WALLET.to_owned() })
    }

    pub fn holds_inputs(&self) -> Result<bool, UpstreamError> {
        Err(UpstreamError::Chain { detail: NO_WALLET.to_owned() })
    }
}
