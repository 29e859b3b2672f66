//! The tables of `chain.toml`. Their documentation is the reference: `adit chain reference` prints it.

use adit_node::settings::farm::FarmSettings;
use adit_node::settings::network::NetworkSettings;
use adit_node::settings::pool::PoolSettings;
use adit_node::settings::{LogSettings, MinerSettings, NodeSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A chain: its rules, and how this machine takes part in it.
///
/// `chain`, `consensus`, `hash` and `ledger` are the rules: everyone on the chain has the same, and their digest is the chain's
/// identity. `node`, `miner`, `pool`, `payout` and `shares` are local and no part of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChainFile {
    pub chain: ChainTable,
    pub consensus: PluginTable,
    pub hash: PluginTable,
    #[serde(default)]
    pub ledger: LedgerTable,
    /// The node: where it keeps its data, where it listens, how much it lets a client ask for.
    #[serde(default = "NodeSettings::unset")]
    pub node: NodeSettings,
    /// The miner: for whom it mines, with how many threads, and for which nodes.
    #[serde(default = "MinerSettings::unset")]
    pub miner: MinerSettings,
    /// The plots of a farmer, on a chain whose blocks are won by plots.
    #[serde(default = "FarmSettings::unset")]
    pub farm: FarmSettings,
    /// The pool: where miners connect, what it mines on, what it pays.
    #[serde(default = "PoolSettings::unset")]
    pub pool: PoolSettings,
    /// How the pool divides what it earns. Without this table: by the bundled plugin `pplns`.
    #[serde(default = "PluginTable::payout")]
    pub payout: PluginTable,
    /// Which shares the pool counts, and how hard they are. Without this table: by the bundled plugin `standard`.
    #[serde(default = "PluginTable::shares")]
    pub shares: PluginTable,
    /// Other nodes: where they reach this one, and how it finds them. Without this table the node talks with miners and wallets alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSettings>,
    /// What is written to the log.
    #[serde(default = "LogSettings::unset")]
    pub log: LogSettings,
}

/// What the chain is called, and which of its networks this is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChainTable {
    /// The chain's name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Which network: nodes of different networks never talk. On `mainnet` every plugin must be pinned by its digest.
    pub network: Network,
}

/// A network of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    Mainnet,
    Testnet,
    Devnet,
}

impl Network {
    /// Returns the name as `chain.toml` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Devnet => "devnet",
        }
    }
}

/// A plugin, and its configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PluginTable {
    /// A bundled plugin by its name, or a component by its file: a path with a slash or the ending `.wasm`, relative to this file.
    #[schemars(length(min = 1, max = 4096))]
    pub plugin: String,
    /// The BLAKE3 digest that the component must have, as `blake3:` and 64 hexadecimal digits. `adit chain pin` writes it.
    pub digest: Option<String>,
    /// The plugin's own settings: `adit plugin inspect` prints what a plugin knows.
    #[serde(default)]
    pub config: Map<String, Value>,
}

impl PluginTable {
    fn payout() -> Self {
        Self::bundled("pplns")
    }

    fn shares() -> Self {
        Self::bundled("standard")
    }

    fn bundled(name: &str) -> Self {
        Self { plugin: name.to_owned(), digest: None, config: Map::new() }
    }
}

/// What the ledger holds to. Part of the chain's identity.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LedgerTable {
    /// What addresses of this chain begin with, in lower-case letters.
    #[serde(default = "LedgerTable::address_prefix")]
    #[schemars(length(min = 1, max = 16))]
    pub address_prefix: String,
    /// How many blocks deep a coinbase must lie before its outputs can be spent.
    #[serde(default = "LedgerTable::coinbase_maturity")]
    #[schemars(range(min = 1, max = 100_000))]
    pub coinbase_maturity: u64,
    /// What becomes of a block with a payment that cannot be applied where the order of blocks puts it.
    #[serde(default)]
    pub conflicts: ConflictsSetting,
    /// The largest block, header and body, in bytes.
    #[serde(default = "LedgerTable::block_bytes_max")]
    #[schemars(range(min = 1_000, max = 4_000_000))]
    pub block_bytes_max: u32,
    /// The most transactions of a block, its coinbase among them.
    #[serde(default = "LedgerTable::block_transactions_max")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub block_transactions_max: u32,
    /// The largest header, in bytes.
    #[serde(default = "LedgerTable::header_bytes_max")]
    #[schemars(range(min = 64, max = 65_536))]
    pub header_bytes_max: u32,
    /// The most bytes of data in a transaction or a coinbase, the coinbase's 8 bytes of height among them.
    #[serde(default = "LedgerTable::data_bytes_max")]
    #[schemars(range(min = 8, max = 10_000))]
    pub data_bytes_max: u32,
    /// The most atoms that one transaction may move.
    #[serde(default = "LedgerTable::money_max")]
    #[schemars(range(min = 1, max = 9_000_000_000_000_000_000_u64))]
    pub money_max: u64,
}

/// What becomes of a block with a payment that cannot be applied.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictsSetting {
    /// The block is invalid. For chains whose blocks have one parent.
    #[default]
    RefuseBlock,
    /// The payment is left out and the block stays valid. For chains whose blocks merge others.
    SkipTransaction,
}

impl LedgerTable {
    fn address_prefix() -> String {
        "adit".to_owned()
    }

    fn coinbase_maturity() -> u64 {
        100
    }

    fn block_bytes_max() -> u32 {
        1_000_000
    }

    fn block_transactions_max() -> u32 {
        100_000
    }

    fn header_bytes_max() -> u32 {
        10_000
    }

    fn data_bytes_max() -> u32 {
        100
    }

    fn money_max() -> u64 {
        2_100_000_000_000_000
    }
}

impl Default for LedgerTable {
    fn default() -> Self {
        Self {
            address_prefix: Self::address_prefix(),
            coinbase_maturity: Self::coinbase_maturity(),
            conflicts: ConflictsSetting::default(),
            block_bytes_max: Self::block_bytes_max(),
            block_transactions_max: Self::block_transactions_max(),
            header_bytes_max: Self::header_bytes_max(),
            data_bytes_max: Self::data_bytes_max(),
            money_max: Self::money_max(),
        }
    }
}
