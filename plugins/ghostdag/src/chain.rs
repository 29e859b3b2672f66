//! The rules applied: what a header says, whether it is valid, where it stands, and what the next one needs.

use crate::colour::{self, Coloured, Limits, rank};
use crate::config::{Config, Difficulty, Genesis, easiest};
use crate::header::{Claims, Format, labelled};
use crate::notes::{Notes, PruningNotes};
use crate::past::{Block, Memory, Past};
use crate::violation::Rule;
use crate::window::{Sampling, Windows};
use crate::{depth, difficulty};
use adit_plugin_sdk::common::{from_hex, times_easiest};
use adit_plugin_sdk::{
    BlockId, ChainView, ConfigError, Consensus, Draft, Encode, Hash256, HeaderView, Height, JudgedHeader, MergedBlock,
    Placement, Requirements, Stamp, Target, Template, Timestamp, U256, Violation, Work,
};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A DAG of blocks in the order of GHOSTDAG.
pub struct Ghostdag {
    config: Config,
    sampling: Sampling,
    genesis: Vec<u8>,
    genesis_view: HeaderView,
    memory: Mutex<Memory>,
}

/// What the rules compute of a block from those before it.
struct Computed {
    coloured: Coloured,
    windows: Windows,
    daa_score: u64,
    bits: u32,
    median: Option<Timestamp>,
}

impl Consensus for Ghostdag {
    const NAME: &'static str = "ghostdag";
    const SUMMARY: &'static str = "A DAG of blocks in the order of GHOSTDAG, by proof of work, as Kaspa runs it.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let genesis = genesis_header(&config)?;
        let wrong = |broken: Violation| ConfigError::new("genesis", broken.to_string());
        let genesis_view = config.header.decode(&genesis).map_err(wrong)?;
        stated_target(genesis_view.bits).map_err(wrong)?;
        if !genesis_view.parents.is_empty() {
            return Err(ConfigError::new("genesis.header", "it names a parent"));
        }
        Ok(Self { sampling: Sampling::new(&config), config, genesis, genesis_view, memory: Mutex::default() })
    }

    fn genesis(&self) -> Vec<u8> {
        self.genesis.clone()
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        let mut view = self.config.header.decode(header)?;
        stated_target(view.bits)?;
        if view.parents.len() > self.config.parents_max as usize {
            let detail = format!("{} parents, at most {} are allowed", view.parents.len(), self.config.parents_max);
            return Err(Rule::ParentsMax.broken(detail));
        }
        if !self.config.proof_of_work {
            view.pow = labelled::no_pow();
        }
        Ok(view)
    }

    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        let stated = stated_target(block.view.bits)?;
        if block.view.parents.is_empty() {
            return self.place_genesis(block);
        }
        if self.config.proof_of_work && !stated.is_met_by(&block.pow.0) {
            let digest = U256::from_le_bytes(block.pow.0);
            return Err(Rule::ProofOfWork.broken(format!("digest {digest:#066x} is above target {stated}")));
        }
        let mut memory = self.memory();
        let mut past = Past { view, memory: &mut memory };
        let coloured = colour::colour(&mut past, self.limits(), &block.view.parents)?;
        self.check_merge_depth(&past, &coloured)?;
        let computed = self.compute(&mut past, coloured)?;
        let pruning = self.pruning(&mut past, &computed.coloured)?;
        self.judge(block, &computed, pruning)?;
        Ok(self.keep(past.memory, block.view, computed, pruning))
    }

    fn next(&self, view: &dyn ChainView, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation> {
        if let Some(wish) = wish {
            let detail = format!("a block of this chain may not choose difficulty {wish}");
            return Err(Rule::DifficultyOverride.broken(detail));
        }
        let mut memory = self.memory();
        let mut past = Past { view, memory: &mut memory };
        let mut parents = self.choose_parents(&past, tips)?;
        let coloured = loop {
            let coloured = colour::colour(&mut past, self.limits(), &parents)?;
            let deep = self.reds_too_deep(&past, &coloured)?;
            if deep.is_empty() {
                break coloured;
            }
            leave_out(&past, &mut parents, &deep);
        };
        let height = Height(coloured.blue_score());
        let computed = self.compute(&mut past, coloured)?;
        let target = stated_target(computed.bits)?;
        let earliest = computed.median.map_or(0, |median| median.to_millis().saturating_add(1));
        Ok(Requirements {
            parents,
            bits: computed.bits,
            target,
            difficulty: times_easiest(easiest(), target),
            earliest: Timestamp::from_millis(earliest),
            height,
            subsidy: self.config.subsidy.at(height),
        })
    }

    fn encode(&self, draft: &Draft) -> Result<Template, Violation> {
        let target = stated_target(draft.bits)?;
        let header = self.config.header.encode(draft)?;
        let pow = self.decode(&header)?.pow;
        Ok(Template { header, pow, target })
    }

    fn difficulty(&self, bits: u32) -> Result<String, Violation> {
        Ok(times_easiest(easiest(), stated_target(bits)?))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
        self.config.header.seal(header, nonce, rolled)
    }
}

