//! What all nodes share and none changes while events run: the scenario, the globe, the blocks.

use crate::globe::Globe;
use crate::random::Random;
use crate::scenario::{Micros, Scenario, micros};
use crate::transaction::Source;
use crate::tree::Tree;
use adit_network::{NodeId, Settings};
use adit_primitives::identity::Rules;
use std::collections::HashMap;

/// Nodes find each other before anybody mines or pays.
pub const WARM_UP: Micros = 10_000_000;

/// See the module.
pub struct World {
    pub scenario: Scenario,
    pub globe: Globe,
    pub ids: Vec<NodeId>,
    pub by_id: HashMap<NodeId, u32>,
    pub identity: Rules,
    pub settings: Settings,
    pub tree: Tree,
    pub payments: Option<Source>,
    pub shares: Option<Source>,
    /// What clocks show when the simulation begins: the time of the genesis, in milliseconds.
    start_millis: u64,
}

/// What numbers are drawn for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    Globe = 1,
    Ids = 2,
    Mining = 3,
    Payments = 4,
    Shares = 5,
}

/// The purpose of the first node's numbers; each node has one of its own.
const PURPOSE_NODES: u64 = 1 << 32;

impl World {
    /// Sets the stage.
    pub fn new(scenario: Scenario, identity: Rules, tree: Tree) -> Self {
        let random = |purpose: Purpose| Random::new(scenario.seed, purpose as u64);
        let globe = Globe::new(scenario.nodes, micros(scenario.latency), &mut random(Purpose::Globe));
        let mut ids = random(Purpose::Ids);
        let ids: Vec<NodeId> = (0..scenario.nodes).map(|_| NodeId(ids.bytes())).collect();
        let source = |purpose, rate| Source::new(random(purpose).bits(), scenario.nodes, rate, WARM_UP);
        let strategies = scenario.strategies;
        Self {
            payments: source(Purpose::Payments, scenario.transactions),
            shares: source(Purpose::Shares, scenario.shares),
            start_millis: tree.genesis_millis(),
            by_id: ids.iter().zip(0..).map(|(id, number)| (*id, number)).collect(),
            settings: Settings { strategies, ..Settings::standard("adit-sim".to_owned()) },
            globe,
            ids,
            identity,
            tree,
            scenario,
        }
    }

    /// Returns the generator of a node.
    pub fn random_of(&self, node: u32) -> Random {
        Random::new(self.scenario.seed, PURPOSE_NODES + u64::from(node))
    }

    /// Returns when the last block may be found, and the last payment made.
    pub fn end_of_work(&self) -> Micros {
        WARM_UP.saturating_add(micros(self.scenario.duration))
    }

    /// Returns when the simulation is over.
    pub fn end(&self) -> Micros {
        self.end_of_work().saturating_add(micros(self.scenario.settle))
    }

    /// Returns what every node's clock shows, in milliseconds.
    pub fn clock_millis(&self, now: Micros) -> u64 {
        self.start_millis.saturating_add(now / 1000)
    }
}
