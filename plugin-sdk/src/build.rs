//! Builds a plugin's crate to a component: the same bytes from the same sources and toolchain, in whatever folder they lie.
//!
//! Needs cargo and its wasm target, nothing else. Never reads the surrounding cargo's settings: flags come from here alone.

use adit_primitives::Hash256;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wit_component::DecodedWasm;

const TARGET: &str = "wasm32-unknown-unknown";

/// The settings of a component build.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where cargo keeps what it has built. Shared by several plugins, so that they build the SDK once.
    pub target_dir: PathBuf,
    /// Whether cargo's messages go straight to standard error. Otherwise they are kept for [`BuildError::Cargo`].
    pub show_progress: bool,
}

/// A plugin as the host loads it.
#[derive(Debug, Clone)]
pub struct Component {
    /// The crate's name.
    pub name: String,
    pub bytes: Vec<u8>,
    /// BLAKE3 of the bytes.
    pub digest: Hash256,
    /// The folders of the crates that were built from local sources: the plugin, the SDK and what they stand on.
    pub sources: Vec<PathBuf>,
}

/// Why a crate did not become a component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot run {program}: {source}")]
    Run { program: String, source: std::io::Error },
    #[error("the toolchain cannot build for {TARGET}: run `rustup target add {TARGET}`")]
    TargetMissing,
    #[error("cargo failed:\n{messages}")]
    Cargo { messages: String },
    #[error("cannot understand what cargo says: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("there is no crate in {}", dir.display())]
    NoCrate { dir: PathBuf },
    #[error(
        "{name} is built to no wasm module: its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]`"
    )]
    NoModule { name: String },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{name} exports no plugin: its crate needs `export_hash!(…)`, `export_consensus!(…)`, `export_payout!(…)` or `export_shares!(…)`"
    )]
    NoExport { name: String },
    #[error("{name} does not fit the plugin contract: {detail}")]
    Encode { name: String, detail: String },
}

/// Builds the crate in `manifest_dir` to a component.
pub fn build_component(manifest_dir: &Path, options: &Options) -> Result<Component, BuildError> {
    let toolchain = Toolchain::find()?;
    let manifest = manifest_dir.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(|source| BuildError::Read { path: manifest, source })?;
    let workspace = Workspace::read(&manifest)?;
    let package = workspace.package(&manifest).ok_or_else(|| BuildError::NoCrate { dir: manifest_dir.to_owned() })?;
    let target_dir = std::path::absolute(&options.target_dir)
        .map_err(|source| BuildError::Read { path: options.target_dir.clone(), source })?;
    let flags = flags(&toolchain, &workspace, &target_dir);
    let module = build_module(&manifest, package, &target_dir, flags, options.show_progress)?;
    let name = &package.name;
    let unfit = |error| BuildError::Encode { name: name.clone(), detail: format!("{error:#}") };
    let bytes = encode(&module).map_err(unfit)?;
    if !has_exports(&bytes).map_err(unfit)? {
        return Err(BuildError::NoExport { name: name.clone() });
    }
    Ok(Component {
        name: name.clone(),
        digest: Hash256(*blake3::hash(&bytes).as_bytes()),
        bytes,
        sources: workspace.local_dirs(package),
    })
}

/// What has to be known of the compiler.
struct Toolchain {
    sysroot: PathBuf,
    commit: String,
}

impl Toolchain {
    fn find() -> Result<Self, BuildError> {
        let sysroot = PathBuf::from(text(run(rustc().args(["--print", "sysroot"]))?).trim());
        if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
            return Err(BuildError::TargetMissing);
        }
        let version = text(run(rustc().arg("-vV"))?);
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
        Ok(Self { sysroot, commit: commit.to_owned() })
    }
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Workspace {
    workspace_root: PathBuf,
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

impl Workspace {
    fn read(manifest: &Path) -> Result<Self, BuildError> {
        let output = run(cargo(manifest, "metadata").args(["--format-version", "1", "--filter-platform", TARGET]))?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn package(&self, manifest: &Path) -> Option<&Package> {
        self.packages.iter().find(|package| package.manifest_path == manifest)
    }

    /// Returns the folders of `package` and of the crates below it that come from no registry.
    fn local_dirs(&self, package: &Package) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut left = vec![package.id.as_str()];
        while let Some(id) = left.pop() {
            if seen.insert(id)
                && let Some(node) = self.resolve.nodes.iter().find(|node| node.id == id)
            {
                let linked =
                    node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|dep| dep.kind.as_deref() != Some("dev")));
                left.extend(linked.map(|dep| dep.pkg.as_str()));
            }
        }
        let local =
            self.packages.iter().filter(|package| package.source.is_none() && seen.contains(package.id.as_str()));
        local.filter_map(|package| package.manifest_path.parent()).map(Path::to_owned).collect()
    }

    /// Returns the folders that hold the crates of registries: each crate lies in one of them.
    fn registry_dirs(&self) -> BTreeSet<&Path> {
        let foreign = self.packages.iter().filter(|package| package.source.is_some());
        foreign.filter_map(|package| package.manifest_path.parent()?.parent()).collect()
    }
}

