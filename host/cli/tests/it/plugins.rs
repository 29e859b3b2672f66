//! `adit plugin`: what a newcomer does, from nothing to a chain that mines with a hash of their own.

use crate::adit::{Place, wait_for_length};

#[test]
fn a_new_hash_is_built_tested_and_mined_with_slow() {
    let place = Place::new();
    place.succeed(&["plugin", "new", "my-hash"]);
    let built = place.succeed(&["plugin", "build", "my-hash", "--out", "my-hash.wasm"]);
    assert!(built.contains("blake3:"), "{built}");
    let tested = place.succeed(&["plugin", "test", "my-hash"]);
    assert!(tested.contains("8 ways, 0 failed"), "{tested}");
    let inspected = place.succeed(&["plugin", "inspect", "./my-hash.wasm"]);
    assert!(inspected.contains("my-hash") && inspected.contains("(hash)"), "{inspected}");
    place.succeed(&["chain", "new", "penny", "--hash", "./my-hash.wasm"]);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    place.write("chain.toml", &format!("{text}\n[node]\napi = \"127.0.0.1:0\"\n"));
    let mut node = place.start(&["up", "chain.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
}

#[test]
fn new_rules_are_built_and_tested_slow() {
    let place = Place::new();
    place.succeed(&["plugin", "new", "my-rules", "--kind", "consensus"]);
    let tested = place.succeed(&["plugin", "test", "my-rules"]);
    assert!(tested.contains("8 ways, 0 failed"), "{tested}");
}

#[test]
fn a_pools_new_plugins_are_built_and_tested_slow() {
    let place = Place::new();
    for (name, kind) in [("my-scheme", "payout"), ("my-shares", "shares")] {
        place.succeed(&["plugin", "new", name, "--kind", kind]);
        let tested = place.succeed(&["plugin", "test", name]);
        assert!(tested.contains("8 ways, 0 failed") && !tested.contains("; 0 vectors"), "{tested}");
    }
}

#[test]
fn a_bundled_plugin_is_inspected_by_its_name() {
    let said = Place::new().succeed(&["plugin", "inspect", "longest-chain"]);
    assert!(said.contains("(consensus)") && said.contains("adit:plugin/chain-view"), "{said}");
}

#[test]
fn what_is_no_component_is_refused() {
    let place = Place::new();
    place.write("x.wasm", "not a component");
    let said = place.fail(&["plugin", "inspect", "./x.wasm"]);
    assert!(said.contains("no WebAssembly component"), "{said}");
}
