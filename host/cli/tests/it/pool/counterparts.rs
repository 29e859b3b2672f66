//! What the pool works with, as processes that end with their test: two Litecoin nodes on loopback, and the Python miner.

use crate::adit::{PATIENCE, wait_until};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// A node's threads for calls: a pool that was killed leaves one waiting for the next block.
const RPC_THREADS: &str = "-rpcthreads=32";

/// How often ports are chosen anew where another process took them.
const ATTEMPTS: usize = 5;

/// Whom blocks pay that are not the pool's: the script `OP_TRUE`, with its checksum.
const NOBODY: &str = "raw(51)#8lvh9jxk";

/// Finds a program. Where it is missing, says that the test did not run.
///
/// # Panics
/// Where it is missing and `CI` is `true`.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is missing");
        eprintln!("NOT RUN: {name} is missing (cargo xtask test installs it where it may)");
    }
    found
}

/// Returns a port that nobody has now, below those that the system gives to connections: so nobody takes it while its process restarts.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Test processes side by side begin at different places.
    let first = std::process::id().wrapping_mul(997);
    let port = |_| {
        let number = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(number % u32::from(PORTS.end - PORTS.start)).unwrap()
    };
    (0..PORTS.len()).map(port).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Sends a signal by its name.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// A Litecoin node.
pub struct Node {
    child: Option<Child>,
    folder: PathBuf,
    rpc_port: u16,
    more: Vec<String>,
}

/// Two Litecoin nodes that know each other, with one block: `near` has the pool's wallet `pool`, `far` the wallet `payees`.
pub struct Litecoin {
    pub near: Node,
    pub far: Node,
    /// Where the far one is met.
    meeting: String,
    folder: TempDir,
}

impl Litecoin {
    /// Starts both. `None` where Litecoin Core is not installed.
    pub fn start() -> Option<Self> {
        program("litecoind")?;
        program("litecoin-cli")?;
        let started = (0..ATTEMPTS).find_map(|_| Self::attempt());
        Some(started.expect("litecoind starts on free ports"))
    }

    fn attempt() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let meeting = format!("127.0.0.1:{}", free_port());
        let port = meeting.replace("127.0.0.1:", "-port=");
        let far = Node::start(folder.path().join("far"), vec!["-listen=1".into(), format!("-bind={meeting}"), port])?;
        let near = Node::start(folder.path().join("near"), vec!["-listen=0".into(), format!("-connect={meeting}")])?;
        near.ask("createwallet", &["pool"]);
        far.ask("createwallet", &["payees"]);
        near.generate(1);
        let both = Self { near, far, meeting, folder };
        both.wait_until_they_agree();
        Some(both)
    }

    /// Waits until both have the same chain. Templates are given to nobody before a node has a peer.
    #[track_caller]
    pub fn wait_until_they_agree(&self) {
        wait_until("agreement of the nodes", || {
            let tips = [&self.near, &self.far].map(|node| node.ask("getbestblockhash", &[]));
            (tips[0] == tips[1] && self.near.ask("getconnectioncount", &[]) != 0).then_some(())
        });
    }

    /// Starts a third node, which knows the far one.
    pub fn another(&self) -> Node {
        let more = || vec!["-listen=0".into(), format!("-connect={}", self.meeting)];
        let started = (0..ATTEMPTS).find_map(|_| Node::start(self.folder.path().join("third"), more()));
        started.expect("litecoind starts on free ports")
    }

    /// Returns a new address of the pool's wallet.
    pub fn pool_address(&self) -> String {
        self.near.ask("getnewaddress", &[]).as_str().unwrap().to_owned()
    }

    /// Returns a new address that is not the pool's, of a kind: `legacy`, `p2sh-segwit` or `bech32`.
    pub fn payee(&self, kind: &str) -> String {
        self.far.ask("getnewaddress", &["", kind]).as_str().unwrap().to_owned()
    }
}

