//! Known answers of quorum policies: `quorum.json` in the folder of a share validator that is one.
//!
//! Each vector is an object with a `config` table where the plugin has one, and one of
//!
//! | question | answer |
//! |---|---|
//! | | `"terms": {"quorum-percent": 67, …}`, whole |
//! | `"question": {"load-permille": 900}`, where what is left out is that of a batch whose hashing is dear | `"plan": "local"`, `{"sample": 4}` or `{"ask": 5}` |

use super::NativeShares;
use super::pool_vectors::{compare, configured, read};
use super::vectors::{VectorError, no_config, read_file};
use crate::QuorumPolicy;
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
use adit_primitives::contract::shares::{ShareDifficulty, WorkerRecord};
use adit_primitives::engine::{Fault, QuorumEngine};
use serde::Deserialize;
use std::path::Path;

/// A question to a quorum policy and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QuorumVector {
    #[serde(default = "no_config")]
    config: serde_json::Value,
    terms: Option<WrittenTerms>,
    question: Option<WrittenQuestion>,
    plan: Option<WrittenPlan>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenTerms {
    quorum_percent: u32,
    cap_percent: u32,
    window_rounds: u64,
    base_rounds: u64,
    founding_work: u64,
    difficulty_least: u8,
    round_ms: u64,
    round_shares: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenQuestion {
    shares: u32,
    hash_ns: u64,
    load_permille: u32,
    validators: u32,
    weight_permille: u32,
    valid: u64,
    invalid: u64,
}

/// As in [`CheckPlan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenPlan {
    Local,
    Sample(u32),
    Ask(u32),
}

impl Default for WrittenQuestion {
    fn default() -> Self {
        Self {
            shares: 100,
            hash_ns: 400_000,
            load_permille: 0,
            validators: 10,
            weight_permille: 100,
            valid: 0,
            invalid: 0,
        }
    }
}

/// Reads the text of a quorum policy's `quorum.json`.
pub fn read_quorum_vectors(text: &str) -> Result<Vec<QuorumVector>, VectorError> {
    read(text)
}

/// Checks a quorum policy against a file of vectors.
pub fn check_quorum_vectors<V: QuorumPolicy + Send>(path: impl AsRef<Path>) -> Result<(), VectorError> {
    let vectors = read_quorum_vectors(&read_file(path.as_ref())?)?;
    (1..).zip(vectors).try_for_each(|(number, vector)| {
        let policy = configured(number, &vector.config, V::new)?;
        vector.check(number, &mut NativeShares(policy))
    })
}

impl QuorumVector {
    /// The plugin's configuration as JSON.
    pub fn config(&self) -> String {
        self.config.to_string()
    }

    /// Puts the question to an engine that runs with [`Self::config`], and compares the answer.
    pub fn check(&self, number: usize, engine: &mut dyn QuorumEngine) -> Result<(), VectorError> {
        let fault = |fault: Fault| VectorError::Fault { number, detail: fault.to_string() };
        match (self.terms, self.question, self.plan) {
            (Some(terms), None, None) => compare(number, &engine.terms().map_err(fault)?, &terms.value()),
            (None, Some(question), Some(plan)) => {
                compare(number, &engine.plan(&[question.value()]).map_err(fault)?, &vec![plan.value()])
            }
            _ => Err(VectorError::Text { detail: format!("vector {number} asks not one question") }),
        }
    }
}

impl WrittenTerms {
    fn value(self) -> QuorumTerms {
        let Self { quorum_percent, cap_percent, window_rounds, base_rounds, .. } = self;
        let Self { founding_work, difficulty_least, round_ms, round_shares, .. } = self;
        let difficulty_least = ShareDifficulty::from_log2_hashes(difficulty_least);
        QuorumTerms {
            quorum_percent,
            cap_percent,
            window_rounds,
            base_rounds,
            founding_work,
            difficulty_least,
            round_ms,
            round_shares,
        }
    }
}

impl WrittenQuestion {
    fn value(self) -> CheckQuestion {
        let Self { shares, hash_ns, load_permille, validators, weight_permille, valid, invalid } = self;
        let record = WorkerRecord { valid, invalid, known_ms: 0 };
        CheckQuestion { shares, hash_ns, load_permille, validators, weight_permille, record }
    }
}

impl WrittenPlan {
    fn value(self) -> CheckPlan {
        match self {
            Self::Local => CheckPlan::Local,
            Self::Sample(one_in) => CheckPlan::Sample { one_in },
            Self::Ask(count) => CheckPlan::Ask { count },
        }
    }
}
