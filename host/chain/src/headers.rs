//! How headers are judged: decoded, hashed and placed in batches by the chain's plugins.

use crate::BlockIndex;
use adit_primitives::contract::{Candidate, HeaderView, KnownBlock, Placement, Violation};
use adit_primitives::engine::{ChainView, Fault, FaultClass, HashEngine, RulesEngine, SharedView};
use adit_primitives::{BlockId, Hash256, Height};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
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

/// Headers of a batch that have been read, up to the first that cannot be placed.
#[derive(Debug, Default)]
pub struct DecodedHeaders {
    /// Those before it in the batch were taken out.
    first: usize,
    /// Of all those headers, known ones among them.
    pub(crate) ids: Vec<BlockId>,
    /// Those that were not known.
    pub(crate) fresh: Vec<DecodedHeader>,
    /// Why the batch ended before its end.
    pub(crate) stopped: Option<HeaderError>,
}

/// A header that was not known, and has been read.
#[derive(Debug)]
pub struct DecodedHeader {
    position: usize,
    header: Vec<u8>,
    view: HeaderView,
}

/// A header that has been read and hashed: whether the digest is good enough is for the rules.
#[derive(Debug)]
pub struct HashedHeader {
    position: usize,
    candidate: Candidate,
    view: HeaderView,
}

/// Headers that are ready to be placed.
#[derive(Debug)]
pub struct CheckedHeaders {
    pub(crate) ids: Vec<BlockId>,
    pub(crate) fresh: Vec<HashedHeader>,
    pub(crate) stopped: Option<HeaderError>,
}

/// A header's place in its batch, and what it says.
type Decoded = (usize, HeaderView);

/// A batch whose headers are being placed.
struct Taking<'a> {
    index: &'a BlockIndex,
    /// Those that have no answer yet.
    decoded: std::vec::IntoIter<Decoded>,
    take: &'a mut dyn FnMut(usize, Judged) -> ControlFlow<()>,
    /// Why the batch ended before its end.
    ended: Option<Result<Option<HeaderError>, Fault>>,
}

/// The plugins that judge headers.
pub(crate) struct Judge {
    pub(crate) rules: Arc<dyn RulesEngine>,
    hash: Box<dyn HashEngine>,
}

