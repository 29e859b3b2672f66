//! Settings that change while the node runs: read anew, checked, applied where that is possible live, reported in any case.
//!
//! A file that is wrong changes nothing. Reading and checking `chain.toml` is the cli's: it comes in as a [`SettingsSource`].

use crate::audit::Deed;
use crate::chain::ChainHandle;
use crate::settings::Settings;
use adit_primitives::Hash256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;

/// Keys that change while the node runs. Every other key needs a restart.
pub const LIVE_KEYS: [&str; 26] = [
    "farm.concurrent",
    "farm.folders",
    "farm.rescan-seconds",
    "farm.threads",
    "farm.timeout-seconds",
    "log.level",
    "miner.threads",
    "node.anomalies.interval-ms",
    "node.anomalies.threshold",
    "node.anomalies.window",
    "node.difficulty",
    "node.fee-per-kilobyte-min",
    "node.limits.request-bytes",
    "node.limits.request-ms",
    "node.limits.requests-per-second",
    "node.limits.requests-burst",
    "node.limits.addresses",
    "node.preset",
    "node.sizes.mempool-bytes",
    "node.sizes.mempool-transactions",
    "node.sizes.orphan-bytes",
    "node.sizes.orphans",
    "node.sizes.statistics-blocks",
    "node.sizes.template-ttl-ms",
    "node.sizes.templates",
    "miner.enabled",
];

/// Where settings come from.
pub trait SettingsSource: Send + Sync {
    /// Returns the files whose change means that settings should be read again.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads and checks everything.
    fn load(&self) -> Result<Loaded, Vec<Diagnostic>>;
}

/// Settings as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub settings: Settings,
    /// The identity of the rules in the same file: where it changes, only a restart (with another database) takes it up.
    pub identity: Hash256,
    /// Values that were left out, and other remarks that are no errors.
    pub diagnostics: Vec<Diagnostic>,
}

/// A remark on one value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The key as a path: `node.limits.request-bytes`.
    pub key: String,
    /// What was found and what would be right.
    pub message: String,
    /// `chain.toml:12`, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, message, place, .. } = self;
        if let Some(place) = place {
            write!(f, "{place}: ")?;
        }
        if key.is_empty() { f.write_str(message) } else { write!(f, "{key}: {message}") }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The value was left out and has its default.
    Default,
    /// The value works, and may not be what was meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    #[schema(value_type = Object)]
    pub old: Value,
    #[schema(value_type = Object)]
    pub new: Value,
    /// Whether the change waits for a restart.
    pub needs_restart: bool,
}

/// Changes by key.
pub type Changes = BTreeMap<String, Change>;

/// Why settings stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is wrong and was not applied: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Refused {
    /// What is wrong with the file, without what was merely left out.
    pub errors: Vec<Diagnostic>,
}

impl Refused {
    /// Keeps what is wrong of all that was remarked.
    fn of(diagnostics: Vec<Diagnostic>) -> Self {
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        Self { errors: diagnostics.into_iter().filter(is_error).collect() }
    }
}

/// What reading the file again brought.
pub type Outcome = Result<Changes, Refused>;

/// Where the configuration stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What is in force.
    pub settings: Settings,
    /// What the file last said: where it differs from `settings`, a restart is due.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the file as it lies there is right.
    pub valid: bool,
    /// How often changes were applied.
    pub reloads: u64,
}

/// Asks the reload task to read the file now.
#[derive(Debug)]
pub struct RefreshRequest {
    /// The address that asks, for the record.
    pub from: String,
    pub reply: oneshot::Sender<Outcome>,
}

