//! Kaspa's recorded blocks as whole headers, so that all that looks back plays its part: windows of difficulty and of median time, merge depth, pruning points.
//!
//! A header states its DAA score, blue score, blue work, bits and pruning point and names its parents by their hashes: one that is valid agrees with
//! the program that mined it.

use super::{Example, Subject};
use crate::recorded;
use crate::seed::{self, Random};
use adit_chain::{
    Chain, ChainConfig, Conflicts, HeaderChain, HeaderError, LedgerRules, MempoolLimits, OrphanLimits, TemplateLimits,
};
use adit_primitives::contract::{KnownBlock, Placement};
use adit_primitives::storage::MemoryStorage;
use adit_primitives::{Amount, BlockId, Hash256, Timestamp, U256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Recorded DAGs, with the file of `examples/kaspa` that has their rules and the number of their blocks. The longest comes last.
const RECORDINGS: [(&str, &str, usize); 4] = [
    ("goref-2023-905-tx-265-blocks", "devnet-2023", 265),
    ("goref-2026-1060-tx-265-blocks", "chain", 266),
    ("goref-2023-custom-pruning-depth", "devnet-2023-pruning", 1_075),
    ("goref-2026-notx-5000-blocks", "chain", 5_001),
];

/// Headers given to the rules at once.
const BATCH: usize = 1_000;

/// After every recorded block.
const NOW: Timestamp = Timestamp::from_millis(1 << 50);

/// A recorded DAG: parents stand before their children, the genesis is the first.
struct Recording {
    name: &'static str,
    rules: Example,
    headers: Vec<Vec<u8>>,
    ids: Vec<BlockId>,
    parents: Vec<Vec<usize>>,
}

/// Where a block stands.
type Placed = (KnownBlock, Placement);

impl Recording {
    fn read(subject: &dyn Subject, name: &'static str, rules: &str, blocks: usize) -> Option<Self> {
        let text = recorded::unpacked(&format!("kaspa/{name}.json.gz"))?;
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let headers: Vec<Vec<u8>> =
            lines.filter_map(|line| Some(bytes(line.get("Header").or(line.get("header"))?))).collect();
        assert_eq!(headers.len(), blocks, "{name}");
        let rules = Example::file(&format!("kaspa/{rules}.toml"));
        let views = subject.rules(&rules.consensus, &rules.config).decode(&headers).expect("the plugin answers");
        let views: Vec<_> = views.into_iter().map(|view| view.expect("a recorded header decodes")).collect();
        let numbers: BTreeMap<BlockId, usize> = views.iter().map(|view| view.id).zip(0..).collect();
        let parents = views.iter().map(|view| view.parents.iter().map(|parent| numbers[parent]).collect()).collect();
        Some(Self { name, rules, headers, ids: views.into_iter().map(|view| view.id).collect(), parents })
    }

    /// Begins a chain of headers with these rules, some of their keys changed.
    fn begin(&self, subject: &dyn Subject, changes: &Value) -> HeaderChain {
        let mut config = self.rules.config.clone();
        for (key, value) in changes.as_object().expect("changes are an object") {
            config[key] = value.clone();
        }
        let rules = subject.rules(&self.rules.consensus, &config);
        HeaderChain::from_genesis(rules, subject.hash(&self.rules.hash)).expect("the genesis is placed")
    }

    fn headers(&self, order: &[usize]) -> Vec<Vec<u8>> {
        order.iter().map(|block| self.headers[*block].clone()).collect()
    }

    /// Lets the rules place the blocks in the order of `arrival`, in batches of `batch`.
    fn place(&self, subject: &dyn Subject, arrival: &[usize], batch: usize) -> Vec<Placed> {
        let mut chain = self.begin(subject, &json!({}));
        for headers in self.headers(arrival).chunks(batch) {
            chain.append(headers).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        let placed = self.ids.iter().map(|id| chain.index().indexed(*id).expect("each block was placed"));
        placed.map(|block| (block.known, block.placement)).collect()
    }

    fn place_in_order(&self, subject: &dyn Subject) -> Vec<Placed> {
        self.place(subject, &(1..self.ids.len()).collect::<Vec<_>>(), BATCH)
    }

    #[track_caller]
    fn check(&self, placed: &[Placed], want: &[Placed]) {
        let differs = (0..want.len()).find(|block| placed[*block] != want[*block]);
        assert_eq!(differs.map(|block| (block, &placed[block], &want[block])), None, "{}", self.name);
    }
}

/// The 5,000 recorded values of kHeavyHash: hash over which it is computed, time and nonce, and the digest as a number.
pub fn recorded_digests_are_reproduced(subject: &dyn Subject) {
    let Some(text) = recorded::unpacked("kaspa/kheavyhash-5000.csv.gz") else { return };
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5_000);
    let number = |text: &str| text.parse::<u64>().expect("a number").to_le_bytes();
    let input =
        |row: &Vec<&str>| [&recorded::from_hex(row[1])[..], &number(row[2]), &[0; 32], &number(row[3])].concat();
    let inputs: Vec<u8> = rows.iter().flat_map(input).collect();
    let digests = subject.digests("kheavyhash", &inputs, 80);
    assert_eq!(digests.len(), rows.len());
    for (row, Hash256(digest)) in rows.iter().zip(digests) {
        assert_eq!(Ok(U256::from_le_bytes(digest)), U256::from_str_radix(row[5], 16), "block {}", row[0]);
    }
}

/// Whatever the order in which blocks arrive, and however many at once, every one is valid and placed alike.
pub fn recorded_headers_are_valid_whatever_their_order(subject: &dyn Subject) {
    let mut random = Random(seed::drawn());
    for (name, rules, blocks) in RECORDINGS {
        let Some(recording) = Recording::read(subject, name, rules, blocks) else { return };
        let want = recording.place_in_order(subject);
        let (arrival, batch) = (random.arrival(&recording.parents), 100 + random.below(BATCH));
        recording.check(&recording.place(subject, &arrival, batch), &want);
    }
}

/// Batches of one are judged by fresh instances, which read their windows from the blocks' notes; larger ones by instances that remember.
pub fn fresh_instances_judge_headers_as_those_that_remember(subject: &dyn Subject) {
    for (name, rules, blocks) in &RECORDINGS[..3] {
        let Some(recording) = Recording::read(subject, name, rules, *blocks) else { return };
        let arrival = Random(seed::drawn()).arrival(&recording.parents);
        recording.check(&recording.place(subject, &arrival, 1), &recording.place_in_order(subject));
    }
}

/// A chain that is closed and opened again from what it kept, at any moment, places the blocks that come later as one that never was.
pub fn a_restart_in_the_middle_changes_nothing(subject: &dyn Subject) {
    let mut random = Random(seed::drawn());
    for (name, rules, blocks) in RECORDINGS {
        let Some(recording) = Recording::read(subject, name, rules, blocks) else { return };
        let arrival = random.arrival(&recording.parents);
        let mut cuts = [0; 3].map(|_| 1 + random.below(arrival.len() - 1));
        cuts.sort_unstable();
        let storage = Arc::new(MemoryStorage::default());
        let open = || {
            let rules = subject.rules(&recording.rules.consensus, &recording.rules.config);
            Chain::open(config(), storage.clone(), rules, subject.hash(&recording.rules.hash)).expect("a sound storage")
        };
        let mut chain = open();
        for end in cuts.into_iter().chain([arrival.len()]) {
            // Headers without bodies that do not lead to the best one are forgotten at a start: they are offered again with the new ones.
            let headers = recording.headers(&arrival[..end]);
            let taken = chain.submit_headers(NOW, &headers).expect("a storage in memory");
            assert_eq!((taken.ids.len(), taken.refused), (end, None), "{name}: up to {end}");
            let best = chain.reader().best_header();
            drop(chain);
            chain = open();
            assert_eq!(chain.reader().best_header(), best, "{name}: after the restart");
            assert!(chain.index().count() as u64 > best.height.0, "{name}: its whole past is known");
        }
        let headers = recording.headers(&arrival);
        let again = chain.submit_headers(NOW, &headers).expect("a storage in memory");
        assert!(again.new < blocks && again.refused.is_none(), "{name}: {again:?}");
        let known = recording.ids.iter().map(|id| chain.index().indexed(*id).expect("each block is known"));
        let placed: Vec<Placed> = known.map(|block| (block.known, block.placement)).collect();
        recording.check(&placed, &recording.place_in_order(subject));
    }
}

/// Changes one field of a recorded header and tells the rule that refuses it. Without a proof of work the rules behind it are reached.
pub fn a_wrong_field_is_refused_by_its_rule(subject: &dyn Subject) {
    let (name, rules, blocks) = RECORDINGS[2];
    let Some(recording) = Recording::read(subject, name, rules, blocks) else { return };
    let (right, before) = recording.headers.split_last().expect("there are blocks");
    let mut chain = recording.begin(subject, &json!({ "proof-of-work": false }));
    chain.append(&before[1..]).expect("recorded blocks are valid");
    let bits = u32::from_le_bytes(stated(right, Field::Bits).try_into().expect("four bytes"));
    for (field, value, rule) in [
        (Field::Time, vec![0; 8], "time-too-old"),
        (Field::Bits, (bits - 1).to_le_bytes().to_vec(), "bits"),
        (Field::Bits, vec![0; 4], "bits"),
        (Field::DaaScore, less(stated(right, Field::DaaScore)), "daa-score"),
        (Field::BlueScore, less(stated(right, Field::BlueScore)), "blue-score"),
        (Field::BlueWork, less(stated(right, Field::BlueWork)), "blue-work"),
        (Field::PruningPoint, vec![0x11; 32], "pruning-point"),
        (Field::PruningPoint, recording.ids[0].0.to_vec(), "pruning-point"),
    ] {
        let mut wrong = right.clone();
        let range = field.range(right);
        wrong.splice(range, value);
        assert_eq!(refusal(chain.append(&[wrong])), rule, "{field:?}");
    }
    assert_eq!(chain.append(std::slice::from_ref(right)), Ok(1), "the header itself is right");
}

/// The recorded blocks under rules that allow less: what goes beyond them is refused, by its rule.
pub fn narrower_limits_refuse_what_goes_beyond_them(subject: &dyn Subject) {
    for (recording, changes, rule) in [
        (2, json!({ "parents-max": 1 }), "parents-max"),
        (2, json!({ "merge-set-max": 2 }), "merge-set-max"),
        (2, json!({ "merge-depth": 5 }), "merge-depth"),
        (2, json!({ "pruning": { "finality-depth": 51, "depth": 354 } }), "pruning-point"),
        (2, json!({ "k": 0 }), "blue-score"),
        (0, json!({ "difficulty": { "rule": "window", "size": 20, "min": 20, "target-ms": 1000 } }), "bits"),
        (1, json!({ "proof-of-work": true }), "proof-of-work"),
    ] {
        let (name, rules, blocks) = RECORDINGS[recording];
        let Some(recording) = Recording::read(subject, name, rules, blocks) else { return };
        let mut chain = recording.begin(subject, &changes);
        assert_eq!(refusal(chain.append(&recording.headers[1..])), rule, "{name} with {changes}");
    }
}

/// Returns the rule that a header of a batch broke.
fn refusal(verdict: Result<usize, HeaderError>) -> String {
    match verdict {
        Err(HeaderError::Invalid { violation, .. }) => violation.rule,
        other => panic!("no rule was broken: {other:?}"),
    }
}

/// What a header states, behind its parents and the roots.
#[derive(Debug, Clone, Copy)]
enum Field {
    Time,
    Bits,
    DaaScore,
    BlueScore,
    BlueWork,
    PruningPoint,
}

impl Field {
    /// Returns where the field's bytes lie. Blue work has as many as it needs, with their number before them.
    fn range(self, header: &[u8]) -> std::ops::Range<usize> {
        let point = header.len() - 32;
        let work = (1..=32).find(|bytes| header[point - bytes - 8..].starts_with(&(*bytes as u64).to_le_bytes()));
        let work = point - work.expect("there is work behind the block");
        let fixed = work - 8 - (8 + 4 + 8 + 8 + 8);
        match self {
            Self::Time => fixed..fixed + 8,
            Self::Bits => fixed + 8..fixed + 12,
            Self::DaaScore => fixed + 20..fixed + 28,
            Self::BlueScore => fixed + 28..fixed + 36,
            Self::BlueWork => work..point,
            Self::PruningPoint => point..header.len(),
        }
    }
}

fn stated(header: &[u8], field: Field) -> &[u8] {
    &header[field.range(header)]
}

/// Takes one from the lowest byte that is not 0, if the number is little-endian.
fn less(bytes: &[u8]) -> Vec<u8> {
    let mut less = bytes.to_vec();
    *less.iter_mut().find(|byte| **byte > 0).expect("the number is not 0") -= 1;
    less
}

/// Writes a recorded header as the bytes that its hash is over.
fn bytes(header: &Value) -> Vec<u8> {
    // One program writes `DAAScore`, the other `daaScore`.
    let fields = header.as_object().expect("a header has fields").iter();
    let fields: BTreeMap<String, &Value> = fields.map(|(name, value)| (name.to_lowercase(), value)).collect();
    let number = |name: &str| fields[name].as_u64().expect("a number");
    let hash = |name: &str| recorded::from_hex(fields[name].as_str().expect("a hash"));
    let length = |length: usize| (length as u64).to_le_bytes();
    let levels = fields.get("parents").or(fields.get("parentsbylevel")).and_then(|levels| levels.as_array());
    let levels = levels.expect("a list of levels");

    let mut out = number("version").to_le_bytes()[..2].to_vec();
    out.extend(length(levels.len()));
    for level in levels {
        let ids = level.get("ParentHashes").unwrap_or(level).as_array().expect("a list of hashes");
        out.extend(length(ids.len()));
        out.extend(ids.iter().flat_map(|id| recorded::from_hex(id.as_str().expect("a hash"))));
    }
    ["hashmerkleroot", "acceptedidmerkleroot", "utxocommitment"].iter().for_each(|root| out.extend(hash(root)));
    out.extend(number("timestamp").to_le_bytes());
    out.extend(&number("bits").to_le_bytes()[..4]);
    ["nonce", "daascore", "bluescore"].iter().for_each(|name| out.extend(number(name).to_le_bytes()));
    let work = fields["bluework"].as_str().and_then(|digits| U256::from_str_radix(digits, 16).ok());
    let work = work.expect("a number in hexadecimal digits").to_be_bytes_trimmed_vec();
    out.extend(length(work.len()));
    out.extend(work);
    out.extend(hash("pruningpoint"));
    out
}

/// Limits that no recorded header reaches.
pub(super) fn config() -> ChainConfig {
    ChainConfig {
        identity: Hash256([7; 32]),
        ledger: LedgerRules {
            coinbase_maturity: 100,
            conflicts: Conflicts::SkipTransaction,
            block_bytes_max: 1_000_000,
            block_transactions_max: 1_000,
            header_bytes_max: 1_000_000,
            data_bytes_max: 100,
            money_max: Amount::from_atoms(1 << 60),
        },
        mempool: MempoolLimits {
            transactions_max: 1,
            bytes_max: 1_000,
            fee_per_kilobyte_min: Amount::from_atoms(1),
            package_max: 1,
        },
        orphans: OrphanLimits { blocks_max: 16, bytes_max: 1_000_000, early_ms_max: 1_000, fork_depth_max: u64::MAX },
        templates: TemplateLimits { lifetime_ms: 1_000, templates_max: 1 },
        placement_bytes_max: 0,
    }
}
