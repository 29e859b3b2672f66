//! A pool of farmers under a flood of proofs that are signed as they should be, of nonces that nobody ever made: each costs the pool a nonce, and its sender a signature.

use super::pool::{pool_chain, stats, up, valid};
use super::{address, balance, chain, farm};
use crate::adit::{Place, get, wait_until, work_request};
use adit_chain::SecretKey;
use adit_kernels::space::Backend;
use adit_node::api::shapes::Hex;
use adit_primitives::contract::space::{PlotPlace, SpaceClaim, SpaceProof, scoop_of};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SpaceEngine};
use adit_primitives::{BlockId, Encode, Hash256, U256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Addresses that the flood comes from. Honest farmers have another one.
const SOURCES: u8 = 5;

/// Connections of each: more than proofs of one address may wait.
const CONNECTIONS: usize = 132;

/// Names that each goes by: so many that none of them sends too much.
const NAMES: usize = 12;

/// How long a connection that was refused without a look at its proof waits.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes a challenge stand longer than a share waits among the few proofs of strangers that are checked at once, and shorter than it would among
/// all that the flood has on its way. Hardly any block is won, which would end a challenge.
fn patient(place: &Place) {
    let mut text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    let changes = [
        ("challenge-seconds = 1\n", "challenge-seconds = 4\n"),
        ("spacing-seconds = 1\n", "spacing-seconds = 4\n"),
        ("0x2001ffff", "0x20001fff"),
    ];
    for (from, to) in changes {
        text = text.replace(from, to);
    }
    place.write("chain.toml", &text);
}

/// What all connections of the flood know.
struct Shared {
    pool: SocketAddr,
    genesis: BlockId,
    key: SecretKey,
    address: String,
    /// The nonces that it names, made once: so a test knows which of them are worth nothing under a challenge.
    scoops: Vec<u8>,
    ends: AtomicBool,
    /// What the pool answered, and how often.
    answers: Mutex<BTreeMap<String, u64>>,
}

struct Flood {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn begin(url: &str) -> Self {
        let place = Place::new();
        place.succeed(&["key", "new"]);
        chain(&place, "chain", "hard", "poc2", "");
        let key = SecretKey::from_hex(&std::fs::read_to_string(place.path("miner.key")).unwrap()).unwrap();
        let engine = Backend::widest();
        let mut scoops = vec![0; engine.lanes() * NONCE_BYTES];
        engine.nonces(adit_space::hard::account(&key.public().0), 0, &mut scoops);
        let genesis: BlockId = get(url, "/pool/farm/identity").1["genesis"].as_str().unwrap().parse().unwrap();
        let shared = Arc::new(Shared {
            pool: url.trim_start_matches("http://").parse().unwrap(),
            genesis,
            key,
            address: address(&place, "chain.toml", "miner.key"),
            scoops,
            ends: AtomicBool::new(false),
            answers: Mutex::default(),
        });
        let poured = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let number = |source: u8| (0..CONNECTIONS).map(move |number| (source, number));
                let all = (0..SOURCES).flat_map(number);
                let poured = all.map(|(source, number)| tokio::spawn(pour(Arc::clone(&poured), source, number)));
                for connection in poured.collect::<Vec<_>>() {
                    connection.await.unwrap();
                }
            });
        });
        Self { shared, thread }
    }

    /// How often the pool answered so.
    fn count(&self, answer: &str) -> u64 {
        self.shared.answers.lock().unwrap().get(answer).copied().unwrap_or(0)
    }

    /// Ends it, and returns what the pool answered.
    fn end(self) -> BTreeMap<String, u64> {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.shared.answers.lock().unwrap().clone()
    }
}

impl Shared {
    /// Returns a proof of a nonce that scores too high, signed for the pool's header.
    fn proof(&self, template: &Value) -> SpaceProof {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let challenge: Hash256 = text(&template["space"]["challenge"]).parse().unwrap();
        let target = U256::from_str_radix(&text(&template["work"]["target"]), 16).unwrap();
        let nonces = self.scoops.len() / NONCE_BYTES;
        let each = nonces * SCOOP_BYTES;
        let mut qualities = vec![0; nonces];
        let scoop = &self.scoops[scoop_of(&challenge) as usize * each..][..each];
        Backend::widest().qualities(&challenge.0, scoop, &mut qualities);
        let worst = (0u64..).zip(qualities).max_by_key(|(_, quality)| *quality).unwrap();
        assert!(U256::from(worst.1) << 192 > target, "all of them are worth a share");
        let key = Hash256(self.key.public().0);
        let claim = SpaceClaim { challenge, key, place: PlotPlace::Hard { nonce: worst.0 }, registrations: Vec::new() };
        let header = Hex::parse(template["header"].as_str().unwrap()).unwrap().0;
        let signature = self.key.sign(&claim.message(&self.genesis, &header)).0;
        SpaceProof { claim, signature }
    }
}

