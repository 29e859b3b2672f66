//! The pool's HTTP: a miner that works over it, an operator who stops and starts it, a supervisor who reads its metrics.

use super::bench::Pool;
use super::vision::{SLOW, place, up};
use crate::adit::{Place, agent, get, length, post};
use adit_primitives::sha256d;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A pool with a job, and an address that it pays.
fn pool() -> (Place, Pool, String) {
    let (place, [payee]) = place(SLOW, ["one.key"]);
    let pool = up(&place);
    pool.wait_until_ready();
    (place, pool, payee)
}

fn bytes(job: &Value, field: &str) -> Vec<u8> {
    let hex = job[field].as_str().unwrap_or_else(|| panic!("no {field}: {job}"));
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn number(job: &Value, field: &str) -> u32 {
    job[field].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("no {field}: {job}"))
}

fn extranonce2_bytes(job: &Value) -> usize {
    number(job, "extranonce2_bytes").try_into().unwrap()
}

/// The header of a job up to its nonce, with an extranonce of zeros.
fn header(job: &Value) -> Vec<u8> {
    let own = vec![0; extranonce2_bytes(job)];
    let coinbase = [bytes(job, "coinbase_head"), bytes(job, "extranonce1"), own, bytes(job, "coinbase_tail")].concat();
    let branches = job["branches"].as_array().unwrap();
    assert!(branches.is_empty(), "nobody pays anybody on this chain: {job}");
    let mut header = number(job, "version").to_le_bytes().to_vec();
    header.extend(bytes(job, "previous_hash"));
    header.extend(sha256d(&coinbase));
    header.extend(number(job, "time").to_le_bytes());
    header.extend(number(job, "bits").to_le_bytes());
    header
}

/// The nonces whose headers meet the job's target.
fn nonces(job: &Value) -> impl Iterator<Item = u32> {
    let (header, target) = (header(job), bytes(job, "target"));
    (0..u32::MAX).filter(move |nonce| {
        let digest = sha256d(&[header.as_slice(), &nonce.to_le_bytes()].concat());
        digest.iter().rev().le(&target)
    })
}

