//! From bytes to a plugin that can be started.

use crate::abi::{Contract, Description, Kind, v0_1};
use crate::consensus::SandboxedRules;
use crate::engine::{Chamber, Sandbox};
use crate::hash::SandboxedHash;
use crate::inspect::{CONTRACT_VERSION, Format, Outline, PluginInfo, format, outline};
use crate::instance::Instance;
use crate::payout::SandboxedPayout;
use crate::quorum::SandboxedQuorum;
use crate::shares::SandboxedShares;
use adit_primitives::Hash256;
use adit_primitives::engine::Fault;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::Component;

const NAME_BYTES_MAX: usize = 32;
const VERSION_BYTES_MAX: usize = 64;
const SUMMARY_BYTES_MAX: usize = 300;
const SCHEMA_BYTES_MAX: usize = 1 << 20;
const CONFIG_BYTES_MAX: usize = 1 << 20;

/// A plugin's file, read once and kept.
#[derive(Debug, Clone)]
pub struct PluginSource {
    /// A component.
    pub bytes: Vec<u8>,
    /// The BLAKE3 digest that the bytes must have.
    pub pinned: Option<Hash256>,
}

/// Why a file is not a plugin that this host runs.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the file has {bytes} bytes, {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error("the file's digest is blake3:{got}, but blake3:{want} is pinned")]
    Digest { want: Hash256, got: Hash256 },
    #[error("the file is no WebAssembly component: it does not begin with WebAssembly's magic number")]
    NotWasm,
    #[error(
        "the file holds precompiled machine code, which would run outside the sandbox; give the component itself (*.wasm)"
    )]
    Precompiled,
    #[error("the file is damaged: {detail}")]
    Malformed { detail: String },
    #[error(
        "the file is a core module, not a component: `adit plugin build` compiles a plugin's crate for wasm32-unknown-unknown \
         and makes a component of it"
    )]
    Module,
    #[error(
        "it imports {import}, but plugins get no operating system: build it for the target wasm32-unknown-unknown, \
         not for wasm32-wasip1 or wasm32-wasip2"
    )]
    Wasi { import: String },
    #[error("it imports {import}, which a {kind} plugin does not get")]
    Import { import: String, kind: Kind },
    #[error(
        "it is built for version {found} of the plugin contract, this host speaks {CONTRACT_VERSION}: \
         rebuild it with the SDK of this release"
    )]
    Version { found: String },
    #[error(
        "it must export exactly one of adit:plugin/hash, adit:plugin/rules, adit:plugin/payout and adit:plugin/shares, which say what it \
         is for, adit:plugin/space beside the second alone and adit:plugin/quorum beside the last; `adit plugin build` builds it so"
    )]
    Kind,
    #[error("a type on its border holds a floating-point number: the contract knows integers only")]
    Float,
    #[error("it does not compile: {detail}")]
    Compile { detail: String },
    #[error("it does not fit the contract: {detail}")]
    Contract { detail: String },
    #[error("what it says of itself is wrong: {detail}")]
    Description { detail: String },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a plugin holds against its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {detail}")]
pub struct ConfigRefusal {
    /// The key as a path, `retarget.interval`; empty where no single key is at fault.
    pub key: String,
    /// What would be right.
    pub detail: String,
}

/// Why a plugin does not run with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    #[error(transparent)]
    Refused(#[from] ConfigRefusal),
    #[error("{plugin} is a {have} plugin, not a {want} plugin")]
    Kind { plugin: String, have: Kind, want: Kind },
    #[error(
        "{plugin} says nothing on how nodes of a pool agree: it does not export adit:plugin/quorum, as the bundled `quorum` does"
    )]
    NoQuorum { plugin: String },
    #[error(
        "{plugin} says nothing on plots: it does not export adit:plugin/space, as the bundled `proof-of-space` does"
    )]
    NoSpace { plugin: String },
    #[error("the configuration has {bytes} bytes, {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How a plugin's machine code came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Taken from the cache.
    Cached,
    /// Compiled; kept where there is a cache.
    Compiled,
    /// Compiled, and the cache did not take it.
    NotKept { detail: String },
}

/// A plugin: checked, compiled, and ready to be started as often as wanted.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<Loaded>);