impl HeaderError {
    /// Returns the same error for a batch that began so many headers earlier.
    pub fn after(self, headers: usize) -> Self {
        match self {
            Self::Invalid { position, violation } => Self::Invalid { position: position + headers, violation },
            Self::Orphan { position, parent } => Self::Orphan { position: position + headers, parent },
            Self::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl DecodedHeaders {
    /// Returns how many of them are to be hashed.
    pub fn open(&self) -> usize {
        self.fresh.len()
    }

    /// Takes the first out, up to `count` that are to be hashed, as a batch that is to be placed before what remains. Where it has all of those,
    /// it has the end of the batch too.
    pub fn part(&mut self, count: usize) -> Self {
        let Some(next) = self.fresh.get(count).map(|header| header.position) else { return std::mem::take(self) };
        let left = self.fresh.split_off(count);
        let ids = self.ids.drain(..next - self.first).collect();
        let part = Self { first: self.first, ids, fresh: std::mem::replace(&mut self.fresh, left), stopped: None };
        self.first = next;
        part
    }

    /// Ends the batch before a header that is to be hashed.
    fn end_before(&mut self, fresh: usize, why: impl FnOnce(usize) -> HeaderError) {
        let position = self.fresh[fresh].position;
        self.fresh.truncate(fresh);
        self.ids.truncate(position - self.first);
        self.stopped = Some(why(position));
    }

    /// Takes the headers that are to be hashed out, in parts of about equal size. What remains takes them back by [`Self::hashed`].
    pub fn split(&mut self, parts: usize) -> Vec<Vec<DecodedHeader>> {
        let each = self.fresh.len().div_ceil(parts.max(1)).max(1);
        let mut left = std::mem::take(&mut self.fresh).into_iter();
        let part = || Some(left.by_ref().take(each).collect::<Vec<_>>()).filter(|part| !part.is_empty());
        std::iter::from_fn(part).collect()
    }

    /// Puts the hashed parts together again, in their order.
    pub fn hashed(self, parts: Vec<Vec<HashedHeader>>) -> CheckedHeaders {
        CheckedHeaders { ids: self.ids, fresh: parts.into_iter().flatten().collect(), stopped: self.stopped }
    }
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
        let index = self.index.clone();
        let mut taken = 0;
        let stopped = self.judge.batch(&index, headers, &mut |_, judged| {
            index.insert(&judged.view, &judged.placement, true);
            taken += 1;
            ControlFlow::Continue(())
        });
        index.select(index.best());
        stopped?.map_or(Ok(taken), Err)
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

impl Taking<'_> {
    /// Takes the answer to the first header that has none.
    fn answered(&mut self, candidate: &Candidate, answer: Result<Placement, Violation>) -> ControlFlow<()> {
        let (position, view) = self.decoded.next().expect("each header has one answer");
        let placement = match answer {
            Ok(placement) => placement,
            Err(violation) => {
                self.ended = Some(Ok(Some(HeaderError::Invalid { position, violation })));
                return ControlFlow::Break(());
            }
        };
        if let Err(fault) = check_placement(self.index, &view, &placement) {
            self.ended = Some(Err(fault));
            return ControlFlow::Break(());
        }
        let taken = (self.take)(position, Judged { header: candidate.header.clone(), view, placement });
        if taken.is_break() {
            self.ended = Some(Ok(None));
        }
        taken
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
        let pow = self.digests(std::iter::once(&view))?;
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

    /// Hashes what a header's proof of work is about.
    pub(crate) fn digest_of(&mut self, view: &HeaderView) -> Result<Hash256, Fault> {
        Ok(self.digests(std::iter::once(view))?[0])
    }

    /// Places one decoded header whose parents the index knows.
    pub(crate) fn place_one(
        &mut self,
        index: &Arc<BlockIndex>,
        header: &[u8],
        view: &HeaderView,
        pow: Hash256,
    ) -> Result<Result<Placement, Violation>, Fault> {
        let candidate = Candidate { header: header.to_vec(), pow };
        let placement = one("place", self.ask(index, &[candidate])?)?;
        if let Ok(placement) = &placement {
            check_placement(index, view, placement)?;
        }
        Ok(placement)
    }

    /// Has the rules place headers over the blocks of an index. One answer for each, unless the plugin breaks the contract.
    ///
    /// # Errors
    /// Where they were not shown all there is, since that could not be read: what they say then means nothing.
    fn ask(
        &self,
        index: &Arc<BlockIndex>,
        candidates: &[Candidate],
    ) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        let shared: SharedView = index.clone();
        let answers = self.rules.place(&shared, candidates)?;
        match index.failure() {
            None => Ok(answers),
            Some(error) => Err(Fault { class: FaultClass::Environment, ..broken("place", &error.detail) }),
        }
    }

    /// Judges headers in order, leaving out known ones, and gives each that is placed to `take` with its position, which puts it into
    /// the index or ends the batch. Returns why it stopped before the end, where a header was the reason.
    pub(crate) fn batch(
        &mut self,
        index: &Arc<BlockIndex>,
        headers: &[Vec<u8>],
        take: &mut dyn FnMut(usize, Judged) -> ControlFlow<()>,
    ) -> Result<Option<HeaderError>, Fault> {
        let checked = self.check_headers(index, headers.to_vec())?;
        self.place_headers(index, checked, take)
    }

    /// Reads and hashes headers.
    pub(crate) fn check_headers(&mut self, index: &BlockIndex, headers: Vec<Vec<u8>>) -> Result<CheckedHeaders, Fault> {
        let mut decoded = self.decode_headers(index, headers)?;
        let fresh = self.hash_headers(std::mem::take(&mut decoded.fresh))?;
        Ok(decoded.hashed(vec![fresh]))
    }

    /// Places headers that have been read and hashed, as [`Self::batch`] does.
    pub(crate) fn place_headers(
        &self,
        index: &Arc<BlockIndex>,
        checked: CheckedHeaders,
        take: &mut dyn FnMut(usize, Judged) -> ControlFlow<()>,
    ) -> Result<Option<HeaderError>, Fault> {
        let CheckedHeaders { fresh, stopped, .. } = checked;
        // Others may have brought them in the meantime, or what they stand on was forgotten.
        let mut fresh: Vec<_> = fresh.into_iter().filter(|header| !index.contains(header.view.id)).collect();
        let stopped = cut_orphans(index, &mut fresh).or(stopped);
        let (decoded, candidates): (Vec<Decoded>, Vec<Candidate>) =
            fresh.into_iter().map(|HashedHeader { position, candidate, view }| ((position, view), candidate)).unzip();
        let mut batch = Taking { index, decoded: decoded.into_iter(), take, ended: None };
        let shared: SharedView = index.clone();
        if candidates.is_empty() {
            return Ok(stopped);
        }
        if batch.decoded.as_slice().iter().all(|(_, view)| view.parents.len() == 1) {
            let answers = self.rules.place(&shared, &candidates)?;
            if answers.len() != candidates.len() {
                return Err(broken("place", "the number of answers is not that of the headers"));
            }
            for (candidate, answer) in std::iter::zip(&candidates, answers) {
                if batch.answered(candidate, answer).is_break() {
                    break;
                }
            }
        } else {
            // Later blocks ask for the ancestors of earlier ones, which the index alone can tell.
            self.rules.place_each(&shared, &candidates, &mut |at, answer| batch.answered(&candidates[at], answer))?;
        }
        match batch.ended {
            Some(ended) => ended,
            None => Ok(stopped),
        }
    }

    /// Reads headers, in order and in one call. One answer for each.
    pub(crate) fn decode_all(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        let views = self.rules.decode(headers)?;
        if views.len() != headers.len() {
            return Err(broken("decode", "the number of answers is not that of the headers"));
        }
        views.iter().flatten().try_for_each(check_view)?;
        Ok(views)
    }

    /// Reads headers up to the first that cannot be placed. Headers that are known are not to be hashed again.
    pub(crate) fn decode_headers(&self, index: &BlockIndex, headers: Vec<Vec<u8>>) -> Result<DecodedHeaders, Fault> {
        let views = self.rules.decode(&headers)?;
        if views.len() != headers.len() {
            return Err(broken("decode", "the number of answers is not that of the headers"));
        }
        let mut decoded = DecodedHeaders::default();
        let mut fresh = BTreeSet::new();
        for (position, (header, view)) in std::iter::zip(headers, views).enumerate() {
            let view = match view {
                Ok(view) => view,
                Err(violation) => {
                    decoded.stopped = Some(HeaderError::Invalid { position, violation });
                    break;
                }
            };
            check_view(&view)?;
            if !fresh.contains(&view.id) {
                decoded.stopped = unplaceable(index, &fresh, position, &view);
            }
            if decoded.stopped.is_some() {
                break;
            }
            decoded.ids.push(view.id);
            if !index.contains(view.id) && fresh.insert(view.id) {
                decoded.fresh.push(DecodedHeader { position, header, view });
            }
        }
        Ok(decoded)
    }

    /// Tells whether a digest costs so much that everything else is asked first: where plots win blocks, since any hash may score them.
    pub(crate) fn is_dear(&self) -> bool {
        self.rules.space().is_some()
    }

    /// Ends a batch before the first header that breaks a rule whatever its digest is. Rules of plots alone are asked: where a digest is dear, it is not
    /// computed for what any other rule refuses, and where it is cheap, to ask twice would take longer.
    pub(crate) fn foretell(&self, index: &Arc<BlockIndex>, decoded: &mut DecodedHeaders) -> Result<(), Fault> {
        let fresh = &decoded.fresh;
        if !self.is_dear() || fresh.is_empty() || fresh.iter().any(|header| header.view.parents.len() != 1) {
            return Ok(());
        }
        // No digest is lower, so that no target is missed by it.
        let best = |header: &DecodedHeader| Candidate { header: header.header.clone(), pow: Hash256::default() };
        let candidates: Vec<Candidate> = fresh.iter().map(best).collect();
        let answers = self.ask(index, &candidates)?;
        if answers.len() != candidates.len() {
            return Err(broken("place", "the number of answers is not that of the headers"));
        }
        let refused = answers.into_iter().enumerate().find_map(|(at, answer)| Some((at, answer.err()?)));
        if let Some((at, violation)) = refused {
            let known: BTreeSet<BlockId> = fresh[..at].iter().map(|header| header.view.id).collect();
            let lost = unknown_parent(index, &known, &fresh[at].view);
            decoded.end_before(at, |position| match lost {
                Some(parent) => HeaderError::Orphan { position, parent },
                None => HeaderError::Invalid { position, violation },
            });
        }
        Ok(())
    }

    /// Returns which rule a header whose parents are placed breaks whatever its digest is, where plots win blocks. See [`Self::foretell`].
    pub(crate) fn foretell_one(&self, index: &Arc<BlockIndex>, header: &[u8]) -> Result<Option<Violation>, Fault> {
        if !self.is_dear() {
            return Ok(None);
        }
        let best = Candidate { header: header.to_vec(), pow: Hash256::default() };
        Ok(one("place", self.ask(index, &[best])?)?.err())
    }

    /// Hashes what each header's proof of work is about.
    pub(crate) fn hash_headers(&mut self, headers: Vec<DecodedHeader>) -> Result<Vec<HashedHeader>, Fault> {
        let digests = self.digests(headers.iter().map(|header| &header.view))?;
        let hashed = std::iter::zip(headers, digests);
        let hashed = hashed.map(|(DecodedHeader { position, header, view }, pow)| HashedHeader {
            position,
            candidate: Candidate { header, pow },
            view,
        });
        Ok(hashed.collect())
    }

    /// Hashes what each header's proof of work is about: in one call where all inputs are equally long.
    pub(crate) fn digests<'v>(
        &mut self,
        views: impl ExactSizeIterator<Item = &'v HeaderView> + Clone,
    ) -> Result<Vec<Hash256>, Fault> {
        let count = views.len();
        let each = views.clone().next().map_or(0, |view| view.pow.bytes.len());
        let mut digests = Vec::with_capacity(count);
        if each > 0 && views.clone().all(|view| view.pow.bytes.len() == each) {
            let inputs: Vec<u8> = views.flat_map(|view| &view.pow.bytes).copied().collect();
            self.hash.digest_many(&inputs, each, &mut digests)?;
        } else {
            for view in views {
                let bytes = &view.pow.bytes;
                digests.push(if bytes.is_empty() { Hash256::default() } else { self.hash.digest(bytes)? });
            }
        }
        if digests.len() == count {
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

/// Tells why a header cannot be placed over the index and the headers before it in its batch.
fn unplaceable(
    index: &BlockIndex,
    fresh: &BTreeSet<BlockId>,
    position: usize,
    view: &HeaderView,
) -> Option<HeaderError> {
    if let Some(violation) = index.violation(view.id) {
        return Some(HeaderError::Invalid { position, violation });
    }
    if index.contains(view.id) {
        return None;
    }
    if view.parents.is_empty() {
        return Some(HeaderError::Invalid { position, violation: second_genesis() });
    }
    if let Some(parent) = unknown_parent(index, fresh, view) {
        return Some(HeaderError::Orphan { position, parent });
    }
    let invalid = view.parents.iter().find_map(|parent| Some((*parent, index.violation(*parent)?)));
    invalid.map(|(parent, violation)| HeaderError::Invalid { position, violation: standing_on(parent, violation) })
}

/// Returns a parent of a header that neither the index has nor what comes before it in its batch.
fn unknown_parent(index: &BlockIndex, fresh: &BTreeSet<BlockId>, view: &HeaderView) -> Option<BlockId> {
    view.parents.iter().find(|id| !fresh.contains(*id) && !index.contains(**id)).copied()
}

/// Drops headers from the first on that stands on an unknown block, and says which that is.
fn cut_orphans(index: &BlockIndex, headers: &mut Vec<HashedHeader>) -> Option<HeaderError> {
    let mut before = BTreeSet::new();
    let lost = headers.iter().enumerate().find_map(|(at, header)| {
        let parent = unknown_parent(index, &before, &header.view);
        before.insert(header.view.id);
        Some((at, HeaderError::Orphan { position: header.position, parent: parent? }))
    });
    let (at, orphan) = lost?;
    headers.truncate(at);
    Some(orphan)
}

/// The rule that a block breaks by standing on one that breaks it.
pub(crate) fn standing_on(parent: BlockId, violation: Violation) -> Violation {
    let Violation { rule, detail } = violation;
    Violation { rule, detail: format!("it stands on invalid block {parent}: {detail}") }
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

/// Checks what fork choice, ledger and reachability rely on in a placement.
fn check_placement(index: &BlockIndex, view: &HeaderView, placement: &Placement) -> Result<(), Fault> {
    let Some(selected) = placement.selected_parent.filter(|id| view.parents.contains(id)) else {
        return Err(broken("place", "the selected parent is none of the parents"));
    };
    let Some(below) = index.stamps(&[selected]).pop().flatten() else {
        return Err(broken("place", "a block with an unknown parent was placed"));
    };
    if placement.height <= below.height || placement.work < below.work {
        return Err(broken("place", "height or work do not grow from the selected parent"));
    }
    if let ([_], []) = (view.parents.as_slice(), placement.merge_set.as_slice()) {
        return Ok(());
    }
    let mut named: Vec<BlockId> = placement.merge_set.iter().map(|merged| merged.id).collect();
    named.sort_unstable();
    let most = u32::try_from(named.len()).unwrap_or(u32::MAX);
    let mut merged: Vec<BlockId> = match index.merge_set(selected, &view.parents, most) {
        Some(merged) => merged.into_iter().map(|stamp| stamp.id).collect(),
        None => return Err(broken("place", "the merge set leaves out a block")),
    };
    merged.sort_unstable();
    if named == merged { Ok(()) } else { Err(broken("place", "the merge set is not the past of the block's parents")) }
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