#[test]
fn a_miner_over_http_has_its_shares_counted_once() {
    let (_place, pool, payee) = pool();
    let register = |body: &Value| post(&pool.url, "/pool/register", body);
    assert_eq!(register(&json!({ "address": "nobody" })).0, 403);
    assert_eq!(register(&json!({ "address": payee, "colour": "red" })).0, 400);
    let (status, entered) = register(&json!({ "address": payee, "worker": "rig" }));
    assert_eq!(status, 200, "{entered}");
    let (worker, job) = (&entered["worker_id"], &entered["job"]);
    let (status, again) = get(&pool.url, &format!("/pool/job?worker_id={}", worker.as_str().unwrap()));
    assert_eq!((status, &again["previous_hash"]), (200, &job["previous_hash"]), "{again}");
    assert_eq!(get(&pool.url, "/pool/job?worker_id=00").0, 404);
    for job in [job, &again] {
        // The genesis is at height 0.
        let mined = length(&pool.url);
        assert_eq!((job["height"].as_u64(), job["topoheight"].as_u64()), (Some(mined), Some(mined)), "{job}");
        assert_eq!(bytes(job, "header_hash"), sha256d(&[header(job), vec![0; 4]].concat()), "{job}");
    }

    let extranonce2 = "00".repeat(extranonce2_bytes(job));
    let share = |nonce: u32, time: u32| {
        let body = json!({ "worker_id": worker, "job_id": job["job_id"], "extranonce2": extranonce2, "time": time, "nonce": nonce });
        let (status, answer) = post(&pool.url, "/pool/share", &body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        (status, message.split(':').next().unwrap().to_owned())
    };
    let time = number(job, "time");
    let mut found = nonces(job);
    let (first, second) = (found.next().unwrap(), found.next().unwrap());
    let code = |code: &str| (400, code.to_owned());
    assert_eq!(share(first, time), (200, String::new()));
    assert_eq!(share(first, time), code("22"), "it came before");
    assert_eq!(share(second, time - 1), code("20"), "no header may be earlier than the job");
    assert_eq!(share(second, time), (200, String::new()));
    let stats = pool.ask("/pool/stats").unwrap();
    assert_eq!((stats["shares_valid"].as_u64(), stats["shares_invalid"].as_u64()), (Some(2), Some(2)), "{stats}");
}

#[test]
fn a_share_that_was_answered_outlives_a_kill() {
    let (place, mut pool, payee) = pool();
    for run in 1..=5 {
        let (_, entered) = post(&pool.url, "/pool/register", &json!({ "address": payee }));
        let job = &entered["job"];
        let body = json!({
            "worker_id": entered["worker_id"],
            "job_id": job["job_id"],
            "extranonce2": "00".repeat(extranonce2_bytes(job)),
            "time": job["time"],
            "nonce": nonces(job).next(),
        });
        let (status, answer) = post(&pool.url, "/pool/share", &body);
        assert_eq!(status, 200, "{answer}");
        pool.process.kill();
        pool = up(&place);
        pool.wait_until_ready();
        assert_eq!(pool.ask("/pool/stats").unwrap()["shares_logged"], run);
    }
}

#[test]
fn an_operator_with_the_token_stops_starts_and_configures_a_pool() {
    let (place, pool, _) = pool();
    let token = std::fs::read_to_string(place.path("data/token")).unwrap();
    let order = |path: &str, body: &Value| -> (u16, Value) {
        let ask =
            agent().post(format!("{}{path}", pool.url)).header("Authorization", format!("Bearer {}", token.trim()));
        let mut answer = ask.send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    };
    for path in ["start", "stop", "mode", "configure", "payments/write-off", "bans/lift"] {
        assert_eq!(post(&pool.url, &format!("/pool/{path}"), &json!({})).0, 401, "{path}");
    }
    let nothing = json!({});
    assert_eq!(order("/pool/configure", &json!({ "pool_fee": 1_001, "reason": "greed" })).0, 400);
    assert_eq!(order("/pool/configure", &json!({ "pool_fee": 150, "reason": "costs" })).0, 200);
    assert_eq!(pool.ask("/pool/stats").unwrap()["pool_fee"], 150);
    assert_eq!(order("/pool/payments/write-off", &json!({ "payment": 1, "reason": "none" })).0, 409);

    let runs = |running: bool| {
        assert_eq!(get(&pool.url, "/pool/stats").0, if running { 200 } else { 503 });
        assert_eq!(get(&pool.url, "/pool/mode").1["mode"], if running { "host" } else { "solo" });
    };
    runs(true);
    let (status, stopped) = order("/pool/stop", &nothing);
    assert_eq!((status, &stopped["running"]), (200, &json!(false)), "{stopped}");
    assert_eq!(get(&pool.url, "/pool/stats").0, 503);
    assert_eq!(get(&pool.url, "/pool/readyz").0, 503);
    let (status, started) = order("/pool/start", &nothing);
    assert_eq!(status, 200, "{started}");
    runs(true);
    assert_eq!(order("/pool/mode", &json!({ "mode": "solo" })).0, 200);
    runs(false);
    assert_eq!(order("/pool/mode", &json!({ "mode": "host" })).0, 200);
    runs(true);
    pool.wait_until_ready();
}

#[test]
fn what_the_board_asks_for_is_counted_and_every_route_is_documented() {
    let (_place, pool, _) = pool();
    let metrics =
        agent().get(format!("{}/pool/metrics", pool.url)).call().unwrap().into_body().read_to_string().unwrap();
    let board: Value = serde_json::from_str(include_str!("../../../../../docs/pool-grafana.json")).unwrap();
    let targets = board["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let names: BTreeSet<String> = targets.flat_map(|target| named(target["expr"].as_str().unwrap())).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let family = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        assert!(metrics.contains(&format!("# TYPE {family} ")), "the board asks for {name}, which nobody counts");
    }
    let (_, document) = get(&pool.url, "/pool/openapi.json");
    for path in [
        "stats",
        "workers",
        "blocks",
        "payments",
        "bans",
        "bans/lift",
        "metrics",
        "mode",
        "configure",
        "stop",
        "start",
        "register",
        "job",
        "share",
    ] {
        assert!(document["paths"][format!("/pool/{path}")].is_object(), "{path}");
    }
}

/// The metrics of the pool that a query names.
fn named(query: &str) -> impl Iterator<Item = String> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("adit_pool_")).map(str::to_owned)
}
