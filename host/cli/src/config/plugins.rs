//! The plugins that a `chain.toml` names: found, pinned, loaded, their `config` tables checked against their own schemas.

use super::file::PluginTable;
use super::finding::{Finding, Place};
use super::schema;
use adit_plugin_host::{ConfigureError, Kind, LoadError, Plugin, PluginSource, Sandbox};
use adit_primitives::Hash256;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use toml_edit::Item;

const PLUGIN_BYTES_MAX: u64 = 8 << 20;

/// A plugin and its configuration as canonical JSON, defaults filled in.
#[derive(Debug, Clone)]
pub struct ChosenPlugin {
    pub plugin: Plugin,
    pub config: String,
    /// Its component, as it was read.
    pub component: Arc<[u8]>,
}

/// Reads a plugin's bytes: a bundled one by name, another by path relative to `folder`.
///
/// # Errors
/// In words that fit a finding: what was asked for, and what there is.
pub fn bytes_of(name: &str, folder: &Path) -> Result<Vec<u8>, String> {
    if !name.contains('/') && !name.ends_with(".wasm") {
        return adit_plugin_bundle::find(name).map(|plugin| plugin.bytes.to_vec()).ok_or_else(|| {
            let known: Vec<&str> = adit_plugin_bundle::bundled().iter().map(|plugin| plugin.name).collect();
            format!(
                "no bundled plugin is called {name:?}; bundled: {}; a file's name has a slash or ends in .wasm",
                known.join(", ")
            )
        });
    }
    component_at(&folder.join(name))
}

/// Reads a component's file.
///
/// # Errors
/// In words that fit a finding.
pub fn component_at(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?.len();
    if length > PLUGIN_BYTES_MAX {
        return Err(format!("{} has {length} bytes; a plugin has at most {PLUGIN_BYTES_MAX}", path.display()));
    }
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// Reads a pin: `blake3:` and 64 hexadecimal digits.
pub fn parse_pin(text: &str) -> Result<Hash256, String> {
    let digits = text.strip_prefix("blake3:").ok_or_else(|| format!("{text:?} does not begin with blake3:"))?;
    digits.parse().map_err(|error| format!("{text:?} is no digest: {error}"))
}

/// Loads plugins for one file.
pub struct Chooser<'a> {
    /// The folder that paths of plugins are relative to.
    pub folder: &'a Path,
    pub sandbox: &'a Arc<Sandbox>,
    pub findings: &'a mut Vec<Finding>,
}

impl Chooser<'_> {
    /// Loads the plugin of one table and checks its `config`. `item` is the table as it was written.
    pub fn choose(&mut self, table: &PluginTable, item: &Item, name: &str, kind: Kind) -> Option<ChosenPlugin> {
        match self.load(table, kind) {
            Ok((plugin, component)) => {
                let config = check_config(&plugin, item, name, self.findings)?;
                Some(ChosenPlugin { plugin, config, component: component.into() })
            }
            Err((key, problem)) => {
                let place = Place::of(item.get(key).and_then(Item::span)).or(Place::of(item.span()));
                self.findings.push(Finding::error(place, &format!("{name}.{key}"), problem));
                None
            }
        }
    }

    /// Loads a plugin, or names the key that is at fault and what is wrong with it. With the plugin comes its component.
    fn load(&self, table: &PluginTable, kind: Kind) -> Result<(Plugin, Vec<u8>), (&'static str, String)> {
        let bytes = bytes_of(&table.plugin, self.folder).map_err(|problem| ("plugin", problem))?;
        let pinned = table.digest.as_deref().map(parse_pin).transpose().map_err(|problem| ("digest", problem))?;
        let source = PluginSource { bytes, pinned };
        let plugin = self.sandbox.load(&source).map_err(|error| match error {
            LoadError::Digest { .. } => ("digest", error.to_string()),
            error => ("plugin", format!("{} is not loaded: {error}", table.plugin)),
        })?;
        match plugin.info().kind {
            found if found == kind => Ok((plugin, source.bytes)),
            found => Err(("plugin", format!("{} is a {found} plugin; a {kind} plugin is wanted", table.plugin))),
        }
    }
}

/// Checks a `config` table against the plugin's schema, then by the plugin itself. Returns it as canonical JSON.
fn check_config(plugin: &Plugin, item: &Item, name: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let empty = Item::Table(toml_edit::Table::new());
    let config = item.get("config").unwrap_or(&empty);
    let place = Place::of(config.span()).or(Place::of(item.span()));
    let path = format!("{name}.config");
    let schema: Value = serde_json::from_str(plugin.schema()).expect("the sandbox lets only JSON schemas through");
    let checked = schema::check(&schema, config, &path, place);
    let failed = checked.findings.iter().any(Finding::is_error);
    findings.extend(checked.findings);
    if failed {
        return None;
    }
    let json = canonical(&checked.value);
    match plugin.check_config(&json) {
        Ok(()) => Some(json),
        Err(ConfigureError::Refused(refusal)) => {
            let place = find(config, &refusal.key).or(place);
            let path = if refusal.key.is_empty() { path } else { format!("{path}.{}", refusal.key) };
            findings.push(Finding::error(place, &path, refusal.detail));
            None
        }
        Err(error) => {
            findings.push(Finding::error(place, &path, error.to_string()));
            None
        }
    }
}

/// Finds the place of a dotted key, or of the deepest table on the way to it.
pub fn find(item: &Item, path: &str) -> Place {
    way(item, path).flatten().fold(Place::TOP, |place, item| Place::of(item.span()).or(place))
}

/// Tells whether a dotted key stands in the file.
pub fn stands(item: &Item, path: &str) -> bool {
    way(item, path).all(|item| item.is_some())
}

/// What lies on the way to a dotted key, as far as there is something, and `None` where there is not.
fn way<'a>(item: &'a Item, path: &'a str) -> impl Iterator<Item = Option<&'a Item>> {
    let keys = path.split(['.', '[', ']']).filter(|key| !key.is_empty());
    keys.scan(Some(item), |item, key| {
        *item = item.and_then(|item| match key.parse::<usize>() {
            Ok(index) => item.get(index),
            Err(_) => item.get(key),
        });
        Some(*item)
    })
}

/// Writes JSON with sorted keys and no white space: one value has one text, whatever order it was written in.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            let fields: Vec<String> =
                keys.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_value_has_one_text_in_any_order_of_keys() {
        let first: Value = serde_json::from_str(r#"{"b": [1, {"d": 2, "c": "x"}], "a": true}"#).unwrap();
        assert_eq!(canonical(&first), r#"{"a":true,"b":[1,{"c":"x","d":2}]}"#);
    }

    #[test]
    fn a_value_that_is_left_open_is_left_out() {
        assert_eq!(canonical(&json!({"a": null, "b": 1})), r#"{"b":1}"#);
    }

    #[test]
    fn a_pin_names_its_hash_function() {
        assert!(parse_pin("00").is_err());
        assert!(parse_pin("blake3:12").is_err());
        assert!(parse_pin(&format!("blake3:{}", "ab".repeat(32))).is_ok());
    }
}
