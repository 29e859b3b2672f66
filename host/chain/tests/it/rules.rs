//! Rules for tests: each header states its own work, so that forks of any shape cost nothing.
//!
//! ```text
//! parents: count u32, each 32 | body root 32 | time u64 | nonce u64 | work u32
//! ```
//! Several parents are allowed: the selected one is the heaviest, and the merge set is what the others add to its past. A merged block whose own
//! work is a multiple of three is red.

use adit_primitives::contract::space::{Challenge, Registration, SpaceProof};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, KnownBlock, MergedBlock, Placement, PowInput, Requirements, Scan, SearchJob,
    Template, Violation,
};
use adit_primitives::engine::{Fault, FaultClass, HashEngine, RulesEngine, SharedView, SpaceRules};
use adit_primitives::{
    BlockId, Encode, Hash256, Height, Reader, Target, Timestamp, U256, Work, canonical_struct, sha256d,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a coinbase may create.
pub const SUBSIDY: u64 = 1_000_000;
/// How far ahead of a node's clock a header may be, in milliseconds.
pub const AHEAD_MS: u64 = 1000;
/// A nonce that breaks the rule `proof-of-work`.
pub const BAD_NONCE: u64 = u64::MAX;
/// What these rules note on each block, and ask of each parent.
pub const NOTES: [u8; 3] = [7; 3];
/// A body's root that breaks the rule `challenge`, whatever the digest is.
pub const BAD_ROOT: Hash256 = Hash256([0xee; 32]);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub parents: Vec<BlockId>,
    pub body_root: Hash256,
    pub time: Timestamp,
    pub nonce: u64,
    pub work: u32,
}

canonical_struct!(Header { parents, body_root, time, nonce, work });

#[derive(Debug, Default)]
pub struct TestRules {
    /// Whether templates name every tip as parent.
    pub dag: bool,
    /// Whether plots are said to win blocks: then digests may be foretold as the best.
    pub space: bool,
    /// While set, every call is a fault.
    pub faulty: AtomicBool,
}

#[derive(Debug)]
pub struct TestHash;

fn violation(rule: &str) -> Violation {
    Violation { rule: rule.to_owned(), detail: "as the test wants it".to_owned() }
}

impl TestRules {
    fn check(&self, function: &str) -> Result<(), Fault> {
        if !self.faulty.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (plugin, function) = ("test".to_owned(), function.to_owned());
        Err(Fault { class: FaultClass::Plugin, plugin, function, detail: "as the test wants it".to_owned() })
    }
}

pub fn decode(header: &[u8]) -> Result<Header, Violation> {
    use adit_primitives::Decode;
    let mut reader = Reader::new(header);
    let decoded = Header::decode(&mut reader).map_err(|_| violation("header"))?;
    reader.finish("header").map_err(|_| violation("header"))?;
    Ok(decoded)
}

fn view_of(bytes: &[u8]) -> Result<HeaderView, Violation> {
    let header = decode(bytes)?;
    let nonce_offset = u32::try_from(bytes.len() - 12).unwrap();
    let pow = PowInput { bytes: bytes.to_vec(), nonce_offset, nonce_bytes: 8, roll_offset: 0, roll_mask: 0 };
    Ok(HeaderView {
        id: BlockId(sha256d(bytes)),
        parents: header.parents,
        time: header.time,
        bits: header.work,
        body_root: header.body_root,
        pow,
    })
}

