//! A plugin's configuration: JSON in, the author's own type out.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key as a path: `retarget.interval`. Empty for the table itself.
    pub key: String,
    /// What was found and what would be right.
    pub detail: String,
}

impl ConfigError {
    /// Names a key and what is wrong with it.
    pub fn new(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { key: key.into(), detail: detail.into() }
    }
}

/// The configuration of a plugin that has nothing to configure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration. A key that `T` does not know is refused, whether or not `T` itself would.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, ConfigError> {
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let parsed = serde_ignored::deserialize(tracked, |path| {
        unknown.get_or_insert_with(|| path.to_string());
    });
    let config = parsed.map_err(|error| ConfigError::new(key_of(&track.path()), without_position(&error)))?;
    deserializer.end().map_err(|error| ConfigError::new("", without_position(&error)))?;
    match unknown {
        Some(key) => Err(ConfigError::new(key, "no such key")),
        None => Ok(config),
    }
}

/// Returns the JSON Schema of a configuration.
pub fn schema<T: JsonSchema>() -> String {
    schemars::schema_for!(T).to_value().to_string()
}

fn key_of(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { path }
}

/// The JSON is made from `chain.toml` by the host, so serde's line and column in it would mislead.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Outer {
        retarget: Inner,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Inner {
        interval: u32,
    }

    #[track_caller]
    fn check(json: &str, want: Result<Outer, (&str, &str)>) {
        let want = want.map_err(|(key, detail)| ConfigError::new(key, detail));
        assert_eq!(parse::<Outer>(json), want);
    }

    #[test]
    fn a_sound_table_is_read() {
        check(r#"{"retarget":{"interval":5}}"#, Ok(Outer { retarget: Inner { interval: 5 } }));
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        check(
            r#"{"retarget":{"interval":"5"}}"#,
            Err(("retarget.interval", "invalid type: string \"5\", expected u32")),
        );
    }

    #[test]
    fn an_unknown_key_is_refused_though_the_type_would_take_it() {
        check(r#"{"retarget":{"interval":5,"bound":1}}"#, Err(("retarget.bound", "no such key")));
    }

    #[test]
    fn a_missing_key_is_named() {
        check(r#"{"retarget":{}}"#, Err(("retarget", "missing field `interval`")));
    }

    #[test]
    fn a_second_value_is_refused() {
        check(r#"{"retarget":{"interval":5}} 1"#, Err(("", "trailing characters")));
    }

    #[test]
    fn the_schema_of_a_plugin_without_configuration_allows_no_key() {
        assert!(schema::<NoConfig>().contains(r#""additionalProperties":false"#));
    }
}
