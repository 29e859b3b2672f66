//! Blocks and money with Litecoin Core: what it accepts, what it confirms, what it takes back, and what a crash leaves.

use super::bench::{ALL_BLOCKS, Pool, Setup, audit};
use super::counterparts::{Litecoin, Miner, atoms, free_port};
use super::relay::{Change, Relay};
use crate::adit::{Place, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Litecoin's own.
const MATURITY: u64 = 100;

/// A place with a pool that reaches the near node at a port.
pub fn place(litecoin: &Litecoin, port: u16, maturity: u64) -> (Place, String) {
    let place = Place::new();
    let address = litecoin.pool_address();
    let cookie = litecoin.near.cookie();
    let nodes = [(port, cookie.to_str().unwrap())];
    place.write("chain.toml", &Setup { address: &address, nodes: &nodes, maturity, more: "" }.text());
    (place, address)
}

/// Has each user find shares, again until one at least was a block, on this network about each second one is, and each user has credits:
/// who found nothing before the last block has none. Returns the blocks, once all are split.
#[track_caller]
pub fn mine(pool: &Pool, users: &[String], shares: usize) -> Option<Vec<Value>> {
    let shares = shares.to_string();
    let arguments = ["--algorithm", "scrypt", "--hash-rate", "10", "--shares", &shares];
    let mut count = 0;
    loop {
        let miners = users.iter().map(|user| Miner::start(&pool.stratum, user, &arguments));
        let miners: Vec<Miner> = miners.collect::<Option<_>>()?;
        let said: String = miners.into_iter().map(Miner::finish).collect();
        // A late share is a block all the same, unless its job is forgotten.
        count += said.lines().filter(|line| line.contains(" block") && !line.contains("job not found")).count();
        let blocks = pool.wait_for("split blocks", ALL_BLOCKS, |answer| {
            let blocks = answer["blocks"].as_array()?;
            (blocks.len() >= count && blocks.iter().all(|block| block["split"] == true)).then(|| blocks.clone())
        });
        if count > 0 && credited(pool) == users.len() {
            return Some(blocks);
        }
    }
}

/// How many workers are owed something.
fn credited(pool: &Pool) -> usize {
    pool.owed().iter().filter(|(_, owed)| *owed > 0).count()
}

/// A block of the pool as the node has it: right height, our address, the whole reward, the witness commitment.
#[track_caller]
fn check_block(litecoin: &Litecoin, ours: &Value, address: &str) {
    let block = litecoin.near.ask("getblock", &[ours["hash"].as_str().unwrap(), "2"]);
    assert_eq!(block["height"], ours["height"]);
    let outputs = block["tx"][0]["vout"].as_array().unwrap();
    assert_eq!(outputs[0]["scriptPubKey"]["addresses"], json!([address]), "{block}");
    assert_eq!(json!(atoms(&outputs[0]["value"])), ours["reward_atoms"], "{block}");
    let script = |output: &Value| output["scriptPubKey"]["hex"].as_str().unwrap().to_owned();
    assert!(outputs.iter().any(|output| script(output).starts_with("6a24aa21a9ed")), "{block}");
}

fn in_state<'a>(blocks: &'a [Value], state: &'a str) -> impl Iterator<Item = &'a Value> {
    blocks.iter().filter(move |block| block["state"] == state)
}

#[test]
fn litecoin_takes_the_pools_blocks_and_confirms_a_payment_to_three_miners() {
    let Some(litecoin) = Litecoin::start() else { return };
    let (place, address) = place(&litecoin, litecoin.near.port(), MATURITY);
    let pool = Pool::start(&place);
    let payees = ["legacy", "p2sh-segwit", "bech32"].map(|kind| litecoin.payee(kind));
    if mine(&pool, &payees.clone().map(|payee| format!("{payee}.rig")), 3).is_none() {
        return;
    }
    assert!(pool.payments().is_empty(), "immature money was paid");

    litecoin.near.generate(MATURITY);
    let payments = settle(&litecoin, &place, &pool, &payees);
    let outputs = payments.iter().flat_map(|payment| payment["outputs"].as_array().unwrap());
    let paid: BTreeSet<_> = outputs.map(|output| output["address"].as_str().unwrap()).collect();
    assert_eq!(paid, payees.iter().map(String::as_str).collect());
    let blocks = pool.blocks();
    in_state(&blocks, "confirmed").for_each(|block| check_block(&litecoin, block, &address));
    let earned: i128 =
        in_state(&blocks, "confirmed").map(|block| i128::from(block["reward_atoms"].as_u64().unwrap())).sum();
    assert!(earned > 0, "{blocks:?}");
    let sums = audit(&place);
    assert_eq!(sums("brought_by_blocks"), earned);
    let received: i128 = payees.iter().map(|payee| i128::from(litecoin.near.unspent_at(payee))).sum();
    assert_eq!(sums("paid_out"), received);
    // What is left is in the node's wallet, to the last atom.
    let left = litecoin.near.ask("getbalances", &[])["mine"].clone();
    let left = i128::from(atoms(&left["trusted"]) + atoms(&left["immature"]) + atoms(&left["untrusted_pending"]));
    assert_eq!(left, earned - received - sums("network_fees"));
}

/// Waits until the newest block of the chain is as wanted.
#[track_caller]
fn wait_for_tip(litecoin: &Litecoin, what: &str, wanted: impl Fn(&Value) -> bool) -> u64 {
    wait_until(what, || {
        let tip = litecoin.near.ask("getbestblockhash", &[]);
        let block = litecoin.near.ask("getblock", &[tip.as_str().unwrap(), "2"]);
        wanted(&block).then(|| block["height"].as_u64().unwrap())
    })
}

#[test]
fn another_size_of_extranonces_reaches_miners_that_can_change_it_and_those_that_cannot() {
    let Some(litecoin) = Litecoin::start() else { return };
    let relay = Relay::start(litecoin.near.port());
    let (place, _) = place(&litecoin, relay.port(), MATURITY);
    let pool = Pool::start(&place);
    let user = litecoin.payee("bech32");
    let start = |more: &[&str]| {
        Miner::start(&pool.stratum, &user, &[&["--algorithm", "scrypt", "--hash-rate", "5"], more].concat())
    };
    // What the node wants in coinbases: with 76 bytes of it, and the height in up to three, a miner's part of the extranonce has five to seven, otherwise eight.
    let want = |flags: &'static str, count: usize| {
        let flags = flags.repeat(count);
        let change = move |template: &mut Value| template["coinbaseaux"] = json!({ "flags": flags });
        relay.change(Change { method: "getblocktemplate", change: Box::new(change) });
    };
    let holds = |flags: &str, above: u64| {
        let flags = flags.repeat(16);
        move |block: &Value| {
            let script = block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap_or_default();
            script.contains(&flags) && block["height"].as_u64() > Some(above)
        }
    };
    let accepted = |said: &str, is_whole: bool| {
        let lines = said.lines().filter(|line| line.starts_with("accepted"));
        let digits = lines.filter_map(|line| line.split("extranonce2=").nth(1)?.split(' ').next()).map(str::len);
        digits.into_iter().any(|digits| (digits == 16) == is_whole)
    };

    let Some(moving) = start(&["--extranonce-subscribe"]) else { return };
    let first = litecoin.near.height();
    wait_for_tip(&litecoin, "a block", |block| block["height"].as_u64() > Some(first));
    want("aa", 76);
    let second = wait_for_tip(&litecoin, "a block with a long script", holds("aa", first));
    let said = moving.stop();
    assert!(accepted(&said, true) && accepted(&said, false) && !said.contains("reconnecting"), "{said}");

    let Some(fixed) = start(&[]) else { return };
    let third = wait_for_tip(&litecoin, "another", holds("aa", second));
    want("bb", 60);
    wait_for_tip(&litecoin, "a block with a shorter script", holds("bb", third));
    let said = fixed.stop();
    assert!(accepted(&said, false) && accepted(&said, true) && said.contains("reconnecting"), "{said}");
}

