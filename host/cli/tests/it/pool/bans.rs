//! Bans as their operator sees and lifts them: on the terminal, over the API of the running pool, with its token.

use super::bench::Pool;
use super::sockets::{Client, SUBSCRIBE, bad_share};
use super::vision::{SLOW, place, up};
use crate::adit::{Place, get, post, wait_until};
use serde_json::{Value, json};

/// A pool that bans after five shares.
fn strict() -> (Place, String) {
    let (place, [payee]) = place(SLOW, ["one.key"]);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    place.write("chain.toml", &format!("{text}\n[pool.limits]\nlogin-ms = 600_000\nban-shares = 5\n"));
    (place, format!("{payee}.rig"))
}

fn ready(place: &Place) -> Pool {
    let pool = up(place);
    pool.wait_until_ready();
    pool
}

/// Logs in, and returns the connection with what its job is called. `None` where it is not let in.
fn enter(pool: &Pool, user: &str) -> Option<(Client, Value)> {
    let mut client = Client::connect(&pool.stratum);
    let login = json!({ "id": 2, "method": "mining.authorize", "params": [user, "x"] });
    client.send(&[SUBSCRIBE, format!("{login}\n").as_bytes()].concat());
    let (mut is_in, mut job) = (false, None);
    while !is_in || job.is_none() {
        let line: Value = serde_json::from_str(&client.line()?).unwrap();
        if line["id"] == 2 && line["result"] != true {
            return None;
        }
        is_in |= line["id"] == 2;
        if line["method"] == "mining.notify" {
            job = Some(line["params"][0].clone());
        }
    }
    Some((client, job?))
}

/// Sends as much nonsense as is banned, and no more: none of it is judged after the ban.
fn be_banned(pool: &Pool, user: &str) {
    let (mut bad, job) = enter(pool, user).expect("it is let in");
    for share in 10..15 {
        bad.send(bad_share(share, user, &job).as_bytes());
    }
    bad.is_closed();
}

/// What `adit pool bans` says: who, and what kind of ban.
fn banned(place: &Place) -> Vec<(String, String)> {
    let said = place.succeed(&["--json", "pool", "bans", "chain.toml"]);
    let bans: Vec<Value> = serde_json::from_str(said.trim()).unwrap();
    let text = |ban: &Value, field: &str| ban[field].as_str().unwrap().to_owned();
    bans.iter().map(|ban| (text(ban, "who"), text(ban, "kind"))).collect()
}

#[test]
fn a_ban_is_shown_and_lifted_for_good() {
    let (place, user) = strict();
    let pool = ready(&place);
    assert_eq!(banned(&place), []);
    be_banned(&pool, &user);
    let both = [("127.0.0.1".to_owned(), "address".to_owned()), (user.clone(), "name".to_owned())];
    wait_until("both bans", || (banned(&place) == both).then_some(()));
    assert!(enter(&pool, &user).is_none());
    let table = place.succeed(&["pool", "bans", "chain.toml"]);
    let line = table.lines().find(|line| line.contains(&user)).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("name") && line.contains(" min") && line.contains("shares were invalid"), "{table}");

    assert!(
        place.fail(&["pool", "unban", "chain.toml", "nobody"]).contains("nobody of that name or address is banned")
    );
    // Under the banned name it is let in from an address in good standing alone, which this one is not yet.
    place.succeed(&["pool", "unban", "chain.toml", "127.0.0.1", "--reason", "a mistake"]);
    assert!(enter(&pool, &user).is_none());
    let said = place.succeed(&["--json", "pool", "unban", "chain.toml", &user]);
    assert_eq!(serde_json::from_str::<Value>(said.trim()).unwrap(), json!({ "lifted": [{ "who": user }] }));
    assert_eq!(banned(&place), []);
    let (mut client, job) = enter(&pool, &user).expect("the ban is lifted");
    // The shares of before count no more: four more of them are too few to tell.
    for share in 10..14 {
        client.send(bad_share(share, &user, &job).as_bytes());
        assert_eq!(client.answer(share).expect("it is not turned out")["error"][0], 20);
    }
    assert_eq!(banned(&place), []);

    pool.process.kill();
    let pool = ready(&place);
    assert_eq!(banned(&place), []);
    assert!(enter(&pool, &user).is_some());
}

#[test]
fn who_has_no_token_sees_and_lifts_no_ban() {
    let (place, user) = strict();
    let pool = ready(&place);
    be_banned(&pool, &user);
    assert_eq!(get(&pool.url, "/pool/bans").0, 401);
    assert_eq!(post(&pool.url, "/pool/bans/lift", &json!({ "who": user })).0, 401);
    wait_until("both bans", || (banned(&place).len() == 2).then_some(()));
    std::fs::rename(place.path("data/token"), place.path("elsewhere")).unwrap();
    assert!(place.fail(&["pool", "bans", "chain.toml"]).contains("the pool's operator"));
    let elsewhere = ["pool", "unban", "chain.toml", &user, "--token-file", "elsewhere", "--pool", &pool.url];
    assert!(place.succeed(&elsewhere).contains("the ban is lifted"));
}
