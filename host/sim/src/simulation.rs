//! A simulation from its beginning to its report.
//!
//! Events run in windows no longer than the shortest latency: what one node causes at another lies beyond the window, so the nodes of
//! a window run on several threads, and in whatever order they do, each sees the same. Between windows, alone, blocks are found.

use crate::mining::Mining;
use crate::queue::What;
use crate::report::{Ledger, Report};
use crate::scenario::{Micros, Scenario, ScenarioError};
use crate::shard::Shard;
use crate::tally::Tally;
use crate::transaction::transaction_bytes;
use crate::tree::{Find, RulesError, Tree, expected_hashes};
use crate::world::World;
use adit_primitives::Timestamp;
use adit_primitives::engine::RulesEngine;
use adit_primitives::identity::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fewer events than this were in the last window: one thread runs as many sooner than two would begin.
const WORTH_A_THREAD: u64 = 400;
/// Room for header and coinbase in a block.
const HEAD_ROOM: usize = 1_000;

/// A network that runs.
pub struct Simulation {
    world: World,
    shards: Vec<Shard>,
    mining: Mining,
    ledger: Ledger,
    now: Micros,
    /// Events of the last window.
    busy: u64,
}

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl Simulation {
    /// Sets a network up under a chain's rules, of which `identity` is what nodes tell each other.
    pub fn new(scenario: Scenario, rules: Arc<dyn RulesEngine>, identity: Rules) -> Result<Self, SimulationError> {
        scenario.check()?;
        let tree = Tree::new(rules)?;
        let mining = Mining::new(&scenario, &tree)?;
        let threads = scenario.threads.clamp(1, scenario.nodes as usize);
        let world = World::new(scenario, identity, tree);
        let mut shards: Vec<Shard> = (0..threads).map(|place| Shard::new(place, threads, &world)).collect();
        shards.iter_mut().for_each(|shard| shard.begin(&world));
        Ok(Self { world, shards, mining, ledger: Ledger::default(), now: 0, busy: 0 })
    }

    /// Runs to the end and reports. `progress` hears how much of the time has passed, in thousandths.
    pub fn run(mut self, progress: &mut dyn FnMut(u64)) -> Result<Report, SimulationError> {
        let end = self.world.end();
        self.exchange();
        while let Some(next) = self.step(end)? {
            if next * 1000 / end != self.now * 1000 / end {
                progress(next * 1000 / end);
            }
            self.now = next;
        }
        let mut tally = Tally::default();
        for shard in &mut self.shards {
            tally.add(std::mem::take(&mut shard.tally));
        }
        self.ledger.sum_up(&self.world, &mut tally.arrivals, end);
        Ok(self.ledger.report(&self.world, &tally, &Self::nodes(&self.shards)))
    }

    fn nodes(shards: &[Shard]) -> Vec<&crate::node::Node> {
        let mut nodes: Vec<_> = shards.iter().flat_map(Shard::nodes).collect();
        nodes.sort_by_key(|node| node.number);
        nodes
    }

    /// Runs a window, or finds a block. Returns how far the time is, or nothing at the end.
    fn step(&mut self, end: Micros) -> Result<Option<Micros>, SimulationError> {
        let next = self.shards.iter().filter_map(Shard::next).min().unwrap_or(end);
        let find = if self.mining.next() < self.world.end_of_work() { self.mining.next() } else { end };
        if next.min(find) >= end {
            return Ok(None);
        }
        if find <= next {
            self.find(find)?;
            return Ok(Some(find));
        }
        let until = (next + self.world.globe.nearest()).min(find).min(end);
        self.window(until);
        Ok(Some(next))
    }

    /// Runs every event before `until`.
    fn window(&mut self, until: Micros) {
        let world = &self.world;
        let events = |shards: &[Shard]| shards.iter().map(|shard| shard.tally.events).sum::<u64>();
        let before = events(&self.shards);
        match self.shards.split_first_mut() {
            Some((first, others)) if self.busy >= WORTH_A_THREAD && !others.is_empty() => std::thread::scope(|scope| {
                for shard in others {
                    scope.spawn(|| shard.run(until, world));
                }
                first.run(until, world);
            }),
            _ => self.shards.iter_mut().for_each(|shard| shard.run(until, world)),
        }
        self.busy = events(&self.shards) - before;
        self.exchange();
    }

    /// Brings what shards caused in others there.
    fn exchange(&mut self) {
        for place in 0..self.shards.len() {
            for event in std::mem::take(&mut self.shards[place].outbox) {
                let owner = event.node as usize % self.shards.len();
                self.shards[owner].push(event);
            }
        }
    }

    fn shard(&self, node: u32) -> &Shard {
        &self.shards[node as usize % self.shards.len()]
    }

    /// A block may be found.
    fn find(&mut self, now: Micros) -> Result<(), SimulationError> {
        self.observe();
        let node = self.mining.miner();
        let mut found = false;
        if !self.shard(node).node(node).is_away() {
            found = self.find_at(now, node)?;
        }
        if found {
            let miners = 0..self.world.scenario.miners;
            let tips = miners.map(|miner| self.shards[miner as usize % self.shards.len()].node(miner).knowledge.tip());
            self.mining.look(&self.world.tree, tips)?;
        }
        self.mining.draw();
        Ok(())
    }

    fn find_at(&mut self, now: Micros, node: u32) -> Result<bool, SimulationError> {
        let knowledge = &self.shard(node).node(node).knowledge;
        let required = self.world.tree.required(&knowledge.mining_tips(&self.world.tree))?;
        let transactions = self.chosen(node);
        if !self.mining.finds(expected_hashes(required.target)) {
            return Ok(false);
        }
        let time = Timestamp::from_millis(self.world.clock_millis(now));
        let find = Find { node, found: now, time, nonce: self.mining.nonce(), transactions };
        let block = self.world.tree.find(required, find)?;
        let place = node as usize % self.shards.len();
        self.shards[place].happens(node, now, What::Found { block }, &self.world);
        self.exchange();
        self.sum_up(now);
        Ok(true)
    }

    /// Notes how many work on what is not the best, at a moment that is drawn at random.
    fn observe(&mut self) {
        let best = self.world.tree.best();
        let stale = (0..self.world.scenario.miners).filter(|miner| {
            let tip = self.shard(*miner).node(*miner).knowledge.tip();
            self.world.tree.beats(best, tip)
        });
        let stale = stale.map(|miner| self.mining.part(miner as usize)).sum();
        self.ledger.observe(stale);
    }

    /// Sums up blocks that everybody has had the time to hear of.
    fn sum_up(&mut self, now: Micros) {
        if !self.ledger.is_due(&self.world) {
            return;
        }
        let mut arrivals = BTreeMap::new();
        for shard in &mut self.shards {
            for (block, mut after) in std::mem::take(&mut shard.tally.arrivals) {
                arrivals.entry(block).or_insert_with(Vec::new).append(&mut after);
            }
        }
        self.ledger.sum_up(&self.world, &mut arrivals, now);
        self.shards[0].tally.arrivals = arrivals;
    }

    /// Returns the transactions that a miner's block holds: the oldest that its node knows, as many as fit.
    fn chosen(&self, node: u32) -> Vec<u64> {
        if self.world.payments.is_none() {
            return Vec::new();
        }
        let mut room = self.world.scenario.block_bytes_max.saturating_sub(HEAD_ROOM);
        let fits = |number: &u64| {
            let left = room.checked_sub(transaction_bytes(*number));
            room = left.unwrap_or(room);
            left.is_some()
        };
        self.shard(node).node(node).knowledge.waiting_transactions(&self.world.tree).take_while(fits).collect()
    }
}
