//! Ten nodes on ways that take time: cut into halves that mine apart, killed at any moment, started again. One chain comes of it, and at no moment have two
//! nodes another state at the same tip.
//!
//! `ADIT_CHAOS_ROUNDS` and `ADIT_CHAOS_SEED` make it longer, and another one.

use super::ways::{Wall, Way};
use super::{Node, agree};
use crate::adit::{Place, get, length, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes of one half. The first two mine.
const HALF: usize = 5;
const MINERS: usize = 2;
/// Nodes that are down at a time.
const DOWN_MAX: usize = 3;
/// Blocks that each half finds while they are apart.
const BLOCKS_APART: u64 = 3;

const ROUNDS: u64 = 3;

/// The nodes, and what was seen of them.
struct World {
    place: Place,
    wall: Arc<Wall>,
    nodes: Vec<Node>,
    /// Of all who earn, and of somebody who is paid.
    addresses: Vec<String>,
    /// Who was seen with which ledger, by the tip.
    ledgers: BTreeMap<String, (String, Vec<Value>)>,
    random: u64,
}

impl World {
    fn start(seed: u64) -> Self {
        let (place, wall) = (Place::new(), Arc::new(Wall::default()));
        let ways: Vec<Way> = (0..2 * HALF).map(|number| Way::open(number / HALF, &wall)).collect();
        let mut nodes: Vec<Node> = (0..2 * HALF).map(|number| write(&place, number, &ways)).collect();
        for (number, (node, way)) in nodes.iter().zip(&ways).enumerate() {
            way.leads_to(node.port, number / HALF, &wall);
        }
        for (number, node) in nodes.iter_mut().enumerate() {
            node.start(&place, mines(number));
        }
        place.succeed(&["key", "new", "payee.key", "--chain", "n0.toml"]);
        let keys = (0..2 * HALF).filter(|number| mines(*number)).map(|number| format!("n{number}.key"));
        let address = |key: String| {
            let said = place.succeed(&["key", "show", &key, "--chain", "n0.toml"]);
            said.split_whitespace().last().unwrap().to_owned()
        };
        let addresses = keys.chain(["payee.key".to_owned()]).map(address).collect();
        Self { place, wall, nodes, addresses, ledgers: BTreeMap::new(), random: seed }
    }

    fn alive(&self) -> Vec<&Node> {
        self.nodes.iter().filter(|node| node.running.is_some()).collect()
    }

    /// Looks at every node, and checks that nobody was seen with another ledger at its tip.
    fn look(&mut self) {
        let seen: Vec<_> = self.alive().into_iter().filter_map(|node| self.ledger(node)).collect();
        for (tip, name, ledger) in seen {
            let (by, before) = self.ledgers.entry(tip.clone()).or_insert_with(|| (name.clone(), ledger.clone()));
            assert_eq!(*before, ledger, "{name} has another state at {tip} than {by}");
        }
    }

    /// Returns a node's tip and what the addresses have there. `None` where its tip moved meanwhile.
    fn ledger(&self, node: &Node) -> Option<(String, String, Vec<Value>)> {
        let before = node.tip();
        let ledger = self.addresses.iter().map(|address| holdings(node, address)).collect();
        (node.tip() == before).then(|| (before.as_str().unwrap().to_owned(), node.name.clone(), ledger))
    }

    /// Waits until something is so, and looks at everybody meanwhile.
    #[track_caller]
    fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        wait_until(what, || {
            self.look();
            is_so(self).then_some(())
        });
    }

    /// Kills one of those that run, as a loss of power would; each half keeps a miner.
    fn kill(&mut self) {
        let runs = |number: &usize| self.nodes[*number].running.is_some();
        let miners = |half: usize| (half * HALF..half * HALF + MINERS).filter(runs).count();
        let spare = |number: &usize| runs(number) && (!mines(*number) || miners(number / HALF) > 1);
        let spares: Vec<_> = (0..self.nodes.len()).filter(spare).collect();
        let victim = spares[self.below(spares.len())];
        self.nodes[victim].kill();
    }

    /// Starts one of those that are down.
    fn return_one(&mut self) {
        let down: Vec<_> = (0..self.nodes.len()).filter(|number| self.nodes[*number].running.is_none()).collect();
        if !down.is_empty() {
            let back = down[self.below(down.len())];
            self.nodes[back].start(&self.place, mines(back));
        }
    }

    /// Has one of the miners pay somebody. A payment of what a change of branches took away is refused, which is in order.
    fn pay(&mut self) {
        let payer = self.below(2) * HALF;
        let node = self.nodes.iter().skip(payer).find(|node| node.running.is_some()).unwrap();
        let (key, payee) = (format!("n{payer}.key"), self.addresses.last().unwrap());
        self.place.run(&["send", "n0.toml", "--node", &node.url, "--key", &key, "--to", payee, "--amount", "0.5"]);
    }

    /// Cuts the halves off from each other until both have found blocks.
    fn part(&mut self) {
        self.wall.raise();
        let ends = [0, HALF].map(|half| (half..half + MINERS).find(|n| self.nodes[*n].running.is_some()).unwrap());
        let before = ends.map(|end| length(&self.nodes[end].url));
        self.wait("blocks of both halves", |world| {
            ends.iter().zip(before).all(|(end, before)| length(&world.nodes[*end].url) >= before + BLOCKS_APART)
        });
        let [a, b] = ends.map(|end| self.nodes[end].tip());
        assert_ne!(a, b, "the halves are not apart");
    }

    fn round(&mut self, number: u64) {
        self.kill();
        self.pay();
        self.part();
        self.kill();
        self.return_one();
        self.pay();
        self.wall.fall();
        while self.alive().len() < self.nodes.len() - DOWN_MAX {
            self.return_one();
        }
        self.look();
        agree(&self.alive());
        self.look();
        let tip = self.alive()[0].tip();
        println!("round {number}: {} nodes at {tip}, {} tips seen", self.alive().len(), self.ledgers.len());
    }

    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % end
    }
}

