//! Asks other validators about a batch whose hashes are expensive, and answers them.
//!
//! A finding is what a node recomputed by itself, signed; nobody passes on another's. More than two thirds of those asked have to
//! agree within half a second, else the batch is hashed here. Even then one share of it is hashed here, which nobody else can
//! foretell: whoever signed that the batch is valid and is contradicted by it is known as a liar.
//!
//! Never decides what is paid: a finding saves hashing, the rounds are certified by votes as ever.

use super::archive::Question;
use super::batch::{BatchId, SealedBatch};
use super::judge::{BatchVerdict, Which};
use super::keys::{Domain, Identity, Signature};
use super::record::PoolId;
use super::weights::Validators;
use crate::id::{Moment, NodeId};
use adit_primitives::{Decode, Encode, canonical_struct};
use bytes::Bytes;
use lru::LruCache;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// How long those asked have.
pub const PANEL_TIME: Duration = Duration::from_millis(500);
/// How many findings are remembered, and for how long.
pub const FINDINGS_MAX: usize = 10_000;
pub const FINDING_LIFE: Duration = Duration::from_secs(60);
/// The most batches that others are asked about at once: beyond, batches are hashed here.
pub const PANELS_MAX: usize = 1_000;

/// What a node found by hashing every share of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub batch: BatchId,
    /// The first share that misses its target: none in a valid batch.
    pub wrong: Option<u16>,
    pub node: NodeId,
    pub signature: Signature,
}

/// What the host does.
#[derive(Debug, Clone)]
pub enum PanelEffect {
    /// Put a question ([`Question`]) to this node. Where there is no connection with it, nothing needs to be done.
    Ask { node: NodeId, question: Bytes },
    /// Recompute a batch. The verdict goes to [`Panels::judged`] and to the rounds.
    Judge { batch: Arc<SealedBatch>, which: Which },
    /// A node signed what recomputation contradicts.
    Liar { node: NodeId, finding: Box<Finding> },
}

/// A node's questions and findings.
#[derive(Debug)]
pub struct Panels {
    pool: PoolId,
    identity: Identity,
    open: BTreeMap<BatchId, Panel>,
    own: LruCache<BatchId, (Moment, Option<u16>)>,
}

#[derive(Debug)]
struct Panel {
    batch: Arc<SealedBatch>,
    until: Moment,
    /// Who was asked, with what they found.
    asked: BTreeMap<NodeId, Option<Finding>>,
    /// The share that is hashed here since the others agreed.
    drawn: Option<u16>,
}

canonical_struct!(Finding { batch, wrong, node, signature });

impl Finding {
    fn message(pool: PoolId, batch: BatchId, wrong: Option<u16>) -> Vec<u8> {
        let mut bytes = pool.to_bytes();
        batch.encode(&mut bytes);
        wrong.encode(&mut bytes);
        bytes
    }

    fn is_genuine(&self, pool: PoolId) -> bool {
        self.signature.is_by(self.node, Domain::Finding, &Self::message(pool, self.batch, self.wrong))
    }
}

impl Panels {
    /// Begins with nothing asked.
    pub fn new(pool: PoolId, identity: Identity) -> Self {
        let findings = NonZeroUsize::new(FINDINGS_MAX).expect("it is above zero");
        Self { pool, identity, open: BTreeMap::new(), own: LruCache::new(findings) }
    }

    /// Asks `count` validators about a batch. Who they are follows from this node's signature: the batch's node cannot choose them.
    pub fn consult(
        &mut self,
        now: Moment,
        batch: Arc<SealedBatch>,
        count: u32,
        validators: &Validators,
        out: &mut Vec<PanelEffect>,
    ) {
        let id = batch.id();
        if self.open.contains_key(&id) {
            return;
        }
        let asked = self.choose(&batch, count, validators);
        if asked.is_empty() || self.open.len() >= PANELS_MAX {
            out.push(PanelEffect::Judge { batch, which: Which::All });
            return;
        }
        let question = Bytes::from(Question::Batch { pool: self.pool, batch: id }.to_bytes());
        out.extend(asked.iter().map(|node| PanelEffect::Ask { node: *node, question: question.clone() }));
        let asked = asked.into_iter().map(|node| (node, None)).collect();
        self.open.insert(id, Panel { batch, until: now.after(PANEL_TIME), asked, drawn: None });
    }

