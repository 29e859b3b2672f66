//! A chain that grows in memory. A miner's digest is an argument of the rules, so nobody has to mine: all zero meets every target.

use crate::native::chain;
use adit_plugin_longest_chain::LongestChain;
use adit_plugin_sdk::judge::{judge, known};
use adit_plugin_sdk::{Candidate, Consensus, Draft, Hash256, KnownBlock, Requirements, Timestamp, Violation};
use adit_tests::conformance::Example;
use adit_tests::conformance::replay::RecordedChain;
use serde_json::Value;

/// One node of a development network.
pub struct Network {
    pub rules: LongestChain,
    pub chain: RecordedChain,
}

impl Network {
    /// Begins with the genesis.
    pub fn new(config: &Value) -> Self {
        let rules = chain(config);
        let mut network = Self { rules, chain: RecordedChain::default() };
        let genesis = network.rules.genesis();
        network.accept(&genesis).expect("the genesis is valid");
        network
    }

    /// Begins with the genesis of the chain `chaincore`, with some keys of its retarget table changed.
    pub fn chaincore(changes: &[(&str, Value)]) -> Self {
        let mut config = Example::read("chaincore").config;
        for (key, value) in changes {
            config["retarget"][*key] = value.clone();
        }
        Self::new(&config)
    }

    /// Judges a header and adds its block.
    pub fn accept(&mut self, header: &[u8]) -> Result<KnownBlock, Violation> {
        let candidate = Candidate { header: header.to_vec(), pow: Hash256::default() };
        let placement = judge(&self.rules, &self.chain, &[candidate]).remove(0)?;
        let block = known(&self.rules.decode(header)?, &placement);
        self.chain.add(block.clone());
        Ok(block)
    }

    /// Returns what the next block must have.
    pub fn next(&self, wish: Option<u64>) -> Result<Requirements, Violation> {
        let tip = self.chain.tip().expect("the genesis is there");
        self.rules.next(&self.chain, &[tip.id], wish)
    }

    /// Adds a block with the bits that the rules ask for.
    pub fn mine(&mut self, time: Timestamp) -> KnownBlock {
        let bits = self.next(None).expect("the chain goes on").bits;
        self.mine_with(time, bits).expect("what the rules ask for is valid")
    }

    /// Adds a block with any bits.
    pub fn mine_with(&mut self, time: Timestamp, bits: u32) -> Result<KnownBlock, Violation> {
        let header = self.header(time, bits)?;
        self.accept(&header)
    }

    /// Builds a header above the tip.
    pub fn header(&self, time: Timestamp, bits: u32) -> Result<Vec<u8>, Violation> {
        let parents = vec![self.chain.tip().expect("the genesis is there").id];
        let draft = Draft { parents, bits, time, body_root: Hash256([7; 32]) };
        let template = self.rules.encode(&draft)?;
        self.rules.seal(&template.header, 1, u32::from_le_bytes(template.header[..4].try_into().expect("four bytes")))
    }

    /// Adds blocks, each so many milliseconds after the one before.
    pub fn mine_every(&mut self, gap_ms: u64, count: u64) -> KnownBlock {
        let mut last = self.chain.tip().expect("the genesis is there").clone();
        for _ in 0..count {
            last = self.mine(Timestamp::from_millis(last.time.to_millis() + gap_ms));
        }
        last
    }
}

/// Returns the name of the rule that was broken.
pub fn rule<T>(verdict: Result<T, Violation>) -> Option<String> {
    verdict.err().map(|broken| broken.rule)
}
