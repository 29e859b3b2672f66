//! What a simulation found: numbers alone, which follow from the scenario to the last digit.

use crate::node::Node;
use crate::scenario::Micros;
use crate::tally::{Delays, Tally};
use crate::tree::{GENESIS, Tree};
use crate::world::{WARM_UP, World};
use adit_network::wire::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How long a block is watched on its way.
const WATCHED: Micros = 120_000_000;
/// Blocks on their way are looked at when so many more were found.
const LOOK_BLOCKS: u32 = 64;
/// Parts of the time of which each is reported.
const PARTS: u64 = 10;
/// Columns of a histogram.
const COLUMNS: usize = 8;

/// See the module. Times are in milliseconds where their name says nothing else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub nodes: u32,
    pub seconds: f64,
    pub blocks: Blocks,
    /// Times until so many of all nodes had a block.
    pub propagation: Propagation,
    /// How many blocks took how long until nine in ten nodes had them.
    pub histogram: Vec<Column>,
    /// How often nodes gave blocks up, by how many at a time.
    pub reorgs: Vec<Reorgs>,
    /// What a block's depth is worth.
    pub confirmations: Vec<Confirmation>,
    /// Branches off the selected chain that were left, by their length. Nothing on a DAG, which merges them.
    pub forks: BTreeMap<u32, u64>,
    /// The part of the hash rate that worked on what was not the best block, at moments drawn at random.
    pub stale_work: f64,
    pub difficulty: Vec<Part>,
    pub traffic: Vec<Class>,
    /// Of a node, in a second.
    pub node_traffic: NodeTraffic,
    pub shares: Option<Spread>,
    pub transactions: Option<Transactions>,
    pub sessions: Sessions,
    pub agreement: Agreement,
}

/// What became of the blocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Blocks {
    pub found: u64,
    pub selected: u64,
    /// Merged beside the selected chain.
    pub blue: u64,
    pub red: u64,
    /// Neither selected nor merged: orphans of a chain, the last tips of a DAG.
    pub lost: u64,
    pub lost_part: f64,
    pub red_part: f64,
    pub merges: bool,
    /// Blocks for each block of the selected chain.
    pub width: f64,
    pub parents_max: usize,
    pub interval_seconds: f64,
    pub bytes_mean: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Propagation {
    pub half: Quantiles,
    pub nine_in_ten: Quantiles,
    pub ninety_nine: Quantiles,
    /// Blocks that did not reach as many within two minutes.
    pub not_half: u64,
    pub not_nine_in_ten: u64,
    pub not_ninety_nine: u64,
}

/// Over the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    pub median: f64,
    pub mean: f64,
    pub most: f64,
}

/// So many blocks took no longer, and longer than the column before says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Column {
    pub up_to: f64,
    pub blocks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reorgs {
    pub depth: u32,
    pub times: u64,
}

/// How often a node gave a block up that had so many blocks of the selected chain from it on, and after how long it has them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confirmation {
    pub depth: u32,
    pub seconds: f64,
    pub reverted_part: f64,
}

/// A part of the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub until_seconds: f64,
    pub blocks: u64,
    pub interval_seconds: f64,
    /// Of the part's last block, in the chain's own unit.
    pub difficulty: String,
    /// Mean expected hashes of a block over those of the first.
    pub ratio: f64,
}

/// Messages of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    pub name: &'static str,
    pub frames: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NodeTraffic {
    pub frames_mean: f64,
    pub frames_max: f64,
    pub bytes_mean: f64,
    pub bytes_max: f64,
}

/// How something spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub made: u64,
    /// Of the nodes that are to hear of each, so many did.
    pub delivered_part: f64,
    pub half: f64,
    pub nine_in_ten: f64,
    pub ninety_nine: f64,
    /// Messages with it or about it, for each node that is to hear of it.
    pub frames_each: f64,
    pub bytes_each: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Transactions {
    pub spread: Spread,
    pub confirmed: u64,
    /// From the payment to the block that holds it.
    pub confirmed_half_seconds: f64,
    pub confirmed_ninety_nine_seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sessions {
    pub opened: u64,
    pub closed: u64,
    pub dropped_frames: u64,
    pub swallowed_frames: u64,
    pub bans: u64,
}

/// Whether all nodes are one at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Selected tips of all nodes.
    pub tips: usize,
    /// The part of all nodes whose tip has less work than the best: others may stand on an equal one, which the next block decides.
    pub behind_part: f64,
    /// The part of all nodes that have every block of the best tip's past.
    pub whole_part: f64,
    /// Events that ran: what a simulation costs.
    pub events: u64,
}

