//! What validators sign: proposals, votes, objections; and what follows from signatures: certificates and proofs of fraud.
//!
//! Pure values and their checks. A signed statement names pool, round, view, what it is about and one value, so that two
//! statements of one node for the same place with different values prove that it lies, to anybody, without anything else.

use super::batch::BatchId;
use super::keys::{Domain, Identity, Signature};
use super::record::{PoolId, ShareId};
use super::weights::{VALIDATORS_MAX, Validators};
use crate::id::NodeId;
use adit_primitives::bytes::encode_length;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{Decode, DecodeError, Encode, Hash256, Reader, canonical_struct};
use std::collections::{BTreeMap, BTreeSet};

/// The most batches in a round.
pub const ROUND_BATCHES_MAX: usize = 1_500;
/// The most bytes of a round's batches together.
pub const ROUND_BYTES_MAX: usize = 3 << 20;
/// The most proofs of fraud in a round.
pub const ROUND_EVIDENCE_MAX: usize = 8;

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The value is the digest of a proposal.
    Propose = 0,
    /// The value is a root that the node computed by itself, none where it has none to agree with.
    Prevote = 1,
    /// The value is a root that more than two thirds prevoted, none where they did not.
    Precommit = 2,
}

/// What a node says at one place of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    pub round: u64,
    /// The attempt at the round, from 0.
    pub view: u32,
    pub kind: Kind,
    /// The root of the round before.
    pub previous: Hash256,
    pub value: Option<Hash256>,
}

/// A statement with its node's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    pub node: NodeId,
    pub statement: Statement,
    pub signature: Signature,
}

/// Why a round ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// This share of it is a block.
    Block(ShareId),
    /// There are enough shares.
    Count,
    /// It was time.
    Time,
}

/// A round as somebody proposes it: which batches are in it, in which order, and the root that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub round: u64,
    /// The root of the round before.
    pub previous: Hash256,
    pub close: Close,
    /// Distinct, at most [`ROUND_BATCHES_MAX`] and [`ROUND_BYTES_MAX`].
    pub batches: Vec<BatchId>,
    /// Frauds to be punished from the next round on, at most [`ROUND_EVIDENCE_MAX`], each of another node.
    pub evidence: Vec<Evidence>,
    /// What [`root`] gives.
    pub root: Hash256,
}

/// A content at one view, signed by whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub view: u32,
    pub content: Content,
    /// That more than two thirds prevoted this content in an earlier view, which frees whoever locked on another before.
    pub backing: Option<Backing>,
    pub node: NodeId,
    pub signature: Signature,
}

/// Prevotes of one root by more than two thirds of the weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    pub view: u32,
    pub signatures: Signatures,
}

/// Says that a share of a batch in a proposal is wrong: whoever hears it hashes that one share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objection {
    pub round: u64,
    pub batch: BatchId,
    pub share: u16,
    pub node: NodeId,
    pub signature: Signature,
}

/// Two statements of one node that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    pub one: Signed,
    pub other: Signed,
}

/// Who signed one statement, by node, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures(Vec<(NodeId, Signature)>);

/// More than two thirds of the weight signed a round's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub round: u64,
    pub view: u32,
    pub previous: Hash256,
    pub root: Hash256,
    pub signatures: Signatures,
}

/// One message among validators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Proposal(Box<Proposal>),
    /// A prevote or a precommit.
    Vote(Signed),
    Objection(Objection),
}

/// A share that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    pub share: ShareId,
    /// The round that it was mined on.
    pub base: u64,
    /// Whose weight it is.
    pub node: NodeId,
    pub account: String,
    pub worker: String,
    pub difficulty: ShareDifficulty,
}

/// Returns the root of a round: the digest of everything that its payouts depend on, and of which batches that came from.
pub fn root(pool: PoolId, content: &Content, credits: &[Credit]) -> Hash256 {
    let mut hash = blake3::Hasher::new_derive_key("adit shares 2: root");
    let mut bytes = Vec::with_capacity(256);
    pool.encode(&mut bytes);
    content.round.encode(&mut bytes);
    content.previous.encode(&mut bytes);
    content.close.encode(&mut bytes);
    content.punished().encode(&mut bytes);
    content.batches.encode(&mut bytes);
    encode_length(credits.len(), &mut bytes);
    for credit in credits {
        credit.encode(&mut bytes);
        hash.update(&bytes);
        bytes.clear();
    }
    hash.update(&bytes);
    Hash256(*hash.finalize().as_bytes())
}