    fn choose(&self, batch: &SealedBatch, count: u32, validators: &Validators) -> Vec<NodeId> {
        let not = [self.identity.node(), batch.batch().node];
        let others = validators.nodes().map(|(node, _)| node).filter(|node| !not.contains(node));
        let mut ranked: Vec<_> = others.map(|node| (self.draw(batch.id(), &node.0), node)).collect();
        ranked.sort();
        ranked.into_iter().map(|(_, node)| node).take(count as usize).collect()
    }

    /// A number that only this node can compute.
    fn draw(&self, batch: BatchId, of: &[u8]) -> u64 {
        let seed = self.identity.sign(Domain::Sample, &[&self.pool.0[..], &batch.0, b"panel"].concat());
        let mut hash = blake3::Hasher::new_derive_key("adit shares 1: panel");
        hash.update(&seed.0).update(of);
        u64::from_le_bytes(*hash.finalize().as_bytes().first_chunk().expect("a digest has 32 bytes"))
    }

    /// Takes a node's answer in: `false` where it is not what was asked for, or not signed by it.
    pub fn hear(&mut self, node: NodeId, answer: &[u8], out: &mut Vec<PanelEffect>) -> bool {
        let Ok(finding) = Finding::from_bytes(answer) else { return false };
        if finding.node != node || !finding.is_genuine(self.pool) {
            return false;
        }
        // An answer to a panel that is over says nothing any more.
        let Some(panel) = self.open.get_mut(&finding.batch) else { return true };
        let Some(slot) = panel.asked.get_mut(&node) else { return false };
        *slot = Some(finding);
        let same = panel.asked.values().flatten().filter(|other| other.wrong == finding.wrong).count();
        if panel.drawn.is_some() || same * 3 <= panel.asked.len() * 2 {
            return true;
        }
        let (batch, shares) = (Arc::clone(&panel.batch), panel.batch.batch().entries.len() as u64);
        let drawn = match finding.wrong {
            Some(share) => share,
            None => u16::try_from(self.draw(batch.id(), b"share") % shares).expect("a batch has at most 100 shares"),
        };
        self.open.get_mut(&finding.batch).expect("it is open").drawn = Some(drawn);
        out.push(PanelEffect::Judge { batch, which: Which::Some(vec![drawn]) });
        true
    }

    /// Has those batches hashed here for which time is up.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<PanelEffect>) {
        self.open.retain(|_, panel| {
            let is_late = panel.drawn.is_none() && panel.until <= now;
            if is_late {
                out.push(PanelEffect::Judge { batch: Arc::clone(&panel.batch), which: Which::All });
            }
            !is_late
        });
    }

    /// Returns when [`Self::tick`] has something to do.
    pub fn wake(&self) -> Option<Moment> {
        self.open.values().filter(|panel| panel.drawn.is_none()).map(|panel| panel.until).min()
    }

    /// Hears every verdict that this node computed: what it hashed whole it may tell others.
    pub fn judged(
        &mut self,
        now: Moment,
        batch: BatchId,
        which: &Which,
        verdict: &BatchVerdict,
        out: &mut Vec<PanelEffect>,
    ) {
        let wrong = match verdict {
            BatchVerdict::Valid { .. } => None,
            BatchVerdict::Wrong { share } => Some(*share),
            BatchVerdict::Unknown | BatchVerdict::Fault => return self.give_up(batch),
        };
        if *which == Which::All || wrong.is_some() {
            self.own.put(batch, (now, wrong));
        }
        let Some(panel) = self.open.remove(&batch) else { return };
        for (node, finding) in panel.asked {
            let Some(finding) = finding else { continue };
            let lied = match (finding.wrong, wrong) {
                (None, Some(_)) => true,
                (Some(said), None) => Some(said) == panel.drawn || *which == Which::All,
                _ => false,
            };
            if lied {
                out.push(PanelEffect::Liar { node, finding: Box::new(finding) });
            }
        }
    }

    fn give_up(&mut self, batch: BatchId) {
        self.open.remove(&batch);
    }

    /// Answers another node: what this one found by itself in the last minute, if anything.
    pub fn answer(&mut self, now: Moment, pool: PoolId, batch: BatchId) -> Option<Bytes> {
        let (at, wrong) = *self.own.get(&batch).filter(|_| pool == self.pool)?;
        if now.since(at) > FINDING_LIFE {
            self.own.pop(&batch);
            return None;
        }
        let signature = self.identity.sign(Domain::Finding, &Finding::message(pool, batch, wrong));
        Some(Finding { batch, wrong, node: self.identity.node(), signature }.to_bytes().into())
    }
}
