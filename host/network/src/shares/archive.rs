//! Certified rounds as they are kept and sent: how a node that was away catches up.
//!
//! Bounded questions and answers; a certified round proves itself to whoever knows the validators of the round before.

use super::batch::BatchId;
use super::record::{Base, PoolId};
use super::votes::{Certificate, Content};
use adit_primitives::{Decode, DecodeError, Encode, Reader, canonical_struct};
use bytes::Bytes;

/// The most batches that one question asks for.
pub const WANTED_MAX: usize = 100;
/// The most rounds that a question names.
pub const BASES_MAX: usize = 8;
/// The most bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The most rounds in an answer.
pub const ANSWER_ROUNDS_MAX: usize = 64;

/// A round that more than two thirds of the weight signed, with its shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedRound {
    pub content: Content,
    pub certificate: Certificate,
    /// The batches as they travelled, in the content's order.
    pub batches: Vec<Vec<u8>>,
}

/// Where the host keeps certified rounds.
pub trait Archive {
    /// Returns the canonical bytes of a [`CertifiedRound`], as [`super::rounds::Effect::Certified`] gave it.
    fn round(&self, number: u64) -> Option<Bytes>;
}

/// A question to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What it has of rounds: [`super::Rounds::answer`] makes the answer, [`Answer`].
    Rounds(Ask),
    /// What it found in a batch: [`super::Panels::answer`] makes the answer, a [`super::panel::Finding`].
    Batch { pool: PoolId, batch: BatchId },
}

/// What a node asks about rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub pool: PoolId,
    /// Rounds that the asker has: the newest first, then back by doubling steps, at most [`BASES_MAX`].
    pub bases: Vec<Base>,
    /// Batches of the open round that it lacks, at most [`WANTED_MAX`].
    pub wanted: Vec<BatchId>,
}

/// What it hears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Canonical bytes of the rounds after the newest that both have, in order.
    pub rounds: Vec<Vec<u8>>,
    /// What was said in the open round.
    pub messages: Vec<Vec<u8>>,
    /// Batches that were asked for.
    pub batches: Vec<Vec<u8>>,
}

impl Encode for Question {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rounds(ask) => {
                out.push(0);
                ask.encode(out);
            }
            Self::Batch { pool, batch } => {
                out.push(1);
                pool.encode(out);
                batch.encode(out);
            }
        }
    }
}

impl Decode for Question {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("question")? {
            0 => Ask::decode(reader).map(Self::Rounds),
            1 => Ok(Self::Batch { pool: PoolId::decode(reader)?, batch: BatchId::decode(reader)? }),
            other => Err(DecodeError::Value { what: "question", value: other.into() }),
        }
    }
}

canonical_struct!(CertifiedRound { content, certificate, batches });
canonical_struct!(Ask { pool, bases, wanted });
canonical_struct!(Answer { rounds, messages, batches });
