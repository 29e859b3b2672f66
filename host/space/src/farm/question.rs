//! What a farm is asked.

use adit_primitives::contract::space::{Challenge, Registration};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::space::{ScoreHash, account};
use adit_primitives::{Hash256, Height, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Makes an instance of the chain's hash plugin: one for each thread that scores with it.
pub type EngineFactory = Arc<dyn Fn() -> Result<Box<dyn HashEngine>, Fault> + Send + Sync>;

/// Who scores the leaves of plain plots. The nonces of hard ones have native code alone.
#[derive(Clone)]
pub enum Scoring {
    /// Native code, for a chain whose hash plugin is this hash.
    Native(ScoreHash),
    /// The hash plugin itself.
    Plugin(EngineFactory),
}

/// Which leaf or nonce of all plots has the lowest score under a challenge?
#[derive(Debug, Clone)]
pub struct Question {
    pub challenge: Challenge,
    /// The score up to which every leaf and nonce is told besides, with its proof: what a pool counts as shares. `None` where the lowest alone is wanted.
    pub shares: Option<Target>,
    /// The public keys that blocks can be signed with here. Plots of others are named and not scanned.
    pub keys: BTreeSet<Hash256>,
    pub scoring: Scoring,
    /// At which height each plain plot was registered. A plot that is not among them, or was registered above the challenge's
    /// `registered_by`, does not count yet and is not scanned; where that is `None`, all count and this is not looked at.
    pub registered: BTreeMap<Registration, Height>,
    /// No answer is worth anything after it.
    pub deadline: Instant,
}

impl Question {
    /// Returns where a plain plot was registered, as its claim has to say it. `None` where it does not count yet.
    pub fn registration(&self, plot: &Registration) -> Option<Height> {
        let Some(limit) = self.challenge.registered_by else { return Some(Height(0)) };
        self.registered.get(plot).copied().filter(|height| *height <= limit)
    }

    /// Returns the key of an account, where blocks can be signed with it.
    pub fn key_of(&self, owner: u64) -> Option<Hash256> {
        self.keys.iter().copied().find(|key| account(&key.0) == owner)
    }
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(hash) => write!(f, "native {hash}"),
            Self::Plugin(_) => f.write_str("the hash plugin"),
        }
    }
}

impl fmt::Debug for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(hash) => write!(f, "Native({hash})"),
            Self::Plugin(_) => f.write_str("Plugin"),
        }
    }
}