/// What is noted about blocks as they spread.
#[derive(Debug, Default)]
pub struct Ledger {
    /// When half, nine in ten, and ninety-nine in a hundred of the nodes had a block, by its number.
    spread: BTreeMap<u32, [Option<u32>; 3]>,
    looked: u32,
    stale: f64,
    observed: f64,
}

impl Ledger {
    /// Notes the part of the hash rate that worked on what was not the best.
    pub fn observe(&mut self, stale: f64) {
        self.stale += stale;
        self.observed += 1.0;
    }

    /// Tells whether it is time to sum blocks up.
    pub fn is_due(&mut self, world: &World) -> bool {
        let due = world.tree.count() >= self.looked + LOOK_BLOCKS;
        if due {
            self.looked = world.tree.count();
        }
        due
    }

    /// Sums up the blocks that were watched long enough, and takes their arrivals off.
    pub fn sum_up(&mut self, world: &World, arrivals: &mut BTreeMap<u32, Vec<u32>>, now: Micros) {
        let nodes = world.scenario.nodes as usize;
        let over = now >= world.end();
        arrivals.retain(|block, after| {
            if !over && world.tree.block(*block).found + WATCHED > now {
                return true;
            }
            // What comes still later goes to nodes that were away.
            self.spread.entry(*block).or_insert_with(|| {
                after.sort_unstable();
                [500, 900, 990].map(|part| after.get((nodes * part).div_ceil(1000) - 1).copied())
            });
            false
        });
    }

    /// Reports on all.
    pub fn report(&self, world: &World, tally: &Tally, nodes: &[&Node]) -> Report {
        let tree = &world.tree;
        let best = tree.best();
        let fate = Fate::new(tree, best);
        let selected = (fate.selected.len() as u64).max(1);
        let seconds = seconds(world.end() - WARM_UP);
        let blocks = fate.blocks(tree, world);
        Report {
            nodes: world.scenario.nodes,
            seconds: world.scenario.duration.as_secs_f64(),
            propagation: self.propagation(),
            histogram: self.histogram(),
            reorgs: tally.reorgs.iter().map(|(depth, times)| Reorgs { depth: *depth, times: *times }).collect(),
            confirmations: confirmations(tally, selected * u64::from(world.scenario.nodes), blocks.interval_seconds),
            forks: if blocks.merges { BTreeMap::new() } else { fate.forks(tree) },
            stale_work: self.stale / self.observed.max(1.0),
            difficulty: parts(world),
            traffic: classes(tally),
            node_traffic: node_traffic(nodes, seconds),
            shares: shares(world, tally),
            transactions: transactions(world, tally, &fate),
            sessions: Sessions {
                opened: tally.opened,
                closed: tally.closed,
                dropped_frames: tally.dropped,
                swallowed_frames: tally.swallowed,
                bans: tally.bans,
            },
            agreement: agreement(nodes, &fate, tree, tally.events),
            blocks,
        }
    }

    fn column(&self, part: usize) -> Vec<f64> {
        let mut times: Vec<f64> =
            self.spread.values().filter_map(|times| times[part]).map(|micros| f64::from(micros) / 1000.0).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    fn propagation(&self) -> Propagation {
        let columns = [0, 1, 2].map(|part| self.column(part));
        let not = |part: usize| self.spread.values().filter(|times| times[part].is_none()).count() as u64;
        let [half, nine_in_ten, ninety_nine] = columns.map(|times| Quantiles {
            median: times.get(times.len() / 2).copied().unwrap_or(0.0),
            mean: ratio(times.iter().sum(), count(times.len() as u64)),
            most: times.last().copied().unwrap_or(0.0),
        });
        let (not_half, not_nine_in_ten, not_ninety_nine) = (not(0), not(1), not(2));
        Propagation { half, nine_in_ten, ninety_nine, not_half, not_nine_in_ten, not_ninety_nine }
    }

    fn histogram(&self) -> Vec<Column> {
        let times = self.column(1);
        // One block that was stuck does not make a single column of all others.
        let Some(high) = times.get(times.len() * 99 / 100) else { return Vec::new() };
        let mut columns: Vec<Column> = (1..=COLUMNS)
            .map(|place| Column { up_to: high * count(place as u64) / count(COLUMNS as u64), blocks: 0 })
            .collect();
        for time in &times {
            let place = columns.partition_point(|column| column.up_to < *time).min(COLUMNS - 1);
            columns[place].blocks += 1;
        }
        if let (Some(last), Some(most)) = (columns.last_mut(), times.last()) {
            last.up_to = *most;
        }
        columns
    }
}

/// What became of each block, as the best tip sees it.
struct Fate {
    /// The selected chain without the genesis, newest first.
    selected: Vec<u32>,
    /// Blocks of the tip's past and the tip, without the genesis.
    kept: BTreeSet<u32>,
}

impl Fate {
    fn new(tree: &Tree, best: u32) -> Self {
        let selected = tree.selected_chain(best).filter(|block| *block != GENESIS).collect();
        let kept = (1..tree.count()).filter(|block| tree.is_ancestor(*block, best)).collect();
        Self { selected, kept }
    }

