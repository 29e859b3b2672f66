//! `adit replay` on recorded headers of real chains.

use crate::adit::{Place, parsed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The recorded data, or `None` after saying that the test did not run.
fn data(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ADIT_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(file);
    if path.is_file() {
        return Some(path.canonicalize().unwrap());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("did not run: {} is missing", path.display());
    None
}

fn chain(name: &str) -> String {
    example(&format!("{name}/chain.toml"))
}

fn example(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file);
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn bitcoins_first_headers_are_valid() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let said = Place::new().succeed(&["replay", &chain("bitcoin"), headers.to_str().unwrap()]);
    assert!(said.contains("valid: 2017 headers, heights 0 to 2016"), "{said}");
}

#[test]
fn a_run_in_the_middle_says_at_which_height_it_starts() {
    let Some(headers) = data("bitcoin/mainnet-40000-49999.bin") else { return };
    let said = Place::new().succeed(&["replay", &chain("bitcoin"), headers.to_str().unwrap(), "--height", "40000"]);
    assert!(said.contains("the run starts at height 40000"), "{said}");
    assert!(said.contains("valid: 10000 headers, heights 40000 to 49999"), "{said}");
}

#[test]
fn a_flipped_bit_is_refused_with_height_and_rule() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let place = Place::new();
    let mut bytes = std::fs::read(headers).unwrap();
    bytes[80 * 1000 + 70] ^= 1;
    let path = place.path("flipped.bin");
    std::fs::write(&path, bytes).unwrap();
    let said = place.fail(&["replay", &chain("bitcoin"), "flipped.bin"]);
    assert!(said.contains("the header at height 1000 breaks the rule `proof-of-work`"), "{said}");
}

#[test]
fn what_is_no_line_of_headers_is_refused_where_it_turns() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let place = Place::new();
    let bytes = std::fs::read(headers).unwrap();
    let headers: Vec<&[u8]> = bytes.chunks(80).collect();
    let refused = |run: &[&[u8]], words: &str| {
        std::fs::write(place.path("run.bin"), run.concat()).unwrap();
        let said = place.fail(&["replay", &chain("bitcoin"), "run.bin"]);
        assert!(said.contains(words) && !said.contains("valid: 1") && !said.contains("valid: 2"), "{said}");
    };
    let twice = [&headers[..10], &headers[9..]].concat();
    refused(&twice, "invalid: the header at height 10 repeats the one at height 9");
    refused(&headers[..3].repeat(50), "invalid: the header at height 3 repeats the one at height 0");
    // A batch ends between the two.
    let across = [&headers[..2001], &headers[2000..]].concat();
    refused(&across, "invalid: the header at height 2001 repeats the one at height 2000");
    // What comes first is named first.
    let mut flipped = headers[1000].to_vec();
    flipped[70] ^= 1;
    let both = [&headers[..10], &headers[9..1000], &[&flipped], &headers[1001..]].concat();
    refused(&both, "invalid: the header at height 10 repeats the one at height 9");
    let gap = [&headers[..10], &headers[11..]].concat();
    refused(&gap, "the header at height 10 breaks the rule `parent-unknown`");
}

