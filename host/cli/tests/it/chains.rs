//! `adit chain`.

use crate::adit::{Place, parsed};
use serde_json::{Value, json};

#[test]
fn a_new_chain_is_good_and_has_an_identity() {
    let place = Place::new();
    place.succeed(&["chain", "new", "penny"]);
    let said = place.succeed(&["chain", "check", "chain.toml"]);
    assert!(said.contains("good ("), "{said}");
    let shown = place.succeed(&["chain", "show", "chain.toml"]);
    assert!(
        shown.contains("penny (devnet)") && shown.contains("longest-chain") && shown.contains("sha256d"),
        "{shown}"
    );
}

#[test]
fn a_new_chain_is_good_with_every_bundled_consensus_and_each_hash_that_goes_with_it() {
    let place = Place::new();
    let hashes = ["blake3", "kheavyhash", "scrypt", "sha256", "sha256d"];
    let plots = ["poc2", "sha256", "blake3"];
    for (consensus, hashes) in [("longest-chain", &hashes[..]), ("ghostdag", &hashes), ("proof-of-space", &plots)] {
        let file = format!("{consensus}.toml");
        place.succeed(&["chain", "new", "penny", "--consensus", consensus, "--out", &file]);
        let said = place.succeed(&["chain", "check", &file]);
        assert!(said.contains("good ("), "{consensus}: {said}");
        for hash in hashes {
            let file = format!("{consensus}-{hash}.toml");
            place.succeed(&["chain", "new", "penny", "--consensus", consensus, "--hash", hash, "--out", &file]);
            let shown = place.succeed(&["chain", "show", &file]);
            assert!(shown.contains("penny (devnet)") && shown.contains(&format!("hash        {hash} ")), "{shown}");
        }
    }
}

#[test]
fn a_new_chain_that_would_not_be_good_is_not_written() {
    let place = Place::new();
    for (arguments, words) in [
        (["--hash", "nope"], "no bundled plugin is called \"nope\""),
        (["--consensus", "sha256d"], "sha256d is a hash plugin; a consensus plugin is wanted"),
        (["--consensus", "./rules.wasm"], "rules.wasm cannot be read"),
    ] {
        let said = place.fail(&[&["chain", "new", "penny"][..], &arguments].concat());
        assert!(said.contains(words) && said.contains("chain.toml was not written"), "{said}");
        assert!(!place.path("chain.toml").exists());
    }
    place.succeed(&["chain", "new", "penny", "--hash", "scrypt"]);
}

#[test]
fn an_address_that_is_none_is_named_with_its_key_and_line() {
    let place = Place::new();
    for (key, table, value) in [
        ("node.api", "", "api = \"localhost:8645\""),
        ("pool.stratum", "[pool]\n", "stratum = \"3333\""),
        ("network.listen[1]", "[network]\n", "listen = [\"0.0.0.0:8647\", \"[::]\"]"),
    ] {
        let chain = place.fast_chain("wrong", &format!("{table}{value}\n"));
        let text = std::fs::read_to_string(&chain).unwrap().replace("api = \"127.0.0.1:0\"\n", "");
        std::fs::write(&chain, &text).unwrap();
        let said = place.fail(&["chain", "check", "--quiet", "wrong.toml"]);
        let line = text.lines().position(|line| line == value).unwrap() + 1;
        assert!(said.contains(&format!("error: wrong.toml:{line}: `{key}` is no address and port")), "{said}");
        assert!(said.contains("such as \"127.0.0.1:8645\"") && said.contains(value), "{said}");
    }
}

#[test]
fn what_a_schema_cannot_say_is_checked_too() {
    let place = Place::new();
    let stranger = place.succeed(&["key", "new", "m.key", "--chain", place.fast_chain("ours", "").to_str().unwrap()]);
    let ours = stranger.split_whitespace().last().unwrap();
    let theirs = ours.replacen("tt", "uu", 1);
    for (line, key, words) in [
        ("difficulty-start = -1", "pool.shares.difficulty-start", "-1 is out of range"),
        ("difficulty-start = 0", "pool.shares.difficulty-start", "0 is out of range"),
        ("address = \"somewhere\"", "miner.address", "somewhere"),
        (&format!("address = \"{theirs}\""), "miner.address", "uu"),
        ("level = \"adit=loudly\"", "log.level", "adit=loudly"),
    ] {
        let table = key.rsplit_once('.').unwrap().0;
        let chain = place.fast_chain("wrong", &format!("[{table}]\n{line}\n"));
        let said = place.fail(&["chain", "check", "--quiet", "wrong.toml"]);
        let number = std::fs::read_to_string(&chain).unwrap().lines().position(|found| found == line).unwrap() + 1;
        assert!(said.contains(&format!("error: wrong.toml:{number}: `{key}` ")) && said.contains(words), "{said}");
    }
    let good = format!(
        "[miner]\naddress = \"{ours}\"\n[log]\nlevel = \"info,adit_node=debug\"\n[pool.shares]\ndifficulty-start = 2\n"
    );
    place.fast_chain("right", &good);
    place.succeed(&["chain", "check", "right.toml"]);
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let place = Place::new();
    place.write("chain.toml", "mine");
    place.fail(&["chain", "new", "penny"]);
    assert_eq!(std::fs::read_to_string(place.path("chain.toml")).unwrap(), "mine");
}