    fn blocks(&self, tree: &Tree, world: &World) -> Blocks {
        let found = u64::from(tree.count()) - 1;
        let (selected, kept) = (self.selected.len() as u64, self.kept.len() as u64);
        let red: u64 = self.selected.iter().map(|block| tree.block(*block).red as u64).sum();
        let all = || (1..tree.count()).map(|block| tree.block(block));
        let bytes: u64 = all().map(|block| block.bytes as u64).sum();
        Blocks {
            found,
            selected,
            blue: (kept - selected).saturating_sub(red),
            red,
            lost: found - kept,
            lost_part: ratio(count(found - kept), count(found)),
            red_part: ratio(count(red), count(found)),
            merges: all().any(|block| block.merged > 0),
            width: ratio(count(kept), count(selected)),
            parents_max: all().map(|block| block.parents.len()).max().unwrap_or(0),
            interval_seconds: ratio(world.scenario.duration.as_secs_f64(), count(found)),
            bytes_mean: bytes / found.max(1),
        }
    }

    /// Counts branches that were left, by their length.
    fn forks(&self, tree: &Tree) -> BTreeMap<u32, u64> {
        let mut lengths: BTreeMap<u32, u32> = BTreeMap::new();
        let mut inner = BTreeSet::new();
        for block in (1..tree.count()).filter(|block| !self.kept.contains(block)) {
            let parent = tree.block(block).selected_parent;
            let length = lengths.get(&parent).map_or(1, |length| length + 1);
            lengths.insert(block, length);
            inner.insert(parent);
        }
        let mut forks = BTreeMap::new();
        for (block, length) in lengths {
            if !inner.contains(&block) {
                *forks.entry(length).or_default() += 1;
            }
        }
        forks
    }
}

fn confirmations(tally: &Tally, seen: u64, interval: f64) -> Vec<Confirmation> {
    let deepest = tally.reorgs.keys().next_back().copied().unwrap_or(0);
    let reverted = |depth: u32| tally.reorgs.range(depth..).map(|(_, times)| times).sum::<u64>();
    (1..=deepest.saturating_add(1))
        .map(|depth| Confirmation {
            depth,
            seconds: f64::from(depth) * interval,
            reverted_part: ratio(count(reverted(depth)), count(seen)),
        })
        .collect()
}

fn parts(world: &World) -> Vec<Part> {
    let tree = &world.tree;
    let length = (world.end_of_work() - WARM_UP) / PARTS;
    let first = if tree.count() > 1 { tree.block(1).hashes } else { 1.0 };
    let part = |number: u64| {
        let (from, until) = (WARM_UP + number * length, WARM_UP + (number + 1) * length);
        let within: Vec<u32> =
            (1..tree.count()).filter(|block| (from..until).contains(&tree.block(*block).found)).collect();
        let hashes: f64 = within.iter().map(|block| tree.block(*block).hashes).sum();
        let blocks = within.len() as u64;
        Part {
            until_seconds: seconds(until - WARM_UP),
            blocks,
            interval_seconds: ratio(seconds(length), count(blocks)),
            difficulty: within.last().map_or_else(String::new, |block| tree.block(*block).difficulty.clone()),
            ratio: ratio(hashes / first, count(blocks)),
        }
    };
    (0..PARTS).map(part).collect()
}

/// Returns the class of a kind, by its place in [`classes`].
fn class_of(kind: Kind) -> usize {
    match kind {
        Kind::Announce | Kind::GetHeaders | Kind::Headers | Kind::GetBlocks | Kind::Blocks => 0,
        Kind::AnnounceTransactions | Kind::GetTransactions | Kind::Transactions | Kind::GetPool => 1,
        Kind::Items | Kind::Have | Kind::Want | Kind::Link | Kind::Neighbours | Kind::GetRounds | Kind::Rounds => 2,
        Kind::Hello | Kind::Goodbye | Kind::Ping | Kind::Pong | Kind::Busy | Kind::GetPeers | Kind::Peers => 3,
    }
}

fn classes(tally: &Tally) -> Vec<Class> {
    let mut classes = ["blocks", "transactions", "shares", "sessions"].map(|name| Class { name, frames: 0, bytes: 0 });
    for (kind, (frames, bytes)) in Kind::ALL.iter().zip(tally.frames) {
        let class = &mut classes[class_of(*kind)];
        class.frames += frames;
        class.bytes += bytes;
    }
    classes.to_vec()
}

fn node_traffic(nodes: &[&Node], seconds: f64) -> NodeTraffic {
    let frames: Vec<u64> = nodes.iter().map(|node| node.sent.frames + node.received.frames).collect();
    let bytes: Vec<u64> = nodes.iter().map(|node| node.sent.bytes + node.received.bytes).collect();
    let mean = |numbers: &[u64]| ratio(count(numbers.iter().sum()), count(numbers.len() as u64) * seconds);
    let max = |numbers: &[u64]| ratio(count(numbers.iter().copied().max().unwrap_or(0)), seconds);
    NodeTraffic {
        frames_mean: mean(&frames),
        frames_max: max(&frames),
        bytes_mean: mean(&bytes),
        bytes_max: max(&bytes),
    }
}

fn spread(delays: &Delays, made: u64, nodes: u32, class: &Class) -> Spread {
    let wanted = count(made) * f64::from(nodes - 1);
    let quantile = |part| milliseconds(delays.quantile(part));
    Spread {
        made,
        delivered_part: ratio(count(delays.total()), wanted),
        half: quantile(500),
        nine_in_ten: quantile(900),
        ninety_nine: quantile(990),
        frames_each: ratio(count(class.frames), wanted),
        bytes_each: ratio(count(class.bytes), wanted),
    }
}

fn made(world: &World, source: &crate::transaction::Source) -> u64 {
    let made = |node| (0..).take_while(move |turn| source.time(source.number(node, *turn)) < world.end_of_work());
    (0..world.scenario.nodes).map(|node| made(node).count() as u64).sum()
}

fn shares(world: &World, tally: &Tally) -> Option<Spread> {
    let source = world.shares.as_ref()?;
    Some(spread(&tally.shares, made(world, source), world.scenario.nodes, &classes(tally)[2]))
}

fn transactions(world: &World, tally: &Tally, fate: &Fate) -> Option<Transactions> {
    let source = world.payments.as_ref()?;
    let (mut waits, mut seen) = (Delays::default(), BTreeSet::new());
    for block in &fate.kept {
        let block = world.tree.block(*block);
        for number in block.transactions.iter().filter(|number| seen.insert(**number)) {
            waits.count(block.found.saturating_sub(source.time(*number)));
        }
    }
    Some(Transactions {
        spread: spread(&tally.transactions, made(world, source), world.scenario.nodes, &classes(tally)[1]),
        confirmed: waits.total(),
        confirmed_half_seconds: milliseconds(waits.quantile(500)) / 1000.0,
        confirmed_ninety_nine_seconds: milliseconds(waits.quantile(990)) / 1000.0,
    })
}

fn agreement(nodes: &[&Node], fate: &Fate, tree: &Tree, events: u64) -> Agreement {
    let tips: BTreeSet<u32> = nodes.iter().map(|node| node.knowledge.tip()).collect();
    let whole = nodes.iter().filter(|node| fate.kept.iter().all(|block| node.knowledge.is_whole(*block)));
    let best = tree.block(tree.best()).work;
    let behind = nodes.iter().filter(|node| tree.block(node.knowledge.tip()).work < best);
    let part = |some: usize| ratio(count(some as u64), count(nodes.len() as u64));
    Agreement { tips: tips.len(), behind_part: part(behind.count()), whole_part: part(whole.count()), events }
}

fn seconds(micros: Micros) -> f64 {
    count(micros) / 1_000_000.0
}

fn milliseconds(micros: Micros) -> f64 {
    count(micros) / 1000.0
}

/// Returns a count as a number for people.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Returns the ratio of two numbers, 0 where there is none.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
