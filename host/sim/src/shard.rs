//! Nodes that one thread runs: their events in order, up to a moment before which nobody else can cause any.

use crate::node::{Node, Turn};
use crate::queue::{Event, Queue, What};
use crate::scenario::Micros;
use crate::tally::Tally;
use crate::world::World;
use std::collections::VecDeque;

/// See the module.
pub struct Shard {
    /// Every so many-th node, from the shard's own place on.
    nodes: Vec<Node>,
    stride: usize,
    queue: Queue,
    pub tally: Tally,
    /// What was caused for nodes of other shards.
    pub outbox: Vec<Event>,
    /// Room for what one event causes.
    caused: Vec<Event>,
}

impl Shard {
    /// Makes the shard of a place among so many.
    pub fn new(place: usize, stride: usize, world: &World) -> Self {
        let numbers = (0..world.scenario.nodes).skip(place).step_by(stride);
        let nodes = numbers.map(|number| Node::new(number, world)).collect();
        let (queue, tally) = (Queue::default(), Tally::default());
        Self { nodes, stride, queue, tally, outbox: Vec::new(), caused: Vec::new() }
    }

    /// Returns a node of this shard.
    pub fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize / self.stride]
    }

    /// Goes through the nodes of this shard.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Plans an event of one of this shard's nodes.
    pub fn push(&mut self, event: Event) {
        self.queue.push(event);
    }

    /// Returns when the next event happens.
    pub fn next(&self) -> Option<Micros> {
        self.queue.next()
    }

    /// Lets all nodes begin.
    pub fn begin(&mut self, world: &World) {
        for place in 0..self.nodes.len() {
            self.turn(place, 0, world, |node, turn| node.begin(turn));
        }
    }

    /// Runs every event before `end`.
    pub fn run(&mut self, end: Micros, world: &World) {
        while let Some(event) = self.queue.pop_before(end) {
            self.happens(event.node, event.key.time, event.what, world);
        }
    }

    /// Something happens to a node now.
    pub fn happens(&mut self, node: u32, now: Micros, what: What, world: &World) {
        self.turn(node as usize / self.stride, now, world, |node, turn| node.happens(turn, what));
    }

    fn turn(&mut self, place: usize, now: Micros, world: &World, act: impl FnOnce(&mut Node, &mut Turn<'_>)) {
        let node = &mut self.nodes[place];
        let own = node.number as usize % self.stride;
        act(node, &mut Turn { now, world, out: &mut self.caused, tally: &mut self.tally, events: VecDeque::new() });
        for event in self.caused.drain(..) {
            if event.node as usize % self.stride == own { self.queue.push(event) } else { self.outbox.push(event) }
        }
    }
}
