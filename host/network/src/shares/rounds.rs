//! The machine that certifies rounds: batches, votes, answers and the time go in; votes, questions and certified rounds come out.
//!
//! One node's part in an agreement after Tendermint (Buchman, Kwon, Milosevic: "The latest gossip on BFT consensus", 2018). A
//! round is tried in views. In each view one validator proposes which batches are in the round; everybody recomputes the root
//! and prevotes it, or none; who sees more than two thirds of the weight prevote a root locks on it and precommits it; more than
//! two thirds of precommits are the certificate. A view that gets nowhere ends by a timeout and the next one's turn is another's.
//! While less than a third of the weight lies, no two certificates of one round exist, whatever is delayed or lost; and once
//! messages arrive again, rounds are certified.
//!
//! Never sends, stores or hashes by itself: [`Effect`]s are carried out in their order, and [`Effect::Persist`] and
//! [`Effect::Certified`] must be durable before any effect behind them. The same events at the same moments give the same
//! effects.
//!
//! Reading order: this file is what goes in and out, [`history`] is what is certified, [`held`] the batches at hand, [`views`] what
//! was said in a round, [`steps`] the rules, [`memory`] what outlives a crash, [`catchup`] how one learns what one missed.

mod catchup;
mod held;
mod history;
mod memory;
mod steps;
mod views;

pub use history::Past;
pub use memory::MemoryError;

use super::archive::CertifiedRound;
use super::batch::{BatchId, SealedBatch};
use super::judge::{BatchVerdict, Which};
use super::keys::Identity;
use super::record::{Base, PoolId, ShareId};
use super::votes::{Credit, Evidence, Message, Objection};
use super::weights::{Terms, Validators};
use crate::event::Acceptance;
use crate::id::{Moment, NodeId};
use adit_primitives::{Encode, Hash256};
use bytes::Bytes;
use held::Held;
use history::History;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use views::Views;

/// How a pool's rounds run. `pool` and `terms` are the same at all nodes; the rest is a node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub pool: PoolId,
    pub terms: Terms,
    /// A round with any share is due this long after the one before.
    pub round: Duration,
    /// A round with so many shares is due at once.
    pub round_shares: usize,
    /// How long the first view waits at each step.
    pub view: Duration,
    /// How much longer each view waits than the one before.
    pub view_more: Duration,
    /// How often others are asked while nothing moves.
    pub repair: Duration,
    /// How often others are asked while nothing is to be done: finds out that this node is behind, or that the pool is split.
    pub greet: Duration,
    /// How long nothing may move before it is said that payouts wait.
    pub stall: Duration,
}

/// How a batch is checked here: the policy's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Every share is hashed here.
    Local,
    /// One share in so many, drawn by this node's own signature, which nobody else knows.
    Sample { one_in: u32 },
    /// So many validators are asked first: see [`super::panel`].
    Ask { count: u32 },
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed: no later than [`Rounds::wake`] says.
    Tick,
    /// A batch of this pool, of this node's miners or from the network.
    Batch { batch: Arc<SealedBatch>, plan: Plan },
    /// The answer to [`Effect::Judge`] or [`Effect::Consult`].
    Judged { batch: BatchId, verdict: BatchVerdict },
    /// A vote as it came from the network.
    Message { bytes: Bytes },
    /// What a peer answered to [`Effect::Ask`].
    Answer { bytes: Bytes },
    /// A share of this pool is a block of the chain: the round is due.
    BlockFound { share: ShareId },
}

/// What comes out, carried out in this order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Make these bytes durable in the place of the last ones, before anything behind this effect happens: without them the
    /// node might vote twice after a crash.
    Persist(Bytes),
    /// Spread a vote among all nodes of the pool.
    Publish(Bytes),
    /// Recompute a batch. The answer is [`Event::Judged`].
    Judge { batch: Arc<SealedBatch>, which: Which },
    /// Ask so many validators about a batch, and recompute it where they do not answer. The answer is [`Event::Judged`].
    Consult { batch: Arc<SealedBatch>, count: u32 },
    /// Put a question to some peer, another one each time. Its answer is made by [`Rounds::answer`].
    Ask(Bytes),
    /// A round is final. Make it durable, with its credits, before anything behind this effect happens. Payouts follow from
    /// these rounds alone.
    Certified { round: Arc<CertifiedRound>, past: Arc<Past> },
    /// A node sent a batch with a share that misses its target, or objected to one that meets it.
    Liar { node: NodeId, lie: Lie },
    /// A node said two things that exclude each other. It loses its weight with the round that has the proof.
    Fraud(Evidence),
    /// Nothing was certified for long, though there are shares: payouts wait. Said once.
    Waiting { round: u64, heard: u128, total: u128 },
    /// Rounds are certified again.
    Resumed { round: u64 },
    /// This node takes no further part: payouts wait for a person. Said once, and again at each start.
    Halted(Halt),
}

/// What somebody claimed and recomputation contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A share of its own batch is wrong.
    Batch { batch: BatchId, share: u16 },
    /// It objected to a share that is right.
    Objection(Objection),
}

/// Why a node stopped: more than a third of the weight lies, or this node's recomputation errs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Two certificates of one round: whoever signed both lied, or its disk forgot.
    Split { round: u64, ours: Hash256, theirs: Hash256, signed_both: Vec<NodeId> },
    /// More than two thirds signed a round which has a batch that is wrong here.
    Contradicted { round: u64, root: Hash256, batch: Option<BatchId> },
}

/// The machine.
#[derive(Debug)]
pub struct Rounds {
    settings: Settings,
    identity: Identity,
    node: NodeId,
    history: History,
    /// Who votes in the round that is being agreed on.
    validators: Validators,
    held: Held,
    views: Views,
    /// Messages for the next round, which others are in already.
    early: VecDeque<Message>,
    /// Rounds that others certified, to be taken over in order.
    catching: VecDeque<CertifiedRound>,
    /// A share of the open round that is a block.
    block: Option<ShareId>,
    /// This node says nothing in rounds up to this one: it may have before a crash that lost what it certified.
    silent_until: u64,
    halted: Option<Halt>,
    clock: Clock,
}

/// Moments that the machine keeps.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Moment,
    /// When the newest round was certified here, or the machine began.
    certified: Moment,
    /// When the round was last seen to move.
    moved: Moment,
    asked: Moment,
    waiting: bool,
    /// Others are at least a round ahead.
    behind: bool,
}
