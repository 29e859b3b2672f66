//! Who keeps the chain that the pool mines on: gives templates, takes blocks, and carries payments.
//!
//! A node is asked, never believed beyond its word: templates are checked before they become jobs, blocks count once the node says that
//! they are in its chain, payments once they are deep in it. What nodes differ in ends here.
//!
//! Reading order: [`Upstream`], then [`adit`], [`shared`], [`remote`] and [`bitcoin`] for its kinds, [`rpc`] for how the last is spoken to.

pub mod adit;
pub mod bitcoin;
pub mod remote;
pub mod rpc;
pub mod shared;

use adit::AditNode;
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_pool::work::farm::SpaceTemplate;
use adit_pool::work::template::{BlockTemplate, TemplateError};
use adit_primitives::accounts::{PaymentOutput, SignedPayment};
use adit_primitives::contract::payout::Economics;
use adit_primitives::contract::space::Registration;
use adit_primitives::{BlockId, Height, TxId};
use bitcoin::BitcoinNode;
use remote::RemoteNode;
use rpc::RpcError;
use shared::SharedNode;
use std::net::IpAddr;
use std::time::Duration;

/// Why an upstream gave no answer that can be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("its template cannot be mined: {0}")]
    Template(#[from] TemplateError),
    #[error("it keeps another chain: its genesis is {found}, ours {want}")]
    OtherChain { found: String, want: String },
    #[error("its template is of block {height}, and {mined} is mined")]
    Behind { height: Height, mined: Height },
    #[error("{detail}")]
    Chain { detail: String },
}

/// Why there is no signed payment. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("{address} is no address of this chain")]
    Address { address: String },
    #[error("the pool's wallet cannot pay: {detail}")]
    Funds { detail: String },
}

/// What became of a block that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// The chain has it.
    Taken,
    /// It breaks a rule.
    Refused { reason: String },
}

/// A template, and what to wait for a newer one with.
pub struct Fetched {
    pub template: Wanted,
    pub mark: Mark,
}

/// What a node wants done for its next block.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Headers hashed.
    Work(BlockTemplate),
    /// Plots looked through.
    Space(SpaceTemplate),
}

impl Wanted {
    /// Refuses what no pool could mine or farm.
    pub fn check(&self) -> Result<(), TemplateError> {
        match self {
            Self::Work(template) => template.check(),
            Self::Space(template) => template.check(),
        }
    }

    /// Returns the height of the block.
    pub const fn height(&self) -> Height {
        match self {
            Self::Work(template) => template.height,
            Self::Space(template) => template.height,
        }
    }

    /// Returns what the block is worth, with the fees of its own payments for those of others.
    pub fn economics(&self) -> Economics {
        let (reward, fees, target) = match self {
            Self::Work(template) => (template.reward, template.fees, template.target),
            Self::Space(template) => (template.reward, template.fees, template.challenge.target),
        };
        let subsidy = reward.to_atoms().saturating_sub(fees.to_atoms());
        Economics { subsidy, mean_fees: fees.to_atoms(), work: target.work() }
    }
}

/// The state of the chain at which a template was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A Bitcoin-family node's name for it, where the node can be asked to wait for news.
    LongPoll(Option<String>),
    /// An Adit chain's.
    State(u64),
    /// An Adit chain's, and the round as which the pool's blocks pay.
    Shared { state: u64, round: u64 },
}

/// A node.
pub enum Upstream {
    Adit(AditNode),
    Shared(SharedNode),
    Remote(Box<RemoteNode>),
    Bitcoin(BitcoinNode),
}

