//! Connections as they come: cut into pieces, endless, silent, banned, behind a proxy, under TLS, by the thousand.

use super::bench::{Pool, Setup};
use super::counterparts::{Litecoin, Miner};
use crate::adit::{PATIENCE, Place, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

/// A pool with a job, and what stands behind it.
struct Standing {
    pool: Pool,
    user: String,
    place: Place,
    _litecoin: Litecoin,
}

/// No test but that of logging in is about the time that it takes.
const PATIENT: &str = "[pool.limits]\nlogin-ms = 600_000\n";

fn pool(more: &str, change: impl Fn(String) -> String) -> Option<Standing> {
    let litecoin = Litecoin::start()?;
    let place = Place::new();
    let (address, user) = (litecoin.pool_address(), litecoin.payee("bech32"));
    let cookie = litecoin.near.cookie();
    let nodes = [(litecoin.near.port(), cookie.to_str().unwrap())];
    let setup = Setup { address: &address, nodes: &nodes, maturity: 100, more };
    place.write("chain.toml", &change(setup.text()));
    let pool = Pool::start(&place);
    pool.wait_until_ready();
    Some(Standing { pool, user, place, _litecoin: litecoin })
}

/// A connection that says whatever a test wants.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects, and says nothing yet.
    pub fn connect(stratum: &str) -> Self {
        let stream = TcpStream::connect(stratum).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends bytes. The other side may have closed already.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, id: u32, method: &str, parameters: Value) -> Value {
        let line = json!({ "id": id, "method": method, "params": parameters });
        assert!(self.send(format!("{line}\n").as_bytes()));
        self.answer(id).expect("an answer")
    }

    /// Reads lines up to the answer of a number. `None` where the connection is closed.
    pub fn answer(&mut self, id: u32) -> Option<Value> {
        loop {
            let line: Value = serde_json::from_str(&self.line()?).unwrap();
            if line["id"] == id {
                return Some(line);
            }
        }
    }

    /// Reads a line. `None` where the connection is closed.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the pool neither answers nor closes: {error}"),
        }
    }

    /// Reads lines up to a job, and returns what it is called.
    fn job(&mut self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.line().expect("a job")).unwrap();
            if line["method"] == "mining.notify" {
                return line["params"][0].clone();
            }
        }
    }

    /// Waits until the pool closes, and returns what it says before.
    #[track_caller]
    fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.line()).map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Waits until the pool closes, whatever it says before.
    #[track_caller]
    pub fn is_closed(&mut self) {
        while self.line().is_some() {}
    }
}

pub const SUBSCRIBE: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";

/// A share with a time long before its job: it is no block, so the job stays what it is.
pub fn bad_share(id: u32, user: &str, job: &Value) -> String {
    let parameters = json!([user, job, "0000000000000000", "00000001", "00000000"]);
    format!("{}\n", json!({ "id": id, "method": "mining.submit", "params": parameters }))
}

#[test]
fn lines_may_come_in_pieces_and_not_without_end() {
    let Some(standing) = pool(PATIENT, |text| text) else { return };
    let mut pieces = Client::connect(&standing.pool.stratum);
    for byte in SUBSCRIBE {
        assert!(pieces.send(&[*byte]));
    }
    assert!(pieces.answer(1).unwrap()["result"].is_array());
    let mut endless = Client::connect(&standing.pool.stratum);
    while endless.send(&[b'x'; 4096]) {}
    let mut huge = Client::connect(&standing.pool.stratum);
    huge.send(&[b"{\"id\":\"".as_slice(), &vec![b'x'; 1 << 17], b"\"}\n"].concat());
    huge.is_closed();
    // The others notice nothing.
    assert_eq!(pieces.call(2, "mining.authorize", json!([standing.user, "x"]))["result"], true);
}

#[test]
fn who_never_logs_in_is_disconnected() {
    let Some(standing) = pool("[pool.limits]\nlogin-ms = 1_000\n", |text| text) else { return };
    let mut silent = Client::connect(&standing.pool.stratum);
    let mut subscribed = Client::connect(&standing.pool.stratum);
    subscribed.send(SUBSCRIBE);
    // On a busy machine a login may take longer than the pool waits here: the next one does not.
    let mut member = wait_until("a login", || {
        let mut member = Client::connect(&standing.pool.stratum);
        let enter = json!({ "id": 2, "method": "mining.authorize", "params": [standing.user, "x"] });
        member.send(&[SUBSCRIBE, format!("{enter}\n").as_bytes()].concat());
        (member.answer(2)?["result"] == true).then_some(member)
    });
    silent.is_closed();
    subscribed.is_closed();
    assert!(member.call(3, "mining.ping", json!([])).is_object());
}

