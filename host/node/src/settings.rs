//! What an operator may set: plain structs that the cli fills from `chain.toml` and checks against their schema.
//!
//! Every field says its unit, its bounds and what happens without it. Sizes that depend on [`Preset`] are left out of the
//! file until someone wants another number: [`Overrides::over`] puts them over the preset's.

pub mod failover;
pub mod farm;
pub mod network;
pub mod pool;

use failover::{FailoverSettings, UpstreamPlace};
use farm::FarmSettings;
use network::NetworkSettings;
use pool::PoolSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// More than the merge depth of any chain known, and half a day of one block a second.
const FORK_DEPTH: u32 = 50_000;

/// Everything of `chain.toml` that is local to one machine: no part of the chain's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
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
    /// Other nodes: where they reach this one, and how it finds them. Without the table the node talks with miners and wallets alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSettings>,
    /// What is written to the log.
    #[serde(default = "LogSettings::unset")]
    pub log: LogSettings,
}

/// The `[node]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeSettings {
    /// The folder of the database and the token file, relative to `chain.toml`. Without it: `data`.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The node's name in `/status`, for people. Without it: `adit`.
    #[serde(default = "default_name")]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Address and port of the API. Without it: `127.0.0.1:8645`, which only this machine reaches.
    #[serde(default = "default_api")]
    #[schemars(with = "String")]
    pub api: SocketAddr,
    /// Names by which the node is asked for besides its address, as of a proxy in front of it: browsers that ask by another are refused. Without any,
    /// a node on loopback answers to addresses and `localhost`, another to every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
    /// Certificate and key for HTTPS. Without it the API speaks HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The file of the token that opens what changes something. Without it: `token` in `data-dir`, made at the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The set of sizes to start from. Without it: `development`.
    #[serde(default)]
    pub preset: Preset,
    /// Milliseconds between looks at `chain.toml`; 0: it is read again only when `/config/refresh` asks for it. Without it: 1000.
    #[serde(default = "default_watch")]
    #[schemars(range(max = 3_600_000))]
    pub watch_ms: u64,
    /// The difficulty to ask the consensus plugin for instead of the one that it computes, on chains that allow that.
    /// Without it the plugin's own number holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub difficulty: Option<u64>,
    /// The least fee for which a transaction may wait, in atoms for each 1,000 bytes. Without it: 1000.
    #[serde(default = "default_fee")]
    #[schemars(range(max = 100_000_000_000_u64))]
    pub fee_per_kilobyte_min: u64,
    /// Sizes that differ from the preset's.
    #[serde(default)]
    pub sizes: Overrides,
    /// What one client may ask for.
    #[serde(default = "Limits::unset")]
    pub limits: Limits,
    /// What counts as out of the ordinary.
    #[serde(default = "AnomalySettings::unset")]
    pub anomalies: AnomalySettings,
}

/// The `[node.tls]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsSettings {
    /// A PEM file: the node's certificate first, then the chain up to the authority.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key.
    pub key: PathBuf,
}

/// A set of sizes for one kind of use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// A laptop: little memory, short statistics.
    #[default]
    Development,
    /// A server that keeps a chain.
    Production,
    /// A server whose templates a pool hands out: the largest caches, the freshest templates.
    Pool,
}

/// The `[node.sizes]` table: each value left out is the preset's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Overrides {
    /// Transactions that may wait for a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub mempool_transactions: Option<u32>,
    /// Bytes of the transactions that may wait for a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 17_179_869_184_u64))]
    pub mempool_bytes: Option<u64>,
    /// Blocks whose parent is unknown, kept until it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub orphans: Option<u32>,
    /// Bytes of those blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 17_179_869_184_u64))]
    pub orphan_bytes: Option<u64>,
    /// How many heights below the tip a block may leave the selected chain and still be taken, where no chain of headers with more work leads through
    /// it: old blocks are cheap to make. Where blocks are merged it must be more than the merge depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000_000_000))]
    pub fork_depth: Option<u32>,
    /// Bytes of placements in memory: what the consensus plugin said of blocks. Those of older blocks lie in the database; a part of these bytes, from a
    /// sixteenth to a half as their use has it, is for those that were asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 68_719_476_736_u64))]
    pub placement_bytes: Option<u64>,
    /// Templates that stay known, so that a find which names one of them can be submitted: one address may hold a quarter of them. What subscribers
    /// and the node's own miner search stays known besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 65_536))]
    pub templates: Option<u32>,
    /// Milliseconds after which a template is built anew although neither tip nor mempool changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 600_000))]
    pub template_ttl_ms: Option<u64>,
    /// Blocks over which statistics are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 100_000))]
    pub statistics_blocks: Option<u32>,
}

