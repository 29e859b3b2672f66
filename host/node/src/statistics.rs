//! What the node did over its newest blocks: found, accepted and refused, blue and red, and how long each part of the work took.
//!
//! Kept in memory since the start, bounded in blocks and in bytes, never written to disk. It measures nothing by itself: the chain's thread
//! tells it what happened and how long that took, and no rule depends on a figure.
//!
//! Reading order: this file is what is told and what comes out, [`ring`] keeps one entry for each block, [`timed`] measures what the rules take.

pub mod ring;
pub mod timed;

use adit_chain::Reorg;
use adit_primitives::BlockId;
use adit_primitives::contract::MergedBlock;
use ring::{Colour, Entry, Refusals, Ring, Sums};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use utoipa::ToSchema;

/// A block that the chain took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedBlock {
    pub id: BlockId,
    /// Whether it came from a miner of this node.
    pub found: bool,
    /// Its payments, the coinbase not counted; `None` where its body was not at hand.
    pub transactions: Option<usize>,
    /// How many blocks it merges besides its selected parent.
    pub merged: usize,
    /// How long the rules took to place it.
    pub placement: Duration,
}

/// How a request for a template was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It was made for this request.
    Built,
    /// It had been handed out before, and still stands.
    Reused,
    /// It had been made before anybody asked.
    Prepared,
}

/// The figures as they grow.
#[derive(Debug, Clone)]
pub struct Statistics {
    ring: Ring,
    refusals: Refusals,
    /// What happened since the newest block: it becomes part of the next one's entry.
    open: Entry,
    totals: Totals,
    /// How many blocks the newest of the selected chain merged.
    merged_last: usize,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    pub blocks_found: u64,
    pub blocks_accepted: u64,
    pub blocks_rejected: u64,
    pub template_requests: u64,
    /// Requests answered with a template that was there already.
    pub template_hits: u64,
    /// Those of them whose template had been made before anybody asked.
    pub template_hits_prepared: u64,
    pub templates_built: u64,
    pub template_us: u64,
    pub placements: u64,
    pub placement_us: u64,
    pub selections: u64,
    pub selection_us: u64,
}

/// The figures over the newest blocks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatisticsReport {
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Over so many blocks at most: `node.sizes.statistics-blocks`.
    pub blocks_max: u64,
    /// Blocks that miners of this node found.
    pub blocks_found: u64,
    pub blocks_accepted: u64,
    pub blocks_rejected: u64,
    /// The rejected ones by the rule that they break.
    pub rejected_by_rule: BTreeMap<String, u64>,
    /// Accepted blocks of the selected chain.
    pub blocks_selected: u64,
    /// Accepted blocks that the selected chain merges as blue.
    pub blocks_merged_blue: u64,
    /// Accepted blocks that the selected chain merges as red.
    pub blocks_merged_red: u64,
    /// Accepted blocks that the selected chain does not hold.
    pub blocks_unmerged: u64,
    /// Blue blocks, those of the selected chain among them, for each block that has a colour. `null` before the first.
    pub blue_ratio: Option<f64>,
    /// Blocks merged by the newest block of the selected chain, its selected parent not counted.
    pub merge_set_last: u64,
    pub merge_set_mean: f64,
    /// How long templates took to make.
    pub template: Timing,
    /// How long the rules took to place a block.
    pub placement: Timing,
    /// How long it took to choose transactions for the next block.
    pub selection: Timing,
    /// Payments of a block, its coinbase not counted.
    pub transactions_per_block: f64,
    pub template_requests: u64,
    pub template_hits: u64,
    /// Requests for templates that were answered at once, for each request. `null` before the first.
    pub template_hit_rate: Option<f64>,
    /// Memory of the figures themselves.
    pub bytes: u64,
    pub since_start: Totals,
}

/// How long something took, over the newest blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timing {
    pub measured: u64,
    pub mean_ms: f64,
    /// The longest; for selection and placement the longest between two blocks.
    pub max_ms: f64,
}

