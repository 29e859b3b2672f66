//! A whole node that has nothing fetches a long chain from one peer.

use super::{headers, row};
use crate::bench::figures::{Figures, Spent};
use crate::bench::grouped;
use crate::bench::headers::first_nonce;
use crate::bench::pool::free_port;
use crate::plugin::{NoWork, rolled};
use crate::run::Opened;
use adit_chain::{Block, Chain, CoinbaseData, HeaderChain, Output, SecretKey, Transaction};
use adit_node::api::peers::PeersResponse;
use adit_primitives::Amount;
use adit_primitives::contract::{Draft, SearchJob};
use adit_primitives::engine::{RulesEngine, SharedView};
use adit_primitives::storage::Storage;
use adit_store::{Options, Store};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks that are kept by one commit while the chain is made.
const GROUP: usize = 512;

/// Between two looks at how far the node is.
const GLANCE: Duration = Duration::from_millis(25);

/// How long nothing new may come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes a chain of so many blocks, starts both nodes, and prints what was seen.
pub fn print(blocks: u32) -> Result<()> {
    let folder = Folder::make()?;
    let from = Node::write(&folder, "from", None)?;
    let start = Instant::now();
    make_chain(&from.file, blocks)?;
    let made = start.elapsed();
    let from = from.start()?;
    from.wait_for_blocks(blocks)?;
    let rate = |count: u32, time: Duration| {
        grouped(u64::from(count) * 1000 / u64::try_from(time.as_millis()).unwrap_or(1).max(1))
    };
    println!("\na node without a chain and one peer with {} blocks, made in {made:.0?}", grouped(blocks.into()));
    let alone = blocks.min(headers::HEADERS_MAX);
    let took = headers::follow(&Node::write(&folder, "headers", None)?.file, from.port, alone)?;
    row("  headers alone placed, a second", rate(alone, took));
    let to = Node::write(&folder, "to", Some(from.port))?.start()?;
    let took = to.follow(&from, blocks)?;
    let rate = |time: Duration| rate(blocks, time);
    row("  headers placed beside the blocks, a second", rate(took.headers));
    row("  blocks placed, a second, headers included", rate(took.blocks));
    row("  in all", format!("{:.2?}", took.blocks));
    row("  CPU time of the node that fetches", format!("{:.2?}", took.cpu_to.cpu));
    for (name, cpu) in took.cpu_to.threads.iter().filter(|(_, cpu)| **cpu * 20 >= took.blocks) {
        row(&format!("    {name}"), format!("{cpu:.2?}"));
    }
    row("  CPU time of its peer", format!("{:.2?}", took.cpu_from.cpu));
    row("  its memory, MB", grouped(took.memory_to_bytes / 1_000_000));
    Ok(())
}

/// A folder that goes when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("adit-bench-net-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A whole node.
struct Node {
    file: PathBuf,
    port: u16,
    api: u16,
    child: Option<Child>,
}

/// How long it took until all was there, and what that cost.
struct Took {
    headers: Duration,
    blocks: Duration,
    cpu_to: Spent,
    cpu_from: Spent,
    memory_to_bytes: u64,
}

impl Node {
    fn write(folder: &Folder, name: &str, bootstrap: Option<u16>) -> Result<Self> {
        let (port, api) = (free_port()?, free_port()?);
        let file = folder.0.join(format!("{name}.toml"));
        let bootstrap = bootstrap.map_or_else(String::new, |port| format!("\"127.0.0.1:{port}\""));
        let data = folder.0.join(name);
        fs::write(&file, chain_toml(port, api, &bootstrap, &data))?;
        Ok(Self { file, port, api, child: None })
    }

