//! Configuration: what is refused, under which key.

use crate::dag;
use adit_plugin_ghostdag::{Config, Ghostdag};
use adit_plugin_sdk::{Consensus, config};
use serde_json::{Value, json};

fn refused(more: Value) -> Option<String> {
    config::parse(&dag::config(3, more).to_string()).and_then(Ghostdag::new).err().map(|error| error.key)
}

#[track_caller]
fn check(more: Value, want: &str) {
    assert_eq!(refused(more.clone()).as_deref(), Some(want), "{more}");
}

#[test]
fn numbers_outside_of_their_bounds_are_refused_under_their_key() {
    check(json!({ "k": 1001 }), "k");
    check(json!({ "parents-max": 0 }), "parents-max");
    check(json!({ "parents-max": 257 }), "parents-max");
    check(json!({ "merge-set-max": 0 }), "merge-set-max");
    check(json!({ "difficulty": { "rule": "window", "size": 1, "min": 1, "target-ms": 1 } }), "difficulty.size");
    check(json!({ "difficulty": { "rule": "window", "size": 9, "min": 10, "target-ms": 1 } }), "difficulty.min");
    check(json!({ "difficulty": { "rule": "window", "size": 9, "min": 9, "target-ms": 0 } }), "difficulty.target-ms");
    check(json!({ "median-time": { "size": 0 } }), "median-time.size");
    check(json!({ "median-time": { "size": 1, "sample-rate": 0 } }), "median-time.sample-rate");
    check(json!({ "median-time": { "size": 1001, "sample-rate": 100 } }), "median-time.sample-rate");
    let far = json!({ "rule": "window", "size": 1001, "sample-rate": 100, "min": 2, "target-ms": 1 });
    check(json!({ "difficulty": far }), "difficulty.sample-rate");
    check(json!({ "merge-depth": 0 }), "merge-depth");
    check(json!({ "subsidy": { "initial-atoms": 1, "halving-interval": 0 } }), "subsidy.halving-interval");
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    check(json!({ "pruning": { "finality-depth": 1, "depth": 1 } }), "pruning");
    check(json!({ "header": "kaspa" }), "pruning");
    check(json!({ "header": "labelled" }), "proof-of-work");
    check(json!({ "header": "labelled", "proof-of-work": false }), "genesis.header");
    check(json!({ "genesis": { "header": "00", "bits": 1 } }), "genesis.header");
    check(json!({ "genesis": { "header": "0" } }), "genesis.header");
    check(json!({ "genesis": { "header": "00" } }), "genesis");
    check(json!({ "genesis": { "bits": dag::BITS } }), "genesis.time-ms");
    check(json!({ "genesis": { "time-ms": 1 } }), "genesis.bits");
    check(json!({ "genesis": { "time-ms": 1, "bits": 4 } }), "genesis.bits");
    assert_eq!(refused(json!({ "kk": 1 })).as_deref(), Some("kk"));
    assert_eq!(refused(json!({})), None);
}

#[test]
fn every_key_of_the_schema_is_documented() {
    let schema = serde_json::to_value(adit_plugin_sdk::schemars::schema_for!(Config)).expect("a schema is JSON");
    let tables = std::iter::once(&schema).chain(schema["$defs"].as_object().expect("tables").values());
    let mut keys = 0;
    for table in tables {
        for (key, value) in table["properties"].as_object().into_iter().flatten() {
            assert!(value.get("description").is_some() || value.get("const").is_some(), "{key} has no description");
            keys += 1;
        }
    }
    assert!(keys > 20);
}
