//! `adit plugin`: from an empty folder to a component that runs the same everywhere.

mod pool;

use crate::config::plugins::bytes_of;
use crate::sandbox;
use adit_chain::HeaderChain;
use adit_plugin_host::{Kind, Plugin, PluginSource, Sandbox, Settings, Variant};
use adit_plugin_sdk::build::{Component, Options, build_component};
use adit_plugin_sdk::scaffold;
use adit_plugin_sdk::testing::{Vector, read_payout_vectors, read_quorum_vectors, read_share_vectors, read_vectors};
use adit_primitives::contract::{Draft, PowInput, SearchJob};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine, SharedView};
use adit_primitives::{Encode, Hash256, Target, U256};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Headers that `adit plugin test` builds and judges with a consensus plugin.
const TEST_HEADERS: usize = 50;

#[derive(clap::Subcommand)]
pub enum PluginCommand {
    /// Write a new plugin's crate: sources, test vectors, the SDK.
    New {
        /// The plugin's name: lower-case words joined by dashes. Also the folder.
        name: String,
        #[arg(long, value_enum, default_value_t = NewKind::Hash)]
        kind: NewKind,
    },
    /// Build a crate to a component.
    Build {
        /// The crate's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where to write the component: `<name>.wasm` in the crate's folder unless told otherwise.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run a plugin's own tests and its vectors, in every way in which a host may run it.
    Test {
        /// The crate's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Show what a component is: kind, digest, imports, exports, settings.
    Inspect {
        /// A component's file, or a bundled plugin's name.
        plugin: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum NewKind {
    Hash,
    Consensus,
    Payout,
    Shares,
}

/// Runs a command on a plugin.
pub fn run(command: PluginCommand) -> Result<ExitCode> {
    match command {
        PluginCommand::New { name, kind } => {
            let kind = match kind {
                NewKind::Hash => scaffold::Kind::Hash,
                NewKind::Consensus => scaffold::Kind::Consensus,
                NewKind::Payout => scaffold::Kind::Payout,
                NewKind::Shares => scaffold::Kind::Shares,
            };
            let folder = PathBuf::from(&name);
            scaffold::scaffold(kind, &name, &folder)?;
            println!("wrote {name}/; next: adit plugin build {name}");
        }
        PluginCommand::Build { folder, out } => {
            let (component, path) = build(&folder, out)?;
            println!("{}: {} bytes, blake3:{}", path.display(), component.bytes.len(), component.digest);
        }
        PluginCommand::Test { folder } => return test(&folder),
        PluginCommand::Inspect { plugin } => inspect(&plugin)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn build(folder: &Path, out: Option<PathBuf>) -> Result<(Component, PathBuf)> {
    let options = Options { target_dir: folder.join("target/component"), show_progress: true };
    let component = build_component(folder, &options)?;
    // What was built is checked as a chain would: an error belongs here, not into the chain that first names the file.
    sandbox::open()?
        .load(&PluginSource { bytes: component.bytes.clone(), pinned: None })
        .context("the component was built, but no host would load it")?;
    let path = out.unwrap_or_else(|| folder.join(format!("{}.wasm", component.name)));
    std::fs::write(&path, &component.bytes).with_context(|| format!("failed to write {}", path.display()))?;
    Ok((component, path))
}

fn inspect(name: &str) -> Result<()> {
    let bytes = bytes_of(name, Path::new("")).map_err(anyhow::Error::msg)?;
    let plugin = sandbox::open()?.load(&PluginSource { bytes, pinned: None })?;
    let info = plugin.info();
    println!("{} {} ({})", info.name, info.version, info.kind);
    println!("{}", info.summary);
    println!("digest   blake3:{}", info.digest);
    println!("size     {} bytes", info.size);
    println!("imports  {}", info.imports.join(", "));
    println!("exports  {}", info.exports.join(", "));
    let schema: serde_json::Value = serde_json::from_str(&info.schema)?;
    println!("config   {}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}

fn test(folder: &Path) -> Result<ExitCode> {
    println!("native: cargo test");
    let status = Command::new("cargo")
        .arg("test")
        .arg("--quiet")
        .current_dir(folder)
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "the crate's own tests fail");
    let (component, _) = build(folder, None)?;
    let vectors = file_of(folder, "vectors.json")?;
    let quorum_vectors = file_of(folder, "quorum.json")?;
    let mut checked = 0;
    let mut failed = 0;
    let mut first: Option<Vec<u8>> = None;
    for variant in Variant::ALL {
        let sandbox = Sandbox::new(variant.apply(&Settings::STANDARD))?;
        let plugin = sandbox.load(&PluginSource { bytes: component.bytes.clone(), pinned: None })?;
        let vectors = vectors.as_deref();
        let outcome = match plugin.info().kind {
            Kind::Hash => {
                let vectors = vectors.map_or(Ok(Vec::new()), read_vectors)?;
                checked = vectors.len();
                test_hash(&plugin, &vectors)
            }
            Kind::Consensus => test_rules(&plugin),
            Kind::Payout => {
                let vectors = vectors.map_or(Ok(Vec::new()), read_payout_vectors)?;
                checked = vectors.len();
                pool::test_payout(&plugin, &vectors)
            }
            Kind::Shares => {
                let vectors = vectors.map_or(Ok(Vec::new()), read_share_vectors)?;
                let quorum = quorum_vectors.as_deref().map_or(Ok(Vec::new()), read_quorum_vectors)?;
                checked = vectors.len() + quorum.len();
                pool::test_shares(&plugin, &vectors, &quorum)
            }
        };
        let outcome = outcome.and_then(|answers| match &first {
            Some(first) if *first != answers => bail!("the answers differ from those of the first way"),
            _ => {
                first.get_or_insert(answers);
                Ok(())
            }
        });
        match outcome {
            Ok(()) => println!("ok      {variant}"),
            Err(error) => {
                failed += 1;
                println!("FAILED  {variant}: {error:#}");
            }
        }
    }
    println!("{} ways, {failed} failed; {checked} vectors", Variant::ALL.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a file of vectors, where the folder has it.
fn file_of(folder: &Path, name: &str) -> Result<Option<String>> {
    let path = folder.join(name);
    if path.is_file() { Ok(Some(std::fs::read_to_string(&path)?)) } else { Ok(None) }
}

/// Runs the vectors, a batch of other inputs, and a search. Returns every answer, so that ways to run can be compared.
fn test_hash(plugin: &Plugin, vectors: &[Vector]) -> Result<Vec<u8>> {
    for (number, vector) in vectors.iter().enumerate() {
        let digest = plugin.hash(&vector.config)?.digest(&vector.input)?;
        ensure!(digest == vector.digest, "vector {number}: the digest is {digest}, {} is wanted", vector.digest);
    }
    let config = vectors.first().map_or("{}", |vector| &vector.config);
    let mut hash = plugin
        .hash(config)
        .context("the plugin needs settings: give the first vector a config, or every key a default")?;
    // Inputs that differ in every byte, from a counter: no vector file has to spell them out.
    let inputs: Vec<u8> = (0u32..64 * 80).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut digests = Vec::new();
    hash.digest_many(&inputs, 80, &mut digests)?;
    for (input, digest) in inputs.chunks(80).zip(&digests) {
        ensure!(hash.digest(input)? == *digest, "digest-many and digest disagree");
    }
    let job = SearchJob {
        inputs: vec![inputs[..80].to_vec()],
        nonce_offset: 76,
        nonce_bytes: 4,
        target: Target(U256::MAX >> 4),
    };
    let mut scan = hash.search(&job, u64::from(u32::MAX) - 9, 64)?;
    scan.found.sort_unstable();
    let mut expected = Vec::new();
    for step in 0..scan.scanned {
        let nonce = (u64::from(u32::MAX) - 9 + step) & u64::from(u32::MAX);
        let mut input = job.inputs[0].clone();
        job.write_nonce(&mut input, nonce);
        if job.target.is_met_by(&hash.digest(&input)?.0) {
            expected.push(nonce);
        }
    }
    expected.sort_unstable();
    let found: Vec<u64> = scan.found.iter().map(|found| found.nonce).collect();
    ensure!(found == expected, "search finds {found:?}, digest says {expected:?}");
    let mut answers = digests.to_bytes();
    found.encode(&mut answers);
    Ok(answers)
}

/// A hash of zeros, which meets every target: rules are tested and measured without mining.
pub struct NoWork;

impl HashEngine for NoWork {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks(each.max(1)).map(|_| Hash256::default()));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<adit_primitives::contract::Scan, Fault> {
        Ok(adit_primitives::contract::Scan::default())
    }
}

/// Returns the rolled field as it stands in the bytes to hash; 0 where nothing may be rolled.
pub fn rolled(pow: &PowInput) -> u32 {
    let offset = pow.roll_offset as usize;
    let field = pow.bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).filter(|_| pow.roll_mask != 0);
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

/// Builds a chain of headers by the plugin's own `next`, `encode` and `seal`, and lets `place` judge it.
fn test_rules(plugin: &Plugin) -> Result<Vec<u8>> {
    let rules: Arc<dyn RulesEngine> = Arc::new(
        plugin.rules("{}").context("the plugin needs settings: give every key a default, so that it can be tested")?,
    );
    let mut chain = HeaderChain::from_genesis(Arc::clone(&rules), Box::new(NoWork))?;
    let mut answers = Vec::new();
    for _ in 0..TEST_HEADERS {
        let view: SharedView = Arc::clone(chain.index()) as SharedView;
        let next = rules.next(&view, &[chain.tip().id], None)??;
        let draft =
            Draft { parents: next.parents.clone(), bits: next.bits, time: next.earliest, body_root: Hash256([1; 32]) };
        let template = rules.encode(&draft)??;
        let header = rules.seal(&template.header, 1, rolled(&template.pow))??;
        chain.append(std::slice::from_ref(&header))?;
        next.encode(&mut answers);
        header.encode(&mut answers);
        chain.tip().encode(&mut answers);
    }
    Ok(answers)
}