#[test]
fn versions_are_rolled_within_the_mask_of_the_settings() {
    const BIT_OF_BIP323: u64 = 0x20;
    let Some(litecoin) = Litecoin::start() else { return };
    let (place, _) = place(&litecoin, litecoin.near.port(), MATURITY);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    place.write("chain.toml", &text.replace("job-ms = 2_000", "job-ms = 2_000\nversion-mask = \"1fffffe0\""));
    let pool = Pool::start(&place);
    let user = litecoin.payee("bech32");
    let arguments = ["--algorithm", "scrypt", "--hash-rate", "5", "--version-rolling", "--version-mask", "ffffffff"];
    let Some(miner) = Miner::start(&pool.stratum, &user, &arguments) else { return };
    let is_rolled = |block: &Value| block["version"].as_u64().is_some_and(|version| version & BIT_OF_BIP323 != 0);
    wait_for_tip(&litecoin, "a block with a bit that BIP320 leaves alone", is_rolled);
    let said = miner.stop();
    assert!(said.contains("accepted") && !said.contains("version"), "{said}");
}

#[test]
fn an_orphaned_block_takes_its_credits_back() {
    let Some(litecoin) = Litecoin::start() else { return };
    let (place, _) = place(&litecoin, litecoin.near.port(), MATURITY);
    let pool = Pool::start(&place);
    let users = ["legacy", "bech32"].map(|kind| litecoin.payee(kind));
    let Some(blocks) = mine(&pool, &users, 2) else { return };
    for block in &blocks {
        litecoin.near.ask("invalidateblock", &[block["hash"].as_str().unwrap()]);
    }
    litecoin.near.generate(MATURITY + 2 * blocks.len() as u64);
    pool.wait_for("orphaned blocks", ALL_BLOCKS, |answer| {
        answer["blocks"].as_array()?.iter().all(|block| block["state"] == "orphaned").then_some(())
    });
    assert!(pool.owed().iter().all(|(_, owed)| *owed == 0), "{:?}", pool.owed());
    let sums = audit(&place);
    assert_eq!((sums("brought_by_blocks"), sums("owed_to_miners"), sums("foundation"), sums("operator")), (0, 0, 0, 0));
}

