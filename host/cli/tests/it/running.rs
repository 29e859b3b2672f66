//! Nodes, miners and wallets of a running chain.

use crate::adit::{Place, Running, agent, get, length, parsed, post, wait_for_length, wait_until, work_request};
use crate::pool::counterparts::free_port;
use serde_json::json;

#[test]
fn up_mines_blocks_and_ends_cleanly_on_an_interrupt() {
    let place = Place::new();
    place.fast_chain("up", "");
    let mut node = place.start(&["up", "up.toml"]);
    let url = node.url();
    wait_for_length(&url, 4);
    let (status, body) = get(&url, "/status/detailed");
    assert_eq!(status, 200);
    assert!(body["difficulty_status"]["genesis_difficulty"].is_number(), "{body}");
    assert!(node.interrupt().success());
}

#[test]
fn a_restarted_node_goes_on_where_it_ended() {
    let place = Place::new();
    place.fast_chain("again", "");
    let mut node = place.start(&["up", "again.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
    node.interrupt();
    let mut node = place.start(&["node", "again.toml"]);
    let url = node.url();
    let blocks = length(&url);
    assert!(blocks >= 3, "{blocks}");
}

#[test]
fn several_miners_work_for_one_node() {
    let place = Place::new();
    place.fast_chain("shared", "");
    let mut node = place.start(&["node", "shared.toml"]);
    let url = node.url();
    assert_eq!(length(&url), 1);
    let miners: Vec<Running> = ["a", "b"]
        .map(|name| {
            let key = format!("{name}.key");
            let address = place.succeed(&["key", "new", &key, "--chain", "shared.toml"]);
            let address = address.split_whitespace().last().unwrap();
            place.start(&["miner", "shared.toml", "--node", &url, "--address", address, "--threads", "1"])
        })
        .into();
    let recipients = || {
        let (_, page) = get(&url, "/blockchain?limit=500");
        let chain = page["chain"].as_array().unwrap().clone();
        let to = |block: &serde_json::Value| {
            block["transactions"][0]["outputs"][0]["recipient_address"].as_str().map(str::to_owned)
        };
        chain.iter().filter_map(to).collect::<std::collections::BTreeSet<_>>()
    };
    wait_until("a block of each miner", || (recipients().len() == 2).then_some(()));
    for miner in miners {
        assert!(miner.interrupt().success());
    }
}

#[test]
fn a_miner_without_a_node_works_for_the_one_of_its_file() {
    let place = Place::new();
    let port = free_port();
    let chain = place.fast_chain("beside", "");
    let text = std::fs::read_to_string(&chain).unwrap();
    std::fs::write(&chain, text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))).unwrap();
    let mut node = place.start(&["node", "beside.toml"]);
    let url = node.url();
    let miner = place.start(&["miner", "beside.toml", "--threads", "1"]);
    wait_for_length(&url, 3);
    assert!(miner.interrupt().success());
}

#[test]
fn a_mistake_made_while_a_node_runs_is_the_only_thing_said_of_the_file() {
    let place = Place::new();
    let chain = place.fast_chain("mistake", "watch-ms = 20\n[miner]\nthreads = 1\n");
    let mut node = place.start(&["node", "mistake.toml"]);
    let url = node.url();
    let text = std::fs::read_to_string(&chain).unwrap();
    let wrong = text.replace("threads = 1", "threads = \"x\"");
    // At once, so that it is never read in part.
    place.write("wrong.toml", &wrong);
    std::fs::rename(place.path("wrong.toml"), &chain).unwrap();
    let line = wrong.lines().position(|line| line == "threads = \"x\"").unwrap() + 1;
    let mistake = format!("mistake.toml:{line}: miner.threads: \"x\" is a text in quotes; a whole number is wanted");
    let not_applied = |entry: &serde_json::Value| {
        let fields = &entry["fields"];
        (fields["message"] == "configuration not applied").then(|| fields["error"].as_str().unwrap().to_owned())
    };
    assert_eq!(node.wait_for("a remark on the file", not_applied), mistake);
    let token = std::fs::read_to_string(place.path("data-mistake/token")).unwrap();
    let refresh =
        agent().post(format!("{url}/config/refresh")).header("authorization", format!("Bearer {}", token.trim()));
    let mut answer = refresh.send_json(json!({})).unwrap();
    assert_eq!(answer.status(), 422);
    let body: serde_json::Value = answer.body_mut().read_json().unwrap();
    let message = format!("the configuration is wrong and was not applied: {mistake}");
    assert_eq!(body["error"]["message"], message.as_str());
    // The answer's own line is the next of that kind, and nothing else came between.
    assert_eq!(node.wait_for("a second remark", not_applied), mistake);
    assert_eq!(node.log.iter().filter(|entry| not_applied(entry).is_some()).count(), 2);
}