#[test]
fn who_takes_nothing_of_what_is_sent_is_disconnected() {
    let Some(standing) = pool(&format!("{PATIENT}stall-ms = 500\n"), |text| text) else { return };
    let mut lazy = Client::connect(&standing.pool.stratum);
    lazy.send(SUBSCRIBE);
    // Each line has an answer, and none is read: the pool's way out fills up, then its way in.
    let line = format!("{{\"id\":\"{}\",\"method\":\"mining.ping\",\"params\":[]}}\n", "x".repeat(60)).repeat(64);
    while lazy.send(line.as_bytes()) {}
    standing.pool.wait_for("its end", "/pool/stats", |stats| (stats["connections"] == 0).then_some(()));
}

#[test]
fn who_brings_too_many_new_names_is_refused_and_known_names_are_not() {
    let Some(standing) = pool(&format!("{PATIENT}names-per-hour = 3\n"), |text| text) else { return };
    let enter = |client: &mut Client, id, rig: &str| {
        client.call(id, "mining.authorize", json!([format!("{}.{rig}", standing.user), "x"]))["result"] == true
    };
    let mut client = Client::connect(&standing.pool.stratum);
    client.send(SUBSCRIBE);
    assert_eq!([1, 2, 3, 4].map(|rig| enter(&mut client, 10 + rig, &rig.to_string())), [true, true, true, false]);
    assert!(standing.pool.process.interrupt().success());
    let again = Pool::start(&standing.place);
    again.wait_until_ready();
    let mut client = Client::connect(&again.stratum);
    client.send(SUBSCRIBE);
    let entered = [3, 2, 1, 4, 5, 6, 7].map(|rig| enter(&mut client, 10 + rig, &rig.to_string()));
    assert_eq!(entered, [true, true, true, true, true, true, false], "names of the books count for nothing");
}

#[test]
fn miners_hear_that_the_pool_ends_and_are_asked_for_a_name_that_they_do_not_say() {
    let Some(standing) = pool(PATIENT, |text| text) else { return };
    let mut client = Client::connect(&standing.pool.stratum);
    client.send(SUBSCRIBE);
    assert_eq!(client.call(2, "mining.authorize", json!([standing.user, "x"]))["result"], true);
    assert!(standing.pool.process.interrupt().success());
    let said = client.rest();
    assert!(said.iter().any(|line| line["method"] == "client.get_version"), "{said:?}");
    assert_eq!(said.last().unwrap()["method"], "client.reconnect", "{said:?}");
}

#[test]
fn a_ban_holds_over_a_restart() {
    let Some(mut standing) = pool(&format!("{PATIENT}ban-shares = 5\n"), |text| text) else { return };
    let mut bad = Client::connect(&standing.pool.stratum);
    let enter = json!({ "id": 2, "method": "mining.authorize", "params": [standing.user, "x"] });
    bad.send(&[SUBSCRIBE, format!("{enter}\n").as_bytes()].concat());
    let job = bad.job();
    for share in 10..40 {
        bad.send(bad_share(share, &standing.user, &job).as_bytes());
    }
    let last = bad.rest().pop().expect("it hears why it is turned out");
    assert_eq!(last["method"], "client.show_message", "{last}");
    standing.pool.process.wait_for("the ban", |entry| (entry["fields"]["message"] == "banned").then_some(()));
    assert!(standing.pool.process.interrupt().success());
    let again = Pool::start(&standing.place);
    again.wait_until_ready();
    Client::connect(&again.stratum).is_closed();
}

#[test]
fn many_names_are_one_connection_and_many_connections_one_address() {
    const RIGS: u32 = 8;
    const SHARES: u32 = 10;
    let limits = "ban-shares = 1_000_000\nconnection-shares-per-second = 10\naddress-shares-per-second = 20\n";
    let Some(standing) = pool(&format!("{PATIENT}{limits}"), |text| text) else { return };
    let mut client = Client::connect(&standing.pool.stratum);
    client.send(SUBSCRIBE);
    let job = client.job();
    let names: Vec<String> = (0..RIGS).map(|rig| format!("{}.{rig}", standing.user)).collect();
    for (id, name) in (2..).zip(&names) {
        assert_eq!(client.call(id, "mining.authorize", json!([name, "x"]))["result"], true);
    }
    let shares = |name: &str, job: &Value| (0..SHARES).map(|id| bad_share(100 + id, name, job)).collect::<String>();
    let reasons = |client: &mut Client| {
        (0..SHARES).map(|id| client.answer(100 + id).unwrap()["error"][1].as_str().unwrap().to_owned()).collect()
    };
    client.send(names.iter().map(|name| shares(name, &job)).collect::<String>().as_bytes());
    let told: Vec<String> = names.iter().flat_map(|_| -> Vec<String> { reasons(&mut client) }).collect();
    let is_told = |told: &[String], reason: &str| told.iter().any(|known| known == reason);
    assert!(is_told(&told, "time out of range"), "{told:?}");
    assert!(is_told(&told, "too many shares a second of this connection"), "{told:?}");

    let connect = |name: &String| {
        let mut client = Client::connect(&standing.pool.stratum);
        client.send(SUBSCRIBE);
        let job = client.job();
        assert_eq!(client.call(2, "mining.authorize", json!([name, "x"]))["result"], true);
        (client, job)
    };
    let mut clients: Vec<(Client, Value)> = names.iter().map(connect).collect();
    for ((client, job), name) in clients.iter_mut().zip(&names) {
        client.send(shares(name, job).as_bytes());
    }
    let told: Vec<String> = clients.iter_mut().flat_map(|(client, _)| -> Vec<String> { reasons(client) }).collect();
    assert!(is_told(&told, "too many shares a second of this address"), "{told:?}");
}

