//! A chain small enough to be all of a test's host: blocks of bytes, any number of parents, work by the size of the past.

use adit_network::wire::{Locator, TRANSACTION_IDS_MAX};
use adit_network::{BlockState, Facts, Tip, Verdict};
use adit_primitives::{BlockId, Height, TxId, Work};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// What makes a body or a header break the rules.
pub const INVALID: u8 = 0xff;

/// Makes a header: its parents, a number, and whether it breaks a rule.
pub fn header(parents: &[BlockId], nonce: u64, flag: u8) -> Bytes {
    let mut bytes = vec![u8::try_from(parents.len()).expect("few parents")];
    parents.iter().for_each(|parent| bytes.extend(parent.0));
    bytes.extend(nonce.to_le_bytes());
    bytes.push(flag);
    bytes.into()
}

/// Makes a block of a header and a body.
pub fn block(header: &Bytes, body: &[u8]) -> Bytes {
    let mut bytes = u32::try_from(header.len()).expect("short").to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    bytes.into()
}

pub fn id_of(header: &[u8]) -> BlockId {
    BlockId(*blake3::hash(header).as_bytes())
}

fn parents_of(header: &[u8]) -> Option<Vec<BlockId>> {
    let (count, rest) = header.split_first()?;
    let parents = rest.get(..usize::from(*count) * 32)?;
    Some(parents.chunks(32).map(|id| BlockId(id.try_into().expect("32 bytes"))).collect())
}

fn split(block: &Bytes) -> Option<(Bytes, Bytes)> {
    let length = u32::from_le_bytes(*block.first_chunk()?) as usize;
    (block.len() >= 4 + length).then(|| (block.slice(4..4 + length), block.slice(4 + length..)))
}

#[derive(Debug, Clone)]
struct Entry {
    header: Bytes,
    parents: Vec<BlockId>,
    work: u64,
    body: Option<Bytes>,
}

/// A node's chain and pool.
#[derive(Debug, Default)]
pub struct Chain {
    entries: BTreeMap<BlockId, Entry>,
    invalid: BTreeSet<BlockId>,
    orphans: BTreeMap<BlockId, Bytes>,
    genesis: BlockId,
    tip: (u64, BlockId),
    best: (u64, BlockId),
    header_tips: BTreeSet<BlockId>,
    pub transactions: BTreeMap<TxId, Bytes>,
    /// The most headers of one answer.
    pub page: usize,
    /// How often the host was asked what is lacking.
    pub lacking_calls: Cell<usize>,
    /// The next judgements fail, so many.
    pub faults: usize,
    /// How often headers without bodies were forgotten.
    pub forgettings: u64,
    /// Headers that were judged, one by one.
    pub headers_judged: usize,
}

impl Chain {
    pub fn new() -> Self {
        let header = header(&[], 0, 0);
        let genesis = id_of(&header);
        let entry = Entry { header, parents: vec![], work: 1, body: Some(Bytes::new()) };
        Self {
            entries: [(genesis, entry)].into(),
            genesis,
            tip: (1, genesis),
            best: (1, genesis),
            header_tips: [genesis].into(),
            page: 100,
            ..Self::default()
        }
    }

    fn past(&self, from: impl IntoIterator<Item = BlockId>) -> BTreeSet<BlockId> {
        let (mut past, mut open) = (BTreeSet::new(), Vec::from_iter(from));
        while let Some(id) = open.pop() {
            if let Some(entry) = self.entries.get(&id)
                && past.insert(id)
            {
                open.extend(&entry.parents);
            }
        }
        past
    }

    /// Whole blocks without whole children.
    pub fn tips(&self) -> Vec<BlockId> {
        let whole = self.entries.iter().filter(|(_, entry)| entry.body.is_some());
        let parents: BTreeSet<_> = whole.clone().flat_map(|(_, entry)| entry.parents.iter()).collect();
        whole.map(|(id, _)| *id).filter(|id| !parents.contains(id)).collect()
    }

    pub fn len(&self) -> usize {
        self.entries.values().filter(|entry| entry.body.is_some()).count()
    }

