//! What miners work on: a header without its proof, and the body that it commits to.

use crate::block::{OpenTree, fold_branch};
use crate::carried::Carried;
use crate::index::Version;
use crate::mempool::selection::Room;
use crate::{
    Block, BlockIndex, CoinbaseData, Conflicts, LedgerRules, Mempool, Output, Pending, PublicKey, TemplateLimits,
    Transaction,
};
use adit_primitives::contract::space::{Challenge, SpaceProof};
use adit_primitives::contract::{Draft, PowInput, Requirements, Violation};
use adit_primitives::engine::{Fault, RulesEngine, SharedView};
use adit_primitives::storage::Storage;
use adit_primitives::{Amount, BlockId, Hash256, Target, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most tips that the rules are shown.
const TIPS_MAX: usize = 64;

/// How many numbers a millisecond has for templates. Numbers stay below 2^53 until the year 2248: miners in JavaScript read them exactly.
const IDS_PER_MILLI: u64 = 1024;

/// The most difficulties for which the rules' answer is kept.
const WISHES_MAX: usize = 8;

/// What a miner asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateRequest {
    /// Who is paid.
    pub pay_to: PublicKey,
    /// The miner's own bytes in the coinbase: a message, an extranonce.
    pub extra: Vec<u8>,
    /// A difficulty other than the one computed, where the chain allows that.
    pub difficulty: Option<u64>,
}

/// Work for miners. It stays valid while [`WorkTemplate::state_version`] is the chain's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTemplate {
    /// Greater than that of every earlier template, also of earlier runs of the node, as long as its clock is not set back.
    pub id: u64,
    /// [`crate::Chain::state_version`] when it was made.
    pub state_version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When a fresh one should be asked for.
    pub expires: Timestamp,
    /// The header without its proof.
    pub header: Vec<u8>,
    /// Without bytes where plots win blocks.
    pub pow: PowInput,
    /// What farmers are asked, where plots win blocks. The template expires with it.
    pub challenge: Option<Challenge>,
    pub target: Target,
    /// The time in the header.
    pub time: Timestamp,
    /// What the header commits to: coinbase and transactions.
    pub body_root: Hash256,
    /// Parents, bits, difficulty, height and subsidy.
    pub requirements: Requirements,
    /// What the transactions pay.
    pub fees: Amount,
    pub coinbase: Transaction,
    /// What follows the coinbase, in order.
    pub transactions: Arc<Vec<Arc<Pending>>>,
}

/// A proof that a miner or a farmer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Solution {
    Nonce {
        nonce: u64,
        /// The little-endian `u32` at `PowInput::roll_offset` as it was hashed. Ignored where nothing may be rolled.
        rolled: u32,
    },
    Space(Box<SpaceProof>),
}

/// Why there is no template, or no block from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The rules refuse: most often a difficulty that was wished for.
    #[error("the rules allow no such block: {0}")]
    Refused(Violation),
    #[error("{bytes} bytes of coinbase data, {max} are allowed")]
    Extra { bytes: usize, max: usize },
    #[error("on this chain work wins blocks, not space")]
    NotSpace,
    #[error("the rules named parents that leave out the selected tip {tip}")]
    Parents { tip: BlockId },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a template is made from.
pub(crate) struct Source<'a> {
    pub(crate) rules: &'a dyn RulesEngine,
    pub(crate) index: &'a Arc<BlockIndex>,
    pub(crate) storage: &'a dyn Storage,
    pub(crate) mempool: &'a Mempool,
    pub(crate) ledger: &'a LedgerRules,
    pub(crate) state_version: u64,
}

/// The templates made last, to be used again for the same request, and the choice of transactions that they share.
#[derive(Debug)]
pub(crate) struct TemplateCache {
    limits: TemplateLimits,
    /// Newest last.
    templates: VecDeque<Cached>,
    required: Required,
    filling: Option<Arc<Filling>>,
    carried: Carried,
    tree: OpenTree,
    made: u64,
}

/// What the rules said of the next block, by the difficulty that was wished for: the same for every miner while the blocks stand.
#[derive(Debug, Default)]
struct Required {
    index: Version,
    answers: Vec<(Option<u64>, Requirements)>,
}

/// A template, what it was asked for, and what it was made from.
#[derive(Debug)]
struct Cached {
    request: TemplateRequest,
    stand: Stand,
    template: Arc<WorkTemplate>,
}