fn place(
    space: bool,
    view: &SharedView,
    fresh: &BTreeMap<BlockId, KnownBlock>,
    candidate: &Candidate,
) -> Result<(KnownBlock, Placement), Violation> {
    let header = decode(&candidate.header)?;
    let id = BlockId(sha256d(&candidate.header));
    let foretold = space && candidate.pow == Hash256::default();
    assert!(foretold || candidate.pow.0 == sha256d(&candidate.header), "the digest is of the bytes to hash");
    if header.nonce == BAD_NONCE && !foretold {
        return Err(violation("proof-of-work"));
    }
    if header.body_root == BAD_ROOT {
        return Err(violation("challenge"));
    }
    let known = |id: &BlockId| fresh.get(id).cloned().or_else(|| view.block(*id)).ok_or_else(|| violation("parent"));
    let parents = header.parents.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    if parents.iter().any(|known| known.state != NOTES) {
        return Err(violation("notes"));
    }
    let selected = parents.iter().max_by_key(|known| (known.work, known.id));
    if selected.is_none() && header.work != 1 {
        return Err(violation("parents"));
    }
    let mut merged: Vec<KnownBlock> = Vec::new();
    let mut open: Vec<KnownBlock> = parents.clone();
    while let Some(block) = open.pop() {
        let in_past =
            selected.is_none_or(|selected| view.is_ancestor(block.id, selected.id) || block.id == selected.id);
        if !in_past && !merged.iter().any(|other| other.id == block.id) {
            open.extend(block.parents.iter().filter_map(|id| view.block(*id)));
            merged.push(block);
        }
    }
    merged.sort_by_key(|known| (known.work, known.id));
    let own = Work(U256::from(header.work));
    let base = selected.map_or(Work::ZERO, |selected| selected.work);
    let work =
        merged.iter().fold(base.saturating_add(own), |sum, known| sum.saturating_add(Work(U256::from(known.bits))));
    let height = selected.map_or(0, |selected| selected.height.0 + 1 + merged.len() as u64);
    let valid_from = Timestamp::from_millis(header.time.to_millis().saturating_sub(AHEAD_MS));
    let placed = Placement {
        selected_parent: selected.map(|selected| selected.id),
        merge_set: merged.iter().map(|known| MergedBlock { id: known.id, blue: known.bits % 3 != 0 }).collect(),
        height: Height(height),
        work,
        tie: Hash256(id.0),
        valid_from,
        subsidy: SUBSIDY,
        state: NOTES.to_vec(),
    };
    let known = KnownBlock {
        id,
        parents: header.parents,
        selected_parent: placed.selected_parent,
        merge_set: placed.merge_set.clone(),
        time: header.time,
        bits: header.work,
        height: placed.height,
        work,
        state: placed.state.clone(),
    };
    Ok((known, placed))
}

impl RulesEngine for TestRules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        let (body_root, time) = (Hash256::default(), Timestamp::from_millis(0));
        Ok(Header { parents: Vec::new(), body_root, time, nonce: 0, work: 1 }.to_bytes())
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        self.check("decode")?;
        Ok(headers.iter().map(|header| view_of(header)).collect())
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        self.check("place")?;
        let mut fresh = BTreeMap::new();
        let judge = |candidate| {
            let (known, placement) = place(self.space, view, &fresh, candidate)?;
            fresh.insert(known.id, known);
            Ok(placement)
        };
        Ok(candidates.iter().map(judge).collect())
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        self.check("next")?;
        let tip = view.block(tips[0]).unwrap();
        let parents = if self.dag { tips.to_vec() } else { vec![tip.id] };
        let work = match wish.map(u32::try_from) {
            Some(Err(_)) => return Ok(Err(violation("difficulty-override"))),
            Some(Ok(work)) => work,
            None => 10,
        };
        Ok(Ok(Requirements {
            parents,
            bits: work,
            target: Target::MAX,
            difficulty: work.to_string(),
            earliest: Timestamp::from_millis(tip.time.to_millis() + 1),
            height: Height(tip.height.0 + 1),
            subsidy: SUBSIDY,
        }))
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        let Draft { parents, bits, time, body_root } = draft.clone();
        let header = Header { parents, body_root, time, nonce: 0, work: bits }.to_bytes();
        let pow = view_of(&header).unwrap().pow;
        Ok(Ok(Template { header, pow, target: Target::MAX }))
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        Ok(Ok(bits.to_string()))
    }

    fn seal(&self, header: &[u8], nonce: u64, _rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(decode(header).map(|header| Header { nonce, ..header }.to_bytes()))
    }

    fn space(&self) -> Option<&dyn SpaceRules> {
        self.space.then_some(self)
    }
}

/// Nobody farms in these tests.
impl SpaceRules for TestRules {
    fn challenge(&self, _: &SharedView, _: &[BlockId], _: Timestamp) -> Result<Result<Challenge, Violation>, Fault> {
        Ok(Err(violation("challenge")))
    }

    fn registered(&self, _: &[u8]) -> Result<Result<Vec<Registration>, Violation>, Fault> {
        Ok(Ok(Vec::new()))
    }

    fn prove(&self, _: &[u8], _: &SpaceProof) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(Err(violation("proof-form")))
    }
}

impl HashEngine for TestHash {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, count: u64) -> Result<Scan, Fault> {
        Ok(Scan { scanned: count, found: Vec::new() })
    }
}
