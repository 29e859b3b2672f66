//! The `[pool]` table: where miners connect, what the pool mines on, what it keeps and pays.

use super::failover::{self, FailoverSettings, UpstreamPlace};
use super::{NativeKernel, TlsSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

/// The `[pool]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "PoolSettings::unset")]
pub struct PoolSettings {
    /// What `adit up` does besides keeping the chain: `solo` mines for itself, `host` runs the pool as well, `join` mines for another pool. `POST /pool/mode` switches it while running.
    pub mode: PoolMode,
    /// The pool's name, shown to miners and in its coinbases.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[ -~]*$"))]
    pub name: String,
    /// Address and port where Stratum miners connect. Without it: `127.0.0.1:3333`, which only this machine reaches.
    #[schemars(with = "String")]
    pub stratum: SocketAddr,
    /// Address and port for miners that speak Stratum over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub stratum_tls: Option<SocketAddr>,
    /// Certificate and key for `stratum-tls`. Without it, those of `[node.tls]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Whether a proxy stands before the pool that says each client's address by PROXY protocol 2. Connections without it are then refused.
    pub proxy_protocol: bool,
    /// Address and port of the pool's API. Without it: `127.0.0.1:8646`, which only this machine reaches.
    #[schemars(with = "String")]
    pub api: SocketAddr,
    /// Nodes that give templates and take blocks, in order of preference. Without any, `adit up` mines on its own node.
    #[schemars(length(max = 16))]
    pub upstreams: Vec<UpstreamSettings>,
    /// Which of them is mined on.
    pub failover: FailoverSettings,
    /// The address that blocks pay. Before nodes of Bitcoin's family it is one of their wallet's; without it, one that the wallet gives. Before Adit's own, payments are
    /// signed with the key of `key-file`: no other address than that key's is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 128))]
    pub address: Option<String>,
    /// The key file that blocks of an Adit chain pay, and that signs payments, made at the first start. Without it: `pool.key` in `data-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How shares and their difficulties are handled.
    pub shares: ShareSettings,
    /// Fees and payments.
    pub money: MoneySettings,
    /// What one miner may do.
    pub limits: PoolLimits,
    /// The pool that `join` mines for.
    pub join: JoinSettings,
    /// Makes the pool of `adit up` one with the pools of other nodes: a peer-to-peer pool, whose blocks pay miners themselves. Needs the `[network]` table, a share
    /// validator by which nodes agree (`quorum`) and a payout scheme with a window of work (`pplns`). Without this table the pool is this node's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedSettings>,
}

/// The `[pool.shared]` table. All nodes of one pool have the same, besides the same `[payout]`, `[shares]`, fees of the foundation and rules of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "SharedSettings::unset")]
pub struct SharedSettings {
    /// The nodes that certify rounds of shares until miners have done as much work as `founding-work-log2` of `quorum` says, by their names as the log and `adit peers` show them.
    /// Without any, this node alone: it begins a pool, which others join by naming it here.
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub founders: Vec<String>,
    /// Atoms below which a block does not pay an account: its part is divided among the others of that block, and its shares go on to count.
    #[schemars(range(min = 1))]
    pub output_min: u64,
    /// Accounts that one block pays at most: those with the most work.
    #[schemars(range(min = 1, max = 1_000))]
    pub outputs_max: u32,
}

/// What `adit up` does besides keeping the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoolMode {
    /// Mines for itself.
    Solo,
    /// Runs the pool, and mines for itself where the miner is enabled.
    Host,
    /// Mines for another pool.
    Join,
}

impl fmt::Display for PoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Solo => "solo",
            Self::Host => "host",
            Self::Join => "join",
        })
    }
}

/// A node that gives templates and takes blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpstreamSettings {
    /// What it speaks.
    pub kind: UpstreamKind,
    /// Where it listens: `http://127.0.0.1:9332`.
    #[schemars(length(min = 8, max = 256))]
    pub url: String,
    /// A Bitcoin-family node's RPC user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub user: Option<String>,
    /// A file with that user's password, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The node's own `.cookie` file, instead of user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<PathBuf>,
    /// The wallet that payments are made from, where the node has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub wallet: Option<String>,
    /// How often it gets the turn beside others, by `weighted`.
    #[serde(default = "failover::one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub weight: u32,
    /// Where it is, by names of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamKind {
    /// Bitcoin's JSON-RPC with `getblocktemplate`: Bitcoin, Litecoin and their kin.
    Bitcoin,
    /// An Adit node's API.
    Adit,
}

