//! What a chain whose blocks are won by plots lets pass: headers that win, and none that were changed afterwards.
//!
//! Bytes choose a plot, a height and what is done to a header that wins there: bytes are overwritten, cut off or put in; or the claim is changed and
//! signed anew, by the plot's owner or by another key.

use crate::conformance::Subject;
use adit_chain::{HeaderChain, HeaderError, SecretKey};
use adit_primitives::contract::Draft;
use adit_primitives::contract::space::{
    Challenge, PlotPlace, Registration, SpaceClaim, SpaceProof, hard_score_input, plain_score_input,
};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_primitives::space::{LEAF_BYTES, leaf, node_over, plot_id};
use adit_primitives::{BlockId, Encode, Hash256, Height, Timestamp};
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;

/// The easiest target: every other place wins.
const BITS: u32 = 0x207f_ffff;

/// From this height on a plain plot needs a registration.
const REGISTRATION_AGE: u64 = 2;

/// The blocks that stand under the headers.
const HEIGHT: u64 = 5;

/// One case in so many is about a hard plot, a score of which takes a tenth of a second.
const HARD_IN: usize = 32;

/// From one block to the next, in milliseconds: the spacing that is aimed at, so that the target stays.
const SPACING_MS: u64 = 10_000;

/// Chains of both kinds with a few blocks, and plots that win the next ones.
pub struct Verifier {
    plain: RefCell<World>,
    hard: RefCell<World>,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// The header was changed, and refused.
    Refused,
    /// The changes left it as it was.
    Unchanged,
    /// The changes made it another winning claim, signed by its owner.
    Another,
}

/// A chain, and the plots that win it.
struct World {
    rules: Arc<dyn RulesEngine>,
    chain: HeaderChain,
    hash: RefCell<Box<dyn HashEngine>>,
    /// From the genesis up.
    blocks: Vec<BlockId>,
    plots: Vec<Plot>,
    bodies: u64,
}

/// A plot in memory. A hard one is its owner's key alone.
struct Plot {
    owner: SecretKey,
    tree: Option<Tree>,
}

/// What a plain plot is made of.
struct Tree {
    seed: Hash256,
    leaves: u64,
    /// From the leaves up, each level even but the last.
    levels: Vec<Vec<[u8; LEAF_BYTES]>>,
}

/// A header that wins, in its parts.
struct Winning {
    template: Vec<u8>,
    claim: SpaceClaim,
    asked: Challenge,
}

/// Bytes that choose. Zeros follow when they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        let chosen = (0..3).fold(0, |chosen, _| chosen << 8 | usize::from(self.byte()));
        chosen % bound.max(1)
    }

    fn hash(&mut self) -> Hash256 {
        Hash256(std::array::from_fn(|_| self.byte()))
    }
}

impl Plot {
    fn plain(owner: u8, seed: u8, leaves: u64) -> Self {
        let owner = secret(owner);
        let seed = Hash256([seed; 32]);
        let plot = plot_id(&owner.public().0, &seed.0);
        let mut levels: Vec<Vec<[u8; LEAF_BYTES]>> = vec![(0..leaves).map(|index| leaf(&plot, index)).collect()];
        // What stands where a level has no node: zeros, and above them the nodes over two of those that are missing.
        let mut missing = [0; LEAF_BYTES];
        while let Some(level) = levels.last_mut().filter(|level| level.len() > 1) {
            if level.len() % 2 == 1 {
                level.push(missing);
            }
            let above = level.chunks(2).map(|pair| node_over(&pair[0], &pair[1])).collect();
            missing = node_over(&missing, &missing);
            levels.push(above);
        }
        Self { owner, tree: Some(Tree { seed, leaves, levels }) }
    }

    fn key(&self) -> Hash256 {
        Hash256(self.owner.public().0)
    }

    fn registration(&self) -> Option<Registration> {
        let Tree { seed, leaves, levels } = self.tree.as_ref()?;
        let root = Hash256(levels[levels.len() - 1][0]);
        Some(Registration { key: self.key(), seed: *seed, leaves: *leaves, root })
    }

    /// Returns the place of a leaf or a nonce, and what it is scored by under a challenge.
    fn place(&self, index: u64, registered: Height, challenge: &Hash256) -> (PlotPlace, Vec<u8>) {
        let Some(Tree { seed, leaves, levels }) = &self.tree else {
            return (PlotPlace::Hard { nonce: index }, hard_score_input(&self.key(), index, challenge).to_vec());
        };
        let index = index % leaves;
        let at = |level: usize| usize::try_from(index >> level).expect("a small plot");
        let path = (0..levels.len() - 1).map(|level| Hash256(levels[level][at(level) ^ 1])).collect();
        let root = Hash256(levels[levels.len() - 1][0]);
        let input = plain_score_input(challenge, &levels[0][at(0)]).to_vec();
        (PlotPlace::Plain { seed: *seed, leaves: *leaves, root, index, path, registered }, input)
    }
}