/// Hands in one proof after another over one connection.
async fn pour(flood: Arc<Shared>, source: u8, number: usize) {
    let user = format!("{}.flood{source}x{}", flood.address, number % NAMES);
    let mut line = None;
    while !flood.ends.load(Ordering::Relaxed) {
        // Whoever is turned out connects again.
        let answer = hand_in(&flood, &user, &mut line, Ipv4Addr::new(127, 0, 0, 2 + source)).await;
        let answer = answer.unwrap_or_else(|_| {
            line = None;
            "no answer".to_owned()
        });
        let pauses = !matches!(answer.as_str(), "accepted" | "low-difficulty");
        *flood.answers.lock().unwrap().entry(answer).or_default() += 1;
        if pauses {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Asks for work, hands in a proof for it, and returns what became of it.
async fn hand_in(
    flood: &Shared,
    user: &str,
    line: &mut Option<BufReader<TcpStream>>,
    from: Ipv4Addr,
) -> Result<String> {
    if line.is_none() {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddrV4::new(from, 0).into())?;
        *line = Some(BufReader::new(socket.connect(flood.pool).await?));
    }
    let line = line.as_mut().expect("it is open");
    let code = |answer: &Value| answer["error"]["code"].as_str().unwrap_or("no code").to_owned();
    let (status, given) = ask(line, flood.pool, "mine_block", &work_request(user)).await?;
    if status != 200 {
        return Ok(code(&given));
    }
    let template = &given["block_template"];
    let proof = Hex(flood.proof(template).to_bytes());
    let body = json!({ "template_id": template["template_id"], "space_proof": proof });
    let (status, answer) = ask(line, flood.pool, "submit_block", &body).await?;
    Ok(if status == 200 { "accepted".to_owned() } else { code(&answer) })
}

/// Asks a pool over a connection that stays open.
async fn ask(line: &mut BufReader<TcpStream>, pool: SocketAddr, path: &str, body: &Value) -> Result<(u16, Value)> {
    let body = body.to_string();
    let head = format!("POST /pool/farm/{path} HTTP/1.1\r\nhost: {pool}\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    line.get_mut().write_all(request.as_bytes()).await?;
    let (mut status, mut length) = (0, 0);
    loop {
        let mut text = String::new();
        if line.read_line(&mut text).await? == 0 {
            return Err(Error::other("the pool hung up"));
        }
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if let Some(code) = text.strip_prefix("http/1.1 ") {
            status = code.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
        }
        if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().map_err(Error::other)?;
        }
    }
    let mut bytes = vec![0; length];
    line.read_exact(&mut bytes).await?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

#[test]
fn a_flood_of_nonces_that_nobody_made_keeps_no_honest_share_waiting_and_earns_nothing() {
    let place = Place::new();
    let url = pool_chain(&place, "hard", "poc2");
    patient(&place);
    let text = std::fs::read_to_string(place.path("chain.toml")).unwrap();
    // Bans would end the flood: here it goes on for as long as the test does.
    place.write("chain.toml", &format!("{text}\n[pool.limits]\nban-percent = 100\n"));
    let pool = up(&place);
    let farmer = || {
        let place = farm("hard");
        chain(&place, "chain", "hard", "poc2", "");
        patient(&place);
        let process = place.start(&["miner", "chain.toml", "--pool", &url, "--worker", "shed"]);
        let owner = address(&place, "chain.toml", "miner.key");
        (place, process, owner)
    };
    let one = farmer();
    wait_until("a share", || (valid(&url, &one.2) >= 1).then_some(()));

    let flood = Flood::begin(&url);
    wait_until("the flood", || (flood.count("low-difficulty") >= 1 && flood.count("too-fast") >= 1).then_some(()));
    let (before, judged) = (valid(&url, &one.2), flood.count("low-difficulty"));
    // Who comes while it lasts is let in, and counts too.
    let other = farmer();
    wait_until("shares of both", || (valid(&url, &one.2) >= before + 8 && valid(&url, &other.2) >= 4).then_some(()));
    wait_until("hundreds of its proofs", || (flood.count("low-difficulty") >= judged + 200).then_some(()));
    let owner = flood.shared.address.clone();
    let answers = flood.end();
    assert!(!answers.contains_key("accepted"), "{answers:?}");

    let (_, told) = get(&url, "/pool/workers");
    let told = told["workers"].as_array().unwrap();
    let of = |address: &str, what: &str| -> u64 {
        let its = told.iter().filter(|worker| worker["worker"].as_str().unwrap().starts_with(address));
        its.map(|worker| worker[what].as_u64().unwrap()).sum()
    };
    for (_, _, honest) in [&one, &other] {
        assert!(of(honest, "shares_stale") <= of(honest, "shares_valid") / 2, "{told:?}");
    }
    assert_eq!((of(&owner, "shares_valid"), balance(&url, &owner)), (0, 0), "{told:?}");
    assert!(of(&owner, "shares_invalid") >= 200, "{told:?}");
    let refused = &stats(&url)["shares_invalid_by_reason"];
    assert_eq!(refused["proof"].as_u64().unwrap_or(0), 0, "all were signed as they should be: {refused}");
    assert!(pool.process.interrupt().success());
}
