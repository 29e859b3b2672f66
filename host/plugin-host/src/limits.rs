//! What a plugin may use up. Every number has its reason beside it.

use std::path::PathBuf;
use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How a sandbox is built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For consensus plugins.
    pub rules: Limits,
    /// For plugins whose answers the host checks by itself: hash algorithms, payout schemes, share validators.
    pub services: Limits,
    /// How often the watchdog's clock ticks: the unit of [`Limits::ticks_per_call`] and of the pace of a search.
    pub tick: Duration,
    /// The largest file that is read as a plugin, in bytes. Compiling takes about a millisecond per KiB.
    pub plugin_bytes_max: usize,
    /// Where compiled plugins are kept; without one, each start compiles.
    pub cache: Option<CacheSettings>,
}

/// Where compiled plugins are kept.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The directory. It is made with mode 0700 where it does not exist.
    pub directory: PathBuf,
    /// 32 random bytes, used only where the directory holds no key yet: they become this installation's key.
    pub new_key: [u8; 32],
}

/// What one plugin may use up, and how it is compiled and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Optimise the machine code. Answers are the same without; only tests want that.
    pub optimised: bool,
    /// Take a fresh instance for each call, so that no history leaks into an answer. Otherwise one is kept until it traps.
    pub fresh: bool,
    /// Count fuel, and stop a call at its allowance. `None`: the watchdog alone stops a call.
    pub fuel: Option<Fuel>,
    /// After how many ticks of computing the watchdog stops a call. What the machine does meanwhile for others does not count.
    pub ticks_per_call: u64,
    /// The sum of an instance's linear memories, in bytes.
    pub memory_bytes_max: usize,
    /// The sum of an instance's tables, in elements.
    pub table_elements_max: usize,
    /// The stack for the plugin's machine code, in bytes. The calling thread needs half a mebibyte more than this.
    pub stack_bytes: usize,
    /// The bytes that one call may hand to the host, in one answer or in one call of a host function, and those of one answer of the
    /// host's to a question about the chain.
    pub answer_bytes_max: usize,
    /// The blocks that one call may read from the host.
    pub view_blocks_max: u64,
    /// The bytes that the host may hand to one call for what it asks of the chain, over all its questions.
    pub view_bytes_max: u64,
    /// The rows of one bulk answer, and the rows of one question to the host.
    pub rows_max: usize,
}

/// How much a call may compute. A unit is one WebAssembly operator, or eight bytes of a bulk operation (`engine::operator_cost`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fuel {
    /// For a call as such, the start of the instance included.
    pub per_call: u64,
    /// On top, for each row of a bulk call.
    pub per_row: u64,
}

impl Fuel {
    /// The allowance of a call over `rows` rows.
    pub(crate) fn allowance(self, rows: usize) -> u64 {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.per_call.saturating_add(self.per_row.saturating_mul(rows))
    }
}

impl Settings {
    /// What nodes and miners run with. Without a cache.
    pub const STANDARD: Self = Self {
        rules: Limits::RULES,
        services: Limits::SERVICES,
        tick: Duration::from_millis(10),
        plugin_bytes_max: 8 * MIB,
        cache: None,
    };
}

impl Limits {
    /// For consensus plugins. Fuel is a guard, not a rule: verdicts are bounded by counts of parents, bytes and headers.
    pub const RULES: Self = Self {
        optimised: true,
        fresh: true,
        // A header of a longest chain takes some ten thousand units; this is a second or two of work.
        fuel: Some(Fuel { per_call: 5_000_000_000, per_row: 50_000_000 }),
        // Thirty seconds: only a machine in trouble needs them.
        ticks_per_call: 3_000,
        memory_bytes_max: 256 * MIB,
        table_elements_max: 100_000,
        stack_bytes: MIB,
        answer_bytes_max: 64 * MIB,
        view_blocks_max: 4_000_000,
        // Two seconds of copying. Blocks of a longest chain take 170 bytes: their number is reached first.
        view_bytes_max: 1 << 30,
        rows_max: 65_536,
    };

    /// For hash, payout and share plugins. Memory-hard algorithms build tables.
    pub const SERVICES: Self = Self {
        optimised: true,
        fresh: false,
        fuel: None,
        // Two seconds: a slice of a search aims at ten milliseconds.
        ticks_per_call: 200,
        memory_bytes_max: 1024 * MIB,
        table_elements_max: 100_000,
        stack_bytes: 512 * KIB,
        answer_bytes_max: 64 * MIB,
        view_blocks_max: 0,
        view_bytes_max: 0,
        rows_max: 1 << 20,
    };
}

/// A way to run a plugin. Answers must not depend on it: `adit plugin test` tries them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    pub optimised: bool,
    pub fuelled: bool,
    pub fresh: bool,
}

impl Variant {
    /// Every way.
    pub const ALL: [Self; 8] = {
        let mut all = [Self { optimised: false, fuelled: false, fresh: false }; 8];
        let mut index = 0;
        while index < all.len() {
            all[index] = Self { optimised: index & 1 != 0, fuelled: index & 2 != 0, fresh: index & 4 != 0 };
            index += 1;
        }
        all
    };

    /// Returns settings that run every kind of plugin in this way.
    pub fn apply(self, settings: &Settings) -> Settings {
        let change = |limits: &Limits| Limits {
            optimised: self.optimised,
            fresh: self.fresh,
            fuel: self.fuelled.then(|| limits.fuel.unwrap_or(Limits::FUEL)),
            ..limits.clone()
        };
        Settings { rules: change(&settings.rules), services: change(&settings.services), ..settings.clone() }
    }
}

impl Limits {
    /// What a variant with fuel gives to a kind that runs without.
    const FUEL: Fuel = Fuel { per_call: 5_000_000_000, per_row: 50_000_000 };
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let optimised = if self.optimised { "optimised" } else { "unoptimised" };
        let fuelled = if self.fuelled { "with fuel" } else { "without fuel" };
        let fresh = if self.fresh { "fresh instances" } else { "one instance" };
        write!(f, "{optimised}, {fuelled}, {fresh}")
    }
}
