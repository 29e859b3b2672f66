//! Starting the binary, reading what it says, asking its API.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A guard against waiting for ever: no test passes or fails by how long something takes below it.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How long to wait before looking again.
const GLANCE: Duration = Duration::from_millis(20);

/// A folder for one test.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a chain that mines a block about each second, at an API port of the system's choice.
    pub fn fast_chain(&self, name: &str, more: &str) -> PathBuf {
        self.write(&format!("{name}.toml"), &format!("{}{more}", fast_chain_text(name)))
    }

    /// The command, run in this folder, with compiled plugins shared by all tests.
    pub fn adit(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
        command.args(arguments).current_dir(self.folder.path()).env("ADIT_CACHE", cache()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.adit(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    #[track_caller]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?} ended with {}\n{out}\n{err}", output.status);
        out
    }

    /// Runs a command that must fail, and returns what it printed, errors last.
    #[track_caller]
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{arguments:?} said\n{said}");
        said
    }

    /// Starts a command that runs until it is told to end.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.adit(&[&["--json"], arguments].concat()))
    }
}

/// Reads what was printed as one document of JSON.
#[track_caller]
pub fn parsed(said: &str) -> Value {
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One cache for all tests of a run: plugins are compiled once.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("adit-cache"))
}

fn fast_chain_text(name: &str) -> String {
    format!(
        r#"
[chain]
name = "{name}"
network = "devnet"
[consensus]
plugin = "longest-chain"
[consensus.config]
header = "adit"
[consensus.config.genesis]
time-seconds = 1700000000
difficulty = 2
message = "{name}"
[consensus.config.retarget]
rule = "interval"
difficulty = 4
min = 1
max = 12
spacing-seconds = 1
interval = 10
steps = "measured"
[consensus.config.subsidy]
initial-atoms = 5_000_000_000
[hash]
plugin = "sha256d"
[ledger]
address-prefix = "tt"
coinbase-maturity = 2
[node]
api = "127.0.0.1:0"
data-dir = "data-{name}"
"#
    )
}

/// A running `adit`.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    /// Everything that the log said so far.
    pub log: Vec<Value>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, log: Vec::new() }
    }

    /// Waits for a line of the log that `wanted` picks something from.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("no {what} came in time; the log: {:#?}", self.log),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the process ended ({:?}) before {what}; the log: {:#?}", self.child.wait(), self.log)
                }
            };
            let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
            let picked = wanted(&entry);
            self.log.push(entry);
            if let Some(picked) = picked {
                return picked;
            }
        }
    }

    /// Waits until the API listens, and returns its URL.
    #[track_caller]
    pub fn url(&mut self) -> String {
        let address = self.wait_for("address of the API", |entry| {
            let fields = entry.get("fields")?;
            (fields.get("message")? == "the API listens").then(|| fields["address"].as_str().unwrap().to_owned())
        });
        format!("http://{address}")
    }

    /// Asks the process to end, as Ctrl-C does, and waits.
    pub fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process did not end");
            std::thread::park_timeout(GLANCE);
        }
    }

    /// Ends the process as a loss of power would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The number that the system knows it by.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, where a test got that far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the API. Every status has a body of JSON.
pub fn get(url: &str, path: &str) -> (u16, Value) {
    let mut answer = agent().get(format!("{url}{path}")).call().unwrap();
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_json().unwrap_or(Value::Null))
}

/// Posts to the API.
pub fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut answer = agent().post(format!("{url}{path}")).send_json(body).unwrap();
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_json().unwrap_or(Value::Null))
}

/// A client for which every status is an answer.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// Asks again and again until the answer is the wanted one.
#[track_caller]
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::park_timeout(GLANCE);
    }
}

/// The number of blocks, the genesis among them.
pub fn length(url: &str) -> u64 {
    get(url, "/status").1["blockchain_length"].as_u64().unwrap_or(0)
}

/// Waits for a number of blocks.
#[track_caller]
pub fn wait_for_length(url: &str, wanted: u64) {
    wait_until(&format!("block {wanted}"), || (length(url) >= wanted).then_some(()));
}

/// A miner address in an otherwise empty request for work.
pub fn work_request(address: &str) -> Value {
    json!({ "miner_address": address, "client_version": "2.0" })
}
