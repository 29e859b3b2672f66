//! The rules applied: what a header says, whether it is valid, where it stands, and what the next one needs.

use crate::config::{Config, Genesis};
use crate::difficulty;
use crate::header::Format;
use crate::retarget::{self, Missing, Next, Retarget};
use crate::time::Window;
use crate::violation::Rule;
use adit_plugin_sdk::common::from_hex;
use adit_plugin_sdk::{
    BlockId, ChainView, ConfigError, Consensus, Draft, Hash256, HeaderView, Height, JudgedHeader, KnownBlock,
    Placement, Requirements, Target, Template, Timestamp, Violation,
};
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

/// The chain with the most work.
pub struct LongestChain {
    config: Config,
    genesis: Vec<u8>,
    genesis_id: BlockId,
    /// The times around the block placed last, since its child mostly comes next. They follow from its id alone, so an instance
    /// that has none answers the same.
    recent: Mutex<Option<Window>>,
}

impl Consensus for LongestChain {
    const NAME: &'static str = "longest-chain";
    const SUMMARY: &'static str =
        "The chain with the most work, by proof of work, under one of several retarget rules.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let genesis = genesis_header(&config)?;
        let view = config.header.decode(&genesis).map_err(|broken| ConfigError::new("genesis", broken.to_string()))?;
        difficulty::target_of(view.bits).map_err(|error| ConfigError::new("genesis.bits", error.to_string()))?;
        Ok(Self { config, genesis, genesis_id: view.id, recent: Mutex::new(None) })
    }

    fn genesis(&self) -> Vec<u8> {
        self.genesis.clone()
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        let mut view = self.config.header.decode(header)?;
        // Rules rely on it for every block that they are shown, the first of a run from the middle included.
        stated_target(view.bits)?;
        if view.id == self.genesis_id {
            view.parents.clear();
        }
        Ok(view)
    }

    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        let stated = stated_target(block.view.bits)?;
        let [parent] = block.view.parents.as_slice() else {
            return self.place_genesis(block.view, stated);
        };
        let Some(parent) = view.block(*parent) else {
            return Err(Rule::ParentUnknown.broken(format!("parent {parent} has not been placed")));
        };
        let (next, retarget) = self.next_block(view, &parent);
        let state = judge_bits(&next, retarget.rule(), block.view, stated)?;
        if !stated.is_met_by(&block.pow.0) {
            let detail =
                format!("digest {:#066x} is above target {stated}", adit_plugin_sdk::U256::from_le_bytes(block.pow.0));
            return Err(Rule::ProofOfWork.broken(detail));
        }
        self.judge_time(view, parent.id, block.view)?;
        Ok(Placement {
            selected_parent: Some(parent.id),
            merge_set: Vec::new(),
            height: next.height,
            work: parent.work.saturating_add(stated.work()),
            tie: Hash256::default(),
            valid_from: self.config.time.valid_from(block.view.time),
            subsidy: self.config.subsidy.at(next.height),
            state,
        })
    }

    fn next(&self, view: &dyn ChainView, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation> {
        let parent = heaviest(view, tips)?;
        let past = Window::read(self.config.time, view, parent.id);
        let (next, retarget) = self.next_block(view, &parent);
        let bits = match wish {
            None => retarget.rule().bits(&next).map_err(history_unknown)?,
            Some(wish) => retarget.rule().wished(wish).ok_or_else(|| {
                Rule::DifficultyOverride.broken(format!("a block of this chain may not choose difficulty {wish}"))
            })?,
        };
        let target = stated_target(bits)?;
        let earliest = past.median().to_millis().saturating_add(self.config.header.tick_ms());
        Ok(Requirements {
            parents: vec![parent.id],
            bits,
            target,
            difficulty: difficulty::text(bits, target),
            earliest: Timestamp::from_millis(earliest),
            height: next.height,
            subsidy: self.config.subsidy.at(next.height),
        })
    }

    fn encode(&self, draft: &Draft) -> Result<Template, Violation> {
        let [parent] = draft.parents.as_slice() else {
            return Err(Rule::ParentUnknown.broken(format!("{} parents, a block has one", draft.parents.len())));
        };
        let target = stated_target(draft.bits)?;
        let header = self.config.header.encode(*parent, draft)?;
        let pow = self.config.header.pow_input(&header);
        Ok(Template { header, pow, target })
    }

    fn difficulty(&self, bits: u32) -> Result<String, Violation> {
        Ok(difficulty::text(bits, stated_target(bits)?))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
        self.config.header.seal(header, nonce, rolled)
    }
}

impl LongestChain {
    /// Places the genesis, which needs no proof of work.
    fn place_genesis(&self, genesis: &HeaderView, target: Target) -> Result<Placement, Violation> {
        if genesis.id != self.genesis_id || !genesis.parents.is_empty() {
            return Err(Rule::Genesis.broken(format!("{} parents, a block has one", genesis.parents.len())));
        }
        Ok(Placement {
            selected_parent: None,
            merge_set: Vec::new(),
            height: Height(0),
            work: target.work(),
            tie: Hash256::default(),
            valid_from: self.config.time.valid_from(genesis.time),
            subsidy: self.config.subsidy.at(Height(0)),
            state: Vec::new(),
        })
    }

