//! Configuration: what is refused, under which key, and what the schema says.

use adit_plugin_longest_chain::{Config, LongestChain};
use adit_plugin_sdk::{Consensus, config};
use adit_tests::conformance::Example;
use serde_json::{Value, json};

/// Sets a value at a path of keys in the configuration of `chain`, and tells the key under which it is refused.
fn refused(chain: &str, path: &[&str], value: Value) -> Option<String> {
    let mut table = Example::read(chain).config;
    let mut place = &mut table;
    for key in path {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[*key],
        };
    }
    *place = value;
    config::parse(&table.to_string()).and_then(LongestChain::new).err().map(|error| error.key)
}

#[track_caller]
fn check(chain: &str, path: &[&str], value: Value, want: &str) {
    assert_eq!(refused(chain, path, value.clone()).as_deref(), Some(want), "{path:?} = {value}");
}

#[test]
fn numbers_outside_of_their_bounds_are_refused_under_their_key() {
    for value in [0, 64] {
        check("chaincore", &["retarget", "min"], json!(value), "retarget.min");
        check("chaincore", &["retarget", "max"], json!(value), "retarget.max");
    }
    check("chaincore", &["retarget", "difficulty"], json!(13), "retarget.difficulty");
    check("chaincore", &["retarget", "interval"], json!(0), "retarget.interval");
    check("chaincore", &["retarget", "max-change"], json!(0), "retarget.max-change");
    check("chaincore", &["retarget", "spacing-seconds"], json!(0), "retarget.spacing-seconds");
    check("bitcoin", &["retarget", "interval"], json!(1), "retarget.interval");
    check("bitcoin", &["retarget", "limit-bits"], json!(0x1d80_0000u32), "retarget.limit-bits");
    check("bitcoin", &["time", "median-window"], json!(0), "time.median-window");
    check("bitcoin", &["subsidy", "halving-interval"], json!(0), "subsidy.halving-interval");
    check("bitcoin", &["subsidy", "initial-atoms"], json!(u64::MAX), "subsidy.initial-atoms");
    check(
        "bitcoin-testnet",
        &["retarget", "min-difficulty-after-seconds"],
        json!(0),
        "retarget.min-difficulty-after-seconds",
    );
}

#[test]
fn a_rule_that_does_not_exist_and_keys_of_another_rule_are_refused() {
    assert!(refused("chaincore", &["retarget", "rule"], json!("bitcoins")).is_some());
    assert!(refused("bitcoin", &["retarget", "half-life-seconds"], json!(1)).is_some());
    assert!(refused("bitcoin", &["retarget", "free-difficulty"], json!(true)).is_some());
    assert!(refused("bitcoin", &["header"], json!("monero")).is_some());
    assert_eq!(refused("bitcoin", &["timee"], json!({})).as_deref(), Some("timee"));
}

#[test]
fn a_genesis_is_recorded_or_made_and_not_both() {
    check("bitcoin", &["genesis", "message"], json!("text"), "genesis.header");
    check("bitcoin", &["genesis", "header"], json!("0g"), "genesis.header");
    check("bitcoin", &["genesis", "header"], json!("00"), "genesis");
    check("chaincore", &["genesis", "time-seconds"], Value::Null, "genesis.time-seconds");
    check("chaincore", &["genesis", "difficulty"], Value::Null, "genesis.bits");
    check("chaincore", &["genesis", "difficulty"], json!(64), "genesis.difficulty");
    check("chaincore", &["genesis", "bits"], json!(0x1d00_ffff), "genesis.bits");
    assert_eq!(refused("chaincore", &["genesis"], json!({"time-seconds": 0, "bits": 0x1d00_ffff})), None);
}

#[test]
fn a_schedule_ascends() {
    let stage = |height: u64| json!({"height": height, "retarget": {"rule": "lwma", "spacing-seconds": 10}});
    assert_eq!(refused("chaincore", &["schedule"], json!([stage(1), stage(2)])), None);
    check("chaincore", &["schedule"], json!([stage(0)]), "schedule[0].height");
    check("chaincore", &["schedule"], json!([stage(5), stage(5)]), "schedule[1].height");
    check(
        "bitcoin-cash",
        &["schedule", "0", "retarget", "half-life-seconds"],
        json!(0),
        "schedule[0].retarget.half-life-seconds",
    );
    check(
        "bitcoin-cash",
        &["schedule", "0", "retarget", "initial-bits"],
        json!(0x1d00_ffff),
        "schedule[0].retarget.initial-bits",
    );
    check(
        "bitcoin-cash",
        &["schedule", "0", "retarget", "anchor", "bits"],
        json!(1),
        "schedule[0].retarget.anchor.bits",
    );
}

#[test]
fn the_averaging_rule_checks_its_targets_against_its_limit() {
    let lwma =
        |key: &str, bits: u32| json!({"rule": "lwma", "spacing-seconds": 10, "limit-bits": 0x1d00_ffff, key: bits});
    assert_eq!(refused("chaincore", &["retarget"], lwma("initial-bits", 0x1d00_ffff)), None);
    check("chaincore", &["retarget"], lwma("initial-bits", 0x1e00_ffff), "retarget.initial-bits");
    check("chaincore", &["retarget"], lwma("hardest-bits", 0x1e00_ffff), "retarget.hardest-bits");
    check("chaincore", &["retarget"], lwma("window", 5), "retarget.window");
}

/// The schema is where users read what a key means.
#[test]
fn every_key_of_the_schema_is_documented() {
    fn walk(schema: &Value, path: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            for (key, property) in properties {
                let described = property["description"].is_string() || property["const"].is_string();
                assert!(described, "{path}.{key} has no description");
                walk(property, &format!("{path}.{key}"));
            }
        }
        for list in ["oneOf", "anyOf", "allOf"] {
            schema[list].as_array().into_iter().flatten().for_each(|part| walk(part, path));
        }
        schema["$defs"].as_object().into_iter().flatten().for_each(|(name, part)| walk(part, name));
        if schema["items"].is_object() {
            walk(&schema["items"], path);
        }
    }
    // A reference beside `rule` would forbid `rule` itself, since no rule's table takes keys that it does not know.
    let rules_inline = |rule: &Value| rule["$ref"].is_null();
    let schema: Value = serde_json::from_str(&config::schema::<Config>()).expect("a schema is JSON");
    assert!(
        schema["$defs"]["Retarget"]["oneOf"]
            .as_array()
            .is_some_and(|rules| rules.len() == 5 && rules.iter().all(rules_inline))
    );
    walk(&schema, "config");
}