#[test]
fn a_proxy_says_who_connects_and_without_it_nobody_does() {
    let Some(standing) =
        pool(PATIENT, |text| text.replace("\nname = \"test\"", "\nproxy-protocol = true\nname = \"test\""))
    else {
        return;
    };
    let mut plain = Client::connect(&standing.pool.stratum);
    plain.send(SUBSCRIBE);
    plain.is_closed();
    // Version 2, from 203.0.113.9:4444 to 192.0.2.1:3333 over TCP.
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([203, 0, 113, 9, 192, 0, 2, 1, 0x11, 0x5c, 0x0d, 0x05]);
    let mut proxied = Client::connect(&standing.pool.stratum);
    proxied.send(&[header.as_slice(), SUBSCRIBE].concat());
    assert!(proxied.answer(1).unwrap()["result"].is_array());
    assert_eq!(proxied.call(2, "mining.authorize", json!([standing.user, "x"]))["result"], true);
}

#[test]
fn a_header_of_a_proxy_is_refused_where_none_is_expected() {
    let Some(standing) = pool(PATIENT, |text| text) else { return };
    let mut proxied = Client::connect(&standing.pool.stratum);
    proxied.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    for _ in 0..20 {
        proxied.send(b"{not json\n");
    }
    proxied.is_closed();
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    const AT_ONCE: usize = 200;
    let Some(standing) = pool(PATIENT, |text| text) else { return };
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", standing.pool.process.pid())).unwrap().count();
    let wave = || {
        let mut clients: Vec<Client> = (0..AT_ONCE).map(|_| Client::connect(&standing.pool.stratum)).collect();
        clients.iter_mut().for_each(|client| assert!(client.send(SUBSCRIBE)));
        clients.iter_mut().for_each(|client| assert!(client.answer(1).unwrap()["result"].is_array()));
        drop(clients);
        standing.pool.wait_for("the end of all", "/pool/stats", |stats| (stats["connections"] == 0).then_some(()));
    };
    // What the pool opens once, it has after the first wave.
    wave();
    let before = descriptors();
    (1..1_000 / AT_ONCE).for_each(|_| wave());
    wait_until("as many descriptors as before", || (descriptors() <= before + 2).then_some(()));
    let metrics =
        ureq::get(format!("{}/pool/metrics", standing.pool.url)).call().unwrap().into_body().read_to_string().unwrap();
    assert!(metrics.contains("adit_pool_connections 0\n"), "{metrics}");
}

#[test]
fn miners_connect_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (file, key) = (folder.path().join("pool.pem"), folder.path().join("pool.key"));
    std::fs::write(&file, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let port = super::counterparts::free_port();
    let tls = format!(
        "\nstratum-tls = \"127.0.0.1:{port}\"\ntls = {{ certificate = \"{}\", key = \"{}\" }}\nname = \"test\"",
        file.display(),
        key.display()
    );
    let Some(standing) = pool(PATIENT, |text| text.replace("\nname = \"test\"", &tls)) else { return };
    let arguments = ["--algorithm", "scrypt", "--shares", "1", "--ca", file.to_str().unwrap()];
    let Some(miner) = Miner::start_at(&format!("stratum+ssl://127.0.0.1:{port}"), &standing.user, &arguments) else {
        return;
    };
    assert!(miner.finish().contains("accepted"));
    // Who speaks plainly there is not let in.
    let mut plain = Client::connect(&format!("127.0.0.1:{port}"));
    plain.send(SUBSCRIBE);
    let mut rest = Vec::new();
    let _ = plain.0.read_to_end(&mut rest);
    assert!(!rest.contains(&b'{'), "{rest:?}");
}
