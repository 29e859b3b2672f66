//! The payout scheme changes over a restart: what is open under the one that was left is split and paid for by it all the same.

use super::bench::{Pool, audit, said, stratum, text};
use super::vision::{QUICK, SLOW, mine, place, up};
use crate::adit::{Place, wait_until};
use serde_json::Value;

const LEFT: &str = "an earlier payout scheme is loaded for what is open under it";
const LOST: &str = "an earlier payout scheme cannot be loaded: what is open under it waits, and nothing of it is lost";

/// Names a payout plugin in the chain's file.
fn choose(place: &Place, plugin: &str) {
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    let (before, rest) = text.split_once("[payout]\nplugin = ").expect("the example names a scheme");
    let (_, after) = rest.split_once('\n').unwrap();
    place.write("chain.toml", &format!("{before}[payout]\nplugin = \"{plugin}\"\n{after}"));
}

/// Writes a component beside the chain's file: a bundled one with a section that it does not have, so that no program brings it.
fn write_component(place: &Place, name: &str, bundled: &str) {
    let mut component = adit_plugin_bundle::find(bundled).unwrap().bytes.to_vec();
    component.extend(b"\0\x05\x04mine");
    std::fs::write(place.path(name), component).unwrap();
}

/// Starts chain and pool. Before miners can come, the log has a line of that message: returns it.
#[track_caller]
fn up_with(place: &Place, message: &str) -> (Pool, Value) {
    let mut process = place.start(&["up", "chain.toml"]);
    let url = process.url();
    let entry = process.wait_for(message, |entry| said(entry, message).then(|| entry.clone()));
    let stratum = stratum(&mut process);
    (Pool { process, url, stratum }, entry)
}

/// Mines until the pool has found another block and every block that stands is split. `None` where there is no Python.
#[track_caller]
fn mine_a_block(pool: &Pool, users: &[String]) -> Option<()> {
    let before = pool.blocks().len();
    while pool.blocks().len() == before {
        for user in users {
            mine(pool, user, "10")?;
        }
    }
    wait_until("the split of every block", || {
        let stands = |block: &&Value| block["state"] != "orphaned" && block["state"] != "refused";
        pool.blocks().iter().filter(stands).all(|block| block["split"] == true).then_some(())
    });
    Some(())
}

#[test]
fn blocks_are_split_whatever_schemes_follow_each_other() {
    let (place, payees) = place(QUICK, ["one.key", "two.key"]);
    let users = payees.map(|payee| format!("{payee}.rig"));
    for (turn, plugin) in ["pplns", "proportional", "pplns", "solo", "proportional"].into_iter().enumerate() {
        choose(&place, plugin);
        let pool = if turn == 0 { up(&place) } else { up_with(&place, LEFT).0 };
        if mine_a_block(&pool, &users).is_none() {
            return;
        }
        // Shares that a block of the next scheme finds in its window.
        mine(&pool, &users[0], "3");
        if turn % 2 == 0 {
            pool.process.kill()
        } else {
            assert!(pool.process.interrupt().success())
        }
        assert_eq!(audit(&place)("not_split_yet"), 0, "after {plugin}");
    }
}

#[test]
fn shares_that_a_kill_left_unpaid_are_paid_for_by_the_scheme_of_their_time() {
    let (place, [payee]) = place(SLOW, ["one.key"]);
    choose(&place, "pps");
    let user = format!("{payee}.rig");
    let pool = up(&place);
    if mine(&pool, &user, "5").is_none() {
        return;
    }
    pool.process.kill();
    choose(&place, "fpps");
    let mut pool = up(&place);
    pool.process.wait_for("payment of the shares", |entry| said(entry, "shares are paid for").then_some(()));
    assert!(audit(&place)("owed_to_miners") > 0);
    let books: Value = serde_json::from_str(place.succeed(&["--json", "pool", "audit", "chain.toml"]).trim()).unwrap();
    assert_eq!(books["shares_to_pay_for"], 0, "{books}");
}

#[test]
fn a_scheme_whose_file_was_replaced_splits_what_is_open_under_it() {
    let (place, [payee]) = place(QUICK, ["one.key"]);
    write_component(&place, "mine.wasm", "pplns");
    choose(&place, "./mine.wasm");
    let users = [format!("{payee}.rig")];
    let pool = up(&place);
    if mine_a_block(&pool, &users).is_none() {
        return;
    }
    pool.process.kill();
    write_component(&place, "mine.wasm", "score");
    let (pool, _) = up_with(&place, LEFT);
    mine_a_block(&pool, &users).unwrap();
    pool.process.kill();
    assert_eq!(audit(&place)("not_split_yet"), 0);

    // Without its component a scheme cannot split: the operator is told once, by name, and what to do.
    let kept: Vec<_> =
        std::fs::read_dir(place.path("data/pool/schemes")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(kept.len(), 2);
    kept.iter().for_each(|entry| std::fs::remove_file(entry.path()).unwrap());
    let (_pool, entry) = up_with(&place, LOST);
    let why = text(&entry, "why");
    assert!(why.contains(".wasm") && why.contains("put the component of pplns"), "{why}");
}
