//! Frees manifests from their workspace: what they inherit is written out.

use toml::{Table, Value};

const ROOT: &str = include_str!("../../../Cargo.toml");
const PLUGIN_SDK: &str = include_str!("../../Cargo.toml");
const PRIMITIVES: &str = include_str!("../../../host/primitives/Cargo.toml");

/// What holds for every crate that is read here: the manifests are part of this program.
const SOUND: &str = "the embedded manifests are those that this program was built from";

/// Returns the manifest of the values.
pub fn primitives() -> String {
    freed(PRIMITIVES)
}

/// Returns the manifest of the SDK, without the parts that belong to hosts.
pub fn plugin_sdk() -> String {
    freed(PLUGIN_SDK)
}

fn freed(manifest: &str) -> String {
    let workspace = parse(ROOT).remove("workspace").expect(SOUND);
    let mut manifest = parse(manifest);
    let features: Vec<Value> = manifest
        .get("features")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::keys)
        .cloned()
        .map(Value::String)
        .collect();
    for part in ["dev-dependencies", "features", "lints"] {
        manifest.remove(part);
    }
    inherit_package(table(&mut manifest, "package"), &workspace["package"]);
    inherit_dependencies(table(&mut manifest, "dependencies"), &workspace["dependencies"]);
    if let Some(targets) = manifest.get_mut("target").and_then(Value::as_table_mut) {
        for (_, target) in targets {
            inherit_dependencies(
                table(target.as_table_mut().expect(SOUND), "dependencies"),
                &workspace["dependencies"],
            );
        }
    }
    if !features.is_empty() {
        // The sources name features that this copy does not have.
        let known =
            format!("cfg(feature, values({}))", features.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
        let lint = Table::from_iter([
            ("level".to_owned(), Value::from("warn")),
            ("check-cfg".to_owned(), Value::from(vec![known])),
        ]);
        let rust = Table::from_iter([("unexpected_cfgs".to_owned(), Value::Table(lint))]);
        manifest.insert("lints".to_owned(), Value::Table(Table::from_iter([("rust".to_owned(), Value::Table(rust))])));
    }
    manifest.to_string()
}

fn parse(text: &str) -> Table {
    text.parse().expect(SOUND)
}

fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    parent.get_mut(key).and_then(Value::as_table_mut).expect(SOUND)
}

/// Tells whether a value is `{ workspace = true, … }`.
fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn inherit_package(package: &mut Table, workspace: &Value) {
    for (key, value) in package.iter_mut().filter(|(_, value)| is_inherited(value)) {
        *value = workspace[key.as_str()].clone();
    }
}

/// Writes versions out, and leaves out what is optional: no plugin needs it.
fn inherit_dependencies(dependencies: &mut Table, workspace: &Value) {
    dependencies.retain(|_, value| value.get("optional").is_none());
    for (name, value) in dependencies.iter_mut().filter(|(_, value)| is_inherited(value)) {
        *value = match &workspace[name.as_str()] {
            Value::Table(table) if table.contains_key("path") => beside(name),
            inherited => inherited.clone(),
        };
    }
}

/// Returns the dependency on a crate of this workspace, which lies in the folder beside.
fn beside(name: &str) -> Value {
    let folder = name.strip_prefix("adit-").unwrap_or(name);
    Value::Table(Table::from_iter([("path".to_owned(), Value::String(format!("../{folder}")))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str) -> Table {
        assert!(!manifest.contains("workspace"), "{manifest}");
        parse(manifest)
    }

    #[test]
    fn nothing_is_left_to_inherit() {
        check(&primitives());
        check(&plugin_sdk());
    }

    #[test]
    fn the_sdk_finds_the_values_beside_it() {
        let manifest = check(&plugin_sdk());
        assert_eq!(manifest["dependencies"]["adit-primitives"]["path"].as_str(), Some("../primitives"));
    }

    #[test]
    fn what_hosts_need_is_left_out() {
        let manifest = check(&plugin_sdk());
        assert!(manifest["dependencies"].get("wit-component").is_none());
    }
}