#[test]
fn every_error_is_reported_at_once_with_its_line() {
    let place = Place::new();
    let chain = place.fast_chain("wrong", "prest = \"pool\"\n");
    let text = std::fs::read_to_string(&chain).unwrap();
    let text = text
        .replace("spacing-seconds = 1", "spacing-seconds = \"ten\"")
        .replace("network = \"devnet\"", "network = \"moon\"");
    std::fs::write(&chain, &text).unwrap();
    let said = place.fail(&["chain", "check", "wrong.toml"]);
    let line = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    for (line, words) in [
        (line("moon"), "\"moon\" is not allowed; allowed: \"mainnet\", \"testnet\", \"devnet\""),
        (line("prest"), "did you mean `preset`?"),
    ] {
        assert!(said.contains(&format!("wrong.toml:{line}: ")) && said.contains(words), "{said}");
    }
}

#[test]
fn a_plugins_own_settings_are_checked_by_its_schema() {
    let place = Place::new();
    let chain = place.fast_chain("wrong", "");
    let text = std::fs::read_to_string(&chain).unwrap().replace("spacing-seconds = 1", "spacing-seconds = \"ten\"");
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "wrong.toml"]);
    assert!(
        said.contains(
            "`consensus.config.retarget.spacing-seconds` \"ten\" is a text in quotes; a whole number is wanted"
        ),
        "{said}"
    );
}

#[test]
fn a_default_written_down_does_not_change_the_identity() {
    let place = Place::new();
    let identity = |name: &str, more: &str| {
        let chain = place.fast_chain(name, "");
        let text = std::fs::read_to_string(&chain).unwrap().replace(&format!("name = \"{name}\""), "name = \"same\"");
        let text = text.replace(&format!("message = \"{name}\""), &format!("message = \"same\"\n{more}"));
        std::fs::write(&chain, text).unwrap();
        let shown = place.succeed(&["chain", "show", &format!("{name}.toml")]);
        shown.lines().find_map(|line| line.strip_prefix("identity")).unwrap().trim().to_owned()
    };
    let short = identity("short", "");
    assert_eq!(short, identity("long", "[consensus.config.time]\nmedian-window = 11\n"));
    assert_ne!(short, identity("other", "[consensus.config.time]\nmedian-window = 13\n"));
}

#[test]
fn mainnet_wants_pins_and_pin_writes_them() {
    let place = Place::new();
    let chain = place.fast_chain("main", "");
    let text = std::fs::read_to_string(&chain).unwrap().replace("devnet", "mainnet");
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "main.toml"]);
    assert!(said.contains("`consensus.digest` is missing") && said.contains("`hash.digest` is missing"), "{said}");
    place.succeed(&["chain", "pin", "main.toml"]);
    place.succeed(&["chain", "check", "main.toml"]);
}

#[test]
fn a_pin_that_does_not_fit_stops_the_chain() {
    let place = Place::new();
    let chain = place.fast_chain("pinned", "");
    let pin = format!("plugin = \"sha256d\"\ndigest = \"blake3:{}\"", "00".repeat(32));
    let text = std::fs::read_to_string(&chain).unwrap().replace("plugin = \"sha256d\"", &pin);
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "pinned.toml"]);
    assert!(said.contains("`hash.digest`") && said.contains("is pinned"), "{said}");
}

#[test]
fn a_plugin_in_the_wrong_place_is_named() {
    let place = Place::new();
    let chain = place.fast_chain("swapped", "");
    let text = std::fs::read_to_string(&chain).unwrap().replace("plugin = \"sha256d\"", "plugin = \"longest-chain\"");
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "swapped.toml"]);
    assert!(said.contains("longest-chain is a consensus plugin; a hash plugin is wanted"), "{said}");
}

