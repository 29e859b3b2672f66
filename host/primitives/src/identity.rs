//! What makes two chains the same: the digest of their rules.

use crate::{BlockId, Encode, Hash256, canonical_struct};
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

canonical_struct!(Rules { chain, network, genesis, consensus, hash, ledger });
canonical_struct!(RulePlugin { name, digest, config });

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let plugin =
            |name: &str| RulePlugin { name: name.to_owned(), digest: Hash256([7; 32]), config: "{}".to_owned() };
        Rules {
            chain: "test".to_owned(),
            network: "devnet".to_owned(),
            genesis: BlockId([1; 32]),
            consensus: plugin("longest-chain"),
            hash: plugin("sha256d"),
            ledger: "{}".to_owned(),
        }
    }

    #[test]
    fn the_same_rules_have_one_identity() {
        assert_eq!(rules().identity(), rules().identity());
        assert_eq!(rules().differences(&rules()), []);
    }

    #[test]
    fn every_item_changes_the_identity_and_is_named() {
        type Change = fn(&mut Rules);
        let changes: [(&str, Change); 10] = [
            ("chain name", |rules| rules.chain.push('x')),
            ("network", |rules| rules.network = "mainnet".to_owned()),
            ("genesis", |rules| rules.genesis = BlockId([2; 32])),
            ("consensus plugin", |rules| rules.consensus.name.push('x')),
            ("consensus plugin digest", |rules| rules.consensus.digest = Hash256([8; 32])),
            ("consensus configuration", |rules| rules.consensus.config.push(' ')),
            ("hash plugin", |rules| rules.hash.name.push('x')),
            ("hash plugin digest", |rules| rules.hash.digest = Hash256([8; 32])),
            ("hash configuration", |rules| rules.hash.config.push(' ')),
            ("ledger parameters", |rules| rules.ledger.push(' ')),
        ];
        for (item, change) in changes {
            let mut theirs = rules();
            change(&mut theirs);
            assert_ne!(rules().identity(), theirs.identity(), "{item}");
            let named: Vec<_> = rules().differences(&theirs).into_iter().map(|difference| difference.item).collect();
            assert_eq!(named, [item]);
        }
    }

    #[test]
    fn moving_a_letter_between_items_changes_the_identity() {
        let mut theirs = rules();
        theirs.chain = "tes".to_owned();
        theirs.network = "tdevnet".to_owned();
        assert_ne!(rules().identity(), theirs.identity());
    }
}
