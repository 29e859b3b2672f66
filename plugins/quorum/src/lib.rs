//! Share rules for the nodes of a peer-to-peer pool: the usual ones for this node's own miners, where shares of other nodes are checked, and
//! the terms on which nodes agree.
//!
//! A share's first fault is named in the order of the validator `standard`. Nothing here counts votes: the host does, and asks for more than
//! two thirds of the weight whatever `quorum-percent` says.
//!
//! # Where a batch of another node is checked
//! Here and whole where that takes no more than `cheap-us`, where fewer than four nodes vote, and where its node ever sent a wrong share.
//! Of the others the `policy` decides:
//!
//! | `policy` | |
//! |---|---|
//! | `count` | `ask` validators are asked; more than two thirds of them have to agree within the host's limit of time, else it is checked here |
//! | `work` | nodes with no verified work are checked whole; of the others one share in 2, 3, … `sample-one-in`, the more of their shares were valid: one step for each power of 16 |
//! | `load` | whole while this node is at most half busy; then one share in 2, 3, … `sample-one-in`, in equal steps; from nine tenths on as with `count` |
//!
//! Difficulty follows [`adit_plugin_sdk::common::pace`], where its speed and its noise are stated.

use adit_plugin_sdk::common::{Pace, check_grace, judge_facts};
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::{
    CheckPlan, CheckQuestion, Claim, ConfigError, Judgement, QuorumPolicy, QuorumTerms, ShareDifficulty,
    ShareValidator, ShareVerdict, WorkHistory,
};
use serde::{Deserialize, Serialize};

/// From so many validators on work is divided: three have no third that could lie.
const VALIDATORS_LEAST: u32 = 4;
/// How busy a node is before it checks less than everything, and before it asks others, in thousandths.
const LOAD_HALF: u32 = 500;
const LOAD_FULL: u32 = 900;

/// What a `chain.toml` may say under `[shares.config]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// How many milliseconds a share may be late for its block and still count.
    #[schemars(range(max = 60_000))]
    pub grace_ms: u64,
    /// How many shares a minute a worker should send.
    #[schemars(range(min = 1, max = 600))]
    pub shares_per_minute: u32,
    /// One in so many accepted shares of a worker is hashed again in the sandbox; 0 for none.
    pub audit_one_in: u64,
    /// By what it is decided where shares of other nodes are checked, where hashing is dear.
    pub policy: Policy,
    /// A batch that is hashed in so many microseconds is checked here, whatever the policy.
    #[schemars(range(max = 1_000_000))]
    pub cheap_us: u64,
    /// How many validators are asked.
    #[schemars(range(min = 3, max = 63))]
    pub ask: u32,
    /// The rarest check: one in so many shares.
    #[schemars(range(min = 2, max = 64))]
    pub sample_one_in: u32,
    /// What a certificate needs, in percent of the weight. The host asks for more than two thirds in any case.
    #[schemars(range(min = 67, max = 100))]
    pub quorum_percent: u32,
    /// The most that one node weighs, in percent of all work in the window. Below a third none can stop the pool by going away.
    #[schemars(range(min = 1, max = 100))]
    pub cap_percent: u32,
    /// How many certified rounds weigh.
    #[schemars(range(min = 1, max = 10_000))]
    pub window_rounds: u64,
    /// How many rounds after the one it was mined on a share is still credited.
    #[schemars(range(min = 1, max = 64))]
    pub base_rounds: u64,
    /// While the window holds fewer hashes than two to this power, the pool's founders weigh what is missing.
    #[schemars(range(max = 62))]
    pub founding_work_log2: u8,
    /// The easiest share that nodes tell each other: the base-two logarithm of its hashes.
    #[schemars(range(max = 62))]
    pub difficulty_least_log2: u8,
    /// A round with any share is due so many milliseconds after the one before.
    #[schemars(range(min = 100, max = 600_000))]
    pub round_ms: u64,
    /// A round with so many shares is due at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub round_shares: u64,
}

/// By what it is decided where shares of other nodes are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// A fixed number of validators is asked.
    Count,
    /// By the sender's verified work.
    Work,
    /// By how busy this node is.
    Load,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace_ms: 0,
            shares_per_minute: 20,
            audit_one_in: 256,
            policy: Policy::Load,
            cheap_us: 2_000,
            ask: 5,
            sample_one_in: 8,
            quorum_percent: 67,
            cap_percent: 30,
            window_rounds: 100,
            base_rounds: 8,
            founding_work_log2: 40,
            difficulty_least_log2: 16,
            round_ms: 10_000,
            round_shares: 5_000,
        }
    }
}