    fn start(mut self) -> Result<Self> {
        let program = std::env::current_exe().context("where this program lies is not known")?;
        let mut command = Command::new(program);
        command.args(["--log", "warn", "node"]).arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().context("a node does not start")?);
        Ok(self)
    }

    fn peers(&self) -> Result<PeersResponse> {
        crate::stats::ask(&format!("http://127.0.0.1:{}", self.api), None, "peers")
    }

    fn figures(&self) -> Result<Figures> {
        Figures::of(self.child.as_ref().context("the node is not running")?.id())
    }

    /// Waits until the node answers, and has so many blocks.
    fn wait_for_blocks(&self, blocks: u32) -> Result<()> {
        let start = Instant::now();
        while self.peers().map_or(0, |peers| peers.sync.blocks) < u64::from(blocks) {
            if start.elapsed() > PATIENCE {
                bail!("the node with the chain does not answer");
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Looks at the node until it has all blocks, from its first answer on. It tells twice a second how far it is: figures are no better than that.
    fn follow(&self, from: &Self, blocks: u32) -> Result<Took> {
        let (mut begun, mut headers, mut newest) = (None, None, (0, Instant::now()));
        let served = from.figures()?;
        loop {
            let now = Instant::now();
            if let Ok(peers) = self.peers() {
                if begun.is_none() {
                    begun = Some((now, self.figures()?));
                }
                if peers.sync.headers >= u64::from(blocks) {
                    headers = headers.or(Some(now));
                }
                if peers.sync.blocks > newest.0 {
                    newest = (peers.sync.blocks, now);
                }
            }
            if let (Some((begun, spent)), Some(headers)) = (&begun, headers)
                && newest.0 >= u64::from(blocks)
            {
                let took = self.figures()?;
                return Ok(Took {
                    headers: headers - *begun,
                    blocks: now - *begun,
                    cpu_to: took.since(spent),
                    cpu_from: from.figures()?.since(&served),
                    memory_to_bytes: took.memory_bytes,
                });
            }
            if newest.1.elapsed() > PATIENCE {
                bail!("nothing came for {PATIENCE:?}, after {} blocks", newest.0);
            }
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A chain on the disk, where a node of the same file keeps it.
pub(super) struct Kept {
    pub chain: Chain,
    pub rules: Arc<dyn RulesEngine>,
    pub storage: Arc<dyn Storage>,
}

impl Kept {
    pub(super) fn open(opened: &Opened) -> Result<Self> {
        let chosen = &opened.chain;
        let node = &chosen.settings.node;
        fs::create_dir_all(&node.data_dir)?;
        let store = Store::open(&Options { path: node.data_dir.join("chain"), cache_bytes: 16 << 20 })?;
        let rules: Arc<dyn RulesEngine> = Arc::new(chosen.consensus.plugin.rules(&chosen.consensus.config)?);
        let hash = chosen.hash.plugin.hash(&chosen.hash.config)?;
        let config = adit_node::run::chain_config(&chosen.rules, chosen.ledger.clone(), node);
        let storage: Arc<dyn Storage> = Arc::new(store);
        let chain = Chain::open(config, Arc::clone(&storage), Arc::clone(&rules), Box::new(hash))?;
        Ok(Self { chain, rules, storage })
    }
}

/// Makes blocks with a coinbase each, and writes them where the node of this file finds them.
fn make_chain(file: &Path, blocks: u32) -> Result<()> {
    let opened = crate::run::open(file.to_owned())?;
    let Kept { mut chain, rules, .. } = Kept::open(&opened)?;
    let hash = || opened.chain.hash.plugin.hash(&opened.chain.hash.config);
    let mut checker = chain.checker(Box::new(NoWork));
    let mut headers = HeaderChain::from_genesis(Arc::clone(&rules), Box::new(NoWork))?;
    let (mut search, key) = (hash()?, SecretKey::from_bytes([7; 32])?);
    let now = (crate::run::clock())();
    let mut group = Vec::new();
    for number in 1..=blocks {
        let view: SharedView = Arc::clone(headers.index()) as SharedView;
        let next = rules.next(&view, &[headers.tip().id], None)??;
        let reward = Output { amount: Amount::from_atoms(next.subsidy), key: key.public() };
        let data = CoinbaseData { height: next.height, extra: Vec::new() };
        let mut block = Block { header: Vec::new(), body: vec![Transaction::coinbase(&data, vec![reward])] };
        let draft =
            Draft { parents: next.parents, bits: next.bits, time: next.earliest, body_root: block.body_root()? };
        let template = rules.encode(&draft)??;
        let pow = template.pow;
        let rolled = rolled(&pow);
        let job = SearchJob {
            inputs: vec![pow.bytes],
            nonce_offset: pow.nonce_offset,
            nonce_bytes: pow.nonce_bytes,
            target: template.target,
        };
        block.header = rules.seal(&template.header, first_nonce(&mut search, &job)?, rolled)??;
        headers.append(std::slice::from_ref(&block.header))?;
        group.push(block);
        if group.len() == GROUP || number == blocks {
            let checked = checker.check_all(std::mem::take(&mut group)).into_iter().collect::<Result<_, _>>()?;
            for answer in chain.submit_blocks(now, checked) {
                answer?;
            }
        }
    }
    Ok(())
}

fn chain_toml(port: u16, api: u16, bootstrap: &str, data: &Path) -> String {
    format!(
        r#"
[chain]
name = "bench"
network = "devnet"

[consensus]
plugin = "longest-chain"

[consensus.config]
header = "adit"

[consensus.config.genesis]
time-seconds = 1700000000
difficulty = 1
message = "bench"

[consensus.config.retarget]
rule = "interval"
enabled = false
difficulty = 1
spacing-seconds = 1

[consensus.config.subsidy]
initial-atoms = 5_000_000_000

[hash]
plugin = "sha256d"

[ledger]
address-prefix = "bench"
coinbase-maturity = 10

[miner]
enabled = false

[node]
api = "127.0.0.1:{api}"
data-dir = "{data}"

[network]
listen = ["127.0.0.1:{port}"]
bootstrap = [{bootstrap}]
lan = false
table = false
traversal = false
"#,
        data = data.display()
    )
}