/// Brings all payments to their end, and compares what each user has by the node's own set of unspent outputs with what the books say.
/// Returns those that were made.
#[track_caller]
pub fn settle(litecoin: &Litecoin, place: &Place, pool: &Pool, users: &[String]) -> Vec<Value> {
    let mut seen = None;
    let payments = wait_until("the end of all payments", || {
        // In this order: what a block brings is owed after it, and what is no longer owed stands in a payment.
        let (blocks, owed) = (pool.blocks(), pool.owed());
        let payments = pool.payments();
        let is_open = |payment: &Value| ["planned", "signed", "sent"].iter().any(|state| payment["state"] == *state);
        // Before a block is final its credits are not, or not yet, owed.
        let is_final = |block: &Value| match block["state"].as_str().unwrap() {
            "confirmed" => block["split"] == true,
            state => ["orphaned", "refused"].contains(&state),
        };
        let all_owed = !blocks.is_empty() && blocks.iter().all(is_final);
        let done = all_owed && owed.iter().all(|(_, owed)| *owed == 0) && !payments.iter().any(is_open);
        // Whatever happens is buried: what is booked next waits for that alone.
        let now = Some((payments.clone(), blocks, owed));
        if seen != now {
            litecoin.near.generate(2);
            seen = now;
        }
        done.then_some(payments)
    });
    let made: Vec<Value> = in_state(&payments, "confirmed").cloned().collect();
    let outputs = || made.iter().flat_map(|payment| payment["outputs"].as_array().unwrap());
    for user in users {
        let paid: u64 = outputs()
            .filter(|output| output["address"] == **user)
            .map(|output| output["amount_atoms"].as_u64().unwrap())
            .sum();
        assert_eq!(litecoin.near.unspent_at(user), paid, "{user}");
    }
    let paid: i128 = outputs().map(|output| i128::from(output["amount_atoms"].as_u64().unwrap())).sum();
    assert_eq!(audit(place)("paid_out"), paid);
    made
}

#[test]
fn a_pool_killed_while_it_mines_forgets_no_block_and_pays_nobody_twice() {
    const KILLS: u32 = 10;
    let Some(litecoin) = Litecoin::start() else { return };
    let (place, address) = place(&litecoin, litecoin.near.port(), 2);
    let stratum = format!("127.0.0.1:{}", free_port());
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    place.write("chain.toml", &text.replace("stratum = \"127.0.0.1:0\"", &format!("stratum = \"{stratum}\"")));
    let funds = litecoin.pool_address();
    litecoin.near.ask("generatetoaddress", &["100", &funds]);
    litecoin.near.generate(100);
    let users = ["legacy", "p2sh-segwit", "bech32"].map(|kind| litecoin.payee(kind));
    let miner = |user: &String| Miner::start(&stratum, user, &["--algorithm", "scrypt", "--hash-rate", "2"]);
    let Some(miners) = users.iter().map(miner).collect::<Option<Vec<_>>>() else { return };
    let mut found = 0;
    for round in 0..KILLS {
        let pool = Pool::start(&place);
        found = pool.wait_for("another block", ALL_BLOCKS, |answer| {
            let count = answer["blocks"].as_array()?.len();
            (count > found).then_some(count)
        });
        // Moments spread by a fixed sequence over some of the pool's rounds.
        std::thread::park_timeout(Duration::from_millis(u64::from(round.wrapping_mul(2_654_435_761) >> 22)));
        pool.process.kill();
    }
    drop(miners);
    let pool = Pool::start(&place);
    settle(&litecoin, &place, &pool, &users);
    let ours = pool.blocks();
    for height in 0..=litecoin.near.height() {
        let hash = litecoin.near.ask("getblockhash", &[&height.to_string()]);
        let block = litecoin.near.ask("getblock", &[hash.as_str().unwrap(), "2"]);
        if block["tx"][0]["vout"][0]["scriptPubKey"]["addresses"] == json!([address]) {
            assert!(ours.iter().any(|block| block["hash"] == hash), "block {hash} is not in the books: {ours:#?}");
        }
    }
}