impl World {
    fn new(subject: &dyn Subject, leaf: &str, hash: &str, plots: Vec<Plot>) -> Self {
        let config = json!({
            "leaf": leaf, "challenge-seconds": 5, "spacing-seconds": 10, "limit-bits": BITS,
            "genesis": { "time-seconds": 1_700_000_000, "bits": BITS, "message": "plots" },
            "registration-age": REGISTRATION_AGE, "subsidy": { "initial-atoms": 50 },
        });
        let rules = subject.rules("proof-of-space", &config);
        let chain = HeaderChain::from_genesis(rules.clone(), subject.hash(hash)).expect("the genesis is placed");
        let hash = RefCell::new(subject.hash(hash));
        let genesis = chain.tip().id;
        let mut world = Self { rules, chain, hash, blocks: vec![genesis], plots, bodies: 0 };
        for _ in 0..HEIGHT {
            let (winning, plot) = (world.winning(world.blocks.len() - 1, 0, 0), 0);
            let header = world.signed(&winning, plot);
            world.chain.append(&[header]).expect("a winning header is valid");
            world.blocks.push(world.chain.tip().id);
        }
        world
    }

    /// Returns a header over the block at `height` that a plot wins, with the first leaf or nonce from `index` on.
    fn winning(&mut self, height: usize, plot: usize, index: u64) -> Winning {
        let (plot, parent, view) = (&self.plots[plot], self.blocks[height], self.chain.index().clone() as Arc<_>);
        let needs = self.rules.next(&view, &[parent], None).expect("the plugin answers").expect("the chain goes on");
        let space = self.rules.space().expect("plots win blocks");
        let time = Timestamp::from_millis(needs.earliest.to_millis() - 1 + SPACING_MS);
        let asked = space.challenge(&view, &[parent], time).expect("the plugin answers").expect("a challenge");
        // What needs no registration registers itself; the first block registers all plots.
        let registered = Height(u64::from(asked.registered_by.is_some()));
        let registrations: Vec<Registration> = match asked.registered_by {
            None => self.plots.iter().filter_map(Plot::registration).collect(),
            Some(_) => Vec::new(),
        };
        let places = (index..).map(|index| plot.place(index, registered, &asked.challenge));
        let wins = |(_, input): &(PlotPlace, Vec<u8>)| asked.target.is_met_by(&self.score(input).0);
        let (place, _) = places.into_iter().find(wins).expect("every other place wins");
        self.bodies += 1;
        let body_root = Hash256([&self.bodies.to_le_bytes()[..], &[0; 24]].concat().try_into().expect("32 bytes"));
        let draft = Draft { parents: vec![parent], bits: needs.bits, time, body_root };
        let template = self.rules.encode(&draft).expect("the plugin answers").expect("a sound draft").header;
        let claim = SpaceClaim { challenge: asked.challenge, key: plot.key(), place, registrations };
        Winning { template, claim, asked }
    }

    /// Returns what the chain's hash plugin says of a place under a challenge.
    fn score(&self, input: &[u8]) -> Hash256 {
        self.hash.borrow_mut().digest(input).expect("the plugin answers")
    }

    /// Has the owner of a plot sign, and puts the proof behind the template.
    fn signed(&self, winning: &Winning, plot: usize) -> Vec<u8> {
        let message = winning.claim.message(&self.blocks[0], &winning.template);
        let signature = self.plots[plot].owner.sign(&message).0;
        let proof = SpaceProof { claim: winning.claim.clone(), signature };
        [&winning.template[..], &proof.to_bytes()].concat()
    }

    /// Tells whether a claim about a hard plot is another one that wins.
    fn also_wins(&self, winning: &Winning) -> bool {
        let SpaceClaim { challenge, key, place: PlotPlace::Hard { nonce }, registrations } = &winning.claim else {
            return false;
        };
        let asked = *challenge == winning.asked.challenge && registrations.is_empty();
        asked && winning.asked.target.is_met_by(&self.score(&hard_score_input(key, *nonce, challenge)).0)
    }

