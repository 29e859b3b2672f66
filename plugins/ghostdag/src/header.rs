//! The header formats: which bytes mean what.
//!
//! [`adit`] runs chains; [`kaspa`] reads Kaspa's own headers; [`labelled`] reads DAGs of which the shape alone was recorded. Each is strict:
//! a header has one form, so whoever changes a byte makes another block.

pub mod adit;
pub mod kaspa;
pub mod labelled;

use crate::violation::Rule;
use adit_plugin_sdk::{BlockId, Draft, HeaderView, Violation, Work};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More parents than any chain of this plugin may allow.
pub const PARENTS_MAX: usize = 256;

/// The format of a chain's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Adit's own: 88 bytes that a miner hashes, with the ids of the parents after them.
    #[default]
    Adit,
    /// Kaspa's: the bytes that its ids are the hash of. Judged, not built.
    Kaspa,
    /// A block that states its own id and parents, for recorded and simulated DAGs. It proves nothing.
    Labelled,
}

/// What a header states beside what the host must know, to be compared with what the rules compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    pub daa_score: u64,
    pub blue_score: u64,
    pub blue_work: Work,
    pub pruning_point: BlockId,
}

impl Format {
    /// Reads a header: its form alone, without any other block.
    pub fn decode(self, header: &[u8]) -> Result<HeaderView, Violation> {
        let view = match self {
            Self::Adit => adit::decode(header)?,
            Self::Kaspa => kaspa::decode(header)?,
            Self::Labelled => labelled::decode(header)?,
        };
        check_parents(&view)?;
        Ok(view)
    }

    /// Returns what a header of this format states about its place. `None` where the format states nothing.
    pub fn claims(self, header: &[u8]) -> Result<Option<Claims>, Violation> {
        match self {
            Self::Kaspa => kaspa::claims(header).map(Some),
            Self::Adit | Self::Labelled => Ok(None),
        }
    }

    /// Builds a header without its proof.
    pub fn encode(self, draft: &Draft) -> Result<Vec<u8>, Violation> {
        match self {
            Self::Adit => Ok(adit::encode(draft)),
            Self::Kaspa | Self::Labelled => Err(no_building()),
        }
    }

    /// Puts a proof into a header: the nonce, and the version as it stood in the hashed bytes.
    pub fn seal(self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
        match self {
            Self::Adit => adit::seal(header, nonce, rolled),
            Self::Kaspa | Self::Labelled => Err(no_building()),
        }
    }
}

/// Refuses a parent that is named twice, and a block that is its own.
fn check_parents(view: &HeaderView) -> Result<(), Violation> {
    for (number, parent) in view.parents.iter().enumerate() {
        if view.parents[..number].contains(parent) || *parent == view.id {
            return Err(Rule::ParentsRelated.broken(format!("parent {parent} is named twice, or is the block itself")));
        }
    }
    Ok(())
}

fn no_building() -> Violation {
    Rule::Format.broken("headers of this format are judged, not built")
}

/// The rest of a header that is being read.
struct Fields<'a> {
    left: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(header: &'a [u8]) -> Self {
        Self { left: header }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (taken, left) =
            self.left.split_at_checked(count).ok_or_else(|| Rule::Header.broken("it ends too early"))?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (taken, left) = self.left.split_first_chunk().ok_or_else(|| Rule::Header.broken("it ends too early"))?;
        self.left = left;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Violation> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads `count` ids, of which there may be [`PARENTS_MAX`].
    fn ids(&mut self, count: u64) -> Result<Vec<BlockId>, Violation> {
        let (ids, _) = self.take(32 * checked_count(count)?)?.as_chunks::<32>();
        Ok(ids.iter().map(|id| BlockId(*id)).collect())
    }

    /// Leaves out `count` ids, of which there may be [`PARENTS_MAX`].
    fn skip_ids(&mut self, count: u64) -> Result<(), Violation> {
        self.take(32 * checked_count(count)?).map(|_| ())
    }

    fn end(self) -> Result<(), Violation> {
        match self.left.len() {
            0 => Ok(()),
            more => Err(Rule::Header.broken(format!("{more} bytes too many"))),
        }
    }
}

fn checked_count(count: u64) -> Result<usize, Violation> {
    match usize::try_from(count) {
        Ok(count) if count <= PARENTS_MAX => Ok(count),
        _ => Err(Rule::Header.broken(format!("{count} parents, no header has more than {PARENTS_MAX}"))),
    }
}