/// The `[pool.shares]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "ShareSettings::unset")]
pub struct ShareSettings {
    /// How Stratum counts difficulty: the hashes that a share of difficulty 1 takes. `sha256` has 2^32; `scrypt` has 2^16, for every algorithm whose miners count as Litecoin's do.
    pub base: DifficultyBase,
    /// The difficulty that a new miner starts with; a power of two is made of it, rounded down.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub difficulty_start: f64,
    /// The least difficulty: below it a miner's shares would cost the server more than they tell.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub difficulty_min: f64,
    /// The greatest difficulty. Without it, that of a block, which is never exceeded in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-9, max = 1e18))]
    pub difficulty_max: Option<f64>,
    /// Milliseconds for which a job is handed out again while its tip stands.
    #[schemars(range(min = 1_000, max = 600_000))]
    pub job_ms: u64,
    /// The bits of a header's version that miners may roll, as 8 hexadecimal digits: `1fffe000` are the 16 of BIP320, `1fffffe0` the 24 of BIP323, `00000000` none.
    /// Of these a miner gets what it asks for and what the chain's rules, or the node's template, leave free.
    #[schemars(with = "String", regex(pattern = r"^[01][0-9a-f]{5}[02468ace]0$"))]
    pub version_mask: VersionMask,
    /// This front-end's number, which begins every extranonce that it hands out: no two front-ends of one pool share it.
    pub front_end: u8,
    /// Which native kernel may check shares. The sandboxed plugin confirms every block in any case.
    pub native: NativeKernel,
    /// Threads that check shares. Without it, one for each core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<u16>,
}

/// How Stratum counts difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DifficultyBase {
    /// Difficulty 1 takes 2^32 hashes.
    Sha256,
    /// Difficulty 1 takes 2^16 hashes.
    Scrypt,
}

/// Bits of a header's version that miners may roll: some of those that BIP323 sets aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionMask(u32);

/// Why a text is no [`VersionMask`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not 8 hexadecimal digits of bits among 1fffffe0")]
pub struct VersionMaskError {
    pub text: String,
}

impl VersionMask {
    pub const BIP320: Self = Self(0x1fff_e000);
    pub const BIP323: Self = Self(0x1fff_ffe0);

    /// Returns the bits.
    pub const fn to_bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for VersionMask {
    type Error = VersionMaskError;

    fn try_from(text: String) -> Result<Self, VersionMaskError> {
        let digits = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bits = u32::from_str_radix(&text, 16).ok().filter(|bits| digits && bits & !Self::BIP323.0 == 0);
        bits.map(Self).ok_or(VersionMaskError { text })
    }
}

impl From<VersionMask> for String {
    fn from(mask: VersionMask) -> Self {
        format!("{:08x}", mask.0)
    }
}

/// The `[pool.money]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "MoneySettings::unset")]
pub struct MoneySettings {
    /// Hundredths of a percent of each block that go to the foundation before anything else.
    #[schemars(range(max = 1_000))]
    pub foundation_fee: u16,
    /// Hundredths of a percent of each block that the pool keeps.
    #[schemars(range(max = 1_000))]
    pub pool_fee: u16,
    /// The address that the foundation is paid at. Without it, its credits stay in the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 128))]
    pub foundation_address: Option<String>,
    /// The address that the pool's own fees are paid at. Without it, they stay in the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 128))]
    pub pool_address: Option<String>,
    /// Blocks above one of ours before its credits may be paid. Never fewer than the chain's coinbase maturity.
    #[schemars(range(min = 1, max = 10_000))]
    pub maturity: u64,
    /// Atoms from which on an account is paid.
    #[schemars(range(min = 1))]
    pub payment_min: u64,
    /// Milliseconds between payments.
    #[schemars(range(min = 1_000, max = 604_800_000))]
    pub payment_ms: u64,
    /// Outputs of one payment at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub outputs_max: u32,
    /// Blocks above a payment until it is done.
    #[schemars(range(min = 1, max = 10_000))]
    pub confirmations: u64,
    /// The fee of payments on an Adit chain, in atoms for each 1,000 bytes.
    #[schemars(range(max = 100_000_000_u64))]
    pub fee_rate: u64,
    /// Atoms that each output of a payment gives towards what the network takes of it. What the network takes beyond that the operator bears, and what it
    /// leaves is the operator's. At 0 the operator bears all.
    #[schemars(range(max = 100_000_000_u64))]
    pub output_fee: u64,
}

/// The `[pool.limits]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "PoolLimits::unset")]
pub struct PoolLimits {
    /// Connections that may be open at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// Connections that one address may have open at once. Behind a proxy without PROXY protocol all miners have its address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: u32,
    /// Shares a second that one worker may send over time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub shares_per_second: u32,
    /// Shares a second that one connection may send over time, under whatever names. Without it, ten times `shares-per-second`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub connection_shares_per_second: Option<u32>,
    /// Shares a second that one address may send over time, over all its connections. Without it, a hundred times `shares-per-second`: unless that is changed,
    /// 30,000 machines behind one address, each with 20 shares a minute. Behind a proxy without PROXY protocol all miners have its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub address_shares_per_second: Option<u32>,
    /// Names that are not in the books yet which one address may bring in an hour: as many at once, and then one after another.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub names_per_hour: u32,
    /// Milliseconds that a connection has to log in.
    #[schemars(range(min = 1_000, max = 600_000))]
    pub login_ms: u64,
    /// Milliseconds without a word after which a connection is closed.
    #[schemars(range(min = 10_000, max = 86_400_000))]
    pub idle_ms: u64,
    /// Milliseconds for which a miner may take nothing of what is sent to it.
    #[schemars(range(min = 100, max = 300_000))]
    pub stall_ms: u64,
    /// Bytes of one line.
    #[schemars(range(min = 512, max = 1_048_576))]
    pub line_bytes: u32,
    /// Percent of invalid shares above which a worker is banned.
    #[schemars(range(min = 1, max = 100))]
    pub ban_percent: u8,
    /// Shares before that is asked.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub ban_shares: u32,
    /// Milliseconds that a ban lasts.
    #[schemars(range(min = 1_000, max = 604_800_000))]
    pub ban_ms: u64,
}

/// The `[pool.join]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "JoinSettings::unset")]
pub struct JoinSettings {
    /// Stratum pools, in order of preference: `stratum+tcp://pool.example:3333`, or `stratum+ssl://` for TLS. Where plots win blocks, the APIs of pools: `https://pool.example:8646`.
    #[schemars(length(max = 16))]
    pub pools: Vec<UpstreamPlace>,
    /// Who is paid there. Without it, the miner's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub user: Option<String>,
    /// This machine's name there.
    #[schemars(length(min = 1, max = 64))]
    pub worker: String,
    /// What the pool is told as a password.
    #[schemars(length(max = 64))]
    pub password: String,
}

impl PoolSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self {
            mode: PoolMode::Solo,
            name: "adit".to_owned(),
            stratum: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3333)),
            stratum_tls: None,
            tls: None,
            proxy_protocol: false,
            api: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8646)),
            upstreams: Vec::new(),
            failover: FailoverSettings::unset(),
            address: None,
            key_file: None,
            shares: ShareSettings::unset(),
            money: MoneySettings::unset(),
            limits: PoolLimits::unset(),
            join: JoinSettings::unset(),
            shared: None,
        }
    }
}