#[derive(Debug)]
pub(crate) struct Loaded {
    pub sandbox: Arc<Sandbox>,
    /// Name, version and digest prefix: how faults name the plugin.
    pub label: String,
    pub info: PluginInfo,
    ready: Ready,
    origin: Origin,
}

enum Ready {
    Hash(<v0_1::Hash as Contract>::Ready),
    Rules(<v0_1::Rules as Contract>::Ready, Option<<v0_1::Space as Contract>::Ready>),
    Payout(<v0_1::Payout as Contract>::Ready),
    Shares(<v0_1::Shares as Contract>::Ready, Option<<v0_1::Quorum as Contract>::Ready>),
}

impl Sandbox {
    /// Loads a plugin: checks the bytes, compiles them or takes the code from the cache, and asks the plugin what it is.
    pub fn load(self: &Arc<Self>, source: &PluginSource) -> Result<Plugin, LoadError> {
        let bytes = source.bytes.as_slice();
        if bytes.len() > self.plugin_bytes_max {
            return Err(LoadError::TooLarge { bytes: bytes.len(), max: self.plugin_bytes_max });
        }
        let digest = Hash256(blake3::hash(bytes).into());
        if let Some(want) = source.pinned.filter(|want| *want != digest) {
            return Err(LoadError::Digest { want, got: digest });
        }
        let code = match self.cached(digest) {
            Some(code) => code,
            None => self.compile(bytes, digest)?,
        };
        let ready = code.resolve()?;
        let anonymous = format!("plugin blake3:{}", prefix(digest));
        let (description, schema) = match &ready {
            Ready::Hash(ready) => ask::<v0_1::Hash>(&self.services, ready, &anonymous)?,
            Ready::Rules(ready, _) => ask::<v0_1::Rules>(&self.rules, ready, &anonymous)?,
            Ready::Payout(ready) => ask::<v0_1::Payout>(&self.services, ready, &anonymous)?,
            Ready::Shares(ready, _) => ask::<v0_1::Shares>(&self.services, ready, &anonymous)?,
        };
        check_description(&description, &schema, code.kind)?;
        let Description { name, version, kind, summary } = description;
        let label = format!("{name} {version} (blake3:{})", prefix(digest));
        let Outline { imports, exports } = code.outline;
        let info = PluginInfo { name, version, kind, summary, digest, size: bytes.len(), imports, exports, schema };
        Ok(Plugin(Arc::new(Loaded { sandbox: Arc::clone(self), label, info, ready, origin: code.origin })))
    }

    fn cached(&self, digest: Hash256) -> Option<Code> {
        let cache = self.cache.as_ref()?;
        [&self.services, &self.rules].into_iter().find_map(|chamber| {
            let (outline, component) = cache.get(chamber, digest)?;
            let kind = outline.kind().ok()?;
            // Both engines may be alike, and then an entry made by one is found for the other.
            let fits = std::ptr::eq(self.chamber(kind), chamber);
            fits.then_some(Code { kind, outline, component, origin: Origin::Cached })
        })
    }

    fn compile(&self, bytes: &[u8], digest: Hash256) -> Result<Code, LoadError> {
        check_format(bytes)?;
        let outline = outline(bytes)?;
        let kind = outline.kind()?;
        let chamber = self.chamber(kind);
        let component = Component::new(&chamber.engine, bytes)
            .map_err(|error| LoadError::Compile { detail: format!("{error:#}") })?;
        let origin = match self.cache.as_ref().map(|cache| cache.put(chamber, digest, &outline, &component)) {
            None | Some(Ok(())) => Origin::Compiled,
            Some(Err(error)) => Origin::NotKept { detail: error.to_string() },
        };
        Ok(Code { kind, outline, component, origin })
    }

    fn chamber(&self, kind: Kind) -> &Chamber {
        match kind {
            Kind::Hash | Kind::Payout | Kind::Shares => &self.services,
            Kind::Consensus => &self.rules,
        }
    }
}

/// Compiled code with what its outline says.
struct Code {
    kind: Kind,
    outline: Outline,
    component: Component,
    origin: Origin,
}

