//! GHOSTDAG on Kaspa's recorded DAGs and on generated ones: every field of every block.
//!
//! Blocks are shown to the rules as headers of the format `labelled`, so that a DAG is its shape. What is right was written by Kaspa's own
//! programs, or is computed by [`mod@reference`] from the definitions.

pub mod reference;
pub mod refusals;

use super::Subject;
use crate::recorded;
use crate::seed::{self, Random};
use adit_chain::HeaderChain;
use adit_primitives::contract::KnownBlock;
use adit_primitives::engine::ChainView;
use adit_primitives::{BlockId, Decode, Reader, U256, canonical_struct};
use reference::Variant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The easiest target that a header can state: the difficulty plays no part.
const BITS: u32 = 0x207f_ffff;

/// Headers given to the rules at once.
const BATCH: usize = 500;

/// A DAG by its shape: block 0 is the genesis, and parents stand before their children.
#[derive(Debug, Clone)]
pub struct Dag {
    pub k: u16,
    pub ids: Vec<BlockId>,
    pub parents: Vec<Vec<usize>>,
}

/// What the rules say of a block. Blocks are named by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub selected_parent: usize,
    pub blue_score: u64,
    pub blue_work: U256,
    /// The selected parent first, the others in ascending order.
    pub blues: Vec<usize>,
    pub reds: Vec<usize>,
    /// The sizes of the anticones among the blues, of all blues whose size is new.
    pub anticones: BTreeMap<usize, u16>,
}

/// The part of the plugin's notes that Kaspa records too.
struct Notes {
    _daa_score: u64,
    anticones: Vec<u16>,
    grown: Vec<Grown>,
}

#[derive(Clone)]
struct Grown {
    id: BlockId,
    anticone: u16,
}

canonical_struct!(Grown { id, anticone });

impl Dag {
    /// Returns the configuration of rules for this DAG.
    pub fn config(&self) -> Value {
        json!({
            "k": self.k, "parents-max": 256, "merge-set-max": 10_000, "header": "labelled", "proof-of-work": false,
            "genesis": { "header": hex(&self.header(0)) }, "difficulty": { "rule": "fixed" },
        })
    }

    /// Writes a block as a header of the format `labelled`.
    pub fn header(&self, block: usize) -> Vec<u8> {
        let parents = &self.parents[block];
        let count = u16::try_from(parents.len()).expect("a block has few parents");
        let mut header = self.ids[block].0.to_vec();
        header.extend(0u64.to_le_bytes());
        header.extend(BITS.to_le_bytes());
        header.extend(count.to_le_bytes());
        header.extend(parents.iter().flat_map(|parent| self.ids[*parent].0));
        header
    }

    /// Lets the rules place the blocks in the order of `arrival`, in batches of `batch`.
    ///
    /// # Panics
    /// Where a block is refused.
    pub fn place(&self, subject: &dyn Subject, arrival: &[usize], batch: usize) -> Vec<Outcome> {
        let rules = subject.rules("ghostdag", &self.config());
        let mut chain = HeaderChain::from_genesis(rules, subject.hash("sha256d")).expect("the genesis is placed");
        let headers: Vec<Vec<u8>> = arrival.iter().map(|block| self.header(*block)).collect();
        for headers in headers.chunks(batch) {
            chain.append(headers).expect("a block of the DAG is valid");
        }
        let numbers: BTreeMap<BlockId, usize> = self.ids.iter().copied().zip(0..).collect();
        let known = self.ids.iter().map(|id| chain.index().block(*id).expect("each block was placed"));
        known.map(|known| outcome(&known, &numbers)).collect()
    }

    /// Lets the rules place the blocks as they are numbered.
    pub fn place_in_order(&self, subject: &dyn Subject) -> Vec<Outcome> {
        let order: Vec<usize> = (1..self.ids.len()).collect();
        self.place(subject, &order, BATCH)
    }

    /// Returns a generated DAG: each block names the blocks without children that its miner had seen, `delay` blocks late at most.
    pub fn generated(k: u16, blocks: usize, delay: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
        for block in 1..blocks {
            let seen = block - random.below(delay.min(block)).min(block - 1);
            let named: Vec<usize> = parents[..seen].iter().flatten().copied().collect();
            parents.push((0..seen).filter(|tip| !named.contains(tip)).collect());
        }
        let id = |block: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(block as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            id[31] = 1;
            BlockId(id)
        };
        Self { k, ids: (0..blocks).map(id).collect(), parents }
    }
}