    /// Refuses a block that is not later than the median of those before it, and remembers the times above one that is.
    fn judge_time(&self, view: &dyn ChainView, parent: BlockId, block: &HeaderView) -> Result<(), Violation> {
        let rules = self.config.time;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match recent.take() {
            Some(window) if window.is_of(parent) => recent.insert(window),
            _ => recent.insert(Window::read(rules, view, parent)),
        };
        if rules.is_too_old(window, block.time) {
            return Err(
                Rule::TimeTooOld.broken(format!("{:?} is not later than the median of the blocks before", block.time))
            );
        }
        window.advance(rules, block);
        Ok(())
    }

    /// Returns what a retarget rule sees of the block after `parent`, and the rule that holds there.
    fn next_block<'a>(&'a self, view: &'a dyn ChainView, parent: &'a KnownBlock) -> (Next<'a>, &'a Retarget) {
        let height = Height(parent.height.0.saturating_add(1));
        let stage = self.config.schedule.iter().rev().find(|stage| stage.height <= height.0);
        let (start, retarget) = stage.map_or((1, &self.config.retarget), |stage| (stage.height, &stage.retarget));
        (Next { view, parent, height, stage_start: Height(start) }, retarget)
    }
}

/// Compares the bits that a header states with what the retarget rule says, and returns the rule's notes on the block.
fn judge_bits(
    next: &Next<'_>,
    rule: &dyn retarget::Rule,
    block: &HeaderView,
    stated: Target,
) -> Result<Vec<u8>, Violation> {
    let computed = rule.bits(next);
    match computed {
        Ok(bits) if bits == block.bits || rule.admits(next, block.time, block.bits) => {}
        Ok(bits) => return Err(Rule::Bits.broken(format!("{:#010x}, the rule gives {bits:#010x}", block.bits))),
        Err(Missing::BelowHorizon) if stated <= rule.limit() => {}
        Err(Missing::BelowHorizon) => {
            return Err(Rule::Bits.broken(format!("{:#010x} is easier than the limit", block.bits)));
        }
        Err(missing) => return Err(history_unknown(missing)),
    }
    Ok(rule.notes(next, computed, block.bits))
}

fn stated_target(bits: u32) -> Result<Target, Violation> {
    difficulty::target_of(bits).map_err(|error| Rule::Bits.broken(error.to_string()))
}

fn history_unknown(missing: Missing) -> Violation {
    Rule::HistoryUnknown.broken(match missing {
        Missing::BelowHorizon => "the retarget rule needs a block below the horizon".to_owned(),
        Missing::Unknown { height } => format!("the retarget rule needs the block at height {height}"),
    })
}

/// Returns the tip with the most work; of several, the one named first.
fn heaviest(view: &dyn ChainView, tips: &[BlockId]) -> Result<KnownBlock, Violation> {
    let mut best: Option<KnownBlock> = None;
    for tip in view.blocks(tips).into_iter().flatten() {
        if best.as_ref().is_none_or(|best| tip.work > best.work) {
            best = Some(tip);
        }
    }
    best.ok_or_else(|| Rule::ParentUnknown.broken("none of the tips is known".to_owned()))
}

/// Builds the genesis header from its configuration.
fn genesis_header(config: &Config) -> Result<Vec<u8>, ConfigError> {
    let Genesis { header, time_seconds, bits, difficulty, message } = &config.genesis;
    let refuse = |key: &str, detail: &str| Err(ConfigError::new(format!("genesis.{key}"), detail));
    if let Some(header) = header {
        let beside = [time_seconds.is_some(), bits.is_some(), difficulty.is_some(), message.is_some()];
        if beside.contains(&true) {
            return refuse(
                "header",
                "a recorded header has its time, difficulty and message in it: no other key may stand beside it",
            );
        }
        return from_hex(header).map_or_else(|| refuse("header", "not an even number of hexadecimal digits"), Ok);
    }
    let Some(time_seconds) = time_seconds else {
        return refuse("time-seconds", "missing: either `header`, or `time-seconds` with `bits` or `difficulty`");
    };
    let bits = match (bits, difficulty) {
        (Some(bits), None) if Target::from_compact(*bits).is_ok() => *bits,
        (Some(_), None) => return refuse("bits", "not a target in compact form, such as 0x1d00ffff"),
        (None, Some(digits @ 1..=difficulty::DIGITS_MAX)) => *digits,
        (None, Some(_)) => return refuse("difficulty", "not between 1 and 63"),
        _ => return refuse("bits", "one of `bits` and `difficulty` is needed"),
    };
    let draft = Draft {
        parents: Vec::new(),
        bits,
        time: Timestamp::from_secs(*time_seconds),
        body_root: Hash256(Sha256::digest(message.as_deref().unwrap_or_default()).into()),
    };
    let built: Result<Vec<u8>, Violation> = Format::encode(config.header, BlockId::default(), &draft);
    built.map_err(|broken| ConfigError::new("genesis", broken.to_string()))
}
