//! The node that is flooded: a process of its own, in a folder that goes with it.

use super::FloodArguments;
use super::offer;
use crate::bench::figures::Figures;
use crate::bench::pool::free_port;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the node may take until it answers.
const START_TIME: Duration = Duration::from_secs(60);

/// Between two looks whether it does.
const GLANCE: Duration = Duration::from_millis(25);

/// The node. It ends, and its folder goes, when this is dropped.
pub struct FloodedNode {
    pub file: PathBuf,
    /// The port of its API.
    pub api: u16,
    folder: PathBuf,
    child: Option<Child>,
}

impl FloodedNode {
    /// Writes its `chain.toml`.
    pub fn write(arguments: &FloodArguments) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("adit-bench-flood-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let (file, api) = (folder.join("chain.toml"), free_port()?);
        let node = Self { file, api, folder, child: None };
        fs::write(&node.file, chain_toml(arguments, api, &node.folder.join("data")))?;
        Ok(node)
    }

    /// Starts it and waits until it answers.
    pub fn start(mut self) -> Result<Self> {
        let program = std::env::current_exe().context("where this program lies is not known")?;
        let mut command = Command::new(program);
        command.args(["--log", "warn", "node"]).arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().context("the node does not start")?;
        let start = Instant::now();
        let answers = loop {
            if offer::get(self.api, "/readyz").is_ok() {
                break Ok(());
            }
            if let Some(status) = child.try_wait()? {
                break Err(format!("ended at once: {status}"));
            }
            if start.elapsed() > START_TIME {
                break Err(format!("does not answer after {START_TIME:?}"));
            }
            std::thread::sleep(GLANCE);
        };
        self.child = Some(child);
        match answers {
            Ok(()) => Ok(self),
            Err(why) => bail!("the node {why}"),
        }
    }

    /// Reads what the process has taken.
    pub fn figures(&self) -> Result<Figures> {
        Figures::of(self.child.as_ref().context("the node is not running")?.id())
    }
}

impl Drop for FloodedNode {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A chain whose layers, a second apart, keep its difficulty where it is: a block takes 256 hashes.
fn chain_toml(arguments: &FloodArguments, api: u16, data: &Path) -> String {
    let FloodArguments { beside, hash, connections, .. } = arguments;
    let (target_ms, connections, data) = (1_000 / beside, connections + 8, data.display());
    let orphans = 2 * offer::AHEAD_MAX;
    format!(
        r#"
[chain]
name = "bench"
network = "devnet"

[consensus]
plugin = "ghostdag"

[consensus.config]
k = 18
parents-max = 16
merge-set-max = 180
merge-depth = 3600

[consensus.config.genesis]
time-ms = 1700000000000
bits = 0x2000ffff
message = "bench"

[consensus.config.difficulty]
rule = "window"
size = 240
min = 20
target-ms = {target_ms}

[consensus.config.median-time]
size = 27
sample-rate = 10

[consensus.config.subsidy]
initial-atoms = 1_000_000_000_000

[hash]
plugin = "{hash}"

[ledger]
address-prefix = "bench"
conflicts = "skip-transaction"
coinbase-maturity = 1
block-bytes-max = 4_000_000

[miner]
enabled = false

[node]
api = "127.0.0.1:{api}"
data-dir = "{data}"

[node.sizes]
orphans = {orphans}

[node.limits]
request-bytes = 33_554_432
requests-per-second = 1_000_000
requests-burst = 1_000_000
connections-per-address = {connections}
"#
    )
}