    /// Makes a valid block on all tips, or on the selected one.
    pub fn make(&self, on_all: bool, nonce: u64, body: &[u8]) -> (BlockId, Bytes, Bytes) {
        let parents = if on_all { self.tips() } else { vec![self.tip.1] };
        let header = header(&parents, nonce, 0);
        (id_of(&header), header.clone(), block(&header, body))
    }

    /// Forgets every header whose body has not come.
    pub fn forget_headers(&mut self) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.body.is_some());
        self.forgettings += u64::from(self.entries.len() < before);
        self.best = self.tip;
        let parents: BTreeSet<BlockId> = self.entries.values().flat_map(|entry| entry.parents.clone()).collect();
        self.header_tips = self.entries.keys().filter(|id| !parents.contains(*id)).copied().collect();
    }

    /// Places headers: how many were new, the last that is placed, and the verdict.
    pub fn place_headers(&mut self, headers: &[Bytes]) -> (usize, Option<BlockId>, Verdict) {
        if self.faults > 0 {
            self.faults -= 1;
            return (0, None, Verdict::Fault);
        }
        let (mut new, mut last) = (0, None);
        for header in headers {
            let id = id_of(header);
            match self.place(header) {
                Verdict::Valid => new += 1,
                Verdict::Known => {}
                other => return (new, last, other),
            }
            last = Some(id);
        }
        (new, last, Verdict::Valid)
    }

    fn place(&mut self, header: &Bytes) -> Verdict {
        self.headers_judged += 1;
        let id = id_of(header);
        if self.entries.contains_key(&id) {
            return Verdict::Known;
        }
        let Some(parents) = parents_of(header).filter(|parents| !parents.is_empty()) else {
            return Verdict::Invalid { rule: "a header that is none".to_owned() };
        };
        if header.last() == Some(&INVALID) || self.invalid.contains(&id) {
            return Verdict::Invalid { rule: "a flagged header".to_owned() };
        }
        let missing: Vec<_> = parents.iter().filter(|parent| !self.entries.contains_key(*parent)).copied().collect();
        if !missing.is_empty() {
            return Verdict::Orphan { missing };
        }
        let work = match parents.as_slice() {
            [parent] => self.entries[parent].work + 1,
            many => self.past(many.iter().copied()).len() as u64 + 1,
        };
        parents.iter().for_each(|parent| {
            self.header_tips.remove(parent);
        });
        self.header_tips.insert(id);
        self.entries.insert(id, Entry { header: header.clone(), parents, work, body: None });
        self.best = self.best.max((work, id));
        Verdict::Valid
    }

    /// Takes a block: the verdict, and every block that became whole by it.
    pub fn take(&mut self, wanted: Option<BlockId>, bytes: &Bytes) -> (Verdict, Vec<BlockId>) {
        if self.faults > 0 {
            self.faults -= 1;
            return (Verdict::Fault, vec![]);
        }
        let invalid = |rule: &str| (Verdict::Invalid { rule: rule.to_owned() }, vec![]);
        let Some((header, body)) = split(bytes) else { return invalid("a block that is none") };
        let id = id_of(&header);
        if wanted.is_some_and(|wanted| wanted != id) {
            return invalid("another block");
        }
        if self.state(&id) == BlockState::Whole {
            return (Verdict::Known, vec![]);
        }
        match self.place(&header) {
            Verdict::Valid | Verdict::Known => {}
            Verdict::Orphan { missing } => {
                self.orphans.insert(id, bytes.clone());
                return (Verdict::Orphan { missing }, vec![]);
            }
            other => return (other, vec![]),
        }
        let missing = self.entries[&id].parents.iter().filter(|parent| self.state(parent) != BlockState::Whole);
        let missing: Vec<_> = missing.copied().collect();
        if !missing.is_empty() {
            self.orphans.insert(id, bytes.clone());
            return (Verdict::Orphan { missing }, vec![]);
        }
        if body.first() == Some(&INVALID) {
            self.invalid.insert(id);
            return invalid("a flagged body");
        }
        let entry = self.entries.get_mut(&id).expect("placed above");
        entry.body = Some(body);
        self.tip = self.tip.max((entry.work, id));
        let mut whole = vec![id];
        let waiting: Vec<_> = std::mem::take(&mut self.orphans).into_values().collect();
        waiting.iter().for_each(|bytes| whole.extend(self.take(None, bytes).1));
        (Verdict::Valid, whole)
    }

    fn state(&self, id: &BlockId) -> BlockState {
        match self.entries.get(id) {
            _ if self.invalid.contains(id) => BlockState::Invalid,
            None => BlockState::Unknown,
            Some(Entry { body: None, .. }) => BlockState::Header,
            Some(_) => BlockState::Whole,
        }
    }

    fn selected_chain(&self, from: BlockId) -> Vec<BlockId> {
        let parent =
            |id: &BlockId| self.entries[id].parents.iter().max_by_key(|id| (self.entries[*id].work, **id)).copied();
        std::iter::successors(Some(from), parent).collect()
    }

    pub fn header_of(&self, id: &BlockId) -> Option<Bytes> {
        Some(self.entries.get(id)?.header.clone())
    }

    pub fn block_of(&self, id: &BlockId) -> Option<Bytes> {
        let entry = self.entries.get(id)?;
        Some(block(&entry.header, entry.body.as_ref()?))
    }

    /// What a peer with `locator` lacks.
    pub fn headers_after(&self, locator: &Locator) -> (Vec<Bytes>, Option<BlockId>) {
        let ours: BTreeSet<_> = self.selected_chain(self.tip.1).into_iter().collect();
        let common = locator.blocks.iter().find(|id| ours.contains(*id));
        let known = self.past(common.into_iter().chain(&locator.tips).copied());
        let lacking = self.past(self.tips()).into_iter().filter(|id| !known.contains(id));
        let mut lacking: Vec<_> = lacking.map(|id| (self.entries[&id].work, id)).collect();
        lacking.sort_unstable();
        let more = (lacking.len() > self.page).then(|| lacking[self.page - 1].1);
        (lacking.into_iter().take(self.page).map(|(_, id)| self.entries[&id].header.clone()).collect(), more)
    }

    pub fn waiting(&self) -> Vec<Vec<TxId>> {
        let ids: Vec<_> = self.transactions.keys().copied().collect();
        ids.chunks(TRANSACTION_IDS_MAX).map(<[TxId]>::to_vec).collect()
    }
}

