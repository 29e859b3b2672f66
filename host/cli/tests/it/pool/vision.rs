//! The pool of `examples/vision`: chain and pool in one process, paid on the chain itself.

use super::bench::{Pool, audit, stratum};
use super::counterparts::Miner;
use crate::adit::{Place, Running, get, wait_until};
use serde_json::Value;

/// The example with every block of 2^16 hashes, money that matures soon, and ports of the system's choice; nobody mines but who connects.
fn quick_vision() -> String {
    let example = include_str!("../../../../../examples/vision/chain.toml");
    let changes = [
        ("bits = 0x1e0fffff", "bits = 0x1f00ffff"),
        (
            "rule = \"lwma\"\nspacing-seconds = 30\nwindow = 90",
            "rule = \"litecoin\"\nenabled = false\nlimit-bits = 0x1f00ffff",
        ),
        ("coinbase-maturity = 10", "coinbase-maturity = 2"),
        (
            "[pool]\n",
            "[miner]\nenabled = false\n[node]\napi = \"127.0.0.1:0\"\ndata-dir = \"data\"\n[pool]\nstratum = \"127.0.0.1:0\"\n",
        ),
        ("difficulty-start = 0.001 ", "difficulty-start = 0.000001 "),
        ("difficulty-min = 0.0001", "difficulty-min = 0.000001"),
        ("maturity = 10\n", "maturity = 2\nconfirmations = 2\n"),
        ("payment-ms = 60_000", "payment-ms = 1_000"),
    ];
    changes.iter().fold(example.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example has changed: {from:?}");
        text.replacen(from, to, 1)
    })
}

fn up(place: &Place) -> Pool {
    let mut process: Running = place.start(&["up", "chain.toml"]);
    let url = process.url();
    let stratum = stratum(&mut process);
    Pool { process, url, stratum }
}

/// Has a user find shares. `None` where there is no Python.
#[track_caller]
fn mine(pool: &Pool, user: &str, shares: &str) -> Option<()> {
    Miner::start(&pool.stratum, user, &["--shares", shares, "--hash-rate", "200000"])?.finish();
    Some(())
}

/// What payments in some states pay to an address.
fn paid(payments: &[Value], states: &[&str], to: &str) -> u64 {
    let counted = payments.iter().filter(|payment| states.iter().any(|state| payment["state"] == *state));
    let outputs = counted.flat_map(|payment| payment["outputs"].as_array().unwrap());
    outputs.filter(|output| output["address"] == to).map(|output| output["amount_atoms"].as_u64().unwrap()).sum()
}

#[test]
fn visions_pool_finds_blocks_and_pays_on_its_own_chain_over_a_restart() {
    let place = Place::new();
    place.write("chain.toml", &quick_vision());
    let key = |name: &str| {
        let said = place.succeed(&["key", "new", name, "--chain", "chain.toml"]);
        said.split_whitespace().last().unwrap().to_owned()
    };
    let payees = ["one.key", "two.key", "three.key"].map(key);
    let pool = up(&place);
    let mine_all =
        |pool: &Pool, shares| payees.iter().try_for_each(|payee| mine(pool, &format!("{payee}.rig"), shares));
    while pool.blocks().is_empty() {
        if mine_all(&pool, "20").is_none() {
            return;
        }
    }
    let found = pool.blocks();
    for block in &found {
        let (status, known) = get(&pool.url, &format!("/block/{}", block["hash"].as_str().unwrap()));
        assert_eq!(status, 200, "{known}");
    }
    pool.process.kill();

    let pool = up(&place);
    // Each look mines some more, so that payments come to be deep enough.
    wait_until("confirmed payments to all", || {
        mine_all(&pool, "10");
        let payments = pool.payments();
        payees.iter().all(|payee| paid(&payments, &["confirmed"], payee) > 0).then_some(())
    });
    for payee in &payees {
        let before = paid(&pool.payments(), &["confirmed"], payee);
        let (_, holdings) = get(&pool.url, &format!("/address/{payee}"));
        let has = holdings["balance_atoms"].as_u64().unwrap();
        let after = paid(&pool.payments(), &["signed", "sent", "confirmed"], payee);
        assert!(before <= has && has <= after, "{payee} was to have {before} to {after}: {holdings}");
    }
    audit(&place)("paid_out");
}
