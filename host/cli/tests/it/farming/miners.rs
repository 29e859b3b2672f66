//! Farmers in processes of their own: with several nodes, and killed.

use super::{address, balance, chain, farm};
use crate::adit::{Place, get, length, wait_for_length, wait_until};
use std::time::Duration;

#[test]
fn a_farmer_of_two_nodes_goes_on_with_the_second_where_the_first_is_killed() {
    let place = farm("hard");
    chain(&place, "space", "hard", "poc2", "");
    let nodes = [Place::new(), Place::new()].map(|place| {
        chain(&place, "space", "hard", "poc2", "");
        let mut node = place.start(&["node", "space.toml"]);
        let url = node.url();
        (place, node, url)
    });
    let [(_first, node, one), (_second, _node, other)] = nodes;
    let farmer = place.start(&["miner", "space.toml", "--node", &one, "--node", &other]);
    wait_for_length(&one, 4);
    assert_eq!(length(&other), 1, "the first is well and has the turn");
    node.kill();
    wait_for_length(&other, 4);
    let owner = address(&place, "space.toml", "miner.key");
    wait_until("the subsidy", || (balance(&other, &owner) > 0).then_some(()));
    assert!(farmer.interrupt().success());
}

#[test]
fn a_farmer_that_is_killed_while_it_farms_loses_no_block_and_wins_again() {
    let place = farm("hard");
    chain(&place, "space", "hard", "poc2", "");
    let home = Place::new();
    chain(&home, "space", "hard", "poc2", "");
    let mut node = home.start(&["node", "space.toml"]);
    let url = node.url();
    let hash_at = |height: u64| {
        let (_, page) = get(&url, &format!("/blockchain?from={height}&limit=1"));
        page["chain"][0]["hash"].as_str().map(str::to_owned)
    };
    let mut won: Vec<(u64, String)> = Vec::new();
    for round in 0..4 {
        let before = length(&url);
        let farmer = place.start(&["miner", "space.toml", "--node", &url]);
        wait_for_length(&url, before + 1);
        won.push((before, hash_at(before).unwrap()));
        // At another moment of a round each time, of which one begins each second.
        std::thread::park_timeout(Duration::from_millis(230 * round));
        farmer.kill();
        place.succeed(&["plot", "check", "--dir", "plots", "--nonces", "16"]);
    }
    for (height, hash) in &won {
        assert_eq!(hash_at(*height).as_ref(), Some(hash), "block {height}");
    }
    let owner = address(&place, "space.toml", "miner.key");
    assert!(balance(&url, &owner) > 0);
    assert!(node.interrupt().success());
}