/// Kaspa's small DAGs, drawn by hand: blues, reds, scores.
pub fn small_dags_are_coloured_as_recorded(subject: &dyn Subject) {
    for number in 0..6 {
        let Some((dag, recorded)) = small_dag(number) else { return };
        let placed = dag.place_in_order(subject);
        for (block, recorded) in recorded.iter().enumerate().skip(1) {
            let Outcome { selected_parent, blue_score, ref blues, ref reds, .. } = placed[block];
            let placed = (selected_parent, blue_score, blues, reds);
            let right = (recorded.selected_parent, recorded.blue_score, &recorded.blues, &recorded.reds);
            assert_eq!(placed, right, "dag{number}: block {block}");
        }
    }
}

/// Four DAGs of a thousand blocks and more, of which Kaspa's own program wrote every field.
pub fn large_dags_agree_in_every_field(subject: &dyn Subject) {
    for (name, k) in LARGE {
        let Some((dag, recorded)) = large_dag(name, k) else { return };
        let placed = dag.place_in_order(subject);
        assert_eq!(first_difference(&placed, &recorded), None, "{name}");
    }
}

/// Whatever the order in which blocks arrive, and however many at once, they are placed alike.
pub fn the_order_of_arrival_changes_nothing(subject: &dyn Subject) {
    let mut random = Random(seed::drawn());
    for (name, k) in LARGE {
        let Some((dag, recorded)) = large_dag(name, k) else { return };
        let (arrival, batch) = (random.arrival(&dag.parents), 1 + random.below(2 * BATCH));
        assert_eq!(first_difference(&dag.place(subject, &arrival, batch), &recorded), None, "{name}");
    }
}

/// Batches of one are judged by fresh instances, larger ones by instances that remember.
pub fn a_fresh_instance_answers_as_one_that_remembers(subject: &dyn Subject) {
    for (name, k) in LARGE {
        let Some((dag, recorded)) = large_dag(name, k) else { return };
        let arrival = Random(seed::drawn()).arrival(&dag.parents);
        let placed = dag.place(subject, &arrival, 1);
        assert_eq!(first_difference(&placed, &recorded), None, "{name}");
    }
}

/// Generated DAGs, narrow and wide, honest and not, are placed as the definitions say.
pub fn generated_dags_are_placed_by_definition(subject: &dyn Subject) {
    let mut random = Random(seed::drawn());
    for (k, delay) in [(0, 3), (1, 2), (2, 8), (3, 4), (10, 12), (18, 40)] {
        let dag = Dag::generated(k, 150, delay, random.draw());
        let right = reference::outcomes(&dag, Variant::Right);
        for batch in [40, 1 + random.below(150)] {
            let arrival = random.arrival(&dag.parents);
            assert_eq!(first_difference(&dag.place(subject, &arrival, batch), &right), None, "k {k}, delay {delay}");
        }
    }
}

/// A branch that a minority mines in secret and releases late is red, however long it is.
pub fn a_branch_kept_back_is_red(subject: &dyn Subject) {
    let k = 3;
    // Honest miners find two blocks at a time and see both before the next; the attacker finds 40 % of all blocks.
    let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
    let (mut honest, mut secret) = (vec![0], 0);
    let mut withheld = Vec::new();
    for round in 0..30 {
        let seen = honest.clone();
        honest = (0..2).map(|_| push(&mut parents, seen.clone())).collect();
        if round % 3 != 2 {
            secret = push(&mut parents, vec![secret]);
            withheld.push(secret);
        }
    }
    let last = push(&mut parents, honest.into_iter().chain([secret]).collect());
    let id = |block: usize| BlockId([u8::try_from(block).expect("few blocks"); 32]);
    let dag = Dag { k, ids: (0..parents.len()).map(id).collect(), parents };
    let placed = dag.place_in_order(subject);
    assert_eq!(placed[last].reds, withheld, "the whole branch is merged, and red");
    assert_eq!(first_difference(&placed, &reference::outcomes(&dag, Variant::Right)), None);
}