/// The task that owns the settings.
pub struct Reloader {
    source: Arc<dyn SettingsSource>,
    standing: watch::Sender<Arc<Standing>>,
    /// The file's settings as last read, those that wait for a restart included.
    last_read: Loaded,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl Reloader {
    /// Starts from settings that are in force.
    pub fn new(source: Arc<dyn SettingsSource>, loaded: Loaded) -> (Self, watch::Receiver<Arc<Standing>>) {
        let standing = Standing {
            settings: loaded.settings.clone(),
            diagnostics: loaded.diagnostics.clone(),
            valid: true,
            reloads: 0,
        };
        let (sender, receiver) = watch::channel(Arc::new(standing));
        let stamps = stamps(&source.files());
        (Self { source, standing: sender, last_read: loaded, stamps }, receiver)
    }

    /// Watches the file and answers requests until every sender of `requests` is gone. What changes is recorded with the chain, where there is one.
    pub async fn run(mut self, mut requests: mpsc::Receiver<RefreshRequest>, chain: Option<ChainHandle>) {
        let watch_ms = self.standing.borrow().settings.node.watch_ms;
        let mut tick = tokio::time::interval(Duration::from_millis(watch_ms.max(1)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                _ = tick.tick(), if watch_ms > 0 => None,
            };
            let now = stamps(&self.source.files());
            let changed = now != self.stamps;
            self.stamps = now;
            if request.is_none() && !changed {
                continue;
            }
            let source = Arc::clone(&self.source);
            let read = tokio::task::spawn_blocking(move || source.load()).await;
            let outcome = self.take(read.unwrap_or_else(|panic| Err(vec![unreadable(&panic)])));
            report(&outcome);
            if let Ok(changes) = &outcome
                && let Some(chain) = &chain
                && !changes.is_empty()
            {
                let from = request.as_ref().map_or_else(|| "the file".to_owned(), |request| request.from.clone());
                if let Err(error) = chain.audit(deed(changes, from)).await {
                    tracing::error!(%error, "a change of the configuration could not be recorded");
                }
            }
            if let Some(request) = request {
                drop(request.reply.send(outcome));
            }
        }
    }

    /// Takes up what was read.
    fn take(&mut self, read: Result<Loaded, Vec<Diagnostic>>) -> Outcome {
        let standing = self.standing.borrow().clone();
        match read {
            Err(diagnostics) => {
                let after = Standing { diagnostics: diagnostics.clone(), valid: false, ..(*standing).clone() };
                self.standing.send_replace(Arc::new(after));
                Err(Refused::of(diagnostics))
            }
            Ok(loaded) => {
                let (settings, changes) = apply(&standing.settings, &self.last_read, &loaded);
                let applied = settings != standing.settings;
                let after = Standing {
                    settings,
                    diagnostics: loaded.diagnostics.clone(),
                    valid: true,
                    reloads: standing.reloads + u64::from(applied),
                };
                self.last_read = loaded;
                self.standing.send_replace(Arc::new(after));
                Ok(changes)
            }
        }
    }
}

/// Watches the file of a process without a node, for as long as that lives. Called within a runtime.
pub fn watched(source: Arc<dyn SettingsSource>, loaded: Loaded) -> watch::Receiver<Arc<Standing>> {
    let (reloader, standing) = Reloader::new(source, loaded);
    tokio::spawn(async move {
        // Nobody asks, and nobody ends it.
        let (_asks, requests) = mpsc::channel(1);
        reloader.run(requests, None).await;
    });
    standing
}

/// Returns the settings in force after `new` was read, and what changed against `last_read`.
fn apply(in_force: &Settings, last_read: &Loaded, new: &Loaded) -> (Settings, Changes) {
    let (old_values, new_values) = (flat(&last_read.settings), flat(&new.settings));
    let mut changes = Changes::new();
    let keys = old_values.keys().chain(new_values.keys());
    for key in keys {
        let (old, new) = (value_of(&old_values, key), value_of(&new_values, key));
        if old != new {
            changes.insert(key.clone(), Change { old, new, needs_restart: !is_live(key) });
        }
    }
    if last_read.identity != new.identity {
        let text = |identity: Hash256| Value::String(identity.to_string());
        let change = Change { old: text(last_read.identity), new: text(new.identity), needs_restart: true };
        changes.insert("chain.identity".to_owned(), change);
    }
    let mut effective = flat(in_force);
    for (key, value) in &new_values {
        if is_live(key) {
            effective.insert(key.clone(), value.clone());
        }
    }
    effective.retain(|key, _| !is_live(key) || new_values.contains_key(key));
    let settings = serde_json::from_value(nested(effective))
        .expect("a mixture of valid settings, key by key, has the form of settings");
    (settings, changes)
}

fn is_live(key: &str) -> bool {
    LIVE_KEYS.contains(&key)
}

fn value_of(values: &BTreeMap<String, Value>, key: &str) -> Value {
    values.get(key).cloned().unwrap_or(Value::Null)
}

fn flat(settings: &Settings) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: Value, out: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    walk(&path, value, out);
                }
            }
            Value::Null => {}
            value => {
                out.insert(path.to_owned(), value);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", serde_json::to_value(settings).expect("settings are plain data"), &mut out);
    out
}

