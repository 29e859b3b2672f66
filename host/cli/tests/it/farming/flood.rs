//! A pool of farmers under a flood of proofs that are signed as they should be, of nonces that no plot holds: each costs the pool a nonce, and its sender a signature.

use super::pool::{farmer, pool_chain, stats, up, valid};
use super::{address, balance, chain};
use crate::adit::{PATIENCE, Place, get, wait_until, work_request};
use adit_chain::SecretKey;
use adit_kernels::space::Backend;
use adit_node::api::shapes::Hex;
use adit_primitives::contract::space::{PlotPlace, SpaceClaim, SpaceProof, scoop_of};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SpaceEngine};
use adit_primitives::{BlockId, Encode, Hash256, U256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections that it comes by: more than proofs of strangers from one address may wait.
const CONNECTIONS: usize = 140;

/// Names that it goes by: so many that none of them sends too much.
const NAMES: usize = 20;

/// Nonces that it names, a multiple of all numbers of lanes. Seven of eight are worth nothing under a challenge: three times as many as
/// may wait at once, so that connections and not nonces run out, however fast the pool checks.
const NONCES: usize = 512;

/// How long a connection waits that was refused without a look at its proof.
const PAUSE: Duration = Duration::from_millis(200);

/// What all connections of the flood know.
struct Flood {
    url: String,
    genesis: BlockId,
    key: SecretKey,
    address: String,
    /// The nonces, scoop after scoop, so many at a time as are computed together: it knows which are worth nothing under a challenge.
    nonces: Vec<Vec<u8>>,
    /// Under the newest challenge: the nonces that were not named yet.
    left: Mutex<(Hash256, Vec<u64>)>,
    ends: AtomicBool,
    /// What the pool answered, and how often.
    answers: Mutex<BTreeMap<String, u64>>,
}

impl Flood {
    /// Prepares it, with a key of its own.
    fn new(url: &str) -> Self {
        let place = Place::new();
        place.succeed(&["key", "new"]);
        chain(&place, "chain", "hard", "poc2", "");
        let key = SecretKey::from_hex(&std::fs::read_to_string(place.path("miner.key")).unwrap()).unwrap();
        let (_, identity) = get(url, "/pool/farm/identity");
        Self {
            url: url.to_owned(),
            genesis: identity["genesis"].as_str().unwrap().parse().unwrap(),
            nonces: nonces(&key),
            left: Mutex::default(),
            key,
            address: address(&place, "chain.toml", "miner.key"),
            ends: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }

    fn begin(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let connection = |number: usize| {
            let flood = Arc::clone(self);
            std::thread::Builder::new().stack_size(512 << 10).spawn(move || flood.pour(number % NAMES)).unwrap()
        };
        (0..CONNECTIONS).map(connection).collect()
    }

    /// Hands in one proof after another.
    fn pour(&self, name: usize) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let agent = ureq::Agent::from(agent);
        let ask = |path: &str, body: &Value| {
            let mut answer = agent.post(format!("{}/pool/farm/{path}", self.url)).send_json(body).ok()?;
            Some((answer.status().as_u16(), answer.body_mut().read_json::<Value>().ok()?))
        };
        let user = format!("{}.flood{name}", self.address);
        while !self.ends.load(Ordering::Relaxed) {
            let given = ask("mine_block", &work_request(&user));
            let answer = given.and_then(|(_, given)| {
                let template = &given["block_template"];
                let proof = Hex(self.proof(template)?.to_bytes());
                ask("submit_block", &json!({ "template_id": template["template_id"], "space_proof": proof }))
            });
            let answer = match answer {
                None => "nothing to ask".to_owned(),
                Some((200, _)) => "accepted".to_owned(),
                Some((_, refusal)) => refusal["error"]["code"].as_str().unwrap_or_default().to_owned(),
            };
            let judged = answer == "low-difficulty";
            *self.answers.lock().unwrap().entry(answer).or_default() += 1;
            if !judged {
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    /// Returns a proof of a nonce that is worth nothing, signed for the pool's header. `None`: all were named under this challenge.
    fn proof(&self, template: &Value) -> Option<SpaceProof> {
        let challenge = template["space"]["challenge"].as_str()?.parse().ok()?;
        let target = U256::from_str_radix(template["work"]["target"].as_str()?, 16).ok()?;
        let nonce = self.next(challenge, target)?;
        let key = Hash256(self.key.public().0);
        let claim = SpaceClaim { challenge, key, place: PlotPlace::Hard { nonce }, registrations: Vec::new() };
        let header = Hex::parse(template["header"].as_str()?)?.0;
        let signature = self.key.sign(&claim.message(&self.genesis, &header)).0;
        Some(SpaceProof { claim, signature })
    }

    fn next(&self, challenge: Hash256, target: U256) -> Option<u64> {
        let mut left = self.left.lock().unwrap();
        if left.0 != challenge {
            *left = (challenge, Vec::new());
            for (first, nonces) in (0..).step_by(lanes()).zip(&self.nonces) {
                let mut qualities = vec![0; lanes()];
                let scoop = SCOOP_BYTES * lanes();
                let scoop = &nonces[scoop_of(&challenge) as usize * scoop..][..scoop];
                Backend::widest().qualities(&challenge.0, scoop, &mut qualities);
                let worthless = |quality: u64| U256::from(quality) << 192 > target;
                left.1.extend(
                    (first..).zip(qualities).filter(|(_, quality)| worthless(*quality)).map(|(nonce, _)| nonce),
                );
            }
        }
        left.1.pop()
    }

    /// How often the pool answered so.
    fn count(&self, answer: &str) -> u64 {
        self.answers.lock().unwrap().get(answer).copied().unwrap_or(0)
    }
}

fn lanes() -> usize {
    Backend::widest().lanes()
}

/// Computes nonces of a key.
fn nonces(key: &SecretKey) -> Vec<Vec<u8>> {
    let account = adit_space::hard::account(&key.public().0);
    let some = |first: usize| {
        let mut scoops = vec![0; lanes() * NONCE_BYTES];
        Backend::widest().nonces(account, first as u64, &mut scoops);
        scoops
    };
    (0..NONCES).step_by(lanes()).map(some).collect()
}

/// Makes a challenge stand for longer than a share waits behind the few proofs of strangers that are checked at once, and for less than it would behind all
/// that the flood has on its way. Hardly any block is won, which would end a challenge.
fn patient(place: &Place) {
    let mut text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    let changes = [
        ("challenge-seconds = 1\n", "challenge-seconds = 8\n"),
        ("spacing-seconds = 1\n", "spacing-seconds = 8\n"),
        ("0x2001ffff", "0x20001fff"),
    ];
    for (from, to) in changes {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    place.write("chain.toml", &text);
}

#[test]
fn a_flood_of_nonces_that_no_plot_holds_keeps_no_share_waiting_that_comes_from_the_same_address() {
    let place = Place::new();
    let url = pool_chain(&place, "hard", "poc2");
    patient(&place);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    // A ban would end the flood: here it goes on for as long as the test does.
    let text = format!("{text}\n[pool.limits]\nban-percent = 100\n");
    // Nobody is asked for less with time: what is worthless to one of its names is so to all.
    assert!(text.contains("difficulty-min = 1e-9\n"), "{text}");
    place.write("chain.toml", &text.replace("difficulty-min = 1e-9\n", "difficulty-min = 2e-9\n"));
    let pool = up(&place);
    let (_farm, _farmer, owner) = farmer("hard", "poc2", &url, patient);
    wait_until("a share", || (valid(&url, &owner) >= 1).then_some(()));

    let flood = Arc::new(Flood::new(&url));
    let connections = flood.begin();
    wait_until("the flood", || (flood.count("low-difficulty") >= 4 && flood.count("too-fast") >= 1).then_some(()));
    let (before, judged) = (valid(&url, &owner), flood.count("low-difficulty"));
    wait_until("shares beside it", || (valid(&url, &owner) >= before + 6).then_some(()));
    wait_until("many of its proofs", || (flood.count("low-difficulty") >= judged + 50).then_some(()));
    flood.ends.store(true, Ordering::Relaxed);
    connections.into_iter().for_each(|connection| connection.join().unwrap());

    let (_, told) = get(&url, "/pool/workers");
    let of = |owner: &str, what: &str| -> u64 {
        let its = |worker: &&Value| worker["worker"].as_str().unwrap().starts_with(owner);
        told["workers"].as_array().unwrap().iter().filter(its).map(|worker| worker[what].as_u64().unwrap()).sum()
    };
    assert_eq!(of(&owner, "shares_invalid"), 0, "{told}");
    assert!(of(&flood.address, "shares_invalid") >= 50, "{told}");
    assert_eq!((of(&flood.address, "shares_valid"), balance(&url, &flood.address)), (0, 0), "{told}");
    assert_eq!(
        stats(&url)["shares_invalid_by_reason"]["proof"].as_u64().unwrap_or(0),
        0,
        "all were signed as they should be"
    );
    assert!(pool.process.interrupt().success());
}