    /// Changes a winning header as the choices say, and asks whether it passes.
    ///
    /// # Panics
    /// Where a header passes that should not, or a winning one does not.
    fn run(&mut self, choices: &mut Choices<'_>) -> Case {
        let (height, plot) = (choices.below(self.blocks.len()), choices.below(self.plots.len()));
        let index = choices.below(1 << 14) as u64;
        let mut winning = self.winning(height, plot, index);
        let right = self.signed(&winning, plot);
        let (header, another) = match choices.below(3) {
            0 => (changed_bytes(right.clone(), choices), false),
            _ => {
                let claim = winning.claim.clone();
                for _ in 0..choices.below(3) {
                    change(&mut winning.claim, choices);
                }
                let by = if choices.below(2) == 0 { plot } else { choices.below(self.plots.len()) };
                let another =
                    winning.claim != claim && winning.claim.key == self.plots[by].key() && self.also_wins(&winning);
                (self.signed(&winning, by), another)
            }
        };
        let verdict = self.chain.append(std::slice::from_ref(&header));
        let case = match (&verdict, header == right) {
            (Ok(1), true) => Case::Unchanged,
            (Ok(1), false) if another => Case::Another,
            (Err(HeaderError::Invalid { .. } | HeaderError::Orphan { .. }), false) if !another => Case::Refused,
            _ => panic!("{verdict:?} of {} whose winning header is {}", hex(&header), hex(&right)),
        };
        if case != Case::Unchanged {
            assert_eq!(self.chain.append(&[right]), Ok(1), "the winning header itself is valid");
        }
        case
    }
}

impl Verifier {
    /// Lets the subject begin a chain of each kind.
    pub fn new(subject: &dyn Subject) -> Self {
        // Sizes with and without levels of an odd number of nodes; two plots of one owner.
        let plain = vec![Plot::plain(1, 1, 1_024), Plot::plain(1, 2, 3_072), Plot::plain(2, 1, 5_120)];
        let hard = [3, 4].map(|owner| Plot { owner: secret(owner), tree: None }).into();
        Self {
            plain: RefCell::new(World::new(subject, "plain", "sha256", plain)),
            hard: RefCell::new(World::new(subject, "hard", "poc2", hard)),
        }
    }

    /// Runs one case.
    ///
    /// # Panics
    /// Where the rules let a header pass that does not win, or refuse one that does.
    pub fn run(&self, bytes: &[u8]) -> Case {
        let mut choices = Choices(bytes);
        let world = if choices.below(HARD_IN) == 0 { &self.hard } else { &self.plain };
        world.borrow_mut().run(&mut choices)
    }
}

/// Overwrites, cuts off and puts in.
fn changed_bytes(mut header: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    for _ in 0..choices.below(4) {
        let at = choices.below(header.len() + 1);
        match choices.below(6) {
            0 => header.truncate(at),
            1 => header.insert(at, choices.byte()),
            2 => header.push(choices.byte()),
            _ => {
                let changed = choices.byte();
                header.get_mut(at).into_iter().for_each(|byte| *byte ^= changed);
            }
        }
    }
    header
}

/// Changes one thing of a claim.
fn change(claim: &mut SpaceClaim, choices: &mut Choices<'_>) {
    match (choices.below(9), &mut claim.place) {
        (0, _) => claim.challenge = choices.hash(),
        (1, _) => claim.challenge.0[choices.below(32)] ^= choices.byte(),
        (2, _) => claim.key = Hash256(secret(1 + choices.byte() % 8).public().0),
        (3, _) => claim.registrations.extend(Some(Registration {
            key: claim.key,
            seed: choices.hash(),
            // No plot has an odd number of leaves.
            leaves: choices.below(1 << 14) as u64 | 1,
            root: choices.hash(),
        })),
        // Leaves that the plot does not have, or that another path leads from.
        (4, PlotPlace::Plain { index, .. }) => *index = index.wrapping_add(1 << choices.below(16)),
        (5, PlotPlace::Plain { seed, .. }) => *seed = choices.hash(),
        (6, PlotPlace::Plain { root, leaves, .. }) => match choices.below(2) {
            0 => *root = choices.hash(),
            _ => *leaves = leaves.wrapping_add(1_024 << choices.below(8)),
        },
        (7, PlotPlace::Plain { path, .. }) => match choices.below(3) {
            0 => _ = path.pop(),
            1 => path.push(choices.hash()),
            _ => {
                let at = choices.below(path.len());
                path.get_mut(at).into_iter().for_each(|node| *node = choices.hash());
            }
        },
        // Blocks that register nothing: the first two, which needed no registration, registered what won them.
        (8, PlotPlace::Plain { registered, .. }) => *registered = Height([0, 3, 4, 5, 6, 1 << 40][choices.below(6)]),
        (_, place @ PlotPlace::Plain { .. }) => *place = PlotPlace::Hard { nonce: choices.below(1 << 16) as u64 },
        (_, PlotPlace::Hard { nonce }) => *nonce = nonce.wrapping_add(choices.below(1 << 16) as u64),
    }
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32]).expect("a small number is a secret")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
