//! The retarget rule on simulated farms: nobody reads a plot, rounds are won by chance.

use crate::farm::{START, config};
use adit_plugin_proof_of_space::{Config, SpaceChain, retarget};
use adit_plugin_sdk::{
    BlockId, ChainView, Consensus, Height, KnownBlock, Target, Timestamp, U256, Work, config as table,
};
use serde_json::{Value, json};

/// A chain that is nothing but times and targets.
struct Simulated {
    config: Config,
    blocks: Vec<KnownBlock>,
    chance: u64,
}

impl ChainView for Simulated {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.blocks.iter().rev().find(|block| block.id == id).cloned()
    }

    fn is_ancestor(&self, _ancestor: BlockId, _descendant: BlockId) -> bool {
        unreachable!("the retarget rule asks for the past alone")
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        assert_eq!(self.blocks.last().map(|tip| tip.id), Some(from));
        self.blocks.iter().rev().take(count as usize).cloned().collect()
    }

    fn selected_ancestor(&self, _from: BlockId, height: Height) -> Option<KnownBlock> {
        self.blocks.get(usize::try_from(height.0).ok()?).cloned()
    }
}

impl Simulated {
    fn new(changes: &[(&str, Value)]) -> Self {
        let mut json = config("hard");
        json["genesis"]["bits"] = json!(0x1d00_ffff);
        for (key, value) in changes {
            json[*key] = value.clone();
        }
        let config: Config = table::parse(&json.to_string()).expect("a sound configuration");
        let bits = config.genesis.bits;
        let mut chain = Self { config, blocks: Vec::new(), chance: 0x9e37_79b9_7f4a_7c15 };
        chain.add(Timestamp::from_millis(START), bits);
        chain
    }

    fn add(&mut self, time: Timestamp, bits: u32) {
        let height = self.blocks.len() as u64;
        let mut id = BlockId::default();
        id.0[..8].copy_from_slice(&height.to_le_bytes());
        self.blocks.push(KnownBlock {
            id,
            parents: Vec::new(),
            selected_parent: None,
            merge_set: Vec::new(),
            time,
            bits,
            height: Height(height),
            work: Work::ZERO,
            state: Vec::new(),
        });
    }

    fn tip(&self) -> &KnownBlock {
        self.blocks.last().expect("there is the genesis")
    }

    fn next_bits(&self) -> u32 {
        retarget::next_bits(&self.config, self, self.tip()).expect("all blocks are shown").expect("nothing was cut off")
    }

    fn target(&self, bits: u32) -> U256 {
        Target::from_compact(bits).expect("a target").0
    }

    /// Adds a block so many milliseconds after the last.
    fn add_after(&mut self, ms: u64) -> u32 {
        let bits = self.next_bits();
        self.add(Timestamp::from_millis(self.tip().time.to_millis() + ms), bits);
        bits
    }

    /// Lets a farm with so many nonces win a number of blocks, and returns how long one took, in milliseconds.
    fn farm(&mut self, nonces: u64, blocks: u64) -> u64 {
        let start = self.tip().time.to_millis();
        for _ in 0..blocks {
            // That a round is won, in parts of 2^32: the sum over the nonces is near enough.
            let odds = ((self.target(self.next_bits()) >> 192usize) * U256::from(nonces)) >> 32usize;
            let odds = u64::try_from(odds).unwrap_or(u64::MAX);
            let mut rounds = 0;
            while self.draw() >= odds {
                rounds += 1;
            }
            self.add_after(5_000 * rounds + 1);
        }
        (self.tip().time.to_millis() - start) / blocks
    }

    /// Draws 32 bits.
    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance >> 32
    }
}

#[track_caller]
fn about(ms: u64, want: u64) {
    assert!((want * 85 / 100..=want * 115 / 100).contains(&ms), "{ms} ms, about {want} are aimed at");
}

#[test]
fn farms_of_any_size_win_a_block_in_the_spacing() {
    for nonces in [1 << 8, 1 << 14, 1 << 20, 1 << 26] {
        let mut chain = Simulated::new(&[]);
        chain.farm(nonces, 600);
        about(chain.farm(nonces, 2_000), 10_000);
    }
}

