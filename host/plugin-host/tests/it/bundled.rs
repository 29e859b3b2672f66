//! The plugins that Adit ships, in the sandbox.

use crate::guest::{load, settings};
use adit_plugin_bundle::{bundled, find};
use adit_plugin_host::{Kind, Sandbox, Settings, Variant};
use adit_primitives::contract::{Found, Scan, SearchJob};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_primitives::{Hash256, Target, sha256d};
use std::sync::Arc;

fn standard() -> Arc<Sandbox> {
    Sandbox::new(Settings { tick: settings().tick, ..Settings::STANDARD }).unwrap()
}

/// Bytes without a pattern, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

fn job(inputs: usize, target: Target) -> SearchJob {
    let inputs = noise(80 * inputs).chunks(80).map(<[u8]>::to_vec).collect();
    SearchJob { inputs, nonce_offset: 76, nonce_bytes: 4, target }
}

/// What a search for double SHA-256 must find, one hash after another.
fn expected(job: &SearchJob, first: u64, scanned: u64) -> Vec<Found> {
    let mut found = Vec::new();
    for (input, bytes) in (0..).zip(&job.inputs) {
        for step in 0..scanned {
            let nonce = (first + step) & 0xffff_ffff;
            let mut bytes = bytes.clone();
            job.write_nonce(&mut bytes, nonce);
            if job.target.is_met_by(&sha256d(&bytes)) {
                found.push(Found { nonce, input });
            }
        }
    }
    found.sort();
    found
}

fn search_all(engine: &mut impl HashEngine, job: &SearchJob, first: u64, count: u64) -> Vec<Found> {
    let (mut done, mut found) = (0, Vec::new());
    while done < count {
        let Scan { scanned, found: more } = engine.search(job, first.wrapping_add(done), count - done).unwrap();
        done += scanned;
        found.extend(more);
    }
    found.sort();
    found
}

#[test]
fn every_bundled_plugin_loads_under_the_standard_limits() {
    let sandbox = standard();
    for plugin in bundled() {
        let loaded = load(&sandbox, plugin.bytes.to_vec()).unwrap();
        assert_eq!(loaded.info().name, plugin.name);
        assert!(loaded.info().imports.iter().all(|import| import.starts_with("adit:plugin/")));
    }
}

#[test]
fn sandboxed_sha256d_equals_the_sha2_crate() {
    let plugin = load(&standard(), find("sha256d").unwrap().bytes.to_vec()).unwrap();
    let mut engine = plugin.hash("{}").unwrap();
    for length in 0..300 {
        let input = noise(length);
        assert_eq!(engine.digest(&input), Ok(Hash256(sha256d(&input))), "{length} bytes");
    }
    for each in [1, 31, 64, 80, 88, 200] {
        let inputs = noise(each * 33);
        let mut digests = Vec::new();
        engine.digest_many(&inputs, each, &mut digests).unwrap();
        let want: Vec<Hash256> = inputs.chunks(each).map(|input| Hash256(sha256d(input))).collect();
        assert_eq!(digests, want, "inputs of {each} bytes");
    }
}

#[test]
fn sandboxed_sha256d_finds_every_nonce_and_no_other() {
    let plugin = load(&standard(), find("sha256d").unwrap().bytes.to_vec()).unwrap();
    let mut engine = plugin.hash("{}").unwrap();
    for (inputs, first) in [(1, 0), (1, 0xffff_fff0), (3, 12_345)] {
        let job = job(inputs, Target::from_compact(0x2003_0000).unwrap());
        let found = search_all(&mut engine, &job, first, 2000);
        assert!(!found.is_empty());
        assert_eq!(found, expected(&job, first, 2000), "{inputs} inputs from {first}");
    }
}

#[test]
fn answers_do_not_depend_on_how_a_plugin_is_run() {
    let (bytes, job) = (find("sha256d").unwrap().bytes, job(2, Target::from_compact(0x2003_0000).unwrap()));
    let mut answers = Variant::ALL.map(|variant| {
        let sandbox = Sandbox::new(variant.apply(&Settings::STANDARD)).unwrap();
        let mut engine = load(&sandbox, bytes.to_vec()).unwrap().hash("{}").unwrap();
        let mut digests = Vec::new();
        engine.digest_many(&noise(8000), 80, &mut digests).unwrap();
        (variant, digests, search_all(&mut engine, &job, 7, 500))
    });
    let (_, digests, found) = answers[0].clone();
    for (variant, other_digests, other_found) in &mut answers {
        assert!(*other_digests == digests && *other_found == found, "{variant}");
    }
}

#[test]
fn a_wrong_configuration_is_told_with_its_key() {
    let plugin = load(&standard(), find("longest-chain").unwrap().bytes.to_vec()).unwrap();
    assert_eq!(plugin.info().kind, Kind::Consensus);
    let text = plugin.check_config(r#"{"surprise": 1}"#).unwrap_err().to_string();
    assert!(text.contains("surprise"), "{text}");
    assert!(plugin.check_config("no json").is_err());
}

#[test]
fn longest_chain_gives_a_genesis_that_it_can_read() {
    let plugin = load(&standard(), find("longest-chain").unwrap().bytes.to_vec()).unwrap();
    let config = r#"{
        "header": "adit",
        "genesis": {"time-seconds": 1647888000, "difficulty": 2, "message": "test"},
        "retarget": {"rule": "interval", "difficulty": 4, "min": 1, "max": 12, "spacing-seconds": 10, "interval": 10,
            "max-change": 4, "steps": "measured", "free-difficulty": true},
        "subsidy": {"initial-atoms": 5000000000}
    }"#;
    let rules = plugin.rules(config).unwrap_or_else(|error| panic!("{error}"));
    let genesis = rules.genesis().unwrap();
    let views = rules.decode(&[genesis]).unwrap();
    assert!(views[0].as_ref().unwrap().parents.is_empty());
}