impl Statement {
    fn message(&self, pool: PoolId) -> Vec<u8> {
        let mut bytes = pool.to_bytes();
        self.encode(&mut bytes);
        bytes
    }

    /// Signs it.
    pub fn sign(self, pool: PoolId, identity: &Identity) -> Signed {
        let signature = identity.sign(Domain::Statement, &self.message(pool));
        Signed { node: identity.node(), statement: self, signature }
    }

    /// Tells whether a node that says both lies.
    pub fn contradicts(&self, other: &Self) -> bool {
        (self.round, self.view, self.kind) == (other.round, other.view, other.kind) && self != other
    }
}

impl Signed {
    /// Tells whether the signature is its node's.
    pub fn is_genuine(&self, pool: PoolId) -> bool {
        self.signature.is_by(self.node, Domain::Statement, &self.statement.message(pool))
    }
}

impl Proposal {
    /// Signs a content for a view.
    pub fn sign(content: Content, view: u32, backing: Option<Backing>, pool: PoolId, identity: &Identity) -> Self {
        let statement = Self::statement(&content, view, backing.as_ref());
        let Signed { node, signature, .. } = statement.sign(pool, identity);
        Self { view, content, backing, node, signature }
    }

    fn statement(content: &Content, view: u32, backing: Option<&Backing>) -> Statement {
        let mut bytes = content.to_bytes();
        backing.map(|backing| backing.view).encode(&mut bytes);
        let value = Some(Hash256(*blake3::hash(&bytes).as_bytes()));
        Statement { round: content.round, view, kind: Kind::Propose, previous: content.previous, value }
    }

    /// Returns what its node signed.
    pub fn signed(&self) -> Signed {
        let statement = Self::statement(&self.content, self.view, self.backing.as_ref());
        Signed { node: self.node, statement, signature: self.signature }
    }
}

impl Content {
    /// Tells whether lists are within their bounds, and nothing stands twice.
    pub fn is_bounded(&self) -> bool {
        let distinct = self.batches.iter().collect::<BTreeSet<_>>().len() == self.batches.len();
        let frauds = self.evidence.iter().map(Evidence::node).collect::<BTreeSet<_>>().len() == self.evidence.len();
        let fits = self.batches.len() <= ROUND_BATCHES_MAX && self.evidence.len() <= ROUND_EVIDENCE_MAX;
        fits && distinct && frauds && !(self.batches.is_empty() && self.evidence.is_empty())
    }

    /// Returns who is punished, in order.
    pub fn punished(&self) -> Vec<NodeId> {
        self.evidence.iter().map(Evidence::node).collect()
    }
}

impl Objection {
    fn message(pool: PoolId, round: u64, batch: BatchId, share: u16) -> Vec<u8> {
        let mut bytes = pool.to_bytes();
        round.encode(&mut bytes);
        batch.encode(&mut bytes);
        share.encode(&mut bytes);
        bytes
    }

    /// Signs one.
    pub fn sign(round: u64, batch: BatchId, share: u16, pool: PoolId, identity: &Identity) -> Self {
        let signature = identity.sign(Domain::Objection, &Self::message(pool, round, batch, share));
        Self { round, batch, share, node: identity.node(), signature }
    }

    /// Tells whether the signature is its node's.
    pub fn is_genuine(&self, pool: PoolId) -> bool {
        let message = Self::message(pool, self.round, self.batch, self.share);
        self.signature.is_by(self.node, Domain::Objection, &message)
    }
}

impl Evidence {
    /// Returns who lied.
    pub const fn node(&self) -> NodeId {
        self.one.node
    }

    /// Tells whether it proves that the node lied.
    pub fn is_proof(&self, pool: PoolId) -> bool {
        self.one.node == self.other.node
            && self.one.statement.contradicts(&self.other.statement)
            && self.one.is_genuine(pool)
            && self.other.is_genuine(pool)
    }
}

impl Signatures {
    /// Takes those of votes for one and the same statement.
    pub fn of(votes: impl IntoIterator<Item = Signed>) -> Self {
        let by_node: BTreeMap<_, _> = votes.into_iter().map(|vote| (vote.node, vote.signature)).collect();
        Self(by_node.into_iter().collect())
    }

    /// Returns who signed.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().map(|(node, _)| *node)
    }

    /// Tells whether more than two thirds of the weight signed the statement.
    pub fn are_quorum(&self, statement: Statement, pool: PoolId, validators: &Validators) -> bool {
        let ascending = self.0.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_genuine = |(node, signature): &(NodeId, Signature)| {
            Signed { node: *node, statement, signature: *signature }.is_genuine(pool)
        };
        ascending && validators.is_quorum(validators.sum(self.nodes())) && self.0.iter().all(is_genuine)
    }
}