impl SharedSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self { founders: Vec::new(), output_min: 1_000, outputs_max: 100 }
    }
}

impl ShareSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self {
            base: DifficultyBase::Sha256,
            difficulty_start: 1024.0,
            difficulty_min: 0.001,
            difficulty_max: None,
            job_ms: 30_000,
            version_mask: VersionMask::BIP320,
            front_end: 0,
            native: NativeKernel::Bundled(super::BundledKernel::Auto),
            threads: None,
        }
    }

    /// Returns for how long a job is handed out again.
    pub const fn job_time(&self) -> Duration {
        Duration::from_millis(self.job_ms)
    }
}

impl MoneySettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self {
            foundation_fee: 100,
            pool_fee: 0,
            foundation_address: None,
            pool_address: None,
            maturity: 100,
            payment_min: 1_000_000,
            payment_ms: 600_000,
            outputs_max: 200,
            confirmations: 6,
            fee_rate: 1_000,
            output_fee: 0,
        }
    }
}

impl PoolLimits {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self {
            connections: 65_536,
            connections_per_address: 4_096,
            shares_per_second: 100,
            connection_shares_per_second: None,
            address_shares_per_second: None,
            names_per_hour: 4_096,
            login_ms: 30_000,
            idle_ms: 600_000,
            stall_ms: 30_000,
            line_bytes: 16 * 1024,
            ban_percent: 10,
            ban_shares: 100,
            ban_ms: 3_600_000,
        }
    }
}

impl PoolLimits {
    /// Returns the shares a second that one connection may send.
    pub fn shares_of_connection(&self) -> u32 {
        self.connection_shares_per_second.unwrap_or_else(|| self.shares_per_second.saturating_mul(10))
    }

    /// Returns the shares a second that one address may send.
    pub fn shares_of_address(&self) -> u32 {
        self.address_shares_per_second.unwrap_or_else(|| self.shares_per_second.saturating_mul(100))
    }
}

impl JoinSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self { pools: Vec::new(), user: None, worker: "adit".to_owned(), password: "x".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_written_as_it_is_read_and_holds_no_bit_beyond_bip323s() {
        for (text, bits) in [("1fffe000", 0x1fff_e000), ("1fffffe0", 0x1fff_ffe0), ("00000000", 0), ("00000020", 0x20)]
        {
            let mask = VersionMask::try_from(text.to_owned()).unwrap();
            assert_eq!((mask.to_bits(), String::from(mask)), (bits, text.to_owned()));
        }
        for text in ["", "1fffe00", "01fffe000", "1fffe010", "3fffe000", "20000000", "0x1fffe0", "+1fffe00", "1fffe00g"]
        {
            assert_eq!(VersionMask::try_from(text.to_owned()), Err(VersionMaskError { text: text.to_owned() }));
        }
    }

    #[test]
    fn a_connection_may_send_ten_workers_shares_and_an_address_a_hundred() {
        let limits = PoolLimits { shares_per_second: 7, ..PoolLimits::unset() };
        assert_eq!((limits.shares_of_connection(), limits.shares_of_address()), (70, 700));
        let stated = PoolLimits { connection_shares_per_second: Some(1), address_shares_per_second: Some(2), ..limits };
        assert_eq!((stated.shares_of_connection(), stated.shares_of_address()), (1, 2));
    }
}
