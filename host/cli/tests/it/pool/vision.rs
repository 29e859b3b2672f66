//! The pool of `examples/vision`: chain and pool in one process, paid on the chain itself.

use super::bench::{Pool, audit, paid, stratum};
use super::counterparts::{Miner, free_port};
use crate::adit::{Place, Running, get, wait_until};
use serde_json::Value;

/// About 2^16 hashes a block.
pub const QUICK: &str = "0x1f00ffff";

/// About 2^24 hashes a block: none comes in a test.
pub const SLOW: &str = "0x1e00ffff";

/// The example with every block as hard as `bits` say, money that matures soon, and ports of nobody else's; nobody mines but who connects.
fn vision(bits: &str) -> String {
    let api = format!("127.0.0.1:{}", free_port());
    let example = include_str!("../../../../../examples/vision/chain.toml");
    let stated = format!("bits = {bits}");
    let changes = [
        ("bits = 0x1e0fffff", stated.as_str()),
        (
            "rule = \"lwma\"\nspacing-seconds = 30\nwindow = 90",
            &format!("rule = \"litecoin\"\nenabled = false\nlimit-bits = {bits}"),
        ),
        ("coinbase-maturity = 10", "coinbase-maturity = 2"),
        (
            "[pool]\n",
            &format!(
                "[miner]\nenabled = false\n[node]\napi = \"{api}\"\ndata-dir = \"data\"\n[pool]\nstratum = \"127.0.0.1:0\"\n"
            ),
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

/// Starts chain and pool.
pub fn up(place: &Place) -> Pool {
    let mut process: Running = place.start(&["up", "chain.toml"]);
    let url = process.url();
    let stratum = stratum(&mut process);
    Pool { process, url, stratum }
}

/// Has a user find shares, and returns what the miner said. `None` where there is no Python.
#[track_caller]
pub fn mine(pool: &Pool, user: &str, shares: &str) -> Option<String> {
    Some(Miner::start(&pool.stratum, user, &["--shares", shares, "--hash-rate", "200000"])?.finish())
}

/// A place with the chain, and a key of each name: the addresses.
pub fn place<const N: usize>(bits: &str, names: [&str; N]) -> (Place, [String; N]) {
    let place = Place::new();
    place.write("chain.toml", &vision(bits));
    let key = |name: &str| {
        let said = place.succeed(&["key", "new", name, "--chain", "chain.toml"]);
        said.split_whitespace().last().unwrap().to_owned()
    };
    let addresses = names.map(key);
    (place, addresses)
}

/// The rows of a table on the terminal, as JSON.
#[track_caller]
fn table(place: &Place, which: &str) -> Vec<Value> {
    serde_json::from_str(place.succeed(&["--json", "pool", which, "chain.toml"]).trim()).unwrap()
}

#[test]
fn visions_pool_finds_blocks_and_pays_on_its_own_chain_over_a_restart() {
    let (place, payees) = place(QUICK, ["one.key", "two.key", "three.key"]);
    let pool = up(&place);
    let mine_all = |pool: &Pool, shares| {
        payees.iter().try_for_each(|payee| mine(pool, &format!("{payee}.rig"), shares).map(|_| ()))
    };
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

#[test]
fn tables_on_the_terminal_say_what_the_pool_says() {
    let (place, [payee]) = place(QUICK, ["one.key"]);
    let pool = up(&place);
    let user = format!("{payee}.rig");
    while pool.payments().is_empty() {
        if mine(&pool, &user, "20").is_none() {
            return;
        }
    }
    let stats = pool.ask("/pool/stats").unwrap();
    assert_eq!(table(&place, "shares")[0]["count"], stats["shares_valid"].to_string());
    let workers = table(&place, "workers");
    let [worker] = &workers[..] else { panic!("one worker mined: {workers:?}") };
    assert_eq!((&worker["worker"], worker["invalid"].as_str()), (&Value::from(user), Some("0")));
    let (blocks, of_api) = (table(&place, "blocks"), pool.blocks());
    let ids = |rows: &[Value], name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&blocks, "block"), ids(&of_api, "hash"));
    let payouts = table(&place, "payouts");
    assert_eq!(payouts.last().unwrap()["number"], "1", "{payouts:?}");
    audit(&place)("owed_to_miners");
}

#[test]
fn tables_of_a_pool_that_is_stopped_say_so() {
    let (place, []) = place(SLOW, []);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    place.write("chain.toml", &text.replacen("mode = \"host\"", "mode = \"solo\"", 1));
    let mut process = place.start(&["up", "chain.toml"]);
    process.url();
    for table in ["workers", "shares"] {
        let said = place.fail(&["pool", table, "chain.toml"]);
        assert!(said.contains("no pool runs here: POST /pool/start starts one"), "{said}");
    }
}

#[test]
fn a_change_of_difficulty_makes_no_share_a_duplicate() {
    let (place, [payee]) = place(SLOW, ["one.key"]);
    let pool = up(&place);
    // A start far too low: the difficulty rises again and again, and each time the job is sent anew.
    let mut said = String::new();
    while !said.lines().any(|line| line.contains(" extranonce2=") && !line.contains("00 extranonce2=")) {
        let Some(more) = mine(&pool, &format!("{payee}.rig"), "30") else { return };
        said += &more;
    }
    assert!(said.lines().any(|line| line.starts_with("accepted")));
    assert!(!said.contains("[22,"), "{said}");
}

#[test]
fn books_of_yesterday_pay_nobody_again() {
    let (place, [payee]) = place(QUICK, ["one.key"]);
    let pool = up(&place);
    let user = format!("{payee}.rig");
    while pool.blocks().is_empty() {
        if mine(&pool, &user, "20").is_none() {
            return;
        }
    }
    let books = |pool: Pool| {
        pool.process.kill();
        ["books.sqlite", "books.sqlite-wal", "books.sqlite-shm"].map(|name| place.path("data/pool").join(name))
    };
    let yesterday = books(pool).map(|file| (std::fs::read(&file).ok(), file));
    let pool = up(&place);
    wait_until("a payment", || {
        mine(&pool, &user, "10");
        (paid(&pool.payments(), &["sent", "confirmed"], &payee) > 0).then_some(())
    });
    books(pool).iter().for_each(|file| drop(std::fs::remove_file(file)));
    for (bytes, file) in yesterday {
        if let Some(bytes) = bytes {
            std::fs::write(file, bytes).unwrap();
        }
    }
    let mut pool = up(&place);
    pool.process.wait_for("refusal", |entry| (entry["fields"]["message"] == "no payment is made").then_some(()));
    assert!(pool.payments().is_empty(), "{:?}", pool.payments());
    // A person has seen to it: what the books owe is paid from now on.
    std::fs::remove_file(place.path("data/pool/last-payment")).unwrap();
    wait_until("a payment by these books", || {
        mine(&pool, &user, "10");
        (!pool.payments().is_empty()).then_some(())
    });
}

#[test]
fn blocks_pay_no_address_but_that_of_the_key_that_pays_miners() {
    let (place, [other]) = place(SLOW, ["one.key"]);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    let pay_to = |address: &str| {
        place.write("chain.toml", &text.replacen("[pool]\n", &format!("[pool]\naddress = \"{address}\"\n"), 1));
    };
    pay_to(&other);
    let refusal = place.fail(&["up", "chain.toml"]);
    assert!(
        refusal.contains(&format!("pool.address is {other}, but this pool pays miners with the key of ")),
        "{refusal}"
    );
    let own = place.succeed(&["key", "show", "data/pool.key", "--chain", "chain.toml"]);
    let own = own.split_whitespace().last().unwrap();
    assert!(refusal.contains(own), "{refusal}");
    pay_to(own);
    drop(up(&place));
    pay_to("no-address-at-all");
    assert!(place.fail(&["chain", "check", "chain.toml"]).contains("pool.address"));
}