impl Node {
    /// Starts a node and waits until it answers. `None` where it does not start: another process took its port.
    fn start(folder: PathBuf, more: Vec<String>) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mut node = Self { child: None, folder, rpc_port: free_port(), more };
        node.rise().then_some(node)
    }

    /// Starts the process again, on the same ports and data. `false` where it ended at once.
    pub fn rise(&mut self) -> bool {
        let (folder, port) = (self.folder.display(), self.rpc_port);
        let child = Command::new("litecoind")
            .args(["-regtest", "-server=1", "-dnsseed=0", "-dns=0", "-discover=0", "-upnp=0", "-listenonion=0"])
            .args([
                "-rpcbind=127.0.0.1",
                "-rpcallowip=127.0.0.1",
                "-fallbackfee=0.001",
                "-rpcworkqueue=64",
                RPC_THREADS,
            ])
            .args([format!("-datadir={folder}"), format!("-rpcport={port}")])
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if child.try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            // Without a process of its own the port would be another's.
            if self.folder.join("regtest/.cookie").is_file()
                && run_cli(&self.folder, port, &["getblockcount"]).status.success()
            {
                return true;
            }
            assert!(Instant::now() < deadline, "litecoind does not answer");
        }
    }

    /// Calls a function of the node or of its wallet; parameters are text or JSON. Returns its answer.
    #[track_caller]
    pub fn ask(&self, method: &str, parameters: &[&str]) -> Value {
        self.try_ask(method, parameters).unwrap_or_else(|error| panic!("{method} {parameters:?}: {error}"))
    }

    /// Calls a function that may fail; the error is the node's text.
    pub fn try_ask(&self, method: &str, parameters: &[&str]) -> Result<Value, String> {
        let output = run_cli(&self.folder, self.rpc_port, &[&[method], parameters].concat());
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        Ok(serde_json::from_str(text.trim()).unwrap_or_else(|_| json!(text.trim())))
    }

    /// Mines blocks that pay nobody.
    pub fn generate(&self, count: u64) {
        self.ask("generatetodescriptor", &[&count.to_string(), NOBODY]);
    }

    /// Returns the height of its tip.
    pub fn height(&self) -> u64 {
        self.ask("getblockcount", &[]).as_u64().unwrap()
    }

    /// Returns what lies at an address by the node's own set of unspent outputs, in atoms.
    pub fn unspent_at(&self, address: &str) -> u64 {
        atoms(&self.ask("scantxoutset", &["start", &json!([format!("addr({address})")]).to_string()])["total_amount"])
    }

    /// Where it listens for calls.
    pub fn port(&self) -> u16 {
        self.rpc_port
    }

    /// The number that the system knows it by.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// The file with its credentials, which it writes anew at each start.
    pub fn cookie(&self) -> PathBuf {
        self.folder.join("regtest/.cookie")
    }

    /// Ends it as a loss of power would.
    pub fn fall(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Ended already, perhaps.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.fall();
    }
}

fn run_cli(folder: &Path, port: u16, arguments: &[&str]) -> Output {
    Command::new("litecoin-cli")
        .args(["-regtest".to_owned(), format!("-datadir={}", folder.display()), format!("-rpcport={port}")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Reads an amount of coins. A test's amounts are far below what a float holds exactly.
pub fn atoms(coins: &Value) -> u64 {
    let coins = coins.as_f64().unwrap_or_else(|| panic!("{coins} is no amount"));
    format!("{:.0}", coins * 1e8).parse().unwrap()
}

/// The Python miner.
pub struct Miner(Option<Child>);

impl Miner {
    /// Starts it. `None` where there is no Python.
    pub fn start(stratum: &str, user: &str, more: &[&str]) -> Option<Self> {
        Self::start_at(&format!("stratum+tcp://{stratum}"), user, more)
    }

    /// Starts it for a pool that is named with its protocol.
    pub fn start_at(url: &str, user: &str, more: &[&str]) -> Option<Self> {
        let python = program("python3")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/stratum_miner.py");
        let child = Command::new(python)
            .args([script, "--url", url, "--user", user, "--retries", "1000"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Some(Self(Some(child)))
    }

    /// Waits until it has mined what it was told to, and returns what it said.
    #[track_caller]
    pub fn finish(mut self) -> String {
        let output = self.0.take().expect("it is waited for once").wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "the miner ended with {}\n{said}", output.status);
        said
    }

    /// Stops it, and returns what it said.
    pub fn stop(mut self) -> String {
        let child = self.0.take().expect("it is waited for once");
        // By the signal that lets it end its own processes.
        signal(child.id(), "TERM");
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // By the signal that lets it end its own processes.
            signal(child.id(), "TERM");
            let _ = child.wait();
        }
    }
}
