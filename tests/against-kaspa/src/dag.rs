//! What is placed: recorded DAGs with what rusty-kaspa made of them, and generated ones of any length.

use crate::adit;
use crate::kaspa::Placed;
use flate2::read::GzDecoder;
use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};

const PARENTS_MAX: usize = 16;
const SEED: u64 = 0x5eed;

pub struct Dag {
    pub name: String,
    pub k: u16,
    /// Of each block by its number, older ones. Block 0 has none.
    pub parents: Vec<Vec<u32>>,
    /// The blocks but the first, as headers that Adit reads.
    pub headers: Vec<Vec<u8>>,
    /// Selected parent and blue score of each block but the first, where they were recorded.
    expected: Vec<(u32, u64)>,
}

impl Dag {
    /// Reads a recorded DAG, or says that it is missing.
    pub fn recorded(name: &str, k: u16) -> Option<Self> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
        let folder = std::env::var_os("ADIT_DATA").map_or_else(|| PathBuf::from(beside), PathBuf::from).join("kaspa");
        let path = folder.join(format!("{name}.json.gz"));
        if !path.exists() {
            eprintln!("NOT RUN: recorded data is missing: {} (set ADIT_DATA)", path.display());
            return None;
        }
        let blocks: Vec<serde_json::Value> = serde_json::from_str(&text(&path)).expect("a list of blocks");
        let number =
            |value: &serde_json::Value| value.as_str().and_then(|id| id.parse().ok()).expect("ids are numbers");
        let parents =
            |block: &serde_json::Value| block["parents"].as_array().expect("a list").iter().map(number).collect();
        let csv = text(&folder.join(format!("{name}.expected-k{k}.csv.gz")));
        let row = |line: &str| {
            let mut fields = line.split(',').skip(1).map(str::parse);
            let mut next = || fields.next().and_then(Result::ok).expect("a number");
            let selected: u64 = next();
            (u32::try_from(selected).expect("a block's number"), next())
        };
        let expected = csv.lines().filter(|line| !line.starts_with('#')).map(row).collect();
        Some(Self { expected, ..Self::new(name.to_owned(), k, blocks.iter().map(parents).collect()) })
    }

    /// Makes a DAG in which each block stands on the tips of all but so many of the newest blocks, fewer than `wide`.
    pub fn generated(blocks: u32, wide: usize, k: u16) -> Self {
        let mut state = SEED;
        let mut parents: Vec<Vec<u32>> = vec![Vec::new()];
        let mut tips: VecDeque<Vec<u32>> = VecDeque::from([vec![0]]);
        for block in 1..blocks {
            let unseen = usize::try_from(mixed(&mut state) % wide as u64).expect("small").min(tips.len() - 1);
            let seen: Vec<u32> = tips[tips.len() - 1 - unseen].iter().rev().take(PARENTS_MAX).copied().collect();
            let mut next: Vec<u32> = tips.back().expect("never empty").clone();
            next.retain(|tip| !seen.contains(tip));
            next.push(block);
            tips.push_back(next);
            if tips.len() > wide {
                tips.pop_front();
            }
            parents.push(seen);
        }
        Self::new(format!("generated, {wide} wide"), k, parents)
    }

    fn new(name: String, k: u16, parents: Vec<Vec<u32>>) -> Self {
        let headers = (0..).zip(&parents).skip(1).map(|(block, parents)| adit::header(block, parents)).collect();
        Self { name, k, parents, headers, expected: Vec::new() }
    }

    /// Compares selected parents and blue scores with those recorded.
    pub fn check(&self, placed: &[Placed]) {
        for ((block, placed), expected) in placed.iter().enumerate().skip(1).zip(&self.expected) {
            assert_eq!((placed.selected, placed.blue_score), *expected, "{}: block {block}", self.name);
        }
    }
}

/// Returns the next number (SplitMix64): the same on every run.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn text(path: &Path) -> String {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip of UTF-8");
    text
}