impl Ghostdag {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        Limits { k: self.config.k, merged_max: self.config.merge_set_max - 1 }
    }

    /// Places the genesis, which needs no proof of work.
    fn place_genesis(&self, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        let id = block.view.id;
        if id != self.genesis_view.id {
            return Err(Rule::Genesis.broken("a block without parents is not the genesis"));
        }
        let claims = self.config.header.claims(block.header)?;
        let pruning = self.config.pruning.map(|_| PruningNotes { sample: id, point: id });
        let notes = Notes { daa_score: claims.map_or(0, |claims| claims.daa_score), pruning, ..Notes::default() };
        Ok(Placement {
            selected_parent: None,
            merge_set: Vec::new(),
            height: Height(0),
            work: Work::ZERO,
            tie: Hash256(id.0),
            valid_from: self.valid_from(block.view.time),
            subsidy: self.config.subsidy.at(Height(0)),
            state: notes.to_bytes(),
        })
    }

    /// Computes what follows from what a block merges.
    fn compute(&self, past: &mut Past<'_>, coloured: Coloured) -> Result<Computed, Violation> {
        let (counted, windows) = self.sampling.after(past, &coloured)?;
        let before = coloured.selected.stamp.bits;
        let bits = match &self.config.difficulty {
            Difficulty::Fixed => before,
            Difficulty::Window(rule) => difficulty::bits(rule, &windows.difficulty, before),
        };
        let median = self.config.median_time.map(|_| difficulty::median(&windows.median, self.genesis_view.time));
        let daa_score = coloured.selected.notes.daa_score.saturating_add(counted);
        Ok(Computed { coloured, windows, daa_score, bits, median })
    }

    /// Compares what a header states with what was computed.
    fn judge(
        &self,
        block: &JudgedHeader<'_>,
        computed: &Computed,
        pruning: Option<PruningNotes>,
    ) -> Result<(), Violation> {
        let differs =
            |rule: Rule, stated: &str, right: &str| Err(rule.broken(format!("{stated}, the rule gives {right}")));
        let HeaderView { bits, time, .. } = block.view;
        if *bits != computed.bits {
            return differs(Rule::Bits, &format!("{bits:#010x}"), &format!("{:#010x}", computed.bits));
        }
        if let Some(median) = computed.median.filter(|median| time <= median) {
            return Err(Rule::TimeTooOld.broken(format!("{time:?} is not later than the past median time {median:?}")));
        }
        let Some(Claims { daa_score, blue_score, blue_work, pruning_point }) =
            self.config.header.claims(block.header)?
        else {
            return Ok(());
        };
        let (right_score, right_work) = (computed.coloured.blue_score(), computed.coloured.blue_work());
        if daa_score != computed.daa_score {
            return differs(Rule::DaaScore, &daa_score.to_string(), &computed.daa_score.to_string());
        }
        if blue_score != right_score {
            return differs(Rule::BlueScore, &blue_score.to_string(), &right_score.to_string());
        }
        if blue_work != right_work {
            return differs(Rule::BlueWork, &blue_work.0.to_string(), &right_work.0.to_string());
        }
        match pruning {
            Some(notes) if notes.point != pruning_point => {
                differs(Rule::PruningPoint, &pruning_point.to_string(), &notes.point.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Remembers a block that was placed, and says where it stands.
    fn keep(
        &self,
        memory: &mut Memory,
        view: &HeaderView,
        computed: Computed,
        pruning: Option<PruningNotes>,
    ) -> Placement {
        let Computed { coloured, windows, daa_score, .. } = computed;
        let (height, work) = (Height(coloured.blue_score()), coloured.blue_work());
        let selected = coloured.selected.stamp.id;
        let merge_set: Vec<MergedBlock> =
            coloured.merged.iter().map(|merged| MergedBlock { id: merged.stamp.id, blue: merged.blue }).collect();
        let notes = Notes { daa_score, anticones: coloured.anticones, grown: coloured.grown, pruning };
        let state = notes.to_bytes();
        let stamp = Stamp { id: view.id, time: view.time, bits: view.bits, height, work };
        memory.keep(Arc::new(Block::new(stamp, Some(selected), &merge_set, notes)));
        memory.keep_windows(view.id, Arc::new(windows));
        Placement {
            selected_parent: Some(selected),
            merge_set,
            height,
            work,
            tie: Hash256(view.id.0),
            valid_from: self.valid_from(view.time),
            subsidy: self.config.subsidy.at(height),
            state,
        }
    }

    fn valid_from(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(time.to_millis().saturating_sub(self.config.future_limit_ms))
    }

    fn pruning(&self, past: &mut Past<'_>, coloured: &Coloured) -> Result<Option<PruningNotes>, Violation> {
        self.config.pruning.map_or(Ok(None), |rule| depth::pruning(past, rule, coloured))
    }

    fn reds_too_deep(&self, past: &Past<'_>, coloured: &Coloured) -> Result<Vec<BlockId>, Violation> {
        self.config.merge_depth.map_or(Ok(Vec::new()), |depth| depth::reds_too_deep(past, depth, coloured))
    }

    fn check_merge_depth(&self, past: &Past<'_>, coloured: &Coloured) -> Result<(), Violation> {
        match self.reds_too_deep(past, coloured)?.first() {
            None => Ok(()),
            Some(red) => Err(Rule::MergeDepth.broken(format!("red block {red} forked off too deep to be merged"))),
        }
    }

    /// Chooses the parents of the next block: the greatest tip, and others from the greatest down while the limits hold.
    fn choose_parents(&self, past: &Past<'_>, tips: &[BlockId]) -> Result<Vec<BlockId>, Violation> {
        let mut stamps: Vec<Stamp> = past.view.stamps(tips).into_iter().flatten().collect();
        stamps.sort_unstable_by_key(rank);
        stamps.dedup();
        let mut stamps = stamps.into_iter().rev();
        let Some(selected) = stamps.next() else {
            return Err(Rule::ParentUnknown.broken("none of the tips is known"));
        };
        let mut parents = vec![selected.id];
        let mut merged: Vec<BlockId> = Vec::new();
        let limit = self.config.parents_max as usize;
        for tip in stamps.take(TIPS_TRIED * limit) {
            if parents.len() == limit {
                break;
            }
            parents.push(tip.id);
            match past.view.merge_set(selected.id, &parents, self.limits().merged_max) {
                Some(with) if !merged.contains(&tip.id) && with.iter().any(|stamp| stamp.id == tip.id) => {
                    merged = with.into_iter().map(|stamp| stamp.id).collect();
                }
                _ => _ = parents.pop(),
            }
        }
        Ok(parents)
    }
}

/// How many tips are tried for each parent that a block may have.
const TIPS_TRIED: usize = 4;

/// Leaves out the parents that lead to blocks too deep to be merged. The selected parent stands first and leads to none.
fn leave_out(past: &Past<'_>, parents: &mut Vec<BlockId>, deep: &[BlockId]) {
    let leads = past.view.ancestry(deep, parents);
    let rows = leads.chunks(parents.len());
    let bad: Vec<bool> = (0..parents.len()).map(|column| rows.clone().any(|row| row[column])).collect();
    let mut bad = bad.into_iter();
    parents.retain(|_| !bad.next().unwrap_or(false));
}

fn stated_target(bits: u32) -> Result<Target, Violation> {
    Target::from_compact(bits).map_err(|error| Rule::Bits.broken(error.to_string()))
}

/// Builds the genesis header from its configuration.
fn genesis_header(config: &Config) -> Result<Vec<u8>, ConfigError> {
    let Genesis { header, time_ms, bits, message } = &config.genesis;
    let refuse = |key: &str, detail: &str| Err(ConfigError::new(format!("genesis.{key}"), detail));
    if let Some(header) = header {
        if time_ms.is_some() || bits.is_some() || message.is_some() {
            return refuse(
                "header",
                "a recorded header has its time, bits and message in it: no other key may stand beside it",
            );
        }
        return from_hex(header).map_or_else(|| refuse("header", "not an even number of hexadecimal digits"), Ok);
    }
    let Some(time_ms) = time_ms else {
        return refuse("time-ms", "missing: either `header`, or `time-ms` and `bits`");
    };
    let Some(bits) = bits.filter(|bits| Target::from_compact(*bits).is_ok()) else {
        return refuse("bits", "a target in compact form is needed, such as 0x1e7fffff");
    };
    let body_root = Hash256(Sha256::digest(message.as_deref().unwrap_or_default()).into());
    let draft = Draft { parents: Vec::new(), bits, time: Timestamp::from_millis(*time_ms), body_root };
    match Format::encode(config.header, &draft) {
        Ok(header) => Ok(header),
        Err(_) => refuse("header", "missing: headers of this format are recorded"),
    }
}