/// Sizes as they hold: a preset with the operator's own numbers over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sizes {
    /// See [`Overrides::mempool_transactions`].
    pub mempool_transactions: u32,
    /// See [`Overrides::mempool_bytes`].
    pub mempool_bytes: u64,
    /// See [`Overrides::orphans`].
    pub orphans: u32,
    /// See [`Overrides::orphan_bytes`].
    pub orphan_bytes: u64,
    /// See [`Overrides::fork_depth`].
    pub fork_depth: u32,
    /// See [`Overrides::placement_bytes`].
    pub placement_bytes: u64,
    /// See [`Overrides::templates`].
    pub templates: u32,
    /// See [`Overrides::template_ttl_ms`].
    pub template_ttl_ms: u64,
    /// See [`Overrides::statistics_blocks`].
    pub statistics_blocks: u32,
}

/// The `[node.limits]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "Limits::unset")]
pub struct Limits {
    /// Bytes of one request's body.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub request_bytes: u32,
    /// Milliseconds until a request is answered or refused.
    #[schemars(range(min = 100, max = 300_000))]
    pub request_ms: u64,
    /// Milliseconds that a connection has to send a request's head; also how long an idle one is kept.
    #[schemars(range(min = 100, max = 300_000))]
    pub head_ms: u64,
    /// Requests a second that one address may send over time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: u32,
    /// Requests that one address may send at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_burst: u32,
    /// Milliseconds for which a client may take nothing of an answer that is sent to it.
    #[schemars(range(min = 100, max = 300_000))]
    pub stall_ms: u64,
    /// Addresses whose rate is watched; past that the one heard longest ago is forgotten.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub addresses: u32,
    /// Connections that may be open at once, subscribers included.
    #[schemars(range(min = 1, max = 65_536))]
    pub connections: u32,
    /// Connections that one address may have open at once, subscribers included. Behind a proxy all clients have its address.
    #[schemars(range(min = 1, max = 65_536))]
    pub connections_per_address: u32,
    /// Template subscribers that may be connected at once.
    #[schemars(range(min = 1, max = 65_536))]
    pub subscribers: u32,
}

/// The `[node.anomalies]` table: hash rate, reject rate and template time are read at intervals and compared with their own past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "AnomalySettings::unset")]
pub struct AnomalySettings {
    /// The modified z-score above which a reading is an anomaly. It ends below half of that.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub threshold: f64,
    /// Earlier readings that one is compared with. Before there are 20, none is.
    #[schemars(range(min = 20, max = 10_000))]
    pub window: u32,
    /// Milliseconds between readings.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub interval_ms: u64,
}

/// The `[miner]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "MinerSettings::unset")]
pub struct MinerSettings {
    /// Whether this process mines, or farms. A change holds at once: `false` has it pause.
    pub enabled: bool,
    /// The address that rewards go to. Without it, the one of `key-file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 128))]
    pub address: Option<String>,
    /// A key file whose address rewards go to, made at the first start. Without it: `miner.key` in `data-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Search threads. Without it, one for each core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_024))]
    pub threads: Option<u16>,
    /// Whether each thread is bound to a core, where the system allows it.
    pub pin: bool,
    /// Which native kernel may search. The sandboxed plugin confirms every find in any case.
    pub native: NativeKernel,
    /// Nodes to mine for, in order of preference (`https://node.example:8645`). Without any, `adit miner` mines for the one at `node.api`; `adit up` mines for itself.
    #[schemars(length(max = 16))]
    pub nodes: Vec<UpstreamPlace>,
    /// Which of those nodes, or of the pools of `pool.join`, has the turn.
    pub failover: FailoverSettings,
    /// A PEM file of authorities that sign the nodes' certificates. Without it, the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Watts that this machine draws while it mines, for the hashes of a joule where the processor does not tell (RAPL). Without it, nothing is said there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 1_000_000.0))]
    pub watts: Option<f64>,
    /// Milliseconds between questions for a newer template while a node pushes none.
    #[schemars(range(min = 100, max = 60_000))]
    pub poll_ms: u64,
}