impl Upstream {
    /// Returns the node's name, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Adit(node) => node.name(),
            Self::Shared(node) => node.name(),
            Self::Remote(node) => node.name(),
            Self::Bitcoin(node) => node.name(),
        }
    }

    /// Checks that the node keeps the chain that this pool mines.
    pub async fn agree(&self) -> Result<(), UpstreamError> {
        match self {
            // The chain of this process: there is no other.
            Self::Adit(_) | Self::Shared(_) => Ok(()),
            Self::Remote(node) => node.agree().await,
            Self::Bitcoin(node) => node.agree().await,
        }
    }

    /// Returns a template: at once without a mark; with one when there is news, or after `patience`.
    pub async fn template(&self, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        match self {
            Self::Adit(node) => node.template(since, patience).await,
            Self::Shared(node) => node.template(since, patience).await,
            Self::Remote(node) => node.template(since, patience).await,
            Self::Bitcoin(node) => node.template(since, patience).await,
        }
    }

    /// Hands a block in.
    pub async fn submit(&self, block: &[u8]) -> Result<Submitted, UpstreamError> {
        match self {
            Self::Adit(node) => node.submit(block).await,
            Self::Shared(node) => node.submit(block).await,
            Self::Remote(node) => node.submit(block).await,
            Self::Bitcoin(node) => node.submit(block).await,
        }
    }

    /// Returns where a block stands. `None` where the node does not know it.
    pub async fn standing(&self, id: BlockId, height: Height) -> Result<Option<Standing>, UpstreamError> {
        match self {
            Self::Adit(node) => Ok(node.standing(id, height)),
            Self::Shared(node) => Ok(node.standing(id, height)),
            Self::Remote(node) => node.standing(id, height).await,
            Self::Bitcoin(node) => node.standing(id, height).await,
        }
    }

    /// Has plots registered, for somebody from there, and returns the height at which the chain has each.
    pub async fn register(
        &self,
        source: IpAddr,
        plots: Vec<Registration>,
    ) -> Result<Vec<Option<Height>>, UpstreamError> {
        match self {
            Self::Adit(node) => node.register(source, plots).await,
            Self::Remote(node) => node.register(&plots).await,
            Self::Shared(_) | Self::Bitcoin(_) => {
                Err(UpstreamError::Chain { detail: "its chain registers no plots".to_owned() })
            }
        }
    }

    /// Returns an address in the one form that its chain writes it in; `None` where the text is none that can be paid.
    pub async fn address(&self, text: &str) -> Result<Option<String>, UpstreamError> {
        match self {
            Self::Adit(node) => Ok(node.address(text)),
            Self::Shared(node) => Ok(node.address(text)),
            Self::Remote(node) => Ok(node.address(text)),
            Self::Bitcoin(node) => node.address(text).await,
        }
    }

    /// Makes and signs a payment. Nothing is sent.
    pub async fn sign(&self, outputs: &[PaymentOutput]) -> Result<SignedPayment, WalletError> {
        match self {
            Self::Adit(node) => node.sign(outputs).await,
            Self::Shared(node) => node.sign(),
            Self::Remote(node) => node.sign(outputs).await,
            Self::Bitcoin(node) => node.sign(outputs).await,
        }
    }

    /// Sends a payment. What the node knows of it is asked by [`Self::sighting`], whatever comes of this.
    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        match self {
            Self::Adit(node) => node.send(raw).await,
            Self::Shared(node) => node.send(),
            Self::Remote(node) => node.send(raw).await,
            Self::Bitcoin(node) => node.send(raw).await,
        }
    }

    /// Tells whether every output that a payment spends is there: while it is, the payment may yet be in a block.
    pub async fn holds_inputs(&self, raw: &[u8]) -> Result<bool, UpstreamError> {
        match self {
            Self::Adit(node) => node.holds_inputs(raw).await,
            Self::Shared(node) => node.holds_inputs(),
            Self::Remote(node) => node.holds_inputs(raw).await,
            Self::Bitcoin(node) => node.holds_inputs(raw).await,
        }
    }

    /// Returns what the node knows of a payment.
    pub async fn sighting(&self, id: TxId) -> Result<Sighting, UpstreamError> {
        match self {
            Self::Adit(node) => node.sighting(id).await,
            Self::Shared(node) => node.sighting(),
            Self::Remote(node) => node.sighting(id).await,
            Self::Bitcoin(node) => node.sighting(id).await,
        }
    }
}
