//! The pool under load: a process of its own.

use super::miner::Host;
use crate::bench::figures::Figures;
use adit_chain::{AddressPrefix, SecretKey};
use adit_node::clock::Clock;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the pool may take until it listens.
const START_TIME: Duration = Duration::from_secs(60);

/// How many connections go to one address of this machine: the system has some 28,000 ports for each.
pub const CONNECTIONS_PER_ADDRESS: u32 = 20_000;

/// What a pool is made for.
pub struct PoolShape {
    pub connections: u32,
    /// A block takes 16 hashes to this power.
    pub block_digits: u8,
    /// After how long there is a new job.
    pub job: Duration,
}

/// A running pool. It ends, and its folder goes, when this is dropped.
pub struct PoolProcess {
    child: Child,
    folder: PathBuf,
    port: u16,
    node: u16,
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
        let mut pool = Self { child, folder, port, node };
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
        Ok(Host { port: self.port, payee, clock })
    }

    /// Reads what the pool counts: Prometheus' text.
    pub fn metrics(&self) -> Result<String> {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.node)).context("the pool's API does not answer")?;
        write!(stream, "GET /pool/metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("the pool's API says nothing")?;
        Ok(body.to_owned())
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

/// A chain of its own for the pool.
fn chain_toml(shape: &PoolShape, port: u16, node: u16, api: u16) -> String {
    let PoolShape { connections, block_digits, job } = shape;
    // Nobody but this machine is listened to, unless its miners need more than one address.
    let host = if *connections > CONNECTIONS_PER_ADDRESS { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
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
difficulty = {block_digits}
message = "bench"

[consensus.config.retarget]
rule = "interval"
enabled = false
difficulty = {block_digits}
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
stratum = "{host}:{port}"
api = "127.0.0.1:{api}"

[pool.shares]
difficulty-start = 1e-9
difficulty-min = 1e-9
difficulty-max = 1e-9
job-ms = {job_ms}

[pool.limits]
connections = {connections}
connections-per-address = {connections}
shares-per-second = 1_000_000
names-per-hour = 1_000_000
"#
    )
}
