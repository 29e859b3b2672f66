//! The pool under load: a process of its own, and what the system says it takes.

use super::miner::Host;
use adit_chain::{AddressPrefix, SecretKey};
use adit_node::clock::Clock;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
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

/// What a process has taken so far, or between two looks.
pub struct Figures {
    pub cpu: Duration,
    /// By the threads' names, those that differ in a number together.
    pub threads: BTreeMap<String, Duration>,
    pub memory_bytes: u64,
    pub descriptors: usize,
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
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(process.join("task")).context("the pool has ended, or there is no /proc")? {
            // A thread may end while it is looked at.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let (name, cpu) = thread(&stat).context("/proc has an unknown form")?;
            *threads.entry(name).or_default() += cpu;
        }
        let status = fs::read_to_string(process.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Ok(Figures {
            cpu: threads.values().sum(),
            threads,
            memory_bytes: kilobytes.context("/proc tells no memory")? * 1024,
            descriptors: fs::read_dir(process.join("fd"))?.count(),
        })
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

impl Figures {
    /// Returns the CPU time that was spent since.
    pub fn since(&self, before: &Self) -> Self {
        let spent = |(name, cpu): (&String, &Duration)| {
            let then = before.threads.get(name).copied().unwrap_or_default();
            (name.clone(), cpu.saturating_sub(then))
        };
        let threads: BTreeMap<_, _> = self.threads.iter().map(spent).collect();
        Self { cpu: threads.values().sum(), threads, ..*self }
    }
}

/// Reads a line of `/proc/…/task/…/stat`: the thread's name, and what it ran as a program and in the kernel. See proc_pid_stat(5).
fn thread(stat: &str) -> Option<(String, Duration)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    // The state is the third field; user and system time are the fourteenth and the fifteenth.
    let ticks: u64 = tail.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default()).sum();
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Some((name.to_owned(), Duration::from_millis(ticks * 1000 / a_second)))
}

fn free_port() -> Result<u16> {
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

#[cfg(test)]
mod tests {
    use super::thread;
    use std::time::Duration;

    #[test]
    fn a_threads_name_loses_its_number_and_its_times_are_summed() {
        let stat = "7 (adit-check-12) S 1 7 7 0 -1 64 1 0 0 0 300 200 0 0 20 0 9 0 100";
        let a_second = rustix::param::clock_ticks_per_second();
        assert_eq!(thread(stat), Some(("adit-check".to_owned(), Duration::from_millis(500_000 / a_second))));
    }

    #[test]
    fn a_name_with_brackets_is_read_to_its_end() {
        let stat = "7 (a) (b) S 1 7 7 0 -1 64 1 0 0 0 0 0 0 0 20 0 9 0 100";
        assert_eq!(thread(stat), Some(("a) (b".to_owned(), Duration::ZERO)));
    }
}