/// Which native kernel may search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum NativeKernel {
    /// `auto`: the fastest bundled one that proves equal to the plugin; `off`: none.
    Bundled(BundledKernel),
    /// A shared library of the operator's own.
    File(KernelFile),
}

/// Whether bundled kernels are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BundledKernel {
    /// The fastest bundled kernel that proves equal to the plugin.
    Auto,
    /// The plugin in its sandbox alone.
    Off,
}

/// A native kernel in a file: `{ file = "./mine.so", digest = "blake3:…" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KernelFile {
    /// The shared library.
    pub file: PathBuf,
    /// `blake3:` and the hex digest of the file's bytes.
    #[schemars(regex(pattern = r"^blake3:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "LogSettings::unset")]
pub struct LogSettings {
    /// What is logged, in the notation of `tracing`: `info`, or `info,adit_node=debug`.
    #[schemars(length(min = 1, max = 512))]
    pub level: String,
}

impl Settings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self {
            node: NodeSettings::unset(),
            miner: MinerSettings::unset(),
            farm: FarmSettings::unset(),
            pool: PoolSettings::unset(),
            network: None,
            log: LogSettings::unset(),
        }
    }
}

impl NodeSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self {
            data_dir: default_data_dir(),
            name: default_name(),
            api: default_api(),
            names: Vec::new(),
            tls: None,
            token_file: None,
            preset: Preset::default(),
            watch_ms: default_watch(),
            difficulty: None,
            fee_per_kilobyte_min: default_fee(),
            sizes: Overrides::default(),
            limits: Limits::unset(),
            anomalies: AnomalySettings::unset(),
        }
    }

    /// Returns the sizes that hold.
    pub fn sizes_in_force(&self) -> Sizes {
        self.sizes.over(self.preset.sizes())
    }

    /// Returns where the token lies.
    pub fn token_path(&self) -> PathBuf {
        self.token_file.clone().unwrap_or_else(|| self.data_dir.join("token"))
    }
}

impl Preset {
    /// Returns the preset's sizes.
    pub const fn sizes(self) -> Sizes {
        match self {
            Self::Development => Sizes {
                mempool_transactions: 20_000,
                mempool_bytes: 16 * MIB,
                orphans: 100,
                orphan_bytes: 16 * MIB,
                fork_depth: FORK_DEPTH,
                placement_bytes: 32 * MIB,
                templates: 256,
                template_ttl_ms: 10_000,
                statistics_blocks: 100,
            },
            Self::Production => Sizes {
                mempool_transactions: 200_000,
                mempool_bytes: 256 * MIB,
                orphans: 1_000,
                orphan_bytes: 64 * MIB,
                fork_depth: FORK_DEPTH,
                placement_bytes: 128 * MIB,
                templates: 1_024,
                template_ttl_ms: 3_000,
                statistics_blocks: 10_000,
            },
            Self::Pool => Sizes {
                mempool_transactions: 400_000,
                mempool_bytes: 512 * MIB,
                orphans: 2_000,
                orphan_bytes: 128 * MIB,
                fork_depth: FORK_DEPTH,
                placement_bytes: 256 * MIB,
                templates: 4_096,
                template_ttl_ms: 1_000,
                statistics_blocks: 100_000,
            },
        }
    }
}

