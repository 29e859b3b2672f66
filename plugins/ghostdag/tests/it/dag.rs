//! A DAG that tests build block by block, in Adit's own format.

use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_sdk::testing::TestChain;
use adit_plugin_sdk::{BlockId, Draft, Hash256, Timestamp, Violation};
use serde_json::{Value, json};

/// When the genesis was.
pub const START: u64 = 1_700_000_000_000;

/// The easiest target: a nonce in two meets it.
pub const BITS: u32 = 0x207f_ffff;

/// A DAG whose blocks are told apart by their bodies.
pub struct Dag {
    pub chain: TestChain<Ghostdag>,
    bodies: u64,
    time: u64,
}

impl Dag {
    /// Begins a DAG with `k`, and with further keys of the configuration.
    pub fn new(k: u16, more: Value) -> Self {
        Self { chain: TestChain::new(&config(k, more).to_string()), bodies: 0, time: START }
    }

    /// Returns what the next block over `parents` is, a second later than the one before.
    pub fn draft(&mut self, parents: &[BlockId]) -> Draft {
        self.bodies += 1;
        self.time += 1000;
        let mut body = [0; 32];
        body[..8].copy_from_slice(&self.bodies.to_le_bytes());
        Draft {
            parents: parents.to_vec(),
            bits: BITS,
            time: Timestamp::from_millis(self.time),
            body_root: Hash256(body),
        }
    }

    /// Mines a block over `parents`, whatever the rules would have chosen.
    pub fn try_add(&mut self, parents: &[BlockId]) -> Result<BlockId, Violation> {
        let draft = self.draft(parents);
        self.add_drafted(&draft)
    }

    /// Mines a block as drafted.
    pub fn add_drafted(&mut self, draft: &Draft) -> Result<BlockId, Violation> {
        let header = self.chain.solve(draft)?;
        self.chain.place(&header)
    }

    /// Mines a block that is valid.
    #[track_caller]
    pub fn add(&mut self, parents: &[BlockId]) -> BlockId {
        self.try_add(parents).unwrap_or_else(|broken| panic!("{broken}"))
    }

    /// Mines `count` blocks one upon another, and returns them.
    #[track_caller]
    pub fn run(&mut self, from: BlockId, count: usize) -> Vec<BlockId> {
        let mut blocks = vec![from];
        for number in 0..count {
            blocks.push(self.add(&[blocks[number]]));
        }
        blocks.split_off(1)
    }
}

/// The configuration of a DAG with these keys.
pub fn config(k: u16, more: Value) -> Value {
    let mut config = json!({
        "k": k,
        "genesis": { "time-ms": START, "bits": BITS, "message": "a DAG for tests" },
        "difficulty": { "rule": "fixed" },
    });
    for (key, value) in more.as_object().expect("further keys are an object") {
        config[key] = value.clone();
    }
    config
}

/// Returns the rule that was broken.
#[track_caller]
pub fn rule<T>(answer: Result<T, Violation>) -> String {
    answer.err().expect("a rule is broken").rule
}
