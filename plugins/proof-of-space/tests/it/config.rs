//! Configuration: what is refused, under which key, and what the schema says.

use crate::farm::config;
use adit_plugin_proof_of_space::{Config, SpaceChain};
use adit_plugin_sdk::{Consensus, config as table};
use serde_json::{Value, json};

/// Sets a value at a path of keys, and tells the key under which it is refused.
fn refused(path: &[&str], value: Value) -> Option<String> {
    let mut table = config("plain");
    let mut place = &mut table;
    for key in path {
        place = &mut place[*key];
    }
    *place = value;
    table::parse(&table.to_string()).and_then(SpaceChain::new).err().map(|error| error.key)
}

#[track_caller]
fn check(path: &[&str], values: &[Value], want: Option<&str>) {
    for value in values {
        assert_eq!(refused(path, value.clone()).as_deref(), want, "{path:?} = {value}");
    }
}

#[test]
fn numbers_outside_of_their_bounds_are_refused_under_their_key() {
    check(&["spacing-seconds"], &[json!(0), json!(864_001)], Some("spacing-seconds"));
    check(&["challenge-seconds"], &[json!(0), json!(11)], Some("challenge-seconds"));
    check(&["window"], &[json!(0), json!(2017)], Some("window"));
    check(&["registration-age"], &[json!(0), json!(1_000_001)], Some("registration-age"));
    check(&["registrations-max"], &[json!(0), json!(65)], Some("registrations-max"));
    check(&["limit-bits"], &[json!(0), json!(0x2080_0000u32)], Some("limit-bits"));
    check(&["genesis", "bits"], &[json!(0), json!(0x2100_ffff)], Some("genesis.bits"));
    check(&["subsidy", "halving-interval"], &[json!(0)], Some("subsidy.halving-interval"));
}

#[test]
fn numbers_at_their_bounds_are_taken() {
    check(&["spacing-seconds"], &[json!(5), json!(864_000)], None);
    check(&["challenge-seconds"], &[json!(1), json!(10)], None);
    check(&["window"], &[json!(1), json!(2016)], None);
    check(&["registration-age"], &[json!(1), json!(1_000_000)], None);
    check(&["registrations-max"], &[json!(1), json!(64)], None);
    check(&["genesis", "bits"], &[json!(0x207f_ffff)], None);
}

#[test]
fn keys_and_words_that_do_not_exist_are_refused() {
    check(&["leaf"], &[json!("soft")], Some("leaf"));
    check(&["challenge"], &[json!("random")], Some("challenge"));
    check(&["time"], &[json!({"median-window": 11})], Some("time.median-window"));
    check(&["depth"], &[json!(1)], Some("depth"));
    check(&["genesis", "header"], &[json!("00")], Some("genesis.header"));
}

/// The schema is where users read what a key means.
#[test]
fn every_key_of_the_schema_is_documented() {
    fn walk(schema: &Value, path: &str) -> usize {
        let mut keys = 0;
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{path}.{key} has no description");
            keys += 1 + walk(property, &format!("{path}.{key}"));
        }
        let defs = schema["$defs"].as_object().into_iter().flatten();
        keys + defs.map(|(name, part)| walk(part, name)).sum::<usize>()
    }
    let schema: Value = serde_json::from_str(&table::schema::<Config>()).expect("a schema is JSON");
    assert_eq!(walk(&schema, "config"), 18);
}
