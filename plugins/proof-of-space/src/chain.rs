//! The rules applied: what a header says, whether it is valid, where it stands, and what the next one needs.

use crate::challenge::{self, Rounds};
use crate::config::{Config, Leaf};
use crate::header::{self, Header, TEMPLATE_BYTES};
use crate::notes::Notes;
use crate::proof;
use crate::retarget::{next_bits, space_gib, target_of};
use crate::violation::Rule;
use adit_plugin_sdk::space::{Challenge, PlotPlace, Registration, SpaceClaim, SpaceProof};
use adit_plugin_sdk::{
    BlockId, ChainView, ConfigError, Consensus, Draft, Encode, Hash256, HeaderView, Height, JudgedHeader, KnownBlock,
    Placement, PowInput, ProofOfSpace, Requirements, Target, Template, Timestamp, Violation,
};
use sha2::{Digest, Sha256};

/// The chain whose blocks are won by plots.
pub struct SpaceChain {
    config: Config,
    genesis: Vec<u8>,
    genesis_id: BlockId,
}

impl Consensus for SpaceChain {
    const NAME: &'static str = "proof-of-space";
    const SUMMARY: &'static str = "The chain with the most work, its blocks won by plots on disks.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let draft = Draft {
            parents: Vec::new(),
            bits: config.genesis.bits,
            time: Timestamp::from_secs(config.genesis.time_seconds),
            body_root: Hash256(Sha256::digest(&config.genesis.message).into()),
        };
        let genesis = header::encode(BlockId::default(), &draft);
        let genesis_id = BlockId(adit_plugin_sdk::sha256d(&genesis));
        Ok(Self { config, genesis, genesis_id })
    }

    fn genesis(&self) -> Vec<u8> {
        self.genesis.clone()
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        let header = self.read(header)?;
        // Rules rely on it for every block that they are shown, the first of a run from the middle included.
        target_of(header.bits)?;
        if let Some(proof) = &header.proof {
            proof::check(&self.config, &self.genesis_id, proof)?;
        }
        self.view_of(header)
    }

    fn decode_again(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        self.view_of(self.read(header)?)
    }

    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        let header = self.read(block.header)?;
        let stated = target_of(header.bits)?;
        let Some(proof) = &header.proof else { return self.place_genesis(&header, stated) };
        let claim = &proof.proof.claim;
        let Some(parent) = view.block(header.parent) else {
            return Err(Rule::ParentUnknown.broken(format!("parent {} has not been placed", header.parent)));
        };
        let next = self.next_block(view, &parent)?;
        let round = next.rounds.at(header.time).ok_or_else(|| too_old(header.time, &parent))?;
        self.judge_bits(&next, header.bits, stated)?;
        self.judge_challenge(&next, round, claim)?;
        self.judge_registration(view, &next, round, claim)?;
        if !stated.is_met_by(&block.pow.0) {
            let score = adit_plugin_sdk::U256::from_le_bytes(block.pow.0);
            return Err(Rule::Score.broken(format!("score {score:#066x} is above target {stated}")));
        }
        Ok(Placement {
            selected_parent: Some(parent.id),
            merge_set: Vec::new(),
            height: next.height,
            work: parent.work.saturating_add(stated.work()),
            tie: tie(round, &block.pow),
            valid_from: self.config.time.valid_from(header.time),
            subsidy: self.config.subsidy.at(next.height),
            state: next.notes(claim),
        })
    }

    fn next(&self, view: &dyn ChainView, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation> {
        if let Some(wish) = wish {
            return Err(
                Rule::DifficultyOverride.broken(format!("a block of this chain may not choose difficulty {wish}"))
            );
        }
        let parent = heaviest(view, tips)?;
        let next = self.next_block(view, &parent)?;
        let bits = next.known_bits()?;
        let target = target_of(bits)?;
        Ok(Requirements {
            parents: vec![parent.id],
            bits,
            target,
            difficulty: space_gib(&self.config, target),
            earliest: next.rounds.opens(0),
            height: next.height,
            subsidy: self.config.subsidy.at(next.height),
        })
    }

    fn encode(&self, draft: &Draft) -> Result<Template, Violation> {
        let [parent] = draft.parents.as_slice() else {
            return Err(Rule::ParentUnknown.broken(format!("{} parents, a block has one", draft.parents.len())));
        };
        let target = target_of(draft.bits)?;
        Ok(Template { header: header::encode(*parent, draft), pow: no_input(), target })
    }

    fn difficulty(&self, bits: u32) -> Result<String, Violation> {
        Ok(space_gib(&self.config, target_of(bits)?))
    }

    fn seal(&self, _header: &[u8], _nonce: u64, _rolled: u32) -> Result<Vec<u8>, Violation> {
        Err(Rule::ProofOfSpace.broken("blocks of this chain are won by plots, not by nonces".to_owned()))
    }
}