/// What a template depends on: it may be used again while none of this changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    index: Version,
    mempool: u64,
}

/// The transactions of the next block, whoever mines it. They depend on the mempool, which follows the tip, and on what blocks carry that are not
/// merged yet.
#[derive(Debug)]
struct Filling {
    stand: (u64, u64),
    transactions: Arc<Vec<Arc<Pending>>>,
    fees: Amount,
    /// From the coinbase to the body root.
    branch: Vec<Hash256>,
}

impl TemplateCache {
    pub(crate) fn new(limits: TemplateLimits) -> Self {
        Self {
            limits,
            templates: VecDeque::new(),
            required: Required::default(),
            filling: None,
            carried: Carried::default(),
            tree: OpenTree::default(),
            made: 0,
        }
    }

    pub(crate) fn set_limits(&mut self, limits: TemplateLimits) {
        self.limits = limits;
        self.forget_oldest();
    }

    /// Returns the template made last for the same request while it stands and has not expired, or makes one.
    pub(crate) fn template(
        &mut self,
        source: &Source<'_>,
        now: Timestamp,
        request: &TemplateRequest,
    ) -> Result<Arc<WorkTemplate>, TemplateError> {
        let stand = Stand { index: source.index.version(), mempool: source.mempool.version() };
        let last = self.templates.iter().rev().find(|cached| cached.request == *request);
        if let Some(cached) = last.filter(|cached| cached.stand == stand && now < cached.template.expires) {
            return Ok(cached.template.clone());
        }
        let template = Arc::new(self.make(source, now, request)?);
        // What was made before a change is never asked for again, and would hold payments that have gone.
        self.templates.retain(|cached| cached.stand == stand && cached.request != *request);
        self.templates.push_back(Cached { request: request.clone(), stand, template: template.clone() });
        self.forget_oldest();
        Ok(template)
    }

    fn forget_oldest(&mut self) {
        while self.templates.len() > self.limits.templates_max.max(1) {
            self.templates.pop_front();
        }
    }

    /// Returns what the next block must have, asking the rules once while the blocks stand.
    pub(crate) fn requirements(
        &mut self,
        source: &Source<'_>,
        difficulty: Option<u64>,
    ) -> Result<Requirements, TemplateError> {
        let version = source.index.version();
        if self.required.index != version {
            self.required = Required { index: version, answers: Vec::new() };
        }
        let answers = &mut self.required.answers;
        if let Some((_, answer)) = answers.iter().find(|(wish, _)| *wish == difficulty) {
            return Ok(answer.clone());
        }
        let answer = requirements(source, difficulty)?;
        if answers.len() < WISHES_MAX {
            answers.push((difficulty, answer.clone()));
        }
        Ok(answer)
    }

    /// Chooses the transactions of the next block. Tells whether they were not chosen already.
    pub(crate) fn choose(&mut self, source: &Source<'_>) -> bool {
        let before = self.filling.clone();
        // Where the rules give no answer there will be no template; what is chosen then does not matter.
        let required = self.requirements(source, None);
        let parents = required.map(|requirements| requirements.parents).unwrap_or_default();
        let now = self.filling(source, &parents);
        before.is_none_or(|before| !Arc::ptr_eq(&before, &now))
    }

    fn make(
        &mut self,
        source: &Source<'_>,
        now: Timestamp,
        request: &TemplateRequest,
    ) -> Result<WorkTemplate, TemplateError> {
        let bytes = CoinbaseData::HEIGHT_BYTES + request.extra.len();
        let max = source.ledger.data_bytes_max;
        if bytes > max {
            return Err(TemplateError::Extra { bytes, max });
        }
        let requirements = self.requirements(source, request.difficulty)?;
        let filling = self.filling(source, &requirements.parents);
        let coinbase = coinbase(request, &requirements, filling.fees, source.ledger);
        let time = now.max(requirements.earliest);
        let body_root = fold_branch(coinbase.leaf(), &filling.branch);
        let draft = Draft { parents: requirements.parents.clone(), bits: requirements.bits, time, body_root };
        let built = source.rules.encode(&draft)?.map_err(TemplateError::Refused)?;
        let view: SharedView = source.index.clone();
        let asked = source.rules.space().map(|space| space.challenge(&view, &draft.parents, time)).transpose()?;
        let challenge = asked.transpose().map_err(TemplateError::Refused)?;
        let expires = Timestamp::from_millis(now.to_millis().saturating_add(self.limits.lifetime_ms));
        // A find for an earlier run's template must never be taken for one of this run's.
        self.made = now.to_millis().saturating_mul(IDS_PER_MILLI).max(self.made + 1);
        Ok(WorkTemplate {
            id: self.made,
            state_version: source.state_version,
            created: now,
            expires: challenge.as_ref().map_or(expires, |challenge| expires.min(challenge.closes)),
            header: built.header,
            pow: built.pow,
            challenge,
            target: built.target,
            time,
            body_root,
            requirements,
            fees: filling.fees,
            coinbase,
            transactions: filling.transactions.clone(),
        })
    }

