use super::*;
use crate::{ConfigError, Draft, Hash256, NoConfig, PowInput, Requirements, Template, Timestamp, Work};
use std::cell::Cell;

/// A header is one byte for itself and one for each parent. Block 0 is the genesis, blocks from 200 on are refused.
struct Toy;

fn id(number: u16) -> BlockId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&number.to_le_bytes());
    BlockId(id)
}

fn refused() -> Violation {
    Violation { rule: "refused".to_owned(), detail: String::new() }
}

impl Consensus for Toy {
    const NAME: &'static str = "toy";
    const SUMMARY: &'static str = "Places every block below 200.";
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn genesis(&self) -> Vec<u8> {
        header(0, &[])
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        let numbers: Vec<u16> = header.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        let (own, parents) = numbers.split_first().ok_or_else(refused)?;
        Ok(HeaderView {
            id: id(*own),
            parents: parents.iter().map(|parent| id(*parent)).collect(),
            time: Timestamp::from_millis(0),
            bits: 0,
            body_root: Hash256::default(),
            pow: PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 },
        })
    }

    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        if block.header[..2] == 200u16.to_le_bytes() {
            return Err(refused());
        }
        let parent = block.view.parents.first().map(|parent| view.block(*parent).ok_or_else(refused)).transpose()?;
        let past = parent.as_ref().map_or(Vec::new(), |parent| view.selected_past(parent.id, 11));
        Ok(Placement {
            selected_parent: parent.as_ref().map(|parent| parent.id),
            merge_set: Vec::new(),
            height: Height(parent.map_or(0, |parent| parent.height.0 + 1)),
            work: Work::ZERO,
            tie: Hash256::default(),
            valid_from: Timestamp::from_millis(0),
            subsidy: 0,
            state: past.iter().map(|block| block.id.0[0]).collect(),
        })
    }

    fn next(&self, _view: &dyn ChainView, _tips: &[BlockId], _wish: Option<u64>) -> Result<Requirements, Violation> {
        Err(refused())
    }

    fn encode(&self, _draft: &Draft) -> Result<Template, Violation> {
        Err(refused())
    }

    fn difficulty(&self, bits: u32) -> Result<String, Violation> {
        Ok(bits.to_string())
    }

    fn seal(&self, _header: &[u8], _nonce: u64, _rolled: u32) -> Result<Vec<u8>, Violation> {
        Err(refused())
    }
}

/// A host that counts how often it is asked.
#[derive(Default)]
struct Host {
    blocks: BTreeMap<BlockId, KnownBlock>,
    asked: Cell<usize>,
}

impl Host {
    /// Knows blocks, each judged over those before it.
    fn with(headers: &[Vec<u8>]) -> Self {
        let mut host = Self::default();
        for header in headers {
            let view = Toy.decode(header).unwrap();
            let placement = Toy.place(&host, &JudgedHeader { header, view: &view, pow: Hash256::default() }).unwrap();
            host.blocks.insert(view.id, known(&view, &placement));
        }
        host.asked.set(0);
        host
    }

    fn ask(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    fn chain(&self, from: BlockId) -> impl Iterator<Item = &KnownBlock> {
        std::iter::successors(self.blocks.get(&from), |block| self.blocks.get(&block.selected_parent?))
    }
}

impl ChainView for Host {
    fn horizon(&self) -> Height {
        self.ask();
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.ask();
        self.blocks.get(&id).cloned()
    }

