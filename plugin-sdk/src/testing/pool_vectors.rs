//! Known answers of payout schemes and share validators: `vectors.json` in a plugin's folder.
//!
//! Each vector is an object with a `config` table where the plugin has one, one question, and the answer. For a payout scheme:
//!
//! | question | answer |
//! |---|---|
//! | `"weigh": [{"account": 1, "work": 8, "age-ms": 0}]` | `"weights": {"1": 8}`, summed by account |
//! | `"split": {"height": 1, "finder": 1, "distributable": 100, "work": 8}`, `"weights": {"1": 8}` | `"credits": {"1": 100}` |
//! | `"settle": {"subsidy": 100, "mean-fees": 0, "work": 8}`, `"weights": {"1": 8}` | `"credits": {"1": 100}` |
//!
//! For a share validator, where what is left out of a claim is that of a good share:
//!
//! | question | answer |
//! |---|---|
//! | `"claim": {"meets": false, "time-offset-s": 3, "valid": 10}` | `"verdict": "low-difficulty"`, `"audit": false` |
//! | `"history": {"difficulty": 32, "least": 0, "greatest": 62, "slices": [[60000, 20]]}`, newest first | `"difficulty": 32` |

use super::vectors::{VectorError, no_config, read_file};
use super::{NativePayout, NativeShares};
use crate::{PayoutScheme, ShareValidator, U256, Work};
use adit_primitives::Height;
use adit_primitives::contract::payout::{AccountId, Economics, FoundBlock, ShareToWeigh, Weight};
use adit_primitives::contract::shares::{Claim, ShareDifficulty, ShareVerdict, WorkHistory, WorkSlice, WorkerRecord};
use adit_primitives::engine::{Fault, PayoutEngine, ShareEngine};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