/// The validator, configured.
#[derive(Debug, Clone)]
pub struct Quorum {
    config: Config,
    pace: Pace,
}

impl ShareValidator for Quorum {
    const NAME: &'static str = "quorum";
    const SUMMARY: &'static str =
        "The usual share rules, and how nodes of a peer-to-peer pool check each other's shares and agree.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        check_grace(config.grace_ms)?;
        let pace = Pace::from_shares_per_minute(config.shares_per_minute, "shares-per-minute")?;
        let within = |key: &str, value: u64, min: u64, max: u64| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(ConfigError::new(key, format!("{value} is not between {min} and {max}"))),
        };
        within("cheap-us", config.cheap_us, 0, 1_000_000)?;
        within("ask", config.ask.into(), 3, 63)?;
        within("sample-one-in", config.sample_one_in.into(), 2, 64)?;
        within("quorum-percent", config.quorum_percent.into(), 67, 100)?;
        within("cap-percent", config.cap_percent.into(), 1, 100)?;
        within("window-rounds", config.window_rounds, 1, 10_000)?;
        within("base-rounds", config.base_rounds, 1, 64)?;
        within("founding-work-log2", config.founding_work_log2.into(), 0, 62)?;
        within("difficulty-least-log2", config.difficulty_least_log2.into(), 0, 62)?;
        within("round-ms", config.round_ms, 100, 600_000)?;
        within("round-shares", config.round_shares, 1, 100_000)?;
        Ok(Self { config, pace })
    }

    fn judge(&self, claim: &Claim) -> Judgement {
        let verdict = judge_facts(claim, self.config.grace_ms);
        let is_turn = self.config.audit_one_in > 0 && claim.record.valid.is_multiple_of(self.config.audit_one_in);
        Judgement { verdict, audit: verdict == ShareVerdict::Accept && is_turn }
    }

    fn retarget(&self, history: &WorkHistory) -> ShareDifficulty {
        self.pace.difficulty(history)
    }
}

impl QuorumPolicy for Quorum {
    fn terms(&self) -> QuorumTerms {
        let config = &self.config;
        QuorumTerms {
            quorum_percent: config.quorum_percent,
            cap_percent: config.cap_percent,
            window_rounds: config.window_rounds,
            base_rounds: config.base_rounds,
            founding_work: ShareDifficulty::from_log2_hashes(config.founding_work_log2).work(),
            difficulty_least: ShareDifficulty::from_log2_hashes(config.difficulty_least_log2),
            round_ms: config.round_ms,
            round_shares: config.round_shares,
        }
    }

    fn plan(&self, question: &CheckQuestion) -> CheckPlan {
        let cost_ns = question.hash_ns.saturating_mul(question.shares.into());
        let is_cheap = cost_ns <= self.config.cheap_us * 1_000;
        if is_cheap || question.validators < VALIDATORS_LEAST || question.record.invalid > 0 {
            return CheckPlan::Local;
        }
        match self.config.policy {
            Policy::Count => self.ask(question),
            Policy::Work if question.weight_permille == 0 => CheckPlan::Local,
            // Four bits more of valid shares for each step.
            Policy::Work => self.sample(question.record.valid.checked_ilog2().unwrap_or(0) / 4),
            Policy::Load if question.load_permille <= LOAD_HALF => CheckPlan::Local,
            Policy::Load if question.load_permille >= LOAD_FULL => self.ask(question),
            Policy::Load => {
                let steps = self.config.sample_one_in - 1;
                self.sample(1 + (question.load_permille - LOAD_HALF) * steps / (LOAD_FULL - LOAD_HALF))
            }
        }
    }
}

impl Quorum {
    fn ask(&self, question: &CheckQuestion) -> CheckPlan {
        CheckPlan::Ask { count: self.config.ask.min(question.validators - 1) }
    }

    /// Checks one share in `steps + 1`, and never fewer than the configuration allows.
    fn sample(&self, steps: u32) -> CheckPlan {
        match (steps + 1).min(self.config.sample_one_in) {
            1 => CheckPlan::Local,
            one_in => CheckPlan::Sample { one_in },
        }
    }
}

adit_plugin_sdk::export_quorum!(Quorum);