impl ProofOfSpace for SpaceChain {
    fn challenge(&self, view: &dyn ChainView, parents: &[BlockId], time: Timestamp) -> Result<Challenge, Violation> {
        let [parent] = parents else {
            return Err(Rule::ParentUnknown.broken(format!("{} parents, a block has one", parents.len())));
        };
        let Some(parent) = view.block(*parent) else {
            return Err(Rule::ParentUnknown.broken(format!("parent {parent} has not been placed")));
        };
        let next = self.next_block(view, &parent)?;
        let round = next.rounds.at(time).ok_or_else(|| too_old(time, &parent))?;
        let Some(notes) = &next.parent_notes else {
            return Err(Rule::HistoryUnknown.broken(format!("nothing was noted on block {}", parent.id)));
        };
        Ok(Challenge {
            plots: self.config.leaf.plots(),
            challenge: self.asked(&next, notes, round),
            target: target_of(next.known_bits()?)?,
            opens: next.rounds.opens(round),
            closes: next.rounds.closes(round),
            registered_by: self.registered_by(next.height, round),
            registrations_max: self.config.registrations(),
        })
    }

    fn registered(&self, header: &[u8]) -> Result<Vec<Registration>, Violation> {
        Ok(self.read(header)?.proof.map(|proof| proof.proof.claim.registrations).unwrap_or_default())
    }

    fn prove(&self, header: &[u8], proof: &SpaceProof) -> Result<Vec<u8>, Violation> {
        if header.len() != TEMPLATE_BYTES {
            return Err(Rule::HeaderLength.broken(format!("{} bytes, a template has {TEMPLATE_BYTES}", header.len())));
        }
        let mut proven = header.to_vec();
        proof.encode(&mut proven);
        self.read(&proven)?;
        Ok(proven)
    }
}

/// What is known of the block after a parent.
struct Next<'a> {
    parent: &'a KnownBlock,
    /// What was noted on the parent. `None` where it lies at the horizon and was never placed.
    parent_notes: Option<Notes>,
    height: Height,
    rounds: Rounds,
    /// What the retarget rule says. `None` where blocks below the horizon would.
    bits: Option<u32>,
}

impl Next<'_> {
    fn known_bits(&self) -> Result<u32, Violation> {
        let unknown = || Rule::HistoryUnknown.broken("the retarget rule needs a block below the horizon".to_owned());
        self.bits.ok_or_else(unknown)
    }

    /// Returns the state of the block: nothing where the generation signature cannot be known.
    fn notes(&self, claim: &SpaceClaim) -> Vec<u8> {
        let Some(parent) = &self.parent_notes else { return Vec::new() };
        let generation = challenge::next_generation(&parent.generation, claim);
        Notes { generation, registrations: claim.registrations.clone() }.to_bytes()
    }
}

impl SpaceChain {
    /// Returns what a header says whose proof was checked.
    fn view_of(&self, header: Header<'_>) -> Result<HeaderView, Violation> {
        let (parents, pow) = match &header.proof {
            Some(proof) => (vec![header.parent], proof::score_input(&proof.proof.claim)),
            None if header.id == self.genesis_id => (Vec::new(), no_input()),
            None => return Err(Rule::Genesis.broken("no proof, and not the genesis of this chain".to_owned())),
        };
        let Header { id, time, bits, body_root, .. } = header;
        Ok(HeaderView { id, parents, time, bits, body_root, pow })
    }