#[test]
fn the_spacing_returns_after_a_farm_has_grown_or_shrunk() {
    let mut chain = Simulated::new(&[]);
    for nonces in [1 << 16, 1 << 20, 1 << 13, 1 << 17] {
        chain.farm(nonces, 400);
        about(chain.farm(nonces, 2_000), 10_000);
    }
}

#[test]
fn a_short_chain_is_filled_up_with_blocks_of_the_genesis() {
    let mut chain = Simulated::new(&[
        ("window", json!(4)),
        ("genesis", json!({"time-seconds": START / 1000, "bits": 0x1d10_0000})),
    ]);
    assert_eq!(chain.add_after(20_000), 0x1d10_0000);
    // One block of 20 seconds and three of 10.
    assert_eq!(chain.next_bits(), 0x1d14_0000);
    chain.add_after(10_000);
    // Targets 0x10, 0x14 and twice 0x10; times 20, 10 and twice 10: 0x11 · 50/40.
    assert_eq!(chain.next_bits(), 0x1d15_4000);
}

#[test]
fn at_the_spacing_the_target_stays() {
    let mut chain = Simulated::new(&[("genesis", json!({"time-seconds": START / 1000, "bits": 0x1d10_0000}))]);
    for _ in 0..200 {
        assert_eq!(chain.add_after(10_000), 0x1d10_0000);
    }
}

#[test]
fn a_solve_time_counts_as_no_more_than_six_spacings() {
    let after = |ms| {
        let mut chain = Simulated::new(&[]);
        chain.add_after(ms);
        chain.next_bits()
    };
    assert_eq!(after(60_000), after(u64::MAX / 2));
    assert_ne!(after(60_000), after(59_000));
}

#[test]
fn a_target_moves_by_no_more_than_a_factor_of_two_and_never_beyond_the_limit() {
    let mut chain = Simulated::new(&[("window", json!(1)), ("limit-bits", json!(0x1e00_ffff))]);
    let mut targets = Vec::new();
    for ms in [1, 1, 1, 60_000, 60_000, 60_000, 60_000, 1, 30_000] {
        let bits = chain.add_after(ms);
        targets.push(chain.target(bits));
    }
    let (one, two) = (U256::ONE, U256::from(2u64));
    for pair in targets.windows(2) {
        assert!(pair[1] <= pair[0] * two && (pair[1] + one) * two >= pair[0] - (pair[0] >> 15usize), "{pair:?}");
    }
    assert!(targets[3] < targets[0] / U256::from(7u64));
    for _ in 0..40 {
        chain.add_after(60_000);
    }
    assert_eq!(chain.next_bits(), 0x1e00_ffff);
}

#[test]
fn the_hardest_target_there_is_can_be_left_again() {
    let mut chain = Simulated::new(&[
        ("window", json!(1)),
        ("genesis", json!({"time-seconds": START / 1000, "bits": 0x0300_0001})),
    ]);
    chain.add_after(1);
    chain.add_after(1);
    assert_eq!(chain.target(chain.next_bits()), U256::ONE);
    chain.add_after(60_000);
    assert_eq!(chain.target(chain.next_bits()), U256::from(2u64));
}

#[test]
fn difficulty_is_the_space_that_wins_a_block_in_the_spacing() {
    let rules = |leaf: &str| {
        let table = table::parse(&config(leaf).to_string()).expect("a sound configuration");
        SpaceChain::new(table).expect("a sound configuration")
    };
    // 2^256 / target is 2^16: so many nonces of 256 KiB are 16 GiB, and two challenges make a spacing.
    assert_eq!(rules("hard").difficulty(0x1f01_0000), Ok("8".to_owned()));
    assert_eq!(rules("hard").difficulty(0x1f00_ffff), Ok("8.000122".to_owned()));
    assert_eq!(rules("plain").difficulty(0x1a01_0000), Ok("1073741824".to_owned()));
    assert!(rules("hard").difficulty(0).is_err());
}