#[test]
fn a_side_branch_in_a_run_is_refused_with_its_parent() {
    let Some(headers) = data("litecoin/litecoind_regtest_headers.csv") else { return };
    let place = Place::new();
    let text = std::fs::read_to_string(headers).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(|digit: char| digit.is_ascii_digit())).collect();
    let header = |row: &str| row.rsplit(',').next().unwrap().trim().to_owned();
    // Another block on the third: its nonce is found as a miner finds it, since half of all hashes win on regtest.
    let other = |time: u8| {
        let hex = header(rows[4]);
        format!("{}{:02x}{}", &hex[..136], u8::from_str_radix(&hex[136..138], 16).unwrap() ^ time, &hex[138..])
    };
    let side = (1..=255).map(other).find_map(|side| {
        let run: String = (0..5).map(|at| format!("{at},{}\n", header(rows[at]))).collect();
        place.write("side.csv", &format!("{run}5,{side}\n"));
        let output = place.run(&["replay", &chain("litecoin-regtest"), "side.csv"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{said}");
        said.contains("does not follow").then_some(said)
    });
    let said = side.expect("half of all hashes win");
    assert!(
        said.contains("invalid: the header at height 5 does not follow the one at height 4: its parent is"),
        "{said}"
    );
}

#[test]
fn another_genesis_is_named_and_so_is_what_a_run_from_the_middle_needs() {
    let (Some(start), Some(middle)) = (data("bitcoin/mainnet-0-2016.bin"), data("bitcoin/mainnet-40000-49999.bin"))
    else {
        return;
    };
    let place = Place::new();
    let mut bytes = std::fs::read(&start).unwrap();
    bytes[70] ^= 1;
    std::fs::write(place.path("flipped.bin"), bytes).unwrap();
    let (start, middle) = (start.to_str().unwrap(), middle.to_str().unwrap());
    for (rules, file) in [("bitcoin", "flipped.bin"), ("litecoin", start), ("bitcoin", middle)] {
        let said = place.fail(&["replay", &chain(rules), file]);
        assert!(said.contains("invalid: the file begins with block"), "{file}: {said}");
        assert!(said.contains("for a raw run from the middle of a chain: --height"), "{file}: {said}");
        let fitting = said.contains("that is the genesis of examples/bitcoin/chain.toml");
        assert_eq!(fitting, rules == "litecoin", "{file}: {said}");
    }
    let said = place.fail(&["replay", &chain("bitcoin"), start, "--height", "5"]);
    assert!(said.contains("the file begins with the genesis of this chain.toml: its height is 0, not 5"), "{said}");
}

#[test]
fn litecoins_regtest_headers_are_valid_by_scrypt() {
    let Some(headers) = data("litecoin/litecoind_regtest_headers.csv") else { return };
    let said = Place::new().succeed(&["replay", &chain("litecoin-regtest"), headers.to_str().unwrap()]);
    assert!(said.contains("valid: 469 headers"), "{said}");
}

/// Every header states its DAA score, bits, blue score, blue work and pruning point, and names its parents by their hashes: what is valid agrees.
#[test]
fn kaspas_recorded_dags_are_valid() {
    for (rules, file, blocks, colours) in [
        ("chain", "goref-2026-notx-5000-blocks", 5001, "3349 merged blue and 0 red; blue score 4997"),
        ("chain", "goref-2026-1060-tx-265-blocks", 266, "175 merged blue and 0 red; blue score 264"),
        ("devnet-2023", "goref-2023-905-tx-265-blocks", 265, "62 merged blue and 35 red; blue score 207"),
        ("devnet-2023-pruning", "goref-2023-custom-pruning-depth", 1075, "57 merged blue and 504 red; blue score 570"),
    ] {
        let Some(dag) = data(&format!("kaspa/{file}.json.gz")) else { return };
        let said = Place::new().succeed(&["replay", &example(&format!("kaspa/{rules}.toml")), dag.to_str().unwrap()]);
        assert!(said.contains(&format!("valid: {blocks} headers")), "{said}");
        assert!(said.contains(colours), "{said}");
    }
}

#[test]
fn a_recorded_dag_of_another_genesis_is_refused_with_the_examples_that_fit() {
    let Some(dag) = data("kaspa/goref-2023-905-tx-265-blocks.json.gz") else { return };
    let said = Place::new().fail(&["replay", &example("kaspa/chain.toml"), dag.to_str().unwrap()]);
    let hint = "that is the genesis of examples/kaspa/devnet-2023.toml and examples/kaspa/devnet-2023-pruning.toml";
    assert!(said.contains("the file begins with block") && said.contains(hint), "{said}");
    let Some(dag) = data("kaspa/goref-2026-1060-tx-265-blocks.json.gz") else { return };
    let said = Place::new().fail(&["replay", &example("kaspa/devnet-2023.toml"), dag.to_str().unwrap()]);
    assert!(said.contains("that is the genesis of examples/kaspa/chain.toml"), "{said}");
}

/// Returns speed and time of each row of a section of `adit bench dag`.
#[track_caller]
fn rows(said: &str, section: &str) -> Vec<(u64, u64)> {
    let mut lines = said.lines().skip_while(|line| !line.contains(section));
    assert!(lines.next().is_some(), "{section} is not said: {said}");
    let number = |word: &str| word.replace(',', "").parse::<u64>().ok();
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(number);
        words.next()??;
        words.next()?.zip(words.next()?)
    };
    lines.skip_while(|line| row(line).is_none()).map_while(row).collect()
}