/// Returns the compiler's flags. Where several prefixes fit, the last one counts.
fn flags(toolchain: &Toolchain, workspace: &Workspace, target_dir: &Path) -> OsString {
    // A product of two words of 64 bits is a call in WebAssembly, one of 32 bits an instruction: curves are computed by the latter.
    let mut flags = vec![OsString::from("-Ctarget-feature=+simd128"), OsString::from("--cfg=cpubits=\"32\"")];
    let mut remap = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    };
    remap(&workspace.workspace_root, "/plugin");
    remap(target_dir, "/target");
    workspace.registry_dirs().into_iter().for_each(|dir| remap(dir, "/crates"));
    remap(&toolchain.sysroot.join("lib/rustlib/src/rust"), &format!("/rustc/{}", toolchain.commit));
    flags.join(&OsString::from("\u{1f}"))
}

/// The profile, given on the command line so that a plugin outside this workspace is built like one inside it.
const PROFILE: [&str; 9] = [
    "profile.plugin.inherits='release'",
    "profile.plugin.opt-level=3",
    "profile.plugin.codegen-units=1",
    "profile.plugin.lto=true",
    "profile.plugin.panic='abort'",
    "profile.plugin.strip='debuginfo'",
    "profile.plugin.debug=false",
    "profile.plugin.overflow-checks=false",
    "profile.plugin.incremental=false",
];

fn build_module(
    manifest: &Path,
    package: &Package,
    target_dir: &Path,
    flags: OsString,
    show_progress: bool,
) -> Result<Vec<u8>, BuildError> {
    let mut command = cargo(manifest, "build");
    command.args(["--lib", "--target", TARGET, "--profile", "plugin", "--target-dir"]).arg(target_dir);
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    command.args(["--message-format", "json-render-diagnostics"]);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    if show_progress {
        command.stderr(std::process::Stdio::inherit());
    }
    let output = run(&mut command)?;
    let path =
        module_path(&output.stdout, package).ok_or_else(|| BuildError::NoModule { name: package.name.clone() })?;
    std::fs::read(&path).map_err(|source| BuildError::Read { path, source })
}

/// A line of `cargo build --message-format json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    package_id: Option<String>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

fn module_path(messages: &[u8], package: &Package) -> Option<PathBuf> {
    let messages =
        messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let own = messages.filter(|message| message.package_id.as_ref() == Some(&package.id));
    own.flat_map(|message| message.filenames).find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    wit_component::ComponentEncoder::default().validate(true).module(module)?.encode()
}

fn has_exports(component: &[u8]) -> anyhow::Result<bool> {
    Ok(match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => !resolve.worlds[world].exports.is_empty(),
        DecodedWasm::WitPackage(..) => false,
    })
}

fn rustc() -> Command {
    isolated(Command::new("rustc"))
}

fn cargo(manifest: &Path, command: &str) -> Command {
    let mut cargo = isolated(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())));
    cargo.arg(command).arg("--manifest-path").arg(manifest);
    // Settings are looked for from the working folder upwards.
    if let Some(dir) = manifest.parent() {
        cargo.current_dir(dir);
    }
    cargo
}

/// Takes away what a surrounding cargo, clippy or build script sets for its own build.
fn isolated(mut command: Command) -> Command {
    const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    const OWN: [&str; 15] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "MAKEFLAGS",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
    ];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let cargo_own = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
        if cargo_own || OWN.contains(&name.as_str()) || name.starts_with("CLIPPY_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Result<Output, BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| BuildError::Run { program, source })?;
    match output.status.success() {
        true => Ok(output),
        false => Err(BuildError::Cargo { messages: String::from_utf8_lossy(&output.stderr).into_owned() }),
    }
}

fn text(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