/// A question to a payout scheme and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PayoutVector {
    #[serde(default = "no_config")]
    config: serde_json::Value,
    weigh: Option<Vec<WrittenShare>>,
    split: Option<WrittenBlock>,
    settle: Option<WrittenEconomics>,
    #[serde(default)]
    weights: BTreeMap<u32, u64>,
    credits: Option<BTreeMap<u32, u64>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenShare {
    account: u32,
    work: u64,
    age_ms: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenBlock {
    height: u64,
    finder: u32,
    distributable: u64,
    work: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenEconomics {
    subsidy: u64,
    mean_fees: u64,
    work: u64,
}

/// A question to a share validator and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ShareVector {
    #[serde(default = "no_config")]
    config: serde_json::Value,
    claim: Option<WrittenClaim>,
    verdict: Option<WrittenVerdict>,
    audit: Option<bool>,
    history: Option<WrittenHistory>,
    difficulty: Option<u8>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenClaim {
    difficulty: u8,
    meets: bool,
    duplicate: bool,
    version_outside: bool,
    time_offset_s: i64,
    stale_ms: u64,
    valid: u64,
    invalid: u64,
    known_ms: u64,
}

impl Default for WrittenClaim {
    fn default() -> Self {
        Self {
            difficulty: 32,
            meets: true,
            duplicate: false,
            version_outside: false,
            time_offset_s: 0,
            stale_ms: 0,
            valid: 0,
            invalid: 0,
            known_ms: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenVerdict {
    Accept,
    Stale,
    Duplicate,
    LowDifficulty,
    Time,
    Version,
    Policy,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenHistory {
    difficulty: u8,
    least: u8,
    greatest: u8,
    /// Milliseconds and shares, all of the current difficulty.
    slices: Vec<(u64, u64)>,
}

/// Reads the text of a payout scheme's `vectors.json`.
pub fn read_payout_vectors(text: &str) -> Result<Vec<PayoutVector>, VectorError> {
    read(text)
}

/// Reads the text of a share validator's `vectors.json`.
pub fn read_share_vectors(text: &str) -> Result<Vec<ShareVector>, VectorError> {
    read(text)
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, VectorError> {
    let vectors: Vec<T> =
        serde_json::from_str(text).map_err(|error| VectorError::Text { detail: error.to_string() })?;
    if vectors.is_empty() { Err(VectorError::Empty) } else { Ok(vectors) }
}

/// Checks a payout scheme against a file of vectors.
pub fn check_payout_vectors<P: PayoutScheme + Send>(path: impl AsRef<Path>) -> Result<(), VectorError> {
    let vectors = read_payout_vectors(&read_file(path.as_ref())?)?;
    (1..).zip(vectors).try_for_each(|(number, vector)| {
        let scheme = configured(number, &vector.config, P::new)?;
        vector.check(number, &mut NativePayout(scheme))
    })
}

/// Checks a share validator against a file of vectors.
pub fn check_share_vectors<V: ShareValidator + Send>(path: impl AsRef<Path>) -> Result<(), VectorError> {
    let vectors = read_share_vectors(&read_file(path.as_ref())?)?;
    (1..).zip(vectors).try_for_each(|(number, vector)| {
        let validator = configured(number, &vector.config, V::new)?;
        vector.check(number, &mut NativeShares(validator))
    })
}

pub(super) fn configured<C: DeserializeOwned, P>(
    number: usize,
    config: &serde_json::Value,
    new: impl FnOnce(C) -> Result<P, crate::ConfigError>,
) -> Result<P, VectorError> {
    let plugin = crate::config::parse(&config.to_string()).and_then(new);
    plugin.map_err(|error| VectorError::Config { number, key: error.key, detail: error.detail })
}

impl PayoutVector {
    /// The plugin's configuration as JSON.
    pub fn config(&self) -> String {
        self.config.to_string()
    }

    /// Puts the question to an engine that runs with [`Self::config`], and compares the answer.
    pub fn check(&self, number: usize, engine: &mut dyn PayoutEngine) -> Result<(), VectorError> {
        let fault = |fault: Fault| VectorError::Fault { number, detail: fault.to_string() };
        let rows: Vec<Weight> = self
            .weights
            .iter()
            .map(|(account, weight)| Weight { account: AccountId(*account), weight: U256::from(*weight) })
            .collect();
        let credits = match (&self.weigh, self.split, self.settle) {
            (Some(shares), None, None) => {
                let asked: Vec<ShareToWeigh> = shares.iter().map(WrittenShare::value).collect();
                let mut found = BTreeMap::new();
                for (share, weight) in asked.iter().zip(engine.weigh(&asked).map_err(fault)?) {
                    *found.entry(share.account.0).or_insert(0) += weight;
                }
                return compare(number, &found, &self.weights);
            }
            (None, Some(block), None) => engine.split(&block.value(), &rows),
            (None, None, Some(economics)) => engine.settle(&rows, &economics.value()),
            _ => return Err(VectorError::Text { detail: format!("vector {number} asks not one question") }),
        };
        let found = credits.map_err(fault)?.iter().map(|credit| (credit.account.0, credit.atoms)).collect();
        compare(number, &found, self.credits.as_ref().unwrap_or(&BTreeMap::new()))
    }
}

impl ShareVector {
    /// The plugin's configuration as JSON.
    pub fn config(&self) -> String {
        self.config.to_string()
    }

    /// Puts the question to an engine that runs with [`Self::config`], and compares the answer.
    pub fn check(&self, number: usize, engine: &mut dyn ShareEngine) -> Result<(), VectorError> {
        let fault = |fault: Fault| VectorError::Fault { number, detail: fault.to_string() };
        match (&self.claim, &self.history) {
            (Some(claim), None) => {
                let judgements = engine.judge(&[claim.value()]).map_err(fault)?;
                let found: Vec<_> =
                    judgements.iter().map(|one| (Some(WrittenVerdict::from(one.verdict)), Some(one.audit))).collect();
                compare(number, &found, &vec![(self.verdict, self.audit.or(Some(false)))])
            }
            (None, Some(history)) => {
                let found = engine.retarget(&[history.value()]).map_err(fault)?;
                let found: Vec<_> = found.iter().map(|difficulty| Some(difficulty.to_log2_hashes())).collect();
                compare(number, &found, &vec![self.difficulty])
            }
            _ => Err(VectorError::Text { detail: format!("vector {number} asks not one question") }),
        }
    }
}

pub(super) fn compare<T: PartialEq + std::fmt::Debug>(number: usize, found: &T, want: &T) -> Result<(), VectorError> {
    match found == want {
        true => Ok(()),
        false => Err(VectorError::Answer { number, found: format!("{found:?}"), want: format!("{want:?}") }),
    }
}

impl WrittenShare {
    fn value(&self) -> ShareToWeigh {
        ShareToWeigh { account: AccountId(self.account), work: self.work, age_ms: self.age_ms }
    }
}

impl WrittenBlock {
    fn value(self) -> FoundBlock {
        let Self { height, finder, distributable, work } = self;
        FoundBlock { height: Height(height), finder: AccountId(finder), distributable, work: Work(U256::from(work)) }
    }
}

impl WrittenEconomics {
    fn value(self) -> Economics {
        Economics { subsidy: self.subsidy, mean_fees: self.mean_fees, work: Work(U256::from(self.work)) }
    }
}

impl WrittenClaim {
    fn value(&self) -> Claim {
        Claim {
            difficulty: ShareDifficulty::from_log2_hashes(self.difficulty),
            meets: self.meets,
            duplicate: self.duplicate,
            version_outside: self.version_outside,
            time_offset_s: self.time_offset_s,
            stale_ms: self.stale_ms,
            record: WorkerRecord { valid: self.valid, invalid: self.invalid, known_ms: self.known_ms },
        }
    }
}

impl From<ShareVerdict> for WrittenVerdict {
    fn from(verdict: ShareVerdict) -> Self {
        match verdict {
            ShareVerdict::Accept => Self::Accept,
            ShareVerdict::Stale => Self::Stale,
            ShareVerdict::Duplicate => Self::Duplicate,
            ShareVerdict::LowDifficulty => Self::LowDifficulty,
            ShareVerdict::Time => Self::Time,
            ShareVerdict::Version => Self::Version,
            ShareVerdict::Policy => Self::Policy,
        }
    }
}

impl WrittenHistory {
    fn value(&self) -> WorkHistory {
        let difficulty = ShareDifficulty::from_log2_hashes(self.difficulty);
        let slice = |(length_ms, shares): &(u64, u64)| WorkSlice {
            length_ms: *length_ms,
            shares: *shares,
            work: shares.saturating_mul(difficulty.work()),
        };
        WorkHistory {
            difficulty,
            least: ShareDifficulty::from_log2_hashes(self.least),
            greatest: ShareDifficulty::from_log2_hashes(self.greatest),
            slices: self.slices.iter().map(slice).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits equally, whatever the weights.
    struct Equal;

    impl PayoutEngine for Equal {
        fn plan(&mut self) -> Result<adit_primitives::contract::payout::PayoutPlan, Fault> {
            unreachable!("vectors do not ask for the plan")
        }

        fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
            Ok(vec![1; shares.len()])
        }

        fn split(
            &mut self,
            block: &FoundBlock,
            weights: &[Weight],
        ) -> Result<Vec<adit_primitives::contract::payout::Credit>, Fault> {
            let atoms = block.distributable / weights.len() as u64;
            Ok(weights
                .iter()
                .map(|row| adit_primitives::contract::payout::Credit { account: row.account, atoms })
                .collect())
        }

        fn settle(
            &mut self,
            _: &[Weight],
            _: &Economics,
        ) -> Result<Vec<adit_primitives::contract::payout::Credit>, Fault> {
            Ok(Vec::new())
        }
    }

    #[track_caller]
    fn check(text: &str, want: Result<(), &str>) {
        let outcome = read_payout_vectors(text)
            .and_then(|vectors| vectors.iter().try_for_each(|vector| vector.check(1, &mut Equal)));
        assert_eq!(outcome.map_err(|error| error.to_string()), want.map_err(str::to_owned));
    }

    #[test]
    fn an_answer_that_is_another_is_told_beside_the_one_wanted() {
        let split =
            r#""split": {"height": 1, "finder": 1, "distributable": 10, "work": 8}, "weights": {"1": 9, "2": 1}"#;
        check(&format!(r#"[{{{split}, "credits": {{"1": 5, "2": 5}}}}]"#), Ok(()));
        check(
            &format!(r#"[{{{split}, "credits": {{"1": 9, "2": 1}}}}]"#),
            Err("vector 1: the answer is {1: 5, 2: 5}, should be {1: 9, 2: 1}"),
        );
    }

    #[test]
    fn weights_are_summed_by_account() {
        let share = r#"{"account": 3, "work": 8, "age-ms": 0}"#;
        check(&format!(r#"[{{"weigh": [{share}, {share}], "weights": {{"3": 2}}}}]"#), Ok(()));
    }

    #[test]
    fn two_questions_in_one_vector_are_refused() {
        let text = r#"[{"weigh": [], "settle": {"subsidy": 1, "mean-fees": 0, "work": 1}}]"#;
        check(text, Err("not a list of vectors: vector 1 asks not one question"));
    }
}