#[test]
fn an_unknown_plugin_comes_with_the_bundled_ones() {
    let place = Place::new();
    let chain = place.fast_chain("unknown", "");
    let text = std::fs::read_to_string(&chain).unwrap().replace("plugin = \"sha256d\"", "plugin = \"sha3\"");
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "unknown.toml"]);
    assert!(said.contains("bundled: ") && said.contains("sha256d"), "{said}");
}

#[test]
fn what_is_not_toml_is_named_with_its_line() {
    let place = Place::new();
    place.write("broken.toml", "[chain]\nname = \n");
    let said = place.fail(&["chain", "check", "broken.toml"]);
    assert!(said.contains("broken.toml:2"), "{said}");
}

/// Appends tables to a chain's file.
fn append(path: &std::path::Path, tables: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, text + tables).unwrap();
}

#[test]
fn a_pools_plugins_are_local_and_no_part_of_the_identity() {
    let place = Place::new();
    let chain = place.fast_chain("pool", "");
    let show = || place.succeed(&["chain", "show", "pool.toml"]);
    let identity = |shown: &str| shown.lines().find(|line| line.starts_with("identity")).map(str::to_owned);
    let without = show();
    assert!(without.contains("payout      pplns") && without.contains("shares      standard"), "{without}");
    append(
        &chain,
        "[payout]\nplugin = \"score\"\n[payout.config]\ndecay-seconds = 60\n[shares]\nplugin = \"reputation\"\n",
    );
    let with = show();
    assert!(with.contains("payout      score") && with.contains("\"decay-seconds\":60"), "{with}");
    assert_eq!(identity(&without), identity(&with));
    let pinned = place.succeed(&["chain", "pin", "pool.toml"]);
    assert!(pinned.contains("payout: score blake3:") && pinned.contains("shares: reputation blake3:"), "{pinned}");
}

#[test]
fn a_pools_plugins_are_checked_like_those_of_the_rules() {
    let place = Place::new();
    let chain = place.fast_chain("pool", "");
    append(
        &chain,
        "[payout]\nplugin = \"standard\"\n[shares]\nplugin = \"standard\"\n[shares.config]\ngrace-ms = 60001\n",
    );
    let said = place.fail(&["chain", "check", "pool.toml"]);
    assert!(said.contains("standard is a shares plugin; a payout plugin is wanted"), "{said}");
    assert!(said.contains("`shares.config.grace-ms` 60001 is out of range"), "{said}");
}

#[test]
fn a_pools_plugins_that_are_named_are_pinned_on_mainnet() {
    let place = Place::new();
    let chain = place.fast_chain("main", "");
    append(&chain, "[payout]\nplugin = \"solo\"\n");
    let text = std::fs::read_to_string(&chain).unwrap().replace("devnet", "mainnet");
    std::fs::write(&chain, text).unwrap();
    let said = place.fail(&["chain", "check", "main.toml"]);
    assert!(said.contains("`payout.digest` is missing") && !said.contains("`shares.digest`"), "{said}");
    place.succeed(&["chain", "pin", "main.toml"]);
    place.succeed(&["chain", "check", "main.toml"]);
}