impl Backing {
    /// Tells whether it is one of the content, from before the view.
    pub fn is_valid(&self, content: &Content, view: u32, pool: PoolId, validators: &Validators) -> bool {
        let Content { round, previous, root, .. } = *content;
        let statement = Statement { round, view: self.view, kind: Kind::Prevote, previous, value: Some(root) };
        self.view < view && self.signatures.are_quorum(statement, pool, validators)
    }
}

impl Certificate {
    /// Tells whether more than two thirds of the weight signed.
    pub fn is_valid(&self, pool: PoolId, validators: &Validators) -> bool {
        let Self { round, view, previous, root, .. } = *self;
        let statement = Statement { round, view, kind: Kind::Precommit, previous, value: Some(root) };
        self.signatures.are_quorum(statement, pool, validators)
    }
}

impl Message {
    /// Returns the round that it is about.
    pub fn round(&self) -> u64 {
        match self {
            Self::Proposal(proposal) => proposal.content.round,
            Self::Vote(vote) => vote.statement.round,
            Self::Objection(objection) => objection.round,
        }
    }

    /// Returns who says so.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Proposal(proposal) => proposal.node,
            Self::Vote(vote) => vote.node,
            Self::Objection(objection) => objection.node,
        }
    }

    /// Tells whether its lists are within their bounds.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Proposal(proposal) => proposal.content.is_bounded(),
            Self::Vote(_) | Self::Objection(_) => true,
        }
    }

    /// Tells whether the signature is its node's.
    pub fn is_genuine(&self, pool: PoolId) -> bool {
        match self {
            Self::Proposal(proposal) => proposal.signed().is_genuine(pool),
            Self::Vote(vote) => vote.is_genuine(pool),
            Self::Objection(objection) => objection.is_genuine(pool),
        }
    }
}

canonical_struct!(Statement { round, view, kind, previous, value });
canonical_struct!(Signed { node, statement, signature });
canonical_struct!(Evidence { one, other });
canonical_struct!(Content { round, previous, close, batches, evidence, root });
canonical_struct!(Proposal { view, content, backing, node, signature });
canonical_struct!(Backing { view, signatures });
canonical_struct!(Certificate { round, view, previous, root, signatures });
canonical_struct!(Objection { round, batch, share, node, signature });
canonical_struct!(Credit { share, base, node, account, worker, difficulty });

impl Encode for Kind {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for Kind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("statement's kind")? {
            0 => Ok(Self::Propose),
            1 => Ok(Self::Prevote),
            2 => Ok(Self::Precommit),
            other => Err(DecodeError::Value { what: "statement's kind", value: other.into() }),
        }
    }
}

impl Encode for Close {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Block(share) => {
                out.push(0);
                share.encode(out);
            }
            Self::Count => out.push(1),
            Self::Time => out.push(2),
        }
    }
}

impl Decode for Close {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("close")? {
            0 => ShareId::decode(reader).map(Self::Block),
            1 => Ok(Self::Count),
            2 => Ok(Self::Time),
            other => Err(DecodeError::Value { what: "close", value: other.into() }),
        }
    }
}

impl Encode for Signatures {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.0.len(), out);
        for (node, signature) in &self.0 {
            node.encode(out);
            signature.encode(out);
        }
    }
}

impl Decode for Signatures {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (count, max) = (u32::decode(reader)? as usize, VALIDATORS_MAX);
        if count > max {
            return Err(DecodeError::Count { what: "signatures", count, max });
        }
        let one = |_| Ok((NodeId::decode(reader)?, Signature::decode(reader)?));
        (0..count).map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl Encode for Message {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Proposal(proposal) => {
                out.push(0);
                proposal.encode(out);
            }
            Self::Vote(vote) => {
                out.push(1);
                vote.encode(out);
            }
            Self::Objection(objection) => {
                out.push(2);
                objection.encode(out);
            }
        }
    }
}

impl Decode for Message {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("message")? {
            0 => Proposal::decode(reader).map(Box::new).map(Self::Proposal),
            1 => Signed::decode(reader).map(Self::Vote),
            2 => Objection::decode(reader).map(Self::Objection),
            other => Err(DecodeError::Value { what: "message", value: other.into() }),
        }
    }
}