/// Returns what an address has by a node, besides what is no part of the ledger: which outputs waiting payments spend.
fn holdings(node: &Node, address: &str) -> Value {
    let (status, mut holdings) = get(&node.url, &format!("/address/{address}"));
    assert_eq!(status, 200, "{holdings}");
    for output in holdings["unspent"].as_array_mut().unwrap() {
        output.as_object_mut().unwrap().remove("spent_by_pending").unwrap();
    }
    holdings
}

/// Writes the chain for a node that begins with two of its half and two of the other.
fn write(place: &Place, number: usize, ways: &[Way]) -> Node {
    let (half, within) = (number / HALF, number % HALF);
    let others = [(half, 1), (half, 2), (1 - half, 0), (1 - half, 1)];
    let bootstrap = others.map(|(half, step)| ways[half * HALF + (within + step) % HALF].port);
    Node::write(
        place,
        &format!("n{number}"),
        &bootstrap,
        &format!("announce = [\"127.0.0.1:{}\"]\n", ways[number].port),
    )
}

fn mines(number: usize) -> bool {
    number % HALF < MINERS
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn nodes_that_are_cut_off_killed_and_started_become_one_chain_with_one_ledger_slow() {
    let (rounds, seed) = (number("ADIT_CHAOS_ROUNDS", ROUNDS), number("ADIT_CHAOS_SEED", 1));
    println!("{rounds} rounds from seed {seed}");
    let mut world = World::start(seed);
    world.wait("blocks at every node", |world| world.nodes.iter().all(|node| length(&node.url) > 4));
    for number in 1..=rounds {
        world.round(number);
    }
    while world.alive().len() < world.nodes.len() {
        world.return_one();
    }
    wait_until("one ledger of all nodes at one tip", || {
        let seen: Vec<_> = world.nodes.iter().filter_map(|node| world.ledger(node)).collect();
        let tips_agree = seen.len() == world.nodes.len() && seen.iter().all(|(tip, ..)| *tip == seen[0].0);
        tips_agree.then(|| assert!(seen.iter().all(|(_, _, ledger)| *ledger == seen[0].2), "{seen:?}"))
    });
}