impl Overrides {
    /// Puts these values over a preset's.
    pub fn over(&self, sizes: Sizes) -> Sizes {
        Sizes {
            mempool_transactions: self.mempool_transactions.unwrap_or(sizes.mempool_transactions),
            mempool_bytes: self.mempool_bytes.unwrap_or(sizes.mempool_bytes),
            orphans: self.orphans.unwrap_or(sizes.orphans),
            orphan_bytes: self.orphan_bytes.unwrap_or(sizes.orphan_bytes),
            fork_depth: self.fork_depth.unwrap_or(sizes.fork_depth),
            placement_bytes: self.placement_bytes.unwrap_or(sizes.placement_bytes),
            templates: self.templates.unwrap_or(sizes.templates),
            template_ttl_ms: self.template_ttl_ms.unwrap_or(sizes.template_ttl_ms),
            statistics_blocks: self.statistics_blocks.unwrap_or(sizes.statistics_blocks),
        }
    }
}

impl Limits {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self {
            request_bytes: 4 * 1024 * 1024,
            request_ms: 10_000,
            head_ms: 30_000,
            stall_ms: 30_000,
            requests_per_second: 200,
            requests_burst: 400,
            addresses: 4_096,
            connections: 1_024,
            connections_per_address: 256,
            subscribers: 512,
        }
    }

    /// Returns how long a request may take.
    pub const fn request_time(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }

    /// Returns how long a request's head may take.
    pub const fn head_time(&self) -> Duration {
        Duration::from_millis(self.head_ms)
    }

    /// Returns for how long a client may take nothing of an answer.
    pub const fn stall_time(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }
}

impl AnomalySettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self { threshold: 3.5, window: 120, interval_ms: 5_000 }
    }

    /// Returns the time between readings.
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

impl MinerSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self {
            enabled: true,
            address: None,
            key_file: None,
            threads: None,
            pin: true,
            native: NativeKernel::Bundled(BundledKernel::Auto),
            nodes: Vec::new(),
            failover: FailoverSettings::unset(),
            ca_file: None,
            watts: None,
            poll_ms: 1_000,
        }
    }
}

impl LogSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self { level: "info".to_owned() }
    }
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("data")
}

fn default_name() -> String {
    "adit".to_owned()
}

const fn default_watch() -> u64 {
    1000
}

const fn default_fee() -> u64 {
    1000
}

const fn default_api() -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8645))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_what_is_documented_as_unset() {
        let read: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Settings::unset());
    }

    #[test]
    fn settings_survive_being_written_and_read() {
        let text = serde_json::to_string(&Settings::unset()).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), Settings::unset());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"miner":{"thread":2}}"#).is_err());
    }

    #[test]
    fn a_preset_gives_way_to_the_operators_number() {
        let node: NodeSettings = serde_json::from_str(r#"{"preset":"pool","sizes":{"template-ttl-ms":250}}"#).unwrap();
        assert_eq!(node.sizes_in_force().template_ttl_ms, 250);
        assert_eq!(node.sizes_in_force().orphans, Preset::Pool.sizes().orphans);
    }

    #[test]
    fn each_preset_keeps_statistics_and_templates_as_its_use_asks() {
        let sizes = |preset: Preset| (preset.sizes().statistics_blocks, preset.sizes().template_ttl_ms);
        assert_eq!(sizes(Preset::Development), (100, 10_000));
        assert_eq!(sizes(Preset::Production), (10_000, 3_000));
        assert_eq!(sizes(Preset::Pool), (100_000, 1_000));
    }

    #[test]
    fn each_size_can_be_overridden_in_each_preset() {
        for preset in [Preset::Development, Preset::Production, Preset::Pool] {
            let shown = serde_json::to_value(preset.sizes()).unwrap();
            for (key, value) in shown.as_object().unwrap() {
                let other = value.as_u64().unwrap() + 1;
                let over: Overrides = serde_json::from_value(serde_json::json!({ key: other })).unwrap();
                let mut want = shown.clone();
                want[key] = other.into();
                assert_eq!(serde_json::to_value(over.over(preset.sizes())).unwrap(), want, "{key}");
            }
        }
    }

    #[test]
    fn every_key_of_the_schema_is_documented() {
        let schema = schemars::schema_for!(Settings).to_value();
        let mut undocumented = Vec::new();
        let tables = schema["$defs"].as_object().unwrap().iter();
        for (table, schema) in tables {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                if property.get("description").is_none() {
                    undocumented.push(format!("{table}.{key}"));
                }
            }
        }
        assert!(undocumented.is_empty(), "{undocumented:?}");
    }
}