/// How the newest blocks lie in a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Colours {
    /// Those of the selected chain among them.
    pub blue: u64,
    pub red: u64,
    pub unmerged: u64,
    pub merged_last: usize,
    /// Merged blocks of all accepted blocks together, and how many those are.
    pub merged: u64,
    pub accepted: u64,
}

impl Statistics {
    /// Keeps figures over at most `blocks` blocks, which are still to come. The selected tip merges `merged_last`.
    pub fn new(blocks: usize, merged_last: usize) -> Self {
        Self {
            ring: Ring::new(blocks),
            refusals: Refusals::default(),
            open: Entry::default(),
            totals: Totals::default(),
            merged_last,
        }
    }

    /// Takes up another number of blocks; the newest stay.
    pub fn resize(&mut self, blocks: usize) {
        for entry in self.ring.resize(blocks) {
            self.refusals.forget(&entry);
        }
    }

    /// Notes a block that was taken. Its colour comes with [`Self::moved`].
    pub fn accepted(&mut self, block: &AcceptedBlock) {
        let AcceptedBlock { id, found, transactions, merged, placement } = *block;
        let mut entry = std::mem::take(&mut self.open);
        entry.accept(id, found, transactions, merged);
        entry.place(placement);
        self.totals.blocks_found += u64::from(found);
        self.totals.blocks_accepted += 1;
        self.totals.placements += 1;
        self.totals.placement_us += micros(placement);
        self.push(entry);
    }

    /// Notes a block that breaks a rule.
    pub fn refused(&mut self, rule: &str, found: bool) {
        let mut entry = std::mem::take(&mut self.open);
        entry.refuse(self.refusals.number(rule), found);
        self.totals.blocks_found += u64::from(found);
        self.totals.blocks_rejected += 1;
        self.push(entry);
    }

    /// Notes that the selected chain has moved. `merge_set` tells what a block merges.
    pub fn moved(&mut self, reorg: &Reorg, merge_set: impl Fn(BlockId) -> Vec<MergedBlock>) {
        for id in &reorg.disconnected {
            self.ring.paint(*id, Colour::Unmerged);
            merge_set(*id).iter().for_each(|merged| self.ring.paint(merged.id, Colour::Unmerged));
        }
        for id in &reorg.connected {
            self.ring.paint(*id, Colour::Selected);
            let merged = merge_set(*id);
            self.merged_last = merged.len();
            for MergedBlock { id, blue } in merged {
                self.ring.paint(id, if blue { Colour::Blue } else { Colour::Red });
            }
        }
    }

    /// Notes how a request for a template was answered. What was built for it is noted with [`Self::built`].
    pub fn served(&mut self, served: Served) {
        let hit = served != Served::Built;
        self.open.serve(hit);
        self.totals.template_requests += 1;
        self.totals.template_hits += u64::from(hit);
        self.totals.template_hits_prepared += u64::from(served == Served::Prepared);
    }

    /// Notes that a template was made.
    pub fn built(&mut self, took: Duration) {
        self.open.build(took);
        self.totals.templates_built += 1;
        self.totals.template_us += micros(took);
    }

    /// Notes that the next block's transactions were chosen.
    pub fn chose(&mut self, took: Duration) {
        self.open.choose(took);
        self.totals.selections += 1;
        self.totals.selection_us += micros(took);
    }

    /// Returns the colours of the newest blocks.
    pub fn colours(&self) -> Colours {
        let sums = self.ring.sums();
        let blue = sums.selected + sums.blue;
        let Sums { red, unmerged, merged, .. } = *sums;
        Colours { blue, red, unmerged, merged_last: self.merged_last, merged, accepted: sums.accepted() }
    }

