//! Scores leaves and nonces of one question, and makes again what may win.

use super::Engines;
use super::question::{EngineFactory, Question, Scoring};
use crate::collection::Plot;
use crate::error::Problem;
use adit_primitives::contract::space::{PLAIN_SCORE_BYTES, PlotPlace, plain_score_input, scoop_of};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::space::{BestLeaf, LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, SpaceEngine};
use adit_primitives::{Hash256, Height, U256};
use std::sync::{Mutex, PoisonError};

/// Leaves that a hash plugin is given at once.
const LEAVES_AT_ONCE: usize = 4_096;

/// An entry of a plot, and its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scored {
    /// The leaf's number, or the nonce's, counted from the plot's first.
    pub entry: u64,
    pub score: U256,
}

/// What scores under one challenge.
pub struct Scorer<'e> {
    pub engines: &'e Engines,
    pub question: &'e Question,
    /// Instances of the hash plugin that no thread uses at the moment.
    pub instances: &'e Mutex<Vec<Box<dyn HashEngine>>>,
}

impl Scorer<'_> {
    /// Returns the entry with the lowest score of some, from the one numbered `first` on.
    pub fn best(&self, plot: &Plot, first: u64, bytes: &[u8]) -> Result<Option<Scored>, Problem> {
        let challenge = &self.question.challenge.challenge;
        let found = match (plot, &self.question.scoring) {
            (Plot::Hard(_), _) => {
                best_of(&*self.engines.scan, &challenge.0, bytes).map(|(place, quality)| (place, score_of(quality)))
            }
            (Plot::Plain(_), Scoring::Native(hash)) => self
                .engines
                .scan
                .best_leaf(*hash, &challenge.0, bytes)
                .map(|BestLeaf { index, score }| (index as u64, U256::from_le_bytes(score))),
            (Plot::Plain(_), Scoring::Plugin(factory)) => self.by_plugin(factory, challenge, bytes)?,
        };
        Ok(found.map(|(place, score)| Scored { entry: first + place, score }))
    }

    /// Returns every entry whose score is at most `most`, in no set order. They are looked for by what remains on both sides of the best one: so few are
    /// wanted that this costs little.
    pub fn up_to(&self, most: U256, plot: &Plot, first: u64, bytes: &[u8]) -> Result<Vec<Scored>, Problem> {
        let each = usize::try_from(plot.each()).expect("a few bytes");
        let (mut found, mut open) = (Vec::new(), vec![(first, bytes)]);
        while let Some((first, bytes)) = open.pop() {
            let Some(best) = self.best(plot, first, bytes)?.filter(|best| best.score <= most) else { continue };
            let at = usize::try_from(best.entry - first).expect("it is among them") * each;
            found.push(best);
            open.extend([(first, &bytes[..at]), (best.entry + 1, &bytes[at + each..])]);
        }
        Ok(found)
    }

    fn by_plugin(
        &self,
        factory: &EngineFactory,
        challenge: &Hash256,
        leaves: &[u8],
    ) -> Result<Option<(u64, U256)>, Fault> {
        let instances = || self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = instances().pop();
        let mut instance = idle.map_or_else(|| factory(), Ok)?;
        let (mut best, mut digests) = (None::<(U256, u64)>, Vec::new());
        for (chunk, leaves) in leaves.as_chunks::<LEAF_BYTES>().0.chunks(LEAVES_AT_ONCE).enumerate() {
            let inputs: Vec<u8> = leaves.iter().flat_map(|leaf| plain_score_input(challenge, leaf)).collect();
            digests.clear();
            instance.digest_many(&inputs, PLAIN_SCORE_BYTES, &mut digests)?;
            let scores = digests.iter().map(|digest| U256::from_le_bytes(digest.0));
            let lowest = scores.zip((chunk * LEAVES_AT_ONCE) as u64..).min();
            best = [best, lowest].into_iter().flatten().min();
        }
        // One that failed is not used again.
        instances().push(instance);
        Ok(best.map(|(score, place)| (place, score)))
    }

    /// Compares a plain plot's leaf with what its key and seed give: one hash. Nonces take too long for it.
    pub fn check_leaf(&self, plot: &Plot, entry: u64, leaf: &[u8]) -> Result<(), Problem> {
        let Plot::Plain(plot) = plot else { return Ok(()) };
        let mut made = [0; LEAF_BYTES];
        self.engines.scan.leaves(&plot.header().id(), entry, &mut made);
        if made == leaf {
            Ok(())
        } else {
            Err(Problem::Wrong { what: "leaves", offset: plot.header().layout().leaf(entry) })
        }
    }

    /// Makes an entry again from the plot's key, and returns the place that a claim names, with its proof.
    ///
    /// # Errors
    /// Where the file has something else there, or scores otherwise than it was seen to.
    pub fn prove(&self, whole: &Plot, scored: Scored, registered: Height) -> Result<PlotPlace, Problem> {
        match whole {
            Plot::Plain(plot) => {
                let header = plot.header();
                let proof = plot.prove(&*self.engines.scan, scored.entry)?;
                // What was scored came over the bus once before.
                if self.best(whole, scored.entry, &proof.leaf)? != Some(scored) {
                    return Err(Problem::Wrong { what: "leaves", offset: header.layout().leaf(scored.entry) });
                }
                Ok(PlotPlace::Plain {
                    seed: Hash256(header.seed),
                    leaves: header.leaves,
                    root: Hash256(header.root),
                    index: scored.entry,
                    path: proof.path.into_iter().map(Hash256).collect(),
                    registered,
                })
            }
            Plot::Hard(plot) => {
                let name = plot.name();
                let nonce = name.start + scored.entry;
                let challenge = &self.question.challenge.challenge;
                let engine = &*self.engines.single;
                let lanes = engine.lanes();
                let mut made = vec![0; lanes * NONCE_BYTES];
                engine.nonces(name.account, nonce, &mut made);
                let at = usize::try_from(scoop_of(challenge)).expect("one of 4,096") * lanes * SCOOP_BYTES;
                let again = best_of(engine, &challenge.0, &made[at..at + SCOOP_BYTES]);
                if again.is_some_and(|(_, quality)| score_of(quality) == scored.score) {
                    Ok(PlotPlace::Hard { nonce })
                } else {
                    let offset = name.at(scoop_of(challenge).into(), scored.entry);
                    Err(Problem::Wrong { what: "scoops", offset })
                }
            }
        }
    }
}

/// Returns the score of a PoC2 quality: the digest's last eight bytes, which are its highest.
fn score_of(quality: u64) -> U256 {
    U256::from(quality) << 192
}

/// Returns the place of the scoop with the best quality, and that quality.
fn best_of(engine: &dyn SpaceEngine, signature: &[u8; 32], scoops: &[u8]) -> Option<(u64, u64)> {
    let mut qualities = vec![0; scoops.len() / SCOOP_BYTES];
    engine.qualities(signature, scoops, &mut qualities);
    qualities.into_iter().zip(0..).min().map(|(quality, place)| (place, quality))
}
