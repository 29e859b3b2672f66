//! Small plots in memory, and chains whose blocks they win.

use adit_chain::SecretKey;
use adit_kernels::space::Backend;
use adit_plugin_poc2::Poc2;
use adit_plugin_proof_of_space::SpaceChain;
use adit_plugin_sdk::plot::{
    LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, SCOOPS, SpaceEngine, account, leaf, node_over, plot_id,
};
use adit_plugin_sdk::space::{Challenge, PlotPlace, Registration, SpaceClaim, SpaceProof, plain_score_input, scoop_of};
use adit_plugin_sdk::testing::TestChain;
use adit_plugin_sdk::{
    BlockId, Consensus, Draft, Hash256, HashAlgorithm, Height, ProofOfSpace, Requirements, Timestamp, U256, Violation,
};
use adit_plugin_sha256::Sha256;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// When the chains begin.
pub const START: u64 = 1_700_000_000_000;

/// The leaves of a plain plot, the smallest there is.
pub const LEAVES: u64 = 1024;

/// The nonces of a hard plot.
const NONCES: usize = 16;

pub type Chain = TestChain<SpaceChain>;

/// A place in a plot, and its score as a number.
pub struct Answer {
    pub place: PlotPlace,
    pub score: U256,
}

/// Something that answers challenges.
pub trait Plot {
    fn owner(&self) -> &SecretKey;

    /// Returns the best answer.
    fn answer(&self, challenge: &Hash256) -> Answer;

    fn key(&self) -> Hash256 {
        Hash256(self.owner().public().0)
    }
}

/// A plain plot.
pub struct Plain {
    owner: SecretKey,
    pub seed: Hash256,
    /// The number of the first leaf: 0 in an honest plot.
    first: u64,
    /// The tree's levels, the leaves first.
    levels: Vec<Vec<[u8; LEAF_BYTES]>>,
}

/// A hard plot: nonces from 0 on.
pub struct Hard {
    owner: SecretKey,
    /// Each nonce's scoops.
    nonces: Vec<Vec<[u8; SCOOP_BYTES]>>,
}

/// Two hard plots of different owners, made once: making nonces takes its time.
pub static HARD: LazyLock<[Hard; 2]> = LazyLock::new(|| [1, 2].map(Hard::new));

impl Plain {
    pub fn new(owner: u8, seed: u8) -> Self {
        Self::beginning_at(0, owner, seed)
    }

    /// Makes a tree over leaves with other numbers than their places.
    pub fn beginning_at(first: u64, owner: u8, seed: u8) -> Self {
        let owner = key(owner);
        let seed = Hash256([seed; 32]);
        let plot = plot_id(&owner.public().0, &seed.0);
        let mut levels = vec![(first..first + LEAVES).map(|index| leaf(&plot, index)).collect::<Vec<_>>()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(|pair| node_over(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        Self { owner, seed, first, levels }
    }

    pub fn root(&self) -> Hash256 {
        Hash256(self.levels.last().expect("there are leaves")[0])
    }

    pub fn registration(&self) -> Registration {
        Registration { key: self.key(), seed: self.seed, leaves: LEAVES, root: self.root() }
    }

    /// Returns a leaf's place. The plot needed no registration.
    pub fn place(&self, index: u64) -> PlotPlace {
        let beside = |(level, nodes): (usize, &Vec<[u8; 32]>)| {
            let at = usize::try_from((index - self.first) >> level).expect("a small plot") ^ 1;
            Hash256(nodes[at])
        };
        let path = self.levels[..self.levels.len() - 1].iter().enumerate().map(beside).collect();
        let (seed, root) = (self.seed, self.root());
        PlotPlace::Plain { seed, leaves: LEAVES, root, index, path, registered: Height(0) }
    }
}

impl Plot for Plain {
    fn owner(&self) -> &SecretKey {
        &self.owner
    }

    fn answer(&self, challenge: &Hash256) -> Answer {
        let scored = |(index, leaf): (u64, &[u8; 32])| {
            let digest = Sha256.digest(&plain_score_input(challenge, leaf));
            (U256::from_le_bytes(digest.0), index)
        };
        let (score, index) = (self.first..).zip(&self.levels[0]).map(scored).min().expect("there are leaves");
        Answer { place: self.place(index), score }
    }
}

impl Hard {
    fn new(owner: u8) -> Self {
        let owner = key(owner);
        let engine = Backend::widest();
        let mut nonces = Vec::new();
        for first in (0..NONCES).step_by(engine.lanes()) {
            let mut scoops = vec![0; engine.lanes() * NONCE_BYTES];
            engine.nonces(account(&owner.public().0), first as u64, &mut scoops);
            let (scoops, _) = scoops.as_chunks::<SCOOP_BYTES>();
            let of_lane = |lane| (0..SCOOPS).map(move |scoop| scoops[scoop * engine.lanes() + lane]).collect();
            nonces.extend((0..engine.lanes()).map(of_lane));
        }
        Self { owner, nonces }
    }
}

impl Plot for Hard {
    fn owner(&self) -> &SecretKey {
        &self.owner
    }

    fn answer(&self, challenge: &Hash256) -> Answer {
        let scoop = scoop_of(challenge) as usize;
        let scoops: Vec<u8> = self.nonces.iter().flat_map(|nonce| nonce[scoop]).collect();
        let mut qualities = vec![0; self.nonces.len()];
        Backend::widest().qualities(&challenge.0, &scoops, &mut qualities);
        let (quality, nonce) = qualities.into_iter().zip(0..).min().expect("there are nonces");
        Answer { place: PlotPlace::Hard { nonce }, score: U256::from(quality) << 192 }
    }
}

pub fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32]).expect("a small number is a secret")
}

