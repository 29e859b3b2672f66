//! The pool under load: a process of its own.

use super::miner::Host;
use crate::bench::figures::Figures;
use adit_chain::{AddressPrefix, SecretKey};
use adit_node::clock::Clock;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the pool may take until it listens.
const START_TIME: Duration = Duration::from_secs(60);

/// What a pool is made for.
pub struct PoolShape {
    pub connections: u32,
    /// After how long there is a new job.
    pub job: Duration,
}

/// A running pool. It ends, and its folder goes, when this is dropped.
pub struct PoolProcess {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl PoolProcess {
    /// Starts a pool and waits until it listens.
    pub fn start(shape: &PoolShape) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("adit-bench-pool-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let file = folder.join("chain.toml");
        let (port, node, api) = (free_port()?, free_port()?, free_port()?);
        fs::write(&file, chain_toml(shape, port, node, api))?;
        let program = std::env::current_exe().context("where this program lies is not known")?;
        let child = Command::new(program)
            .args(["--log", "warn", "up"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the pool does not start")?;
        let mut pool = Self { child, folder, port };
        pool.wait()?;
        Ok(pool)
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the pool ended at once: {status}");
            }
            if start.elapsed() > START_TIME {
                bail!("the pool does not listen after {START_TIME:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Returns where miners connect, and as whom.
    pub fn host(&self, clock: Clock) -> Result<Host> {
        let key = SecretKey::from_bytes([7; 32])?;
        let payee = AddressPrefix::new("bench")?.address(key.public()).to_string();
        Ok(Host { address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), payee, clock })
    }

    /// Reads what the process has taken.
    pub fn figures(&self) -> Result<Figures> {
        Figures::of(self.child.id())
    }
}

impl Drop for PoolProcess {
    fn drop(&mut self) {
        // Nothing of it is wanted any more: both may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Returns a port that nobody listens at.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// A chain on which these miners find no block: one takes 2^48 hashes.
fn chain_toml(shape: &PoolShape, port: u16, node: u16, api: u16) -> String {
    let PoolShape { connections, job } = shape;
    // One that comes again may be there before the pool has seen it go.
    let connections = 2 * connections;
    let job_ms = job.as_millis();
    format!(
        r#"
[chain]
name = "bench"
network = "devnet"

[consensus]
plugin = "longest-chain"

[consensus.config]
header = "bitcoin"

[consensus.config.genesis]
time-seconds = 1763683200
difficulty = 12
message = "bench"

[consensus.config.retarget]
rule = "interval"
enabled = false
difficulty = 12
spacing-seconds = 30

[consensus.config.subsidy]
initial-atoms = 5_000_000_000

[hash]
plugin = "sha256d"

[ledger]
address-prefix = "bench"
coinbase-maturity = 10

[payout]
plugin = "pplns"

[shares]
plugin = "standard"

[miner]
enabled = false

[node]
api = "127.0.0.1:{node}"

[pool]
mode = "host"
name = "bench"
stratum = "127.0.0.1:{port}"
api = "127.0.0.1:{api}"

[pool.shares]
difficulty-start = 1e-9
difficulty-min = 1e-9
job-ms = {job_ms}

[pool.limits]
connections = {connections}
connections-per-address = {connections}
shares-per-second = 1_000_000
"#
    )
}