    fn blocks(&self, ids: &[BlockId]) -> Vec<Option<KnownBlock>> {
        self.ask();
        ids.iter().map(|id| self.blocks.get(id).cloned()).collect()
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        self.ask();
        let parents = self.blocks.get(&descendant).map_or(&[][..], |block| &block.parents);
        ancestor == descendant || parents.iter().any(|parent| self.is_ancestor(ancestor, *parent))
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        self.ask();
        self.chain(from).take(count as usize).cloned().collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        self.ask();
        self.chain(from).find(|block| block.height <= height).cloned()
    }
}

fn header(own: u16, parents: &[u16]) -> Vec<u8> {
    [&[own], parents].concat().into_iter().flat_map(u16::to_le_bytes).collect()
}

fn chain(numbers: std::ops::Range<u16>) -> Vec<Vec<u8>> {
    let parents = |number: u16| number.checked_sub(1).map_or(Vec::new(), |parent| vec![parent]);
    numbers.map(|number| header(number, &parents(number))).collect()
}

fn candidates(headers: &[Vec<u8>]) -> Vec<Candidate> {
    headers.iter().map(|header| Candidate { header: header.clone(), pow: Hash256::default() }).collect()
}

/// Heights of the blocks placed, and the rules that the others break.
#[track_caller]
fn check(host: &Host, headers: &[Vec<u8>], want: &[Result<u64, &str>]) {
    let judged = judge(&Toy, host, &candidates(headers));
    let judged: Vec<_> = judged
        .iter()
        .map(|verdict| verdict.as_ref().map(|placed| placed.height.0).map_err(|broken| broken.rule.as_str()))
        .collect();
    assert_eq!(judged, want);
}

#[test]
fn a_block_is_placed_over_one_of_its_own_batch() {
    check(&Host::default(), &chain(0..3), &[Ok(0), Ok(1), Ok(2)]);
}

#[test]
fn a_block_is_placed_over_one_that_the_host_knows() {
    check(&Host::with(&chain(0..5)), &chain(5..7), &[Ok(5), Ok(6)]);
}

#[test]
fn a_block_over_an_unknown_parent_is_refused() {
    check(&Host::with(&chain(0..2)), &[header(9, &[8]), header(2, &[1])], &[Err("parent-unknown"), Ok(2)]);
}

#[test]
fn a_block_over_a_refused_parent_is_refused() {
    let headers = [header(200, &[1]), header(201, &[200]), header(202, &[1, 201])];
    check(&Host::with(&chain(0..2)), &headers, &[Err("refused"), Err("parent-unknown"), Err("parent-unknown")]);
}

#[test]
fn a_header_that_cannot_be_read_spoils_no_other() {
    check(&Host::with(&chain(0..2)), &[Vec::new(), header(2, &[1])], &[Err("refused"), Ok(2)]);
}

#[test]
fn where_a_batch_begins_changes_no_placement() {
    let headers = chain(0..60);
    let whole = judge(&Toy, &Host::default(), &candidates(&headers));
    for cut in 1..headers.len() {
        let host = Host::with(&headers[..cut]);
        assert_eq!(judge(&Toy, &host, &candidates(&headers[cut..])), whole[cut..], "cut at {cut}");
    }
}

#[test]
fn a_long_batch_asks_the_host_twice() {
    let host = Host::with(&chain(0..100));
    judge(&Toy, &host, &candidates(&chain(100..200)));
    assert_eq!(host.asked.get(), 2, "once for the parent, once for the window below the batch");
}

/// A graph of two branches over block 3: 4, 6, 8 and 5, 7, merged by 9.
fn graph(known: usize) -> (Host, Vec<Vec<u8>>) {
    let mut headers = chain(0..4);
    headers.extend([header(4, &[3]), header(5, &[3]), header(6, &[4]), header(7, &[5]), header(8, &[6])]);
    headers.push(header(9, &[8, 7]));
    (Host::with(&headers[..known]), headers.split_off(known))
}

fn batch<'a>(host: &'a Host, headers: &[Vec<u8>]) -> Batch<'a> {
    let mut batch = Batch::new(host);
    for header in headers {
        let view = Toy.decode(header).unwrap();
        let placement = Toy.place(&batch, &JudgedHeader { header, view: &view, pow: Hash256::default() }).unwrap();
        batch.add(known(&view, &placement));
    }
    batch
}

#[test]
fn a_batch_answers_as_a_host_that_knows_all_its_blocks() {
    let (all, _) = graph(10);
    for known in 0..10 {
        let (host, headers) = graph(known);
        let batch = batch(&host, &headers);
        for a in 0..11 {
            assert_eq!(batch.block(id(a)), all.block(id(a)), "block {a}, {known} known");
            for b in 0..11 {
                assert_eq!(
                    batch.is_ancestor(id(a), id(b)),
                    all.is_ancestor(id(a), id(b)),
                    "{a} below {b}, {known} known"
                );
                let (count, height) = (u32::from(b), Height(u64::from(b)));
                assert_eq!(batch.selected_past(id(a), count), all.selected_past(id(a), count), "{count} below {a}");
                let ancestor = batch.selected_ancestor(id(a), height);
                assert_eq!(ancestor, all.selected_ancestor(id(a), height), "{height:?} below {a}, {known} known");
            }
        }
    }
}
