//! The host's view of a plugin: one trait for each kind.
//!
//! `plugin-host` implements them over the sandbox, `kernels` natively; `chain` and `miner` use them without knowing which.

use crate::contract::payout::{Credit, Economics, FoundBlock, PayoutPlan, ShareToWeigh, Weight};
use crate::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
use crate::contract::shares::{Claim, Judgement, ShareDifficulty, WorkHistory};
use crate::contract::space::{Challenge, Registration, SpaceProof};
use crate::contract::{
    Candidate, Draft, HeaderView, KnownBlock, Placement, Requirements, Scan, SearchJob, Stamp, Template, Violation,
};
use crate::{BlockId, Hash256, Height, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Why a plugin gave no answer. A fault says nothing about the block: it is never stored as "invalid".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{plugin}: {function}: {detail}")]
pub struct Fault {
    pub class: FaultClass,
    /// Name, version and first digits of the digest of the plugin.
    pub plugin: String,
    pub function: String,
    pub detail: String,
}

/// Whether the same call would fail everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// The plugin's own fault: a panic, an access out of bounds, fuel used up, an answer that breaks the contract.
    Plugin,
    /// This machine's: out of time, out of memory, out of stack, or a kind of trap that nobody has classified.
    Environment,
}

/// The blocks known so far, as a consensus plugin may see them. Answers are facts of the DAG, the same on every node.
pub trait ChainView {
    /// Returns the height of the oldest block shown: 0 unless history was cut off. A rule that needs
    /// blocks below the horizon cannot be judged and is skipped; a node's horizon is always 0.
    fn horizon(&self) -> Height;

    /// Returns a placed block.
    fn block(&self, id: BlockId) -> Option<KnownBlock>;

    /// Returns several placed blocks, in order.
    fn blocks(&self, ids: &[BlockId]) -> Vec<Option<KnownBlock>> {
        ids.iter().map(|id| self.block(*id)).collect()
    }

    /// Returns the stamps of several placed blocks, in order.
    fn stamps(&self, ids: &[BlockId]) -> Vec<Option<Stamp>> {
        ids.iter().map(|id| self.block(*id).map(|known| known.stamp())).collect()
    }

    /// Tells whether `ancestor` is `descendant` or in its past. `false` where either is unknown.
    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool;

    /// Asks [`Self::is_ancestor`] of each of `ancestors` with each of `descendants`: a row of answers for each ancestor.
    fn ancestry(&self, ancestors: &[BlockId], descendants: &[BlockId]) -> Vec<bool> {
        let pairs = ancestors.iter().flat_map(|above| descendants.iter().map(move |below| (*above, *below)));
        pairs.map(|(ancestor, descendant)| self.is_ancestor(ancestor, descendant)).collect()
    }

    /// Returns the blocks that a block with these parents would merge: those of `parents` and their pasts that are neither `selected`
    /// nor in its past, in the order of their ids. `None` where they are more than `max`, or a parent is unknown.
    fn merge_set(&self, selected: BlockId, parents: &[BlockId], max: u32) -> Option<Vec<Stamp>> {
        walk_merge_set(self, selected, parents, max)
    }

    /// Returns `from` and the selected chain below it, newest first, at most `count` blocks.
    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock>;

    /// Returns the block at `height` on the selected chain of `from`: on a DAG, the newest one not above `height`.
    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock>;
}

/// [`ChainView::merge_set`] by a walk over `view`'s parents, for views that have no better way.
pub fn walk_merge_set<V: ChainView + ?Sized>(
    view: &V,
    selected: BlockId,
    parents: &[BlockId],
    max: u32,
) -> Option<Vec<Stamp>> {
    let mut merged = BTreeMap::new();
    let mut open = parents.to_vec();
    while let Some(id) = open.pop() {
        if merged.contains_key(&id) || view.is_ancestor(id, selected) {
            continue;
        }
        let known = view.block(id)?;
        if merged.len() == max as usize {
            return None;
        }
        merged.insert(id, known.stamp());
        open.extend(known.parents);
    }
    Some(merged.into_values().collect())
}

/// A view that can be lent to a sandbox.
pub type SharedView = Arc<dyn ChainView + Send + Sync>;

/// A consensus plugin.
pub trait RulesEngine: Send + Sync {
    /// Returns the genesis header.
    fn genesis(&self) -> Result<Vec<u8>, Fault>;