/// The recorded DAGs can tell right rules from the two that are known to be wrong.
///
/// # Panics
/// Where a wrong variant of the rules agrees with all that is recorded.
pub fn recorded_dags_refuse_wrong_rules() {
    let Some(small) = (0..6).map(small_dag).collect::<Option<Vec<_>>>() else { return };
    let differs = |variant: Variant| {
        let colours = |outcomes: &[Outcome]| -> Vec<_> {
            outcomes.iter().map(|outcome| (outcome.blues.clone(), outcome.reds.clone())).collect()
        };
        small.iter().filter(|(dag, recorded)| colours(&reference::outcomes(dag, variant)) != colours(recorded)).count()
    };
    assert_eq!(differs(Variant::Right), 0, "the definitions agree with what is recorded");
    assert!(differs(Variant::NoTieBreak) > 0, "without ids the order of equal work is another");
    assert!(differs(Variant::NoWalk) > 0, "without the walk down the selected chain reds become blue");
}

/// The DAGs of which every field is recorded, with their k.
const LARGE: [(&str, u16); 4] = [
    ("noattack-4091-blocks", 4),
    ("wide-4091-blocks", 18),
    ("goref-2023-905-tx-265-blocks", 18),
    ("goref-2023-custom-pruning-depth", 6),
];

/// Returns the first block on which two say different things.
pub fn first_difference(placed: &[Outcome], recorded: &[Outcome]) -> Option<(usize, Outcome, Outcome)> {
    assert_eq!(placed.len(), recorded.len(), "both know the same blocks");
    let differs = (1..placed.len()).find(|block| placed[*block] != recorded[*block])?;
    Some((differs, placed[differs].clone(), recorded[differs].clone()))
}

/// Reads one of the DAGs drawn by hand.
fn small_dag(number: u32) -> Option<(Dag, Vec<Outcome>)> {
    let file: Value =
        serde_json::from_str(&recorded::text(&format!("kaspa/dag{number}.json"))?).expect("a recorded DAG");
    let blocks = file["Blocks"].as_array().expect("a DAG has blocks");
    let text = |value: &Value| value.as_str().expect("a block's name").to_owned();
    let mut names = vec![text(&file["GenesisID"])];
    names.extend(blocks.iter().map(|block| text(&block["ID"])));
    let numbers: BTreeMap<String, usize> = names.iter().cloned().zip(0..).collect();
    let number_of = |value: &Value| numbers[&text(value)];
    let list =
        |value: &Value| value.as_array().expect("a list of blocks").iter().map(number_of).collect::<Vec<usize>>();
    let id = |name: &String| {
        let mut id = [0; 32];
        id[..name.len()].copy_from_slice(name.as_bytes());
        BlockId(id)
    };
    let k = u16::try_from(file["K"].as_u64().expect("k is a number")).expect("k is small");
    let mut parents = vec![Vec::new()];
    parents.extend(blocks.iter().map(|block| list(&block["Parents"])));
    let mut outcomes = vec![Outcome::default()];
    outcomes.extend(blocks.iter().map(|block| Outcome {
        selected_parent: number_of(&block["ExpectedSelectedParent"]),
        blue_score: block["ExpectedScore"].as_u64().expect("a blue score"),
        blues: list(&block["ExpectedBlues"]),
        reds: list(&block["ExpectedReds"]),
        ..Outcome::default()
    }));
    Some((Dag { k, ids: names.iter().map(id).collect(), parents }, outcomes))
}

/// Reads a DAG of which every field is recorded.
fn large_dag(name: &str, k: u16) -> Option<(Dag, Vec<Outcome>)> {
    let file = recorded::unpacked(&format!("kaspa/{name}.json.gz"))?;
    let (ids, parents) = if name.starts_with("goref") { mined(&file) } else { simulated(&file) };
    let recorded = recorded::unpacked(&format!("kaspa/{name}.expected-k{k}.csv.gz"))?;
    let rows = recorded.lines().filter(|line| !line.starts_with('#')).map(row);
    let mut outcomes = vec![Outcome::default()];
    for (number, outcome) in rows {
        assert_eq!(number, outcomes.len(), "rows stand in order");
        outcomes.push(outcome);
    }
    Some((Dag { k, ids, parents }, outcomes))
}

