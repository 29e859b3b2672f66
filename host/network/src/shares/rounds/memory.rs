//! What outlives a crash: what this node said in the open round, and on what it locked.
//!
//! Written before anything that it speaks of is sent. A node that starts again says nothing that contradicts it.

use super::views::Step;
use super::{Halt, Rounds};
use crate::id::NodeId;
use crate::shares::batch::BatchId;
use crate::shares::record::Base;
use crate::shares::votes::{Backing, Content, Statement};
use adit_primitives::{Decode, DecodeError, Encode, Hash256, Reader, canonical_struct};
use bytes::Bytes;

/// Why a node must not go on from what its disk has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error("what this node said last does not decode: {why}")]
    Malformed { why: DecodeError },
    #[error("round {round} is out of order: round {expected} was expected")]
    Order { round: u64, expected: u64 },
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Memory {
    pub base: Base,
    pub view: u32,
    pub step: Step,
    pub locked: Option<Locked>,
    pub valid: Option<ValidContent>,
    pub said: Vec<Statement>,
    pub halted: Option<Halt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Locked {
    pub view: u32,
    pub root: Hash256,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValidContent {
    pub backing: Backing,
    pub content: Content,
}

canonical_struct!(Memory { base, view, step, locked, valid, said, halted });
canonical_struct!(Locked { view, root });
canonical_struct!(ValidContent { backing, content });

impl Rounds {
    /// Returns what has to be durable now.
    pub(super) fn memory(&self) -> Bytes {
        let views = &self.views;
        let memory = Memory {
            base: self.history.newest,
            view: views.view,
            step: views.step,
            locked: views.locked.map(|(view, root)| Locked { view, root }),
            valid: views.valid.clone().map(|(backing, content)| ValidContent { backing, content }),
            said: views.said.values().copied().collect(),
            halted: self.halted.clone(),
        };
        memory.to_bytes().into()
    }

    /// Goes on from what was kept. Where the archive lost rounds since, this node says nothing until it is past them.
    pub(super) fn remember(&mut self, bytes: &[u8]) -> Result<(), MemoryError> {
        let memory = Memory::from_bytes(bytes).map_err(|why| MemoryError::Malformed { why })?;
        self.halted = memory.halted;
        if memory.base.round > self.history.newest.round {
            self.silent_until = memory.base.round + 1;
        } else if memory.base == self.history.newest {
            let views = &mut self.views;
            views.view = memory.view;
            views.step = memory.step;
            views.locked = memory.locked.map(|locked| (locked.view, locked.root));
            views.valid = memory.valid.map(|valid| (valid.backing, valid.content));
            views.said = memory.said.into_iter().map(|said| ((said.view, said.kind), said)).collect();
        }
        Ok(())
    }
}

impl Encode for Step {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for Step {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("step")? {
            0 => Ok(Self::Propose),
            1 => Ok(Self::Prevote),
            2 => Ok(Self::Precommit),
            other => Err(DecodeError::Value { what: "step", value: other.into() }),
        }
    }
}

impl Encode for Halt {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Split { round, ours, theirs, signed_both } => {
                out.push(0);
                round.encode(out);
                ours.encode(out);
                theirs.encode(out);
                signed_both.encode(out);
            }
            Self::Contradicted { round, root, batch } => {
                out.push(1);
                round.encode(out);
                root.encode(out);
                batch.encode(out);
            }
        }
    }
}

impl Decode for Halt {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("halt")? {
            0 => Ok(Self::Split {
                round: u64::decode(reader)?,
                ours: Hash256::decode(reader)?,
                theirs: Hash256::decode(reader)?,
                signed_both: Vec::<NodeId>::decode(reader)?,
            }),
            1 => Ok(Self::Contradicted {
                round: u64::decode(reader)?,
                root: Hash256::decode(reader)?,
                batch: Option::<BatchId>::decode(reader)?,
            }),
            other => Err(DecodeError::Value { what: "halt", value: other.into() }),
        }
    }
}
