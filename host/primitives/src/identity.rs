//! What makes two chains the same: the digest of their rules.

use crate::{BlockId, Encode, Hash256};
use sha2::{Digest, Sha256};
use std::fmt;

/// The rules of a chain, item by item, so that two nodes that differ can say in what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The chain's name.
    pub chain: String,
    /// `mainnet`, `testnet` or `devnet`: nodes of different networks never talk.
    pub network: String,
    pub genesis: BlockId,
    pub consensus: RulePlugin,
    pub hash: RulePlugin,
    /// The ledger's parameters as canonical JSON.
    pub ledger: String,
}

/// A plugin as part of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlugin {
    pub name: String,
    /// BLAKE3 of the component's bytes.
    pub digest: Hash256,
    /// The plugin's configuration as canonical JSON: keys sorted, no white space.
    pub config: String,
}

/// An item of the rules in which two chains differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub item: &'static str,
    pub ours: String,
    pub theirs: String,
}

impl Rules {
    /// Returns the chain's identity: SHA-256 over every item, each with its length in front.
    pub fn identity(&self) -> Hash256 {
        let mut bytes = b"adit chain identity 1".to_vec();
        for (item, value) in self.items() {
            item.encode(&mut bytes);
            value.encode(&mut bytes);
        }
        Hash256(Sha256::digest(&bytes).into())
    }

    /// Returns every item in which `theirs` differs from these rules.
    pub fn differences(&self, theirs: &Self) -> Vec<Difference> {
        let pairs = self.items().into_iter().zip(theirs.items());
        pairs
            .filter(|((_, ours), (_, theirs))| ours != theirs)
            .map(|((item, ours), (_, theirs))| Difference { item, ours, theirs })
            .collect()
    }

    fn items(&self) -> [(&'static str, String); 10] {
        [
            ("chain name", self.chain.clone()),
            ("network", self.network.clone()),
            ("genesis", self.genesis.to_string()),
            ("consensus plugin", self.consensus.name.clone()),
            ("consensus plugin digest", self.consensus.digest.to_string()),
            ("consensus configuration", self.consensus.config.clone()),
            ("hash plugin", self.hash.name.clone()),
            ("hash plugin digest", self.hash.digest.to_string()),
            ("hash configuration", self.hash.config.clone()),
            ("ledger parameters", self.ledger.clone()),
        ]
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ours is {}, theirs is {}", self.item, self.ours, self.theirs)
    }
}
