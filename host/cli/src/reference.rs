//! The reference of `chain.toml`, written from the schemas: of the host's tables, and of each bundled plugin's `config`.

use crate::config::file::ChainFile;
use crate::sandbox;
use adit_plugin_host::PluginSource;
use anyhow::Result;
use serde_json::Value;
use std::fmt::Write as _;

/// Returns the reference as Markdown.
pub fn markdown() -> Result<String> {
    let mut out = String::from(
        "# The reference of `chain.toml`\n\n\
         Written by `cargo xtask write` from the schemas that `adit chain check` checks against.\n\n",
    );
    let schema = serde_json::to_value(schemars::schema_for!(ChainFile))?;
    writeln!(out, "{}\n", description(&schema))?;
    let mut writer = Writer { root: &schema, out: &mut out };
    writer.properties(&schema, "")?;
    out.push_str(
        "# The plugins' own settings\n\nEach stands in the `config` table of the plugin that it belongs to.\n\n",
    );
    let sandbox = sandbox::open()?;
    for bundled in adit_plugin_bundle::bundled() {
        let plugin = sandbox.load(&PluginSource { bytes: bundled.bytes.to_vec(), pinned: None })?;
        let info = plugin.info();
        writeln!(out, "## Plugin `{}` ({})\n\n{}\n", info.name, info.kind, info.summary)?;
        let schema: Value = serde_json::from_str(plugin.schema())?;
        let before = out.len();
        let mut writer = Writer { root: &schema, out: &mut out };
        writer.properties(&schema, "config")?;
        if out.len() == before {
            out.push_str("It has no settings.\n\n");
        }
    }
    Ok(out)
}

struct Writer<'a> {
    root: &'a Value,
    out: &'a mut String,
}

impl<'a> Writer<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
        match pointer.and_then(|pointer| self.root.pointer(pointer)) {
            Some(found) => self.resolve(found),
            None => match optional(schema) {
                Some(only) => self.resolve(only),
                None => schema,
            },
        }
    }

    /// Writes a table of keys, then a section for each key that is a table itself.
    fn properties(&mut self, schema: &'a Value, path: &str) -> Result<()> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let (tables, scalars): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, property)| self.is_table(property));
        if !scalars.is_empty() {
            self.out.push_str("| key | value | without it | meaning |\n|---|---|---|---|\n");
            for (name, property) in scalars {
                let without = match (required.contains(&name.as_str()), default(property)) {
                    (true, _) => "required".to_owned(),
                    (false, Some(value)) => format!("`{value}`"),
                    (false, None) => "unset".to_owned(),
                };
                let resolved = self.resolve(property);
                let own = description(property);
                let meaning = if own.is_empty() { description(resolved) } else { own };
                writeln!(self.out, "| `{name}` | {} | {without} | {} |", self.values(resolved), cell(&meaning))?;
            }
            self.out.push('\n');
        }
        for (name, property) in tables {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let resolved = self.resolve(property);
            let items = resolved.get("items").map(|items| self.resolve(items));
            let heading = if items.is_some() { format!("[[{path}]]") } else { format!("[{path}]") };
            let own = description(property);
            let meaning = if own.is_empty() { description(resolved) } else { own };
            writeln!(self.out, "### `{heading}`\n\n{meaning}\n")?;
            self.table(items.unwrap_or(resolved), &path)?;
        }
        Ok(())
    }

    fn table(&mut self, schema: &'a Value, path: &str) -> Result<()> {
        let Some(branches) = branches(schema) else { return self.properties(schema, path) };
        for branch in branches {
            let branch = self.resolve(branch);
            let tag = branch
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .find_map(|(name, property)| property.get("const").map(|value| format!("`{name} = {value}`")));
            if let Some(tag) = tag {
                writeln!(self.out, "With {tag}: {}\n", description(branch))?;
            }
            self.properties(branch, path)?;
        }
        Ok(())
    }

    fn is_table(&self, schema: &'a Value) -> bool {
        let resolved = self.resolve(schema);
        let resolved = resolved.get("items").map_or(resolved, |items| self.resolve(items));
        resolved.get("properties").is_some()
            || branches(resolved)
                .is_some_and(|branches| branches.iter().all(|branch| self.resolve(branch).get("properties").is_some()))
    }

    fn values(&self, schema: &'a Value) -> String {
        if let Some(Value::Array(values)) = schema.get("enum") {
            return values
                .iter()
                .filter(|value| !value.is_null())
                .map(|value| format!("`{value}`"))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(value) = schema.get("const") {
            return format!("`{value}`");
        }
        if let Some(branches) = branches(schema) {
            return branches.iter().map(|branch| self.values(self.resolve(branch))).collect::<Vec<_>>().join(", ");
        }
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("value")
            }
            _ => "value",
        };
        let kind = match kind {
            "integer" => "whole number",
            "string" => "text",
            "boolean" => "`true`, `false`",
            "object" => "table",
            "array" => "list",
            other => other,
        };
        match (schema.get("minimum"), schema.get("maximum")) {
            (Some(min), Some(max)) => format!("{kind}, {min} to {max}"),
            (Some(min), None) if min.as_u64() != Some(0) => format!("{kind}, {min} or more"),
            _ => kind.to_owned(),
        }
    }
}

fn branches(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
}

/// The one branch of an optional value that is not null.
fn optional(schema: &Value) -> Option<&Value> {
    let branches = schema.get("anyOf").and_then(Value::as_array)?;
    let mut values = branches.iter().filter(|branch| branch.get("type") != Some(&"null".into()));
    let first = values.next()?;
    (branches.len() == 2 && values.next().is_none()).then_some(first)
}

fn default(schema: &Value) -> Option<&Value> {
    schema.get("default").filter(|value| !value.is_null())
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
