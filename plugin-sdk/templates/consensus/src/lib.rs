//! The consensus rules `__NAME__`: the chain with the most work, every block as difficult as the one before.
//!
//! A place to begin. The header, 84 bytes, integers little-endian:
//!
//! | at | what |
//! |---|---|
//! | 0 | id of the parent, 32 bytes; zeros in the genesis |
//! | 32 | root of the body, 32 bytes |
//! | 64 | time in milliseconds, u64 |
//! | 72 | target in compact form, u32 |
//! | 76 | nonce, u64 |

use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::serde::{Deserialize, Serialize};
use adit_plugin_sdk::{
    BlockId, ChainView, ConfigError, Consensus, Draft, Hash256, HeaderView, Height, JudgedHeader, KnownBlock, Placement,
    PowInput, Reader, Requirements, Target, Template, Timestamp, Violation, Work, export_consensus, sha256d,
};

const HEADER_BYTES: usize = 84;
const NONCE_OFFSET: usize = 76;

/// How far a header's time may run ahead of a node's clock.
const AHEAD_MS: u64 = 60_000;

/// What a `chain.toml` may say under `[consensus.config]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "adit_plugin_sdk::serde")]
#[schemars(crate = "adit_plugin_sdk::schemars")]
pub struct Config {
    /// The target of every block in Bitcoin's compact form. 520159231 (0x1f00ffff) takes 65,536 hashes on average.
    #[serde(default = "default_bits")]
    pub bits: u32,
    /// What a block's coinbase may create, in atoms.
    #[serde(default = "default_subsidy")]
    pub subsidy: u64,
    /// The time of the genesis in milliseconds since 1970.
    #[serde(default)]
    pub genesis_time: u64,
}

fn default_bits() -> u32 {
    0x1f00_ffff
}

fn default_subsidy() -> u64 {
    50_00000000
}

/// The rules, configured.
pub struct __TYPE__ {
    config: Config,
    target: Target,
}

impl Consensus for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "The chain with the most work, at a fixed difficulty.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        let target = Target::from_compact(config.bits).map_err(|error| ConfigError::new("bits", error.to_string()))?;
        Ok(Self { config, target })
    }

    fn genesis(&self) -> Vec<u8> {
        self.header(BlockId::default(), Hash256::default(), Timestamp::from_millis(self.config.genesis_time))
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        if header.len() != HEADER_BYTES {
            return Err(broken("header-length", format!("{} bytes, a header has {HEADER_BYTES}", header.len())));
        }
        let mut reader = Reader::new(header);
        let parent = BlockId(read(&mut reader)?);
        Ok(HeaderView {
            id: BlockId(sha256d(header)),
            parents: if parent == BlockId::default() { Vec::new() } else { vec![parent] },
            body_root: Hash256(read(&mut reader)?),
            time: Timestamp::from_millis(u64::from_le_bytes(read(&mut reader)?)),
            bits: u32::from_le_bytes(read(&mut reader)?),
            pow: pow_input(header),
        })
    }

    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        let Some(parent) = block.view.parents.first() else {
            return self.place_genesis(block);
        };
        let parent = known(view, *parent)?;
        if block.view.bits != self.config.bits {
            return Err(broken("bits", format!("{:#010x}, must be {:#010x}", block.view.bits, self.config.bits)));
        }
        if !self.target.is_met_by(&block.pow.0) {
            return Err(broken("proof-of-work", format!("digest {} is above the target", block.pow)));
        }
        if block.view.time <= parent.time {
            return Err(broken("time-too-old", "not later than the parent".to_owned()));
        }
        Ok(Placement {
            selected_parent: Some(parent.id),
            merge_set: Vec::new(),
            height: Height(parent.height.0 + 1),
            work: parent.work.saturating_add(self.target.work()),
            tie: Hash256::default(),
            valid_from: Timestamp::from_millis(block.view.time.to_millis().saturating_sub(AHEAD_MS)),
            subsidy: self.config.subsidy,
            state: Vec::new(),
        })
    }

    fn next(&self, view: &dyn ChainView, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation> {
        if wish.is_some() {
            return Err(broken("difficulty-override", "the difficulty of this chain is fixed".to_owned()));
        }
        let tips: Vec<KnownBlock> = tips.iter().map(|tip| known(view, *tip)).collect::<Result<_, _>>()?;
        let parent = tips.into_iter().max_by_key(|tip| (tip.work, tip.id));
        let parent = parent.ok_or_else(|| broken("parent-unknown", "no tip to build on".to_owned()))?;
        Ok(Requirements {
            parents: vec![parent.id],
            bits: self.config.bits,
            target: self.target,
            difficulty: self.difficulty(self.config.bits)?,
            earliest: Timestamp::from_millis(parent.time.to_millis().saturating_add(1)),
            height: Height(parent.height.0 + 1),
            subsidy: self.config.subsidy,
        })
    }

    fn encode(&self, draft: &Draft) -> Result<Template, Violation> {
        let [parent] = draft.parents.as_slice() else {
            return Err(broken("parents", format!("{} parents, a block has one", draft.parents.len())));
        };
        let header = self.header(*parent, draft.body_root, draft.time);
        Ok(Template { pow: pow_input(&header), header, target: self.target })
    }

    fn difficulty(&self, bits: u32) -> Result<String, Violation> {
        let target = Target::from_compact(bits).map_err(|error| broken("bits", error.to_string()))?;
        Ok(target.work().0.to_string())
    }

    fn seal(&self, header: &[u8], nonce: u64, _rolled: u32) -> Result<Vec<u8>, Violation> {
        self.decode(header)?;
        Ok([&header[..NONCE_OFFSET], &nonce.to_le_bytes()].concat())
    }
}

impl __TYPE__ {
    /// Builds a header whose nonce is 0.
    fn header(&self, parent: BlockId, body_root: Hash256, time: Timestamp) -> Vec<u8> {
        let (time, bits) = (time.to_millis().to_le_bytes(), self.config.bits.to_le_bytes());
        [&parent.0[..], &body_root.0, &time, &bits, &0u64.to_le_bytes()].concat()
    }

    fn place_genesis(&self, block: &JudgedHeader<'_>) -> Result<Placement, Violation> {
        if block.header != self.genesis() {
            return Err(broken("genesis", "a block without parent is not this chain's genesis".to_owned()));
        }
        Ok(Placement {
            selected_parent: None,
            merge_set: Vec::new(),
            height: Height(0),
            work: Work::ZERO,
            tie: Hash256::default(),
            valid_from: block.view.time,
            subsidy: self.config.subsidy,
            state: Vec::new(),
        })
    }
}

/// Returns what a miner hashes: the whole header.
fn pow_input(header: &[u8]) -> PowInput {
    PowInput { bytes: header.to_vec(), nonce_offset: NONCE_OFFSET as u32, nonce_bytes: 8, roll_offset: 0, roll_mask: 0 }
}

fn known(view: &dyn ChainView, id: BlockId) -> Result<KnownBlock, Violation> {
    view.block(id).ok_or_else(|| broken("parent-unknown", format!("block {id} is not known")))
}

fn read<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Violation> {
    reader.array("header").map_err(|error| broken("header-length", error.to_string()))
}

fn broken(rule: &str, detail: String) -> Violation {
    Violation { rule: rule.to_owned(), detail }
}

export_consensus!(__TYPE__);
