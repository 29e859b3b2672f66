//! How headers are judged: decoded, hashed and placed in batches by the chain's plugins.

use crate::BlockIndex;
use adit_primitives::contract::{Candidate, HeaderView, KnownBlock, Placement, Violation};
use adit_primitives::engine::{ChainView, Fault, FaultClass, HashEngine, RulesEngine, SharedView};
use adit_primitives::{BlockId, Hash256, Height, Work};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most parents that the host takes from a consensus plugin's answer.
pub const PARENTS_MAX: usize = 256;

/// A chain of headers alone, in memory: what a replay of recorded headers needs.
pub struct HeaderChain {
    judge: Judge,
    index: Arc<BlockIndex>,
}

/// Why a header of a batch was not taken. Those before it were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header at `position` in the batch breaks a rule.
    #[error("header {position} of the batch is invalid: {violation}")]
    Invalid { position: usize, violation: Violation },
    #[error("header {position} of the batch has an unknown parent {parent}")]
    Orphan { position: usize, parent: BlockId },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A header that the rules have placed.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) header: Vec<u8>,
    pub(crate) view: HeaderView,
    pub(crate) placement: Placement,
}

/// A header's place in its batch, and what it says.
type Decoded = (usize, HeaderView);

/// The plugins that judge headers.
pub(crate) struct Judge {
    pub(crate) rules: Arc<dyn RulesEngine>,
    hash: Box<dyn HashEngine>,
}

impl HeaderChain {
    /// Starts at the genesis that the rules name.
    pub fn from_genesis(rules: Arc<dyn RulesEngine>, hash: Box<dyn HashEngine>) -> Result<Self, HeaderError> {
        let mut judge = Judge::new(rules, hash);
        let genesis = judge.genesis()?.map_err(|violation| HeaderError::Invalid { position: 0, violation })?;
        Ok(Self { judge, index: Arc::new(genesis.root()) })
    }

    /// Starts in the middle of a chain, at a block that is taken as given. Nothing is known below it: its height is the view's horizon.
    pub fn from_anchor(anchor: KnownBlock, rules: Arc<dyn RulesEngine>, hash: Box<dyn HashEngine>) -> Self {
        let placement = Placement {
            selected_parent: None,
            merge_set: Vec::new(),
            height: anchor.height,
            work: anchor.work,
            tie: Hash256::default(),
            valid_from: anchor.time,
            subsidy: 0,
            state: anchor.state.clone(),
        };
        Self { judge: Judge::new(rules, hash), index: Arc::new(BlockIndex::new(anchor, &placement)) }
    }

    /// Judges headers in order and takes them up to the first that is refused. Known headers are skipped.
    /// Returns how many of the batch were new.
    pub fn append(&mut self, headers: &[Vec<u8>]) -> Result<usize, HeaderError> {
        let (judged, stopped) = self.judge.batch(&self.index, headers)?;
        for judged in &judged {
            self.index.insert(&judged.view, &judged.placement, true);
        }
        self.index.select(self.index.best());
        stopped.map_or(Ok(judged.len()), Err)
    }

    /// Returns the block with the most work.
    pub fn tip(&self) -> KnownBlock {
        self.index.tip()
    }

    /// Returns the blocks taken so far.
    pub fn index(&self) -> &Arc<BlockIndex> {
        &self.index
    }

    /// Returns the height below which nothing is known.
    pub fn horizon(&self) -> Height {
        self.index.horizon()
    }
}

impl Judged {
    /// Returns an index with this genesis alone.
    pub(crate) fn root(&self) -> BlockIndex {
        let known = KnownBlock {
            id: self.view.id,
            parents: Vec::new(),
            selected_parent: None,
            merge_set: Vec::new(),
            time: self.view.time,
            bits: self.view.bits,
            height: self.placement.height,
            work: self.placement.work,
            state: self.placement.state.clone(),
        };
        BlockIndex::new(known, &self.placement)
    }
}

impl Judge {
    pub(crate) fn new(rules: Arc<dyn RulesEngine>, hash: Box<dyn HashEngine>) -> Self {
        Self { rules, hash }
    }