    fn filling(&mut self, source: &Source<'_>, parents: &[BlockId]) -> Arc<Filling> {
        self.carried.update(source.index, source.storage, parents);
        let stand = (source.mempool.version(), self.carried.version());
        if let Some(filling) = self.filling.as_ref().filter(|filling| filling.stand == stand) {
            return filling.clone();
        }
        let ledger = source.ledger;
        // Two lengths of the block, a header and a coinbase with one output at their largest.
        let besides = 4 + 4 + ledger.header_bytes_max + Transaction::COINBASE_BYTES + ledger.data_bytes_max;
        let room = Room {
            bytes: ledger.block_bytes_max.saturating_sub(besides),
            transactions: (ledger.block_transactions_max as usize).saturating_sub(1),
        };
        let selection = source.mempool.select(room, self.carried.payments());
        self.tree.set_leaves(selection.transactions.iter().map(|pending| pending.leaf).collect());
        let filling = Arc::new(Filling {
            stand,
            branch: self.tree.branch(),
            transactions: Arc::new(selection.transactions),
            fees: selection.fees,
        });
        self.filling = Some(filling.clone());
        filling
    }
}

impl WorkTemplate {
    /// Puts a solution into the header, and the body under it.
    pub fn assemble(&self, rules: &dyn RulesEngine, solution: Solution) -> Result<Block, TemplateError> {
        let sealed = match solution {
            Solution::Nonce { nonce, rolled } => rules.seal(&self.header, nonce, rolled)?,
            Solution::Space(proof) => rules.space().ok_or(TemplateError::NotSpace)?.prove(&self.header, &proof)?,
        };
        let header = sealed.map_err(TemplateError::Refused)?;
        let payments = self.transactions.iter().map(|pending| pending.transaction.clone());
        Ok(Block { header, body: std::iter::once(self.coinbase.clone()).chain(payments).collect() })
    }

    /// Returns the rolled field as it stands in the bytes to hash: what `rolled` of [`Solution::Nonce`] is when nothing was rolled.
    pub fn unrolled(&self) -> u32 {
        let offset = self.pow.roll_offset as usize;
        self.pow.bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }
}

/// Asks the rules what the next block must have.
fn requirements(source: &Source<'_>, difficulty: Option<u64>) -> Result<Requirements, TemplateError> {
    let view: SharedView = source.index.clone();
    // A ledger that refuses blocks for their payments lets none merge others: rules that would merge are shown one tip.
    let most = if source.ledger.conflicts == Conflicts::RefuseBlock { 1 } else { TIPS_MAX };
    let tips: Vec<BlockId> = source.index.tips(most).iter().map(|known| known.id).collect();
    let tip = tips[0];
    let next = |tips: &[BlockId]| source.rules.next(&view, tips, difficulty)?.map_err(TemplateError::Refused);
    let requirements = next(&tips)?;
    if requirements.parents.contains(&tip) {
        return Ok(requirements);
    }
    // The transactions were chosen over the selected tip. Rules that prefer an equal one, seen later, are shown this one alone.
    let requirements = next(&[tip])?;
    if requirements.parents.contains(&tip) { Ok(requirements) } else { Err(TemplateError::Parents { tip }) }
}

fn coinbase(request: &TemplateRequest, requirements: &Requirements, fees: Amount, ledger: &LedgerRules) -> Transaction {
    let subsidy = Amount::from_atoms(requirements.subsidy);
    // More than the ledger lets a transaction move is left unclaimed.
    let amount = subsidy.checked_add(fees).unwrap_or(ledger.money_max).min(ledger.money_max);
    let output = (amount > Amount::ZERO).then_some(Output { amount, key: request.pay_to });
    let data = CoinbaseData { height: requirements.height, extra: request.extra.clone() };
    Transaction::coinbase(&data, output.into_iter().collect())
}