impl Code {
    fn resolve(&self) -> Result<Ready, LoadError> {
        let ready = match self.kind {
            Kind::Hash => v0_1::Hash::ready(&self.component).map(Ready::Hash),
            Kind::Consensus => self.resolve_rules(),
            Kind::Payout => v0_1::Payout::ready(&self.component).map(Ready::Payout),
            Kind::Shares => self.resolve_shares(),
        };
        ready.map_err(|error| LoadError::Contract { detail: format!("{error:#}") })
    }

    fn resolve_rules(&self) -> wasmtime::Result<Ready> {
        let space = self.outline.is_space().then(|| v0_1::Space::ready(&self.component)).transpose()?;
        Ok(Ready::Rules(v0_1::Rules::ready(&self.component)?, space))
    }

    fn resolve_shares(&self) -> wasmtime::Result<Ready> {
        let quorum = self.outline.is_quorum().then(|| v0_1::Quorum::ready(&self.component)).transpose()?;
        Ok(Ready::Shares(v0_1::Shares::ready(&self.component)?, quorum))
    }
}

/// Refuses what is no component.
///
/// A core module is not made one here: the types that it carries for that are a stranger's, and the encoder that reads them is made for
/// what a compiler has just written (packages in a circle take it down with the host).
fn check_format(bytes: &[u8]) -> Result<(), LoadError> {
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    match format(bytes) {
        Format::Component => Ok(()),
        Format::Module => Err(LoadError::Module),
        Format::Foreign => Err(LoadError::NotWasm),
    }
}

fn ask<C: Contract>(chamber: &Chamber, ready: &C::Ready, plugin: &str) -> Result<(Description, String), Fault> {
    let mut instance = Instance::<C>::start(chamber, ready, plugin)?;
    let description = instance.call("describe", 0, C::describe)?;
    let schema = instance.call("schema", 0, C::schema)?;
    Ok((description, schema))
}

fn check_description(description: &Description, schema: &str, kind: Kind) -> Result<(), LoadError> {
    let Description { name, version, kind: claimed, summary } = description;
    let wrong = |detail: String| Err(LoadError::Description { detail });
    if !is_dashed(name, NAME_BYTES_MAX) {
        return wrong(format!(
            "the name {name:?} is not lower-case words joined by dashes, at most {NAME_BYTES_MAX} bytes"
        ));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    if version.is_empty() || version.len() > VERSION_BYTES_MAX || !version.bytes().all(plain) {
        return wrong(format!("the version {version:?} is not one of semantic versioning"));
    }
    if summary.len() > SUMMARY_BYTES_MAX || summary.chars().any(char::is_control) {
        return wrong(format!("the summary is not one line of at most {SUMMARY_BYTES_MAX} bytes"));
    }
    if *claimed != kind {
        return wrong(format!("it calls itself a {claimed} plugin and exports what a {kind} plugin exports"));
    }
    if schema.len() > SCHEMA_BYTES_MAX {
        return wrong(format!("the schema has {} bytes, {SCHEMA_BYTES_MAX} are allowed", schema.len()));
    }
    match serde_json::from_str(schema) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => wrong("the schema is not a JSON object".to_owned()),
        Err(error) => wrong(format!("the schema is not JSON: {error}")),
    }
}

/// Tells whether a text is lower-case words joined by dashes.
pub(crate) fn is_dashed(text: &str, bytes_max: usize) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= bytes_max && text.split('-').all(word)
}

/// The first digits of a digest: enough to tell builds apart.
fn prefix(digest: Hash256) -> String {
    digest.to_string()[..8].to_owned()
}

impl Plugin {
    /// What the plugin is, asks for and offers.
    pub fn info(&self) -> &PluginInfo {
        &self.0.info
    }

    /// The JSON Schema of its `config` table.
    pub fn schema(&self) -> &str {
        &self.0.info.schema
    }

    /// How its machine code came to be.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Asks the plugin whether it takes a `config` table, given as JSON.
    pub fn check_config(&self, config: &str) -> Result<(), ConfigureError> {
        match self.0.info.kind {
            Kind::Hash => self.0.start_hash(config).map(drop),
            Kind::Consensus => self.0.start_rules(config).map(drop),
            Kind::Payout => self.0.start_payout(config).map(drop),
            Kind::Shares => self.0.start_shares(config).map(drop),
        }
    }