/// The configuration of a chain: a challenge is won by one leaf in 1,024 or one nonce in 16, so every third round or so.
pub fn config(leaf: &str) -> Value {
    let bits = if leaf == "plain" { 0x1f3f_ffff } else { 0x200f_ffff };
    json!({
        "leaf": leaf,
        "challenge-seconds": 5,
        "spacing-seconds": 10,
        "genesis": {"time-seconds": START / 1000, "bits": bits, "message": "space"},
        "registration-age": 3,
        "subsidy": {"initial-atoms": 50},
    })
}

/// A chain of plain plots, with some keys of the configuration changed.
pub fn plain_chain(changes: &[(&str, Value)]) -> Chain {
    TestChain::with_hash(&changed("plain", changes), |input| Sha256.digest(input))
}

/// A chain of hard plots.
pub fn hard_chain(changes: &[(&str, Value)]) -> Chain {
    TestChain::with_hash(&changed("hard", changes), |input| Poc2.digest(input))
}

fn changed(leaf: &str, changes: &[(&str, Value)]) -> String {
    let mut config = config(leaf);
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    config.to_string()
}

/// A block in the making: what is to be changed of what a farmer would do.
#[derive(Clone)]
pub struct Attempt {
    pub draft: Draft,
    pub claim: SpaceClaim,
}

impl Attempt {
    /// Signs by an owner and builds the header.
    pub fn header(&self, chain: &Chain, owner: &SecretKey) -> Result<Vec<u8>, Violation> {
        let template = chain.rules().encode(&self.draft)?;
        let message = self.claim.message(&chain.genesis(), &template.header);
        let proof = SpaceProof { claim: self.claim.clone(), signature: owner.sign(&message).0 };
        chain.rules().prove(&template.header, &proof)
    }
}

/// Returns what farmers are asked over a block at a time.
pub fn asked(chain: &Chain, parent: BlockId, time: Timestamp) -> Result<Challenge, Violation> {
    chain.rules().challenge(chain, &[parent], time)
}

pub fn next(chain: &Chain, parent: BlockId) -> Requirements {
    chain.next(&[parent]).expect("the chain goes on")
}

/// Returns the first block over `parent` that a plot wins, from the round on that holds `from`, ready to be signed, and in which round that is.
pub fn winning(chain: &Chain, plot: &dyn Plot, parent: BlockId, from: Timestamp) -> (Attempt, Challenge) {
    let needs = next(chain, parent);
    let mut time = from.max(needs.earliest);
    loop {
        let asked = asked(chain, parent, time).expect("a later time has a challenge");
        let answer = plot.answer(&asked.challenge);
        if answer.score <= asked.target.0 {
            let draft = Draft { parents: vec![parent], bits: needs.bits, time, body_root: Hash256([7; 32]) };
            let registrations = match answer.place {
                // What needs no registration registers itself.
                PlotPlace::Plain { seed, leaves, root, .. } if asked.registered_by.is_none() => {
                    vec![Registration { key: plot.key(), seed, leaves, root }]
                }
                _ => Vec::new(),
            };
            let claim = SpaceClaim { challenge: asked.challenge, key: plot.key(), place: answer.place, registrations };
            return (Attempt { draft, claim }, asked);
        }
        time = asked.closes;
    }
}

/// Lets a plot win the next block over `parent`.
pub fn win(chain: &mut Chain, plot: &dyn Plot, parent: BlockId) -> BlockId {
    win_registering(chain, plot, parent, &[])
}

/// The same with plots that the block registers.
pub fn win_registering(chain: &mut Chain, plot: &dyn Plot, parent: BlockId, plots: &[Registration]) -> BlockId {
    let (mut attempt, _) = winning(chain, plot, parent, Timestamp::default());
    let own = std::mem::take(&mut attempt.claim.registrations);
    let own = own.into_iter().filter(|plot| !plots.contains(plot));
    attempt.claim.registrations = own.chain(plots.iter().copied()).collect();
    let header = attempt.header(chain, plot.owner()).expect("a sound draft");
    chain.place(&header).expect("a winning block is valid")
}

/// Returns the name of the rule that was broken.
pub fn rule<T>(verdict: Result<T, Violation>) -> Option<String> {
    verdict.err().map(|broken| broken.rule)
}