/// Reads the shape of a DAG that Kaspa's simulator made: the id of block n is n + 1 as eight bytes at the end.
fn simulated(file: &str) -> (Vec<BlockId>, Vec<Vec<usize>>) {
    let blocks: Vec<Value> = serde_json::from_str(file).expect("a list of blocks");
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<usize>().ok()).expect("a number");
    let parents = |block: &Value| block["parents"].as_array().expect("a list").iter().map(number).collect();
    let id = |number: usize| {
        let mut id = [0; 32];
        id[24..].copy_from_slice(&(number as u64 + 1).to_le_bytes());
        BlockId(id)
    };
    ((0..blocks.len()).map(id).collect(), blocks.iter().map(parents).collect())
}

/// Reads the shape of a DAG that Kaspa's first node program mined: one block a line.
fn mined(file: &str) -> (Vec<BlockId>, Vec<Vec<usize>>) {
    let lines = file.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let blocks: Vec<Value> = lines.filter(|block| block.get("Header").is_some()).collect();
    let id = |value: &Value| BlockId(recorded::from_hex(value.as_str().expect("an id")).try_into().expect("32 bytes"));
    let ids: Vec<BlockId> = blocks.iter().map(|block| id(&block["VerboseData"]["Hash"])).collect();
    let numbers: BTreeMap<BlockId, usize> = ids.iter().copied().zip(0..).collect();
    let parents = |block: &Value| {
        let levels = block["Header"]["Parents"].as_array().expect("a list of levels");
        let direct = levels.first().map(|level| level["ParentHashes"].as_array().expect("a list of ids"));
        direct.into_iter().flatten().map(|parent| numbers[&id(parent)]).collect()
    };
    (ids, blocks.iter().map(parents).collect())
}

/// Reads a recorded row: index, selected parent, blue score, blue work, blues, reds, sizes of anticones.
fn row(line: &str) -> (usize, Outcome) {
    let fields: Vec<&str> = line.split(',').collect();
    let [index, selected, score, work, blues, reds, sizes] = fields[..] else { panic!("seven fields: {line}") };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let list = |text: &str| text.split_whitespace().map(number).collect::<Vec<usize>>();
    let size = |pair: &str| {
        let (block, size) = pair.split_once(':').expect("block:size");
        (number(block), size.parse().expect("a size"))
    };
    let outcome = Outcome {
        selected_parent: number(selected),
        blue_score: score.parse().expect("a blue score"),
        blue_work: U256::from_str_radix(work, 16).expect("hexadecimal work"),
        blues: list(blues),
        reds: list(reds),
        anticones: sizes.split_whitespace().map(size).collect(),
    };
    (number(index), outcome)
}

/// Reads what the rules said of a block.
fn outcome(known: &KnownBlock, numbers: &BTreeMap<BlockId, usize>) -> Outcome {
    let Some(selected) = known.selected_parent else { return Outcome::default() };
    let of_colour =
        |blue: bool| known.merge_set.iter().filter(move |merged| merged.blue == blue).map(|merged| numbers[&merged.id]);
    let blues: Vec<usize> = std::iter::once(numbers[&selected]).chain(of_colour(true)).collect();
    let mut reader = Reader::new(&known.state);
    let notes = Notes::read(&mut reader);
    let grown = notes.grown.iter().map(|grown| (numbers[&grown.id], grown.anticone));
    Outcome {
        selected_parent: numbers[&selected],
        blue_score: known.height.0,
        blue_work: known.work.0,
        anticones: blues.iter().copied().zip(notes.anticones).chain(grown).collect(),
        blues,
        reds: of_colour(false).collect(),
    }
}

impl Notes {
    fn read(reader: &mut Reader<'_>) -> Self {
        let broken = "the plugin's notes are canonical";
        Self {
            _daa_score: u64::decode(reader).expect(broken),
            anticones: Vec::decode(reader).expect(broken),
            grown: Vec::decode(reader).expect(broken),
        }
    }
}

fn push(parents: &mut Vec<Vec<usize>>, of: Vec<usize>) -> usize {
    parents.push(of);
    parents.len() - 1
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
