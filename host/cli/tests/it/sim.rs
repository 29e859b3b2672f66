//! `adit sim` as a chain's designer runs it.

use crate::adit::Place;
use serde_json::Value;
use std::path::Path;

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("chain.toml").display().to_string()
}

#[test]
fn the_same_seed_prints_the_same_bytes_whatever_the_threads() {
    let place = Place::new();
    let chain = example("vision");
    let sim = |seed: &str, threads: &str| {
        let arguments = ["sim", &chain, "--nodes", "20", "--miners", "5", "--peers", "3", "--hours", "0.5"];
        place.succeed(&[&arguments[..], &["--seed", seed, "--threads", threads]].concat())
    };
    let first = sim("5", "1");
    assert!(first.contains("orphans") && first.contains("at the end"), "{first}");
    assert_eq!(first, sim("5", "2"));
    assert_ne!(first, sim("6", "1"));
}

#[test]
fn a_dag_is_simulated_and_reported_as_json() {
    let place = Place::new();
    let arguments = ["--json", "sim", &example("tos"), "--nodes", "20", "--peers", "3", "--hours", "0.05"];
    let said = place.succeed(&arguments);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["blocks"]["merges"], true, "{said}");
    assert_eq!(report["agreement"]["behind_part"], 0.0, "{said}");
    assert!(report["blocks"]["found"].as_u64().unwrap() > 100, "{said}");
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_reason() {
    let place = Place::new();
    let said = place.fail(&["sim", &example("vision"), "--nodes", "1", "--miners", "1"]);
    assert!(said.contains("1 nodes are not between 2 and"), "{said}");
    let said = place.fail(&["sim", &example("vision"), "--nodes", "5", "--miners", "9"]);
    assert!(said.contains("9 miners are not between 1 and the 5 nodes"), "{said}");
}