    fn read<'h>(&self, header: &'h [u8]) -> Result<Header<'h>, Violation> {
        Header::read(header, self.config.registrations())
    }

    /// Places the genesis, which needs no proof.
    fn place_genesis(&self, genesis: &Header<'_>, target: Target) -> Result<Placement, Violation> {
        if genesis.id != self.genesis_id {
            return Err(Rule::Genesis.broken("no proof, and not the genesis of this chain".to_owned()));
        }
        let notes = Notes { generation: challenge::first_generation(&genesis.body_root), registrations: Vec::new() };
        Ok(Placement {
            selected_parent: None,
            merge_set: Vec::new(),
            height: Height(0),
            work: target.work(),
            tie: Hash256::default(),
            valid_from: self.config.time.valid_from(genesis.time),
            subsidy: self.config.subsidy.at(Height(0)),
            state: notes.to_bytes(),
        })
    }

    fn next_block<'a>(&self, view: &dyn ChainView, parent: &'a KnownBlock) -> Result<Next<'a>, Violation> {
        Ok(Next {
            parent,
            parent_notes: noted(view, parent)?,
            height: Height(parent.height.0.saturating_add(1)),
            rounds: Rounds::over(parent.time, &self.config),
            bits: next_bits(&self.config, view, parent)?,
        })
    }

    fn asked(&self, next: &Next<'_>, notes: &Notes, round: u64) -> Hash256 {
        challenge::challenge(self.config.challenge, &notes.generation, next.parent.id, next.height, round)
    }

    /// Returns the greatest height at which a plot that answers in a round for a block at `height` may have been registered. `None` where it need not
    /// be: at a chain's beginning, and where nobody has won for so long that those who are registered may be gone.
    fn registered_by(&self, height: Height, round: u64) -> Option<Height> {
        match (self.config.leaf, height.0.checked_sub(self.config.registration_age.into())) {
            (Leaf::Plain, Some(by @ 1..)) if round < self.config.registration_rounds.into() => Some(Height(by)),
            _ => None,
        }
    }

    fn judge_bits(&self, next: &Next<'_>, bits: u32, stated: Target) -> Result<(), Violation> {
        match next.bits {
            Some(computed) if computed == bits => Ok(()),
            Some(computed) => Err(Rule::Bits.broken(format!("{bits:#010x}, the rule gives {computed:#010x}"))),
            None if stated <= self.config.limit() => Ok(()),
            None => Err(Rule::Bits.broken(format!("{bits:#010x} is easier than the limit"))),
        }
    }

    fn judge_challenge(&self, next: &Next<'_>, round: u64, claim: &SpaceClaim) -> Result<(), Violation> {
        let Some(notes) = &next.parent_notes else { return Ok(()) };
        let asked = self.asked(next, notes, round);
        match asked == claim.challenge {
            true => Ok(()),
            false => Err(Rule::Challenge.broken(format!("{}, round {round} asks {asked}", claim.challenge))),
        }
    }

    /// Judges whether the plot counts already.
    fn judge_registration(
        &self,
        view: &dyn ChainView,
        next: &Next<'_>,
        round: u64,
        claim: &SpaceClaim,
    ) -> Result<(), Violation> {
        let (PlotPlace::Plain { registered, .. }, Some(plot)) = (&claim.place, proof::plot_of(claim)) else {
            return Ok(());
        };
        let refuse = |detail: String| Err(Rule::Registration.broken(detail));
        let Some(by) = self.registered_by(next.height, round) else {
            return match registered.0 {
                // Or a time would come at which no plot is old enough.
                0 if !claim.registrations.contains(&plot) => {
                    refuse("a plot that needs none registers itself".to_owned())
                }
                0 => Ok(()),
                height => refuse(format!("at height {height}, at height {} a plot needs none", next.height)),
            };
        };
        if *registered > by {
            return refuse(format!("at height {registered}, plots count that were registered by {by}"));
        }
        if *registered < view.horizon() {
            return Ok(());
        }
        let block = view.selected_ancestor(next.parent.id, *registered);
        let Some(block) = block.filter(|block| block.height == *registered) else {
            return Err(Rule::HistoryUnknown.broken(format!("the block at height {registered} is not shown")));
        };
        match noted(view, &block)? {
            Some(notes) if !notes.registrations.contains(&plot) => {
                refuse(format!("the block at height {registered} does not register this plot"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns what was noted on a block: `None` where nothing could be, since history was cut off.
fn noted(view: &dyn ChainView, block: &KnownBlock) -> Result<Option<Notes>, Violation> {
    match Notes::read(&block.state) {
        None if view.horizon() == Height(0) => {
            Err(Rule::HistoryUnknown.broken(format!("nothing was noted on block {}", block.id)))
        }
        notes => Ok(notes),
    }
}

/// What a header without a proof is hashed by: nothing.
fn no_input() -> PowInput {
    PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 }
}

/// Decides between blocks of equal work: the earlier round wins, then the lower score.
fn tie(round: u64, score: &Hash256) -> Hash256 {
    let mut tie = [0; 32];
    tie[..8].copy_from_slice(&(!round).to_be_bytes());
    for (tie, score) in tie[8..].iter_mut().zip(score.0.iter().rev()) {
        *tie = !score;
    }
    Hash256(tie)
}

fn too_old(time: Timestamp, parent: &KnownBlock) -> Violation {
    Rule::TimeTooOld.broken(format!("{time:?} is not later than the parent's {:?}", parent.time))
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