impl Facts for Chain {
    fn block(&self, id: &BlockId) -> BlockState {
        self.state(id)
    }

    fn work(&self, id: &BlockId) -> Option<Work> {
        Some(work(self.entries.get(id)?.work))
    }

    fn tip(&self) -> Tip {
        tip(self.tip)
    }

    fn best_header(&self) -> Tip {
        tip(self.best)
    }

    fn locator(&self) -> Locator {
        let chain = self.selected_chain(self.best.1);
        let mut places: Vec<usize> = (0..10.min(chain.len())).collect();
        let mut step = 1;
        while let Some(place) = places.last().map(|last| last + step).filter(|place| *place < chain.len()) {
            places.push(place);
            step *= 2;
        }
        let blocks = places.into_iter().map(|place| chain[place]).chain([self.genesis]).collect();
        Locator { blocks, tips: self.header_tips.iter().copied().take(64).collect() }
    }

    fn forgettings(&self) -> u64 {
        self.forgettings
    }

    fn lacking(&self, max: usize, out: &mut Vec<BlockId>) {
        self.lacking_calls.set(self.lacking_calls.get() + 1);
        let (mut seen, mut open) = (BTreeSet::new(), vec![self.best.1]);
        while let Some(id) = open.pop() {
            if self.state(&id) == BlockState::Header && seen.insert((self.entries[&id].work, id)) {
                open.extend(&self.entries[&id].parents);
            }
        }
        out.extend(seen.into_iter().map(|(_, id)| id).take(max));
    }

    fn transaction(&self, id: &TxId) -> bool {
        self.transactions.contains_key(id)
    }
}

fn work(work: u64) -> Work {
    Work(adit_primitives::U256::from(work))
}

fn tip((size, id): (u64, BlockId)) -> Tip {
    Tip { id, work: work(size), height: Height(size - 1) }
}