    /// Reads headers. One answer for each.
    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault>;

    /// Judges headers in order; one whose parent was refused in the same batch is refused too. One answer for each.
    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault>;

    /// Judges headers one after another, whose parents `view` shows when their turn comes. Each answer is given to `taken` with the
    /// header's place in `candidates` before the next header is judged: what `taken` adds to the view, the next one sees.
    fn place_each(
        &self,
        view: &SharedView,
        candidates: &[Candidate],
        taken: &mut dyn FnMut(usize, Result<Placement, Violation>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        for (index, candidate) in candidates.iter().enumerate() {
            for answer in self.place(view, std::slice::from_ref(candidate))? {
                if taken(index, answer).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns what the next block over `tips` must have. `wish` asks for a difficulty other than the one computed,
    /// in the unit of [`Requirements::difficulty`]; chains that do not allow that refuse it.
    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault>;

    /// Builds a header without its proof.
    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault>;

    /// Says a header's `bits` as the chain's users count difficulty: a decimal number for display.
    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault>;

    /// Puts a proof into a template's header: the nonce, and the rolled bits as they stood in the hashed bytes.
    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault>;

    /// Returns the further face of rules by which plots win blocks. `None` where proof of work does.
    fn space(&self) -> Option<&dyn SpaceRules> {
        None
    }
}

/// What consensus plugins say besides where plots win blocks.
pub trait SpaceRules: Send + Sync {
    /// Returns what farmers are asked for a block over `parents` whose header carries `time`.
    fn challenge(
        &self,
        view: &SharedView,
        parents: &[BlockId],
        time: Timestamp,
    ) -> Result<Result<Challenge, Violation>, Fault>;

    /// Returns the plots that a header registers.
    fn registered(&self, header: &[u8]) -> Result<Result<Vec<Registration>, Violation>, Fault>;

    /// Puts a proof into a template's header. Whether it wins, only placing the header says.
    fn prove(&self, header: &[u8], proof: &SpaceProof) -> Result<Result<Vec<u8>, Violation>, Fault>;
}

/// A hash algorithm, sandboxed or native. Digests are compared with targets as little-endian integers.
pub trait HashEngine: Send {
    /// Hashes `inputs.len() / each` inputs of `each` bytes, and appends their digests.
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault>;

    /// Tries `count` nonces from `first`, wrapping at the width of the nonce field, with each input of the job.
    /// It may stop early: [`Scan::scanned`] says after how many, at least one. Found nonces come in no set order.
    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault>;

    /// Hashes one input.
    fn digest(&mut self, input: &[u8]) -> Result<Hash256, Fault> {
        let mut digests = Vec::with_capacity(1);
        self.digest_many(input, input.len(), &mut digests)?;
        digests.pop().ok_or_else(|| Fault {
            class: FaultClass::Plugin,
            plugin: String::new(),
            function: "digest-many".to_owned(),
            detail: "no digest for one input".to_owned(),
        })
    }
}

/// A payout scheme, in the sandbox. What it answers is a proposal: the pool checks each sum before it books it.
pub trait PayoutEngine: Send {
    /// Returns what the scheme pays for, and which shares it looks at.
    fn plan(&mut self) -> Result<PayoutPlan, Fault>;

    /// Weighs shares, for schemes whose plan says that they do. One answer for each.
    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault>;

    /// Splits a block's reward over the weights of its window. Accounts that get nothing may be left out.
    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault>;

    /// Pays for shares whose work is summed by account, at today's economics.
    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault>;
}

/// A share validator, in the sandbox: policy over facts that the host has established.
pub trait ShareEngine: Send {
    /// Judges shares. One answer for each.
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault>;

    /// Says how hard the next shares of connections should be. One answer for each; the host keeps it within its bounds.
    fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault>;
}

/// How the nodes of a peer-to-peer pool agree: what some share validators say besides.
pub trait QuorumEngine: Send {
    /// Says on what terms nodes agree. Follows from the configuration alone.
    fn terms(&mut self) -> Result<QuorumTerms, Fault>;

    /// Says where batches are checked. One answer for each.
    fn plan(&mut self, questions: &[CheckQuestion]) -> Result<Vec<CheckPlan>, Fault>;
}