/// Checks a chain with further text, and returns what is said, with the number of the line of a key.
fn checked(place: &Place, more: &str, key: &str) -> (String, usize) {
    let chain = place.fast_chain("wrong", more);
    let text = std::fs::read_to_string(&chain).unwrap();
    let output = place.run(&["chain", "check", "--quiet", "wrong.toml"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let is_error = said.lines().any(|line| line.starts_with("error: "));
    assert_eq!(output.status.success(), !is_error, "{said}");
    assert_eq!(said.contains("wrong.toml: good ("), !is_error, "{said}");
    let line = text.lines().position(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key}")) + 1;
    (said, line)
}

#[test]
fn a_pool_to_join_must_be_named() {
    let place = Place::new();
    let (said, line) = checked(&place, "[pool]\nmode = \"join\"\n", "mode = ");
    assert!(said.contains(&format!("error: wrong.toml:{line}: `pool.join.pools` is missing")), "{said}");
    assert!(said.contains("stratum+tcp://pool.example:3333") && said.contains("mode = \"join\""), "{said}");
    let (said, _) = checked(&place, "[pool]\nmode = \"join\"\njoin.pools = [\"stratum+tcp://a:1\"]\n", "mode = ");
    assert!(!said.contains("error: "), "{said}");
    // What the file is for besides starting goes on to work.
    place.fast_chain("wrong", "[pool]\nmode = \"join\"\n");
    place.succeed(&["chain", "show", "wrong.toml"]);
}

#[test]
fn a_port_that_two_listeners_of_a_process_want_is_an_error() {
    let place = Place::new();
    let (up, pool) =
        ("[pool]\nmode = \"host\"\n", "[pool]\nupstreams = [{ kind = \"adit\", url = \"http://127.0.0.1:1\" }]\n");
    let tls = "tls = { certificate = \"wrong.toml\", key = \"wrong.toml\" }\n";
    for (more, key, other) in [
        (format!("{up}stratum = \"0.0.0.0:8647\"\n[network]\n"), "pool.stratum", "network.listen[0]"),
        (format!("{up}stratum-tls = \"[::]:3333\"\n{tls}"), "pool.stratum-tls", "pool.stratum"),
        (format!("{pool}stratum = \"127.0.0.1:9\"\napi = \"127.0.0.1:9\"\n"), "pool.api", "pool.stratum"),
        (format!("{pool}stratum = \"127.0.0.1:8646\"\n"), "pool.stratum", "pool.api"),
    ] {
        let name = key.rsplit('.').next().unwrap();
        let chain = place.fast_chain("wrong", &more);
        let table = std::fs::read_to_string(chain).unwrap().find("[pool]").unwrap();
        let (said, _) = checked(&place, &more, "[pool]");
        let text = std::fs::read_to_string(place.path("wrong.toml")).unwrap();
        let before = text[..table].lines().count();
        let line = before + text[table..].lines().position(|line| line.starts_with(&format!("{name} = "))).unwrap() + 1;
        assert!(said.contains(&format!("error: wrong.toml:{line}: `{key}` ")), "{said}");
        assert!(said.contains(&format!("`{other}` is ")) && said.contains("or 0 for one"), "{said}");
    }
}

#[test]
fn a_port_that_only_a_later_pool_would_want_is_a_warning_and_other_ports_are_nothing() {
    let place = Place::new();
    let (said, line) = checked(&place, "[network]\nlisten = [\"0.0.0.0:3333\"]\n[pool]\n", "listen = ");
    assert!(said.contains(&format!("warning: wrong.toml:{line}: `network.listen[0]` ")), "{said}");
    assert!(said.contains("1 warning"), "{said}");
    // A node shares a port with itself.
    let (said, line) = checked(&place, "[network]\nlisten = [\"127.0.0.1:9\", \"127.0.0.1:9\"]\n", "listen = ");
    assert!(said.contains(&format!("warning: wrong.toml:{line}: `network.listen[1]` ")), "{said}");
    for more in [
        "[network]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n[pool]\nmode = \"host\"\nstratum = \"127.0.0.1:0\"\n",
        "[network]\nlisten = [\"127.0.0.2:3333\"]\n[pool]\nmode = \"host\"\n",
        "[network]\nlisten = [\"0.0.0.0:9\", \"[::]:9\"]\n[pool]\n",
    ] {
        let (said, _) = checked(&place, more, "[pool]");
        assert!(!said.contains("error: ") && !said.contains("warning: "), "{said}");
    }
}

#[test]
fn bounds_that_leave_no_difficulty_are_an_error() {
    let place = Place::new();
    let bounds = |least: &str| {
        format!("[pool]\nmode = \"host\"\n[pool.shares]\ndifficulty-min = {least}\ndifficulty-max = 8.0\n")
    };
    let (said, line) = checked(&place, &bounds("16.0"), "difficulty-max");
    let wanted = format!("error: wrong.toml:{line}: `pool.shares.difficulty-max` is 8, less than `difficulty-min`, 16");
    assert!(said.contains(&wanted), "{said}");
    let (said, _) = checked(&place, &bounds("8.0"), "difficulty-max");
    assert!(!said.contains("error: ") && !said.contains("warning: "), "{said}");
}

#[test]
fn tls_without_its_files_is_an_error() {
    let place = Place::new();
    let host = "[pool]\nmode = \"host\"\nstratum-tls = \"127.0.0.1:0\"\n";
    let (said, line) = checked(&place, host, "stratum-tls");
    assert!(
        said.contains(&format!("error: wrong.toml:{line}: `pool.stratum-tls` needs certificate and key")),
        "{said}"
    );
    let (said, _) = checked(&place, "[pool]\nstratum-tls = \"127.0.0.1:0\"\n", "stratum-tls");
    assert!(said.contains("warning: ") && !said.contains("error: "), "{said}");

    place.write("here.pem", "no certificate");
    let (said, line) = checked(&place, "[node.tls]\ncertificate = \"here.pem\"\nkey = \"gone.pem\"\n", "key = ");
    assert!(
        said.contains(&format!("error: wrong.toml:{line}: `node.tls.key` ")) && said.contains("gone.pem"),
        "{said}"
    );
    assert!(!said.contains("`node.tls.certificate`"), "{said}");
    let (said, _) =
        checked(&place, &format!("{host}[pool.tls]\ncertificate = \"here.pem\"\nkey = \"here.pem\"\n"), "[pool]");
    assert!(said.contains("`pool.tls` gives no TLS: "), "{said}");

    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    place.write("cert.pem", &pair.cert.pem());
    place.write("key.pem", &pair.signing_key.serialize_pem());
    let (said, _) =
        checked(&place, &format!("{host}[node.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"), "[pool]");
    assert!(!said.contains("error: ") && !said.contains("warning: "), "{said}");
}

#[test]
fn a_dag_whose_ledger_refuses_blocks_is_warned_of() {
    let place = Place::new();
    place.succeed(&["chain", "new", "penny", "--consensus", "ghostdag"]);
    let file = place.path("chain.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!place.succeed(&["chain", "check", "--quiet", "chain.toml"]).contains("warning: "));
    std::fs::write(&file, text.replace("conflicts = \"skip-transaction\"", "conflicts = \"refuse-block\"")).unwrap();
    let said = place.succeed(&["chain", "check", "--quiet", "chain.toml"]);
    let line = text.lines().position(|line| line.starts_with("conflicts = ")).unwrap() + 1;
    assert!(said.contains(&format!("warning: chain.toml:{line}: `ledger.conflicts` is \"refuse-block\"")), "{said}");
    assert!(said.contains("\"skip-transaction\" is wanted"), "{said}");
}

#[test]
fn what_check_and_show_say_is_one_document_of_json() {
    let place = Place::new();
    let (said, line) = checked(&place, "[pool]\nmode = \"join\"\n", "mode = ");
    assert!(said.starts_with("error: "), "{said}");
    let found = parsed(&place.fail(&["--json", "chain", "check", "--quiet", "wrong.toml"]));
    assert_eq!(
        (&found["file"], &found["good"], &found["identity"]),
        (&json!("wrong.toml"), &json!(false), &Value::Null)
    );
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{found}");
    assert_eq!((&findings[0]["gravity"], &findings[0]["line"]), (&json!("error"), &json!(line)));
    assert_eq!(findings[0]["key"], "pool.join.pools");
    assert!(findings[0]["problem"].as_str().unwrap().starts_with("is missing; "), "{found}");

    place.fast_chain("right", "");
    let checked = parsed(&place.succeed(&["chain", "check", "right.toml", "--json"]));
    assert_eq!(checked["good"], true, "{checked}");
    assert!(checked["findings"].as_array().unwrap().iter().all(|finding| finding["gravity"] == "default"), "{checked}");
    let shown = parsed(&place.succeed(&["--json", "chain", "show", "right.toml"]));
    assert_eq!((&shown["identity"], &shown["chain"]), (&checked["identity"], &json!("right")), "{shown}");
    assert_eq!(shown["consensus"]["name"], "longest-chain", "{shown}");
    assert_eq!(shown["consensus"]["config"]["subsidy"]["initial-atoms"], 5_000_000_000_u64, "{shown}");
    assert_eq!(shown["ledger"]["address_prefix"], "tt", "{shown}");
    assert_eq!((&shown["node"]["api"], &shown["pool"]["mode"]), (&json!("127.0.0.1:0"), &json!("solo")), "{shown}");
    let text = place.succeed(&["chain", "show", "right.toml"]);
    assert!(text.contains(shown["identity"].as_str().unwrap()), "{text}");
}

#[test]
fn a_keys_file_and_address_are_one_document_of_json() {
    let place = Place::new();
    place.fast_chain("money", "");
    let made = parsed(&place.succeed(&["--json", "key", "new", "m.key", "--chain", "money.toml"]));
    assert_eq!(made, parsed(&place.succeed(&["--json", "key", "show", "m.key", "--chain", "money.toml"])));
    let text = place.succeed(&["key", "show", "m.key", "--chain", "money.toml"]);
    assert_eq!(text.trim(), format!("m.key: {}", made["address"].as_str().unwrap()));
    assert_eq!(made["file"], "m.key");
}