    /// Makes a hash engine of a hash plugin. Each worker takes its own.
    pub fn hash(&self, config: &str) -> Result<SandboxedHash, ConfigureError> {
        SandboxedHash::start(Arc::clone(&self.0), config)
    }

    /// Makes the rules of a chain of a consensus plugin.
    pub fn rules(&self, config: &str) -> Result<SandboxedRules, ConfigureError> {
        SandboxedRules::start(Arc::clone(&self.0), config)
    }

    /// Makes a payout engine of a payout plugin.
    pub fn payout(&self, config: &str) -> Result<SandboxedPayout, ConfigureError> {
        SandboxedPayout::start(Arc::clone(&self.0), config)
    }

    /// Makes a share engine of a share plugin.
    pub fn shares(&self, config: &str) -> Result<SandboxedShares, ConfigureError> {
        SandboxedShares::start(Arc::clone(&self.0), config)
    }

    /// Makes a quorum policy of a share plugin that is one ([`PluginInfo::is_quorum`]).
    pub fn quorum(&self, config: &str) -> Result<SandboxedQuorum, ConfigureError> {
        SandboxedQuorum::start(Arc::clone(&self.0), config)
    }
}

impl Loaded {
    pub fn start_hash(&self, config: &str) -> Result<Instance<v0_1::Hash>, ConfigureError> {
        match &self.ready {
            Ready::Hash(ready) => self.start(&self.sandbox.services, ready, config),
            _ => Err(self.wrong_kind(Kind::Hash)),
        }
    }

    pub fn start_rules(&self, config: &str) -> Result<Instance<v0_1::Rules>, ConfigureError> {
        match &self.ready {
            Ready::Rules(ready, _) => self.start(&self.sandbox.rules, ready, config),
            _ => Err(self.wrong_kind(Kind::Consensus)),
        }
    }

    pub fn start_space(&self, config: &str) -> Result<Instance<v0_1::Space>, ConfigureError> {
        match &self.ready {
            Ready::Rules(_, Some(ready)) => self.start(&self.sandbox.rules, ready, config),
            Ready::Rules(_, None) => Err(ConfigureError::NoSpace { plugin: self.label.clone() }),
            _ => Err(self.wrong_kind(Kind::Consensus)),
        }
    }

    pub fn start_payout(&self, config: &str) -> Result<Instance<v0_1::Payout>, ConfigureError> {
        match &self.ready {
            Ready::Payout(ready) => self.start(&self.sandbox.services, ready, config),
            _ => Err(self.wrong_kind(Kind::Payout)),
        }
    }

    pub fn start_shares(&self, config: &str) -> Result<Instance<v0_1::Shares>, ConfigureError> {
        match &self.ready {
            Ready::Shares(ready, _) => self.start(&self.sandbox.services, ready, config),
            _ => Err(self.wrong_kind(Kind::Shares)),
        }
    }

    pub fn start_quorum(&self, config: &str) -> Result<Instance<v0_1::Quorum>, ConfigureError> {
        match &self.ready {
            Ready::Shares(_, Some(ready)) => self.start(&self.sandbox.services, ready, config),
            Ready::Shares(_, None) => Err(ConfigureError::NoQuorum { plugin: self.label.clone() }),
            _ => Err(self.wrong_kind(Kind::Shares)),
        }
    }

    fn start<C: Contract>(
        &self,
        chamber: &Chamber,
        ready: &C::Ready,
        config: &str,
    ) -> Result<Instance<C>, ConfigureError> {
        if config.len() > CONFIG_BYTES_MAX {
            return Err(ConfigureError::TooLarge { bytes: config.len(), max: CONFIG_BYTES_MAX });
        }
        let mut instance = Instance::<C>::start(chamber, ready, &self.label)?;
        instance.call("configure", 0, |contract, store| contract.configure(store, config))??;
        Ok(instance)
    }

    fn wrong_kind(&self, want: Kind) -> ConfigureError {
        ConfigureError::Kind { plugin: self.label.clone(), have: self.info.kind, want }
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "Hash",
            Self::Rules(..) => "Rules",
            Self::Payout(_) => "Payout",
            Self::Shares(..) => "Shares",
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hash => "hash",
            Self::Consensus => "consensus",
            Self::Payout => "payout",
            Self::Shares => "shares",
        })
    }
}