    /// Decodes and places the genesis header.
    pub(crate) fn genesis(&mut self) -> Result<Result<Judged, Violation>, Fault> {
        let header = self.rules.genesis()?;
        let view = match self.decode_one(&header)? {
            Ok(view) => view,
            Err(violation) => return Ok(Err(violation)),
        };
        if !view.parents.is_empty() {
            return Err(broken("genesis", "the genesis header names a parent"));
        }
        let pow = self.digests(std::slice::from_ref(&view))?;
        let candidate = Candidate { header: header.clone(), pow: pow[0] };
        // Nothing is known before the genesis.
        let nothing: SharedView = Arc::new(Nothing);
        let placement = one("place", self.rules.place(&nothing, &[candidate])?)?;
        Ok(placement.map(|placement| Judged { header, view, placement }))
    }

    /// Decodes one header.
    pub(crate) fn decode_one(&self, header: &[u8]) -> Result<Result<HeaderView, Violation>, Fault> {
        let decoded = one("decode", self.rules.decode(&[header.to_vec()])?)?;
        if let Ok(view) = &decoded {
            check_view(view)?;
        }
        Ok(decoded)
    }

    /// Places one decoded header whose parents the index knows.
    pub(crate) fn place_one(
        &mut self,
        index: &Arc<BlockIndex>,
        header: &[u8],
        view: &HeaderView,
    ) -> Result<Result<Placement, Violation>, Fault> {
        let pow = self.digests(std::slice::from_ref(view))?;
        let candidate = Candidate { header: header.to_vec(), pow: pow[0] };
        let shared: SharedView = index.clone();
        let placement = one("place", self.rules.place(&shared, &[candidate])?)?;
        if let Ok(placement) = &placement {
            check_placement(view, placement, |id| standing(index, id))?;
        }
        Ok(placement)
    }

    /// Judges headers in order, leaving out known ones: those taken, and why it stopped before the end.
    pub(crate) fn batch(
        &mut self,
        index: &Arc<BlockIndex>,
        headers: &[Vec<u8>],
    ) -> Result<(Vec<Judged>, Option<HeaderError>), Fault> {
        let (decoded, mut stopped) = self.decode_batch(index, headers)?;
        let views: Vec<HeaderView> = decoded.iter().map(|(_, view)| view.clone()).collect();
        let digests = self.digests(&views)?;
        let candidates: Vec<Candidate> = std::iter::zip(&decoded, digests)
            .map(|((position, _), pow)| Candidate { header: headers[*position].clone(), pow })
            .collect();
        let shared: SharedView = index.clone();
        let placements = if candidates.is_empty() { Vec::new() } else { self.rules.place(&shared, &candidates)? };
        if placements.len() != candidates.len() {
            return Err(broken("place", "the number of answers is not that of the headers"));
        }
        let mut taken = Vec::with_capacity(candidates.len());
        let mut fresh = BTreeMap::new();
        for (((position, view), candidate), placement) in decoded.into_iter().zip(candidates).zip(placements) {
            match placement {
                Ok(placement) => {
                    check_placement(&view, &placement, |id| fresh.get(&id).copied().or_else(|| standing(index, id)))?;
                    fresh.insert(view.id, (placement.height, placement.work));
                    taken.push(Judged { header: candidate.header, view, placement });
                }
                Err(violation) => {
                    stopped = Some(HeaderError::Invalid { position, violation });
                    break;
                }
            }
        }
        Ok((taken, stopped))
    }

    /// Decodes up to the first header that cannot be placed, leaving out known ones.
    fn decode_batch(
        &self,
        index: &BlockIndex,
        headers: &[Vec<u8>],
    ) -> Result<(Vec<Decoded>, Option<HeaderError>), Fault> {
        let views = self.rules.decode(headers)?;
        if views.len() != headers.len() {
            return Err(broken("decode", "the number of answers is not that of the headers"));
        }
        let mut decoded: Vec<Decoded> = Vec::with_capacity(views.len());
        let mut fresh = BTreeMap::new();
        for (position, view) in views.into_iter().enumerate() {
            let view = match view {
                Ok(view) => view,
                Err(violation) => return Ok((decoded, Some(HeaderError::Invalid { position, violation }))),
            };
            check_view(&view)?;
            if index.contains(view.id) || fresh.contains_key(&view.id) {
                continue;
            }
            if view.parents.is_empty() {
                return Ok((decoded, Some(HeaderError::Invalid { position, violation: second_genesis() })));
            }
            let unknown = view.parents.iter().find(|id| !fresh.contains_key(*id) && !index.contains(**id));
            if let Some(parent) = unknown {
                return Ok((decoded, Some(HeaderError::Orphan { position, parent: *parent })));
            }
            fresh.insert(view.id, ());
            decoded.push((position, view));
        }
        Ok((decoded, None))
    }