fn nested(values: BTreeMap<String, Value>) -> Value {
    let mut root = Map::new();
    for (path, value) in values {
        let mut table = &mut root;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            if keys.peek().is_none() {
                table.insert(key.to_owned(), value);
                break;
            }
            let inner = table.entry(key).or_insert_with(|| Value::Object(Map::new()));
            table = inner.as_object_mut().expect("a key is a table or a value, never both");
        }
    }
    Value::Object(root)
}

fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let data = std::fs::metadata(file).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    files.iter().map(stamp).collect()
}

fn deed(changes: &Changes, from: String) -> Deed {
    let side =
        |pick: fn(&Change) -> &Value| changes.iter().map(|(key, change)| (key.clone(), pick(change).clone())).collect();
    let (old, new) = (side(|change| &change.old), side(|change| &change.new));
    Deed { action: "configuration-reloaded", old, new, reason: String::new(), from }
}

fn unreadable(panic: &tokio::task::JoinError) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        key: String::new(),
        message: format!("reading the configuration failed: {panic}"),
        place: None,
    }
}

fn report(outcome: &Outcome) {
    match outcome {
        Ok(changes) => {
            for (key, Change { old, new, needs_restart }) in changes {
                tracing::info!(key, %old, %new, needs_restart, "configuration changed");
            }
        }
        Err(refused) => {
            for error in &refused.errors {
                tracing::warn!(%error, "configuration not applied");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(settings: Settings) -> Loaded {
        Loaded { settings, identity: Hash256::default(), diagnostics: Vec::new() }
    }

    fn changed(change: impl FnOnce(&mut Settings)) -> (Settings, Changes) {
        let before = loaded(Settings::unset());
        let mut after = before.clone();
        change(&mut after.settings);
        apply(&before.settings, &before, &after)
    }

    #[test]
    fn a_live_key_is_applied_and_reported() {
        let (settings, changes) = changed(|settings| settings.miner.threads = Some(3));
        assert_eq!(settings.miner.threads, Some(3));
        let change = Change { old: Value::Null, new: 3.into(), needs_restart: false };
        assert_eq!(changes, Changes::from([("miner.threads".to_owned(), change)]));
    }

    #[test]
    fn a_key_that_is_taken_out_falls_back() {
        let mut with = loaded(Settings::unset());
        with.settings.node.sizes.statistics_blocks = Some(9);
        let (settings, changes) = apply(&with.settings, &with, &loaded(Settings::unset()));
        assert_eq!(settings, Settings::unset());
        assert_eq!(changes["node.sizes.statistics-blocks"].new, Value::Null);
    }

    #[test]
    fn a_key_that_is_not_live_waits_and_says_so() {
        let (settings, changes) = changed(|settings| settings.node.name = "other".into());
        assert_eq!(settings, Settings::unset());
        assert!(changes["node.name"].needs_restart);
    }

    #[test]
    fn another_identity_waits_and_says_so() {
        let before = loaded(Settings::unset());
        let after = Loaded { identity: Hash256([1; 32]), ..before.clone() };
        let (_, changes) = apply(&before.settings, &before, &after);
        assert!(changes["chain.identity"].needs_restart);
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_not_what_was_left_out() {
        let remark = |severity, key: &str, message: &str, place: Option<&str>| Diagnostic {
            severity,
            key: key.to_owned(),
            message: message.to_owned(),
            place: place.map(str::to_owned),
        };
        let refused = Refused::of(vec![
            remark(Severity::Default, "node.name", "is not set; \"adit\" is used", Some("chain.toml:3")),
            remark(Severity::Error, "miner.threads", "\"x\" is a text in quotes", Some("chain.toml:7")),
            remark(Severity::Error, "", "the file cannot be read", None),
        ]);
        assert_eq!(
            refused.to_string(),
            "the configuration is wrong and was not applied: chain.toml:7: miner.threads: \"x\" is a text in quotes; the file cannot be read"
        );
    }

    #[test]
    fn every_live_key_names_a_setting() {
        let schema = schemars::schema_for!(Settings).to_value().to_string();
        for key in LIVE_KEYS {
            let name = key.rsplit('.').next().unwrap();
            assert!(schema.contains(&format!("\"{name}\"")), "{key}");
        }
    }
}