    /// Returns how much memory the figures take, the rules' names included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.ring.bytes() + self.refusals.bytes()
    }

    /// Returns all figures.
    pub fn report(&self) -> StatisticsReport {
        let mut sums = self.ring.sums().clone();
        sums.add(&self.open);
        let worst = |of: fn(&Entry) -> u32| self.ring.entries().chain([&self.open]).map(of).max().unwrap_or_default();
        let timing = |measured: u64, micros: u64, max: u32| Timing {
            measured,
            mean_ms: ratio(micros, measured).unwrap_or_default() / 1000.0,
            max_ms: f64::from(max) / 1000.0,
        };
        let colours = self.colours();
        StatisticsReport {
            uptime_seconds: 0,
            blocks_max: self.ring.capacity() as u64,
            blocks_found: sums.found,
            blocks_accepted: sums.accepted(),
            blocks_rejected: sums.refused,
            rejected_by_rule: self.refusals.counts(),
            blocks_selected: sums.selected,
            blocks_merged_blue: sums.blue,
            blocks_merged_red: sums.red,
            blocks_unmerged: sums.unmerged,
            blue_ratio: colours.blue_ratio(),
            merge_set_last: colours.merged_last as u64,
            merge_set_mean: colours.merge_set_mean(),
            template: timing(sums.built, sums.template_us, worst(Entry::template_us_max)),
            placement: timing(sums.accepted(), sums.placement_us, worst(Entry::placement_us)),
            selection: timing(sums.selections, sums.selection_us, worst(Entry::selection_us)),
            transactions_per_block: ratio(sums.transactions, sums.bodies).unwrap_or_default(),
            template_requests: sums.requests,
            template_hits: sums.hits,
            template_hit_rate: ratio(sums.hits, sums.requests),
            bytes: self.bytes() as u64,
            since_start: self.totals,
        }
    }

    fn push(&mut self, entry: Entry) {
        if let Some(gone) = self.ring.push(entry) {
            self.refusals.forget(&gone);
        }
    }
}

impl Colours {
    /// Returns how many of the blocks with a colour are blue, or `None` before the first.
    pub fn blue_ratio(&self) -> Option<f64> {
        ratio(self.blue, self.blue + self.red)
    }

    /// Returns how many blocks an accepted block merges on average.
    pub fn merge_set_mean(&self) -> f64 {
        ratio(self.merged, self.accepted).unwrap_or_default()
    }
}

impl fmt::Display for StatisticsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part, whole| ratio(part, whole).unwrap_or_default() * 100.0;
        let (accepted, rejected, uptime) = (self.blocks_accepted, self.blocks_rejected, self.uptime_seconds);
        let blue = self.blocks_selected + self.blocks_merged_blue;
        writeln!(f, "Mining Statistics:")?;
        writeln!(f, "  Uptime: {}h {}m {}s", uptime / 3600, uptime / 60 % 60, uptime % 60)?;
        writeln!(f, "  Blocks Found: {}", self.blocks_found)?;
        writeln!(f, "  Blocks Accepted: {accepted} ({:.2}%)", percent(accepted, accepted + rejected))?;
        writeln!(f, "  Blocks Rejected: {rejected}")?;
        writeln!(f, "  Blue Blocks: {blue} ({:.2}%)", percent(blue, accepted))?;
        let red = self.blocks_merged_red;
        writeln!(f, "  Red Blocks: {red} ({:.2}%)", percent(red, accepted))?;
        writeln!(f, "Performance:")?;
        writeln!(f, "  Avg Template Generation: {:.2}ms", self.template.mean_ms)?;
        writeln!(f, "  Avg GHOSTDAG Calculation: {:.2}ms", self.placement.mean_ms)?;
        writeln!(f, "  Avg TX Selection: {:.2}ms", self.selection.mean_ms)?;
        writeln!(f, "  Avg TXs per Block: {:.1}", self.transactions_per_block)?;
        writeln!(f, "Cache Performance:")?;
        let rate = percent(self.template_hits, self.template_requests);
        write!(f, "  Hit Rate: {rate:.2}% ({} requests)", self.template_requests)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