    /// Hashes what each header's proof of work is about: in one call where all inputs are equally long.
    fn digests(&mut self, views: &[HeaderView]) -> Result<Vec<Hash256>, Fault> {
        let each = views.first().map_or(0, |view| view.pow.bytes.len());
        let mut digests = Vec::with_capacity(views.len());
        if each > 0 && views.iter().all(|view| view.pow.bytes.len() == each) {
            let inputs: Vec<u8> = views.iter().flat_map(|view| &view.pow.bytes).copied().collect();
            self.hash.digest_many(&inputs, each, &mut digests)?;
        } else {
            for view in views {
                let bytes = &view.pow.bytes;
                digests.push(if bytes.is_empty() { Hash256::default() } else { self.hash.digest(bytes)? });
            }
        }
        if digests.len() == views.len() {
            Ok(digests)
        } else {
            Err(broken("digest-many", "the number of digests is not that of the inputs"))
        }
    }
}

/// A view of no blocks.
struct Nothing;

impl ChainView for Nothing {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, _: BlockId) -> Option<KnownBlock> {
        None
    }

    fn is_ancestor(&self, _: BlockId, _: BlockId) -> bool {
        false
    }

    fn selected_past(&self, _: BlockId, _: u32) -> Vec<KnownBlock> {
        Vec::new()
    }

    fn selected_ancestor(&self, _: BlockId, _: Height) -> Option<KnownBlock> {
        None
    }
}

fn standing(index: &BlockIndex, id: BlockId) -> Option<(Height, Work)> {
    index.block(id).map(|known| (known.height, known.work))
}

/// Checks what the host relies on in a decoded header. A plugin that breaks it has a fault; the block may be right.
fn check_view(view: &HeaderView) -> Result<(), Fault> {
    let mut parents = view.parents.clone();
    parents.sort_unstable();
    parents.dedup();
    if view.parents.len() > PARENTS_MAX {
        Err(broken("decode", "there are too many parents"))
    } else if parents.len() != view.parents.len() || parents.contains(&view.id) {
        Err(broken("decode", "a parent is named twice, or a block is its own parent"))
    } else if !view.pow.is_sound() {
        Err(broken("decode", "the nonce does not lie within the bytes to hash"))
    } else {
        Ok(())
    }
}

/// Checks what fork choice and ledger rely on in a placement.
fn check_placement(
    view: &HeaderView,
    placement: &Placement,
    standing: impl Fn(BlockId) -> Option<(Height, Work)>,
) -> Result<(), Fault> {
    let Some(selected) = placement.selected_parent.filter(|id| view.parents.contains(id)) else {
        return Err(broken("place", "the selected parent is none of the parents"));
    };
    let Some((height, work)) = standing(selected) else {
        return Err(broken("place", "a block with an unknown parent was placed"));
    };
    if placement.height <= height || placement.work < work {
        return Err(broken("place", "height or work do not grow from the selected parent"));
    }
    let mut merged: Vec<BlockId> = placement.merge_set.iter().map(|merged| merged.id).collect();
    merged.sort_unstable();
    merged.dedup();
    if merged.len() != placement.merge_set.len() || merged.contains(&selected) || merged.contains(&view.id) {
        return Err(broken("place", "the merge set repeats a block"));
    }
    if merged.iter().any(|id| standing(*id).is_none()) {
        return Err(broken("place", "the merge set names an unknown block"));
    }
    Ok(())
}

/// The rule that a header without parents breaks where it is not the genesis.
pub(crate) fn second_genesis() -> Violation {
    Violation { rule: "parents".to_owned(), detail: "only the genesis block has no parent".to_owned() }
}

fn one<T>(function: &str, answers: Vec<T>) -> Result<T, Fault> {
    let mut answers = answers.into_iter();
    match (answers.next(), answers.next()) {
        (Some(answer), None) => Ok(answer),
        _ => Err(broken(function, "one question did not get one answer")),
    }
}

/// Returns the fault of a plugin whose answer breaks the contract.
pub(crate) fn broken(function: &str, detail: &str) -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: "the chain's own plugin".to_owned(),
        function: function.to_owned(),
        detail: detail.to_owned(),
    }
}