#[test]
fn a_miner_of_another_chain_is_told_in_what_they_differ() {
    let place = Place::new();
    place.fast_chain("ours", "");
    place.fast_chain("theirs", "");
    let mut node = place.start(&["node", "ours.toml"]);
    let url = node.url();
    place.succeed(&["key", "new", "m.key"]);
    let said = place.fail(&["miner", "theirs.toml", "--node", &url, "--key", "m.key"]);
    assert!(said.contains("chain name: ours is theirs, theirs is ours"), "{said}");
    assert!(said.contains("genesis"), "{said}");
}

#[test]
fn money_is_mined_sent_and_counted() {
    let place = Place::new();
    place.fast_chain("money", "");
    place.succeed(&["key", "new", "miner.key", "--chain", "money.toml"]);
    let address = place.succeed(&["key", "new", "other.key", "--chain", "money.toml"]);
    let address = address.split_whitespace().last().unwrap().to_owned();
    let mut node = place.start(&["up", "money.toml", "--key", "miner.key"]);
    let url = node.url();
    wait_for_length(&url, 6);
    let pay =
        ["--json", "send", "money.toml", "--node", &url, "--key", "miner.key", "--to", &address, "--amount", "12.5"];
    let sent = parsed(&place.succeed(&pay));
    assert_eq!((&sent["amount_atoms"], &sent["to"]), (&json!(1_250_000_000), &json!(address)), "{sent}");
    assert_eq!(sent["transaction_id"].as_str().map(str::len), Some(64), "{sent}");
    wait_until("the payment", || {
        let said = place.succeed(&["balance", "money.toml", "--node", &url, "--address", &address]);
        said.contains("spendable  12.50000000").then_some(())
    });
    let held = parsed(&place.succeed(&["--json", "balance", "money.toml", "--node", &url, "--address", &address]));
    let want = json!({ "address": address, "balance": "12.50000000", "balance_atoms": 1_250_000_000, "immature": "0.00000000",
        "immature_atoms": 0, "more": false });
    assert_eq!(held, want);
    let said =
        place.fail(&["send", "money.toml", "--node", &url, "--key", "other.key", "--to", &address, "--amount", "13"]);
    assert!(said.contains("are needed"), "{said}");
}

#[test]
fn bad_submissions_change_nothing() {
    let place = Place::new();
    place.fast_chain("bad", "");
    let mut node = place.start(&["node", "bad.toml"]);
    let url = node.url();
    let address = place.succeed(&["key", "new", "m.key", "--chain", "bad.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let (status, template) = post(&url, "/mine_block", &work_request(address));
    assert_eq!((status, &template["status"]), (200, &json!("template_created")));
    for body in [
        json!({}),
        json!([]),
        json!("x"),
        json!({ "template_id": 1, "nonce": -1 }),
        json!({ "index": 1, "nonce": "many" }),
    ] {
        let (status, answer) = post(&url, "/submit_block", &body);
        assert!((400..500).contains(&status), "{body}: {status} {answer}");
    }
    assert_eq!(length(&url), 1);
}

#[test]
fn a_node_at_rest_stays_small() {
    let place = Place::new();
    place.fast_chain("small", "");
    let mut node = place.start(&["up", "small.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
    let memory = node.memory();
    assert!(memory < 150_000_000, "{memory} bytes are resident");
}

#[test]
fn a_second_node_on_the_same_data_is_refused() {
    let place = Place::new();
    place.fast_chain("twice", "");
    let mut node = place.start(&["node", "twice.toml"]);
    node.url();
    let said = place.fail(&["node", "twice.toml"]);
    assert!(said.contains("data-twice"), "{said}");
}

#[test]
fn data_of_another_chain_is_refused() {
    let place = Place::new();
    place.fast_chain("one", "");
    place.start(&["node", "one.toml"]).url();
    let text =
        std::fs::read_to_string(place.path("one.toml")).unwrap().replace("message = \"one\"", "message = \"two\"");
    place.write("one.toml", &text);
    let said = place.fail(&["node", "one.toml"]);
    assert!(said.contains("the database holds a chain with identity"), "{said}");
}

#[test]
fn a_command_whose_output_nobody_reads_any_more_ends_without_a_word() {
    let place = Place::new();
    for arguments in [["chain", "reference"].as_slice(), &["key", "new", "one.key"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.adit(arguments).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?} ended with {}: {said}", output.status);
    }
}
