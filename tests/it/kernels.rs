//! Every native kernel that runs on this machine against the plugin in the sandbox.

use crate::sandbox::hash;
use adit_kernels::{NativeEngine, bundled::ALGORITHMS, candidates};
use adit_miner::proof::known_hits;
use adit_miner::{Plan, prove};
use adit_primitives::engine::HashEngine;

const SEED: u64 = 20_261_121;

#[test]
fn every_backend_equals_its_plugin() {
    for algorithm in ALGORITHMS.iter().map(|algorithm| algorithm.name) {
        let mut reference = hash(algorithm);
        for table in candidates(algorithm) {
            let mut native = NativeEngine::new(table).expect("a bundled table is sound");
            let backend = native.backend();
            let plan = Plan::brief(SEED).with_known_hits(algorithm);
            assert!(!plan.hits.is_empty(), "{algorithm} has no known hit");
            assert_eq!(prove(&mut native, &mut reference, &plan), Ok(()), "{algorithm}: {backend}");
        }
    }
}

#[test]
fn every_known_hit_meets_its_target_in_the_sandbox() {
    for algorithm in ALGORITHMS.iter().map(|algorithm| algorithm.name) {
        for hit in known_hits(algorithm) {
            let mut input = hit.job.inputs[0].clone();
            hit.job.write_nonce(&mut input, hit.nonce);
            let digest = hash(algorithm).digest(&input).expect("the plugin answers");
            assert!(hit.job.target.is_met_by(&digest.0), "{algorithm}: nonce {} gives {digest}", hit.nonce);
        }
    }
}