#[test]
fn placing_is_measured_over_generated_and_recorded_dags_with_their_windows() {
    let Some(dag) = data("kaspa/goref-2023-905-tx-265-blocks.json.gz") else { return };
    let rules = example("kaspa/devnet-2023.toml");
    let arguments = ["bench", "dag", "--rounds", "1", "--file", dag.to_str().unwrap(), "--chain", &rules];
    let said = Place::new().succeed(&arguments);
    for (section, count) in
        [("up to 10 blocks in parallel", 3), ("with windows of 240 blocks", 2), ("with the rules of", 2)]
    {
        let rows = rows(&said, section);
        assert_eq!(rows.len(), count, "{section}: {said}");
        assert!(rows.iter().all(|(speed, nanos)| *speed > 0 && *nanos > 0 && speed * nanos <= 1_000_000_000), "{said}");
    }
    assert_eq!(said.matches("one at a time").count(), 2, "{said}");
    assert!(said.contains("\n265 "), "{said}");
    let other =
        ["bench", "dag", "--rounds", "1", "--file", dag.to_str().unwrap(), "--chain", &example("kaspa/chain.toml")];
    assert!(Place::new().fail(&other).contains("that is the genesis of"));
}

/// Changes one field of a recorded header and tells the rule that refuses it.
#[test]
fn a_wrong_field_of_kaspas_headers_is_refused_by_its_rule() {
    let Some(dag) = data("kaspa/goref-2023-custom-pruning-depth.json.gz") else { return };
    let place = Place::new();
    let mut lines = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(std::fs::File::open(dag).unwrap()), &mut lines)
        .unwrap();
    let last = lines.lines().next_back().unwrap();
    let before = lines.strip_suffix('\n').unwrap_or(&lines).strip_suffix(last).unwrap();
    for (field, rule) in [
        ("DAAScore", "daa-score"),
        ("BlueScore", "blue-score"),
        ("BlueWork", "blue-work"),
        ("PruningPoint", "pruning-point"),
        ("Bits", "bits"),
    ] {
        let mut block: Value = serde_json::from_str(last).unwrap();
        let value = &mut block["Header"][field];
        *value = match &*value {
            Value::String(text) if text.len() == 64 => "11".repeat(32).into(),
            Value::String(text) => format!("{text}1").into(),
            number => (number.as_u64().unwrap() - 1).into(),
        };
        // Without a proof of work the rule behind it is reached.
        let rules = std::fs::read_to_string(example("kaspa/devnet-2023-pruning.toml")).unwrap();
        place.write("chain.toml", &rules.replace("proof-of-work = true", "proof-of-work = false"));
        place.write("wrong.json", &format!("{before}{block}\n"));
        let said = place.fail(&["replay", "chain.toml", "wrong.json"]);
        assert!(said.contains(&format!("breaks the rule `{rule}`")), "{field}: {said}");
    }
}

#[test]
fn a_file_that_holds_no_headers_is_refused() {
    let place = Place::new();
    place.write("few.bin", "123");
    let said = place.fail(&["replay", &chain("bitcoin"), "few.bin"]);
    assert!(said.contains("no whole number of headers of 80 bytes"), "{said}");
}

#[test]
fn what_a_replay_came_to_is_one_document_of_json() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let place = Place::new();
    let mut bytes = std::fs::read(headers).unwrap();
    std::fs::write(place.path("good.bin"), &bytes).unwrap();
    let valid = parsed(&place.succeed(&["--json", "replay", &chain("bitcoin"), "good.bin"]));
    let run = json!([true, 2017, "heights", 0, 2016, 2016, 2017, 0]);
    let fields = ["valid", "headers", "counted", "first", "last"].map(|field| valid[field].clone());
    let found =
        [&fields[..], &[valid["tip"]["height"].clone(), valid["selected_blocks"].clone(), valid["red_blocks"].clone()]]
            .concat();
    assert_eq!(Value::from(found), run, "{valid}");
    assert!(valid["headers_per_second"].as_f64().is_some_and(|speed| speed > 0.0), "{valid}");
    let text = place.succeed(&["replay", &chain("bitcoin"), "good.bin"]);
    assert!(text.contains(&format!("tip {} with work", valid["tip"]["hash"].as_str().unwrap())), "{text}");

    let middle = bytes.split_off(80 * 1000);
    std::fs::write(place.path("middle.bin"), &middle).unwrap();
    let anchored = parsed(&place.succeed(&["--json", "replay", &chain("bitcoin"), "middle.bin", "--height", "1000"]));
    assert_eq!((&anchored["first"], &anchored["last"]), (&json!(1000), &json!(2016)), "{anchored}");
    let invalid = parsed(&place.fail(&["--json", "replay", &chain("bitcoin"), "middle.bin"]));
    assert_eq!(invalid["valid"], false, "{invalid}");
    assert!(invalid["problem"].as_str().unwrap().starts_with("the file begins with block "), "{invalid}");
}
