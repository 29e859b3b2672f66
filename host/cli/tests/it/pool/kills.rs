//! The pool killed at a step of its choice: when a block is on its way to the node, and at every step of a payment.

use super::bench::{ALL_BLOCKS, Pool, audit, said};
use super::counterparts::{Litecoin, Miner, signal};
use super::litecoin::{mine, place, settle};
use super::relay::{Relay, Trap, When};
use crate::adit::{PATIENCE, Place, Running};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, channel};

/// Has the next call of a function send a signal to a process. Returns what tells that it did.
fn signal_at(relay: &Relay, method: &'static str, when: When, pid: u32, name: &'static str) -> Receiver<()> {
    let (sender, sprung) = channel();
    let spring = move || {
        signal(pid, name);
        sender.send(()).unwrap();
    };
    relay.set(Trap { method, when, spring: Box::new(spring) });
    sprung
}

#[track_caller]
fn wait_for(sprung: &Receiver<()>, what: &str) {
    sprung.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} was not called"));
}

#[test]
fn a_block_that_a_kill_keeps_from_the_node_is_handed_in_at_the_next_start() {
    let Some(litecoin) = Litecoin::start() else { return };
    let relay = Relay::start(litecoin.near.port());
    let (place, _) = place(&litecoin, relay.port(), 100);
    let user = litecoin.payee("bech32");
    let mut known = 0;
    for when in [When::Before, When::After, When::Before] {
        let pool = Pool::start(&place);
        let sprung = signal_at(&relay, "submitblock", when, pool.process.pid(), "KILL");
        let Some(miner) = Miner::start(&pool.stratum, &user, &["--algorithm", "scrypt", "--hash-rate", "10"]) else {
            return;
        };
        wait_for(&sprung, "submitblock");
        pool.process.kill();
        drop(miner);
        let pool = Pool::start(&place);
        let blocks = pool.wait_for("the block", ALL_BLOCKS, |answer| {
            let blocks = answer["blocks"].as_array()?;
            (blocks.len() > known && blocks.iter().all(|block| block["state"] != "found")).then(|| blocks.clone())
        });
        for block in &blocks {
            assert_eq!(block["state"], "immature", "{when:?}: {block}");
            litecoin.near.ask("getblockheader", &[block["hash"].as_str().unwrap()]);
        }
        known = blocks.len();
        assert_eq!(std::fs::read_dir(place.path("data/pool/solved")).unwrap().count(), 0, "a note is left");
        pool.process.kill();
    }
}

/// What a payment takes, in order.
const STEPS: [(&str, When); 12] = [
    ("createrawtransaction", When::Before),
    ("createrawtransaction", When::After),
    ("fundrawtransaction", When::Before),
    ("fundrawtransaction", When::After),
    ("signrawtransactionwithwallet", When::Before),
    ("signrawtransactionwithwallet", When::After),
    ("decoderawtransaction", When::After),
    // It is signed and booked, and never sent.
    ("sendrawtransaction", When::Before),
    ("gettransaction", When::Before),
    ("gettransaction", When::After),
    // The node has it, and the pool does not know.
    ("sendrawtransaction", When::After),
    ("gettransaction", When::After),
];

/// A pool whose miners are owed money that is final, with a wallet that has it, and the users.
fn owing(litecoin: &Litecoin, relay: &Relay) -> Option<(Place, Vec<String>)> {
    let (place, address) = place(litecoin, relay.port(), 2);
    // What the pool's own blocks bring is not mature within this test.
    litecoin.near.ask("generatetoaddress", &["100", &address]);
    litecoin.near.generate(100);
    let users = ["legacy", "p2sh-segwit", "bech32"].map(|kind| litecoin.payee(kind)).to_vec();
    let pool = Pool::start(&place);
    mine(&pool, &users, 1)?;
    pool.process.kill();
    litecoin.near.generate(3);
    Some((place, users))
}

#[test]
fn a_pool_killed_at_each_step_of_a_payment_pays_once() {
    let Some(litecoin) = Litecoin::start() else { return };
    let relay = Relay::start(litecoin.near.port());
    let Some((place, users)) = owing(&litecoin, &relay) else { return };
    for (method, when) in STEPS {
        let pool = place.start(&["pool", "chain.toml"]);
        wait_for(&signal_at(&relay, method, when, pool.pid(), "KILL"), method);
        pool.kill();
    }
    let pool = Pool::start(&place);
    settle(&litecoin, &place, &pool, &users);
}

fn write_off(pool: &Pool, place: &Place, payment: u64) -> (u16, Value) {
    let token = std::fs::read_to_string(place.path("data/token")).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent
        .post(format!("{}/pool/payments/write-off", pool.url))
        .header("Authorization", format!("Bearer {}", token.trim()))
        .send_json(json!({ "payment": payment, "reason": "spent by hand" }))
        .unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

/// Waits until the log says something.
#[track_caller]
fn wait_to_hear(process: &mut Running, message: &str) {
    process.wait_for(message, |entry| said(entry, message).then_some(()));
}

#[test]
fn a_payment_whose_coins_are_gone_is_written_off_and_one_without_coins_waits() {
    let Some(litecoin) = Litecoin::start() else { return };
    let relay = Relay::start(litecoin.near.port());
    let Some((place, users)) = owing(&litecoin, &relay) else { return };
    let mut pool = Pool::start(&place);
    wait_for(&signal_at(&relay, "sendrawtransaction", When::Before, pool.process.pid(), "STOP"), "sendrawtransaction");
    // While the pool stands still, all that the wallet has is spent by hand.
    let near = &litecoin.near;
    let all = near.ask("getbalance", &[]).to_string();
    near.ask("sendtoaddress", &[&litecoin.payee("bech32"), &all, "", "", "true"]);
    near.generate(1);
    signal(pool.process.pid(), "CONT");
    let is_sent = |answer: &Value| (answer["payments"][0]["state"] == "sent").then(|| answer["payments"][0].clone());
    let gone = pool.wait_for("the payment", "/pool/payments", is_sent);
    assert_eq!(write_off(&pool, &place, 999).0, 409, "there is no such payment");
    let (status, answer) = write_off(&pool, &place, gone["number"].as_u64().unwrap());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(write_off(&pool, &place, gone["number"].as_u64().unwrap()).0, 409, "it is at its end");
    audit(&place)("owed_to_miners");
    // What was to be paid is owed again: it is planned, and waits for coins.
    wait_to_hear(&mut pool.process, "the payment is not made now: it waits, and is tried again");
    let waiting = pool.payments();
    assert_eq!((&waiting[0]["state"], &waiting[1]["state"]), (&json!("planned"), &json!("failed")), "{waiting:#?}");
    // The pool's own blocks come to be spendable.
    near.generate(100);
    settle(&litecoin, &place, &pool, &users);
}
