use super::*;
use crate::work::template::TemplateError;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The script that the recorded block pays: a witness program of 20 bytes.
const PAID: [u8; 22] = [
    0x00, 0x14, 0x2c, 0x16, 0x14, 0x35, 0xfc, 0xf4, 0x19, 0x27, 0x1d, 0xd3, 0x84, 0xeb, 0x21, 0xc3, 0x17, 0x15, 0xec,
    0xd8, 0x65, 0xd0,
];

const REQUEST: CoinbaseRequest<'_> = CoinbaseRequest {
    pay_to: &PAID,
    tag: b"/adit/",
    extranonce_bytes: 8,
    extranonce_bytes_min: 6,
    version_mask: 0x1fff_e000,
};

/// Reads a file of the recorded data. Where it is missing, says that the test did not run.
fn recorded(name: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("ADIT_DATA").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "recorded data is missing: {}", path.display());
        eprintln!("NOT RUN: recorded data is missing: {} (set ADIT_DATA)", path.display());
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}

fn litecoin() -> Option<Value> {
    recorded("litecoin/gbt_regtest_height433.json").map(|text| serde_json::from_str(&text).unwrap())
}

/// A template without transactions, as any node of the family could give it.
fn plain() -> Value {
    json!({
        "version": 0x2000_0000, "rules": ["csv", "!segwit"], "vbrequired": 0,
        "previousblockhash": "00".repeat(31) + "07",
        "transactions": [], "coinbaseaux": { "flags": "0a0b" }, "coinbasevalue": 5_000_000_000_u64,
        "target": format!("7fffff{}", "00".repeat(29)), "bits": "207fffff",
        "mintime": 100, "curtime": 200, "height": 7, "unheard-of": { "field": 1 },
    })
}

fn made(value: &Value, request: &CoinbaseRequest<'_>) -> Result<BlockTemplate, TemplateError> {
    let node: NodeTemplate = serde_json::from_value(value.clone()).expect("the test's JSON has the shape");
    template(&node, request)
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Value), want: &str) {
    let mut value = plain();
    change(&mut value);
    let error = made(&value, &REQUEST).unwrap_err();
    assert_eq!(error.to_string(), want);
}

#[test]
fn litecoinds_template_becomes_the_block_that_it_accepted() {
    let (Some(template), Some(block)) = (litecoin(), recorded("litecoin/regtest_block433_mweb.hex")) else { return };
    let request = CoinbaseRequest { tag: b"", extranonce_bytes: 4, ..REQUEST };
    let template = made(&template, &request).unwrap();
    let ours = template.coinbase.with(None, b"te", b"st");
    // Its miner had no job's number in the script: four bytes fewer, in the script's length and in that of the push.
    let split = ours.windows(8).position(|bytes| bytes == b"\0\0\0\0test").unwrap();
    let mut coinbase = [&ours[..split], &ours[split + 4..]].concat();
    (coinbase[41], coinbase[split - 1]) = (8, 4);
    let header = template.header(template.root(&coinbase), template.version, template.time, 0);
    let want = hex("block", block.trim()).unwrap();
    assert_eq!(template.block(&header, &coinbase), want);
    assert_eq!((template.height, template.reward), (Height(433), Amount::from_atoms(1_250_000_000)));
}

#[test]
fn an_extension_block_without_its_transaction_is_refused() {
    let Some(mut value) = litecoin() else { return };
    value["transactions"] = json!([]);
    let error = made(&value, &REQUEST).unwrap_err();
    assert_eq!(error, TemplateError::Missing { field: "HogEx: an extension block hangs on the last transaction" });
    let mut value = litecoin().unwrap();
    value.as_object_mut().unwrap().remove("mweb");
    let error = made(&value, &REQUEST).unwrap_err();
    assert_eq!(error, TemplateError::Missing { field: "mweb, which its rules ask for" });
}

#[test]
fn a_coinbase_says_height_extranonce_flags_and_tag() {
    let template = made(&plain(), &REQUEST).unwrap();
    let coinbase = template.coinbase.with(None, &[1; 4], &[2; 4]);
    let script = [&[0x57, 12, 0, 0, 0, 0][..], &[1; 4], &[2; 4], &[0x0a, 0x0b, 6], b"/adit/"].concat();
    assert_eq!(usize::from(coinbase[41]), script.len());
    assert_eq!(coinbase[42..42 + script.len()], script);
    let outputs = [&[0xff, 0xff, 0xff, 0xff, 1, 0, 0xf2, 5, 0x2a, 1, 0, 0, 0, 22][..], &PAID, &[0; 4]].concat();
    assert_eq!(coinbase[42 + script.len()..], outputs);
    assert_eq!(template.assembly.witness, None, "nothing is committed to");
}

#[test]
fn an_extranonce_is_as_short_as_the_nodes_flags_make_it() {
    let bytes = |flags: usize| {
        let mut value = plain();
        value["coinbaseaux"] = json!({ "flags": "00".repeat(flags) });
        let template = made(&value, &REQUEST)?;
        let bytes = template.coinbase.extranonce_bytes;
        let coinbase = template.coinbase.with(None, &[1; 4], &vec![2; bytes - 4]);
        assert_eq!(usize::from(coinbase[41]), 1 + 1 + 4 + bytes + flags + 7, "the length of the script");
        assert_eq!(usize::from(coinbase[43]), 4 + bytes, "the length of the push");
        Ok(bytes)
    };
    assert_eq!([0, 79, 80, 81].map(bytes), [Ok(8), Ok(8), Ok(7), Ok(6)]);
    assert_eq!(bytes(82), Err(TemplateError::Script { bytes: 101, max: 100 }));
}

#[test]
fn a_nodes_required_bits_are_not_rolled() {
    let mut value = plain();
    value["vbrequired"] = json!(0x2000);
    value["version"] = json!(0x2000_2000);
    assert_eq!(made(&value, &REQUEST).unwrap().version_mask, 0x1fff_c000);
    let wide = CoinbaseRequest { version_mask: 0x1fff_ffe0, ..REQUEST };
    assert_eq!(made(&value, &wide).unwrap().version_mask, 0x1fff_dfe0);
    let none = CoinbaseRequest { version_mask: 0, ..REQUEST };
    assert_eq!(made(&value, &none).unwrap().version_mask, 0);
    value["version"] = json!(-1);
    assert_eq!(made(&value, &REQUEST).unwrap().version, u32::MAX);
}

#[test]
fn templates_that_make_no_sense_are_refused() {
    check_refused(
        |value| value["rules"] = json!(["!signet"]),
        "the template asks for the rule signet, which this pool does not know",
    );
    check_refused(
        |value| value["bits"] = json!("1d00ffff"),
        &format!("the template's target 7fffff{} is not that of its bits 0x1d00ffff", "00".repeat(29)),
    );
    check_refused(
        |value| value["bits"] = json!("ff"),
        "the template's bits is not understood: \"ff\" is not four bytes",
    );
    check_refused(
        |value| value["bits"] = json!("20800001"),
        "the template's bits is not understood: compact target 0x20800001 is negative",
    );
    check_refused(
        |value| value["curtime"] = json!(99),
        "the template's time 99 is before 100, the earliest that it allows",
    );
    check_refused(
        |value| value["coinbasevalue"] = json!(u64::MAX),
        "the template pays 18446744073709551615 atoms, no more than 1000000000000000 atoms can be",
    );
    check_refused(
        |value| drop(value.as_object_mut().unwrap().remove("coinbasevalue")),
        "the template has no coinbasevalue",
    );
    check_refused(
        |value| value["previousblockhash"] = json!("00"),
        "the template's previousblockhash is not understood: a hash has 64 hexadecimal digits, this text has 2 characters",
    );
    check_refused(
        |value| value["default_witness_commitment"] = json!("6a24aa21a9ed00"),
        "the template's default_witness_commitment is not understood: \"6a24aa21a9ed00\" is no commitment to witnesses",
    );
    check_refused(
        |value| value["version"] = json!(0x1_0000_0000_u64),
        "the template's version is not understood: 4294967296 does not fit 32 bits",
    );
    check_refused(
        |value| value["vbrequired"] = json!(1),
        "the template's version is not understood: 0x20000000 lacks bits of vbrequired, 0x00000001",
    );
}

#[test]
fn transactions_that_make_no_sense_are_refused() {
    let transaction = |field: &str, change: Value| {
        let mut transaction = json!({ "data": "00", "txid": "11".repeat(32), "hash": "11".repeat(32), "fee": 5, "sigops": 1, "weight": 4 });
        transaction[field] = change;
        move |value: &mut Value| {
            value["transactions"] = json!([transaction]);
            (value["weightlimit"], value["sigoplimit"]) = (json!(4_000_000), json!(80_000));
        }
    };
    check_refused(
        transaction("data", json!("0")),
        "the template's transactions is not understood: an odd number of digits",
    );
    check_refused(
        transaction("data", json!("0é0")),
        "the template's transactions is not understood: it holds more than hexadecimal digits",
    );
    check_refused(transaction("fee", json!(-1)), "the template's fee is not understood: -1 is less than nothing");
    check_refused(
        transaction("fee", json!(6_000_000_000_u64)),
        "the template's fees of 6000000000 atoms are more than the 5000000000 atoms that it pays",
    );
    check_refused(transaction("hash", json!("22".repeat(32))), "the template has no default_witness_commitment");
    check_refused(
        transaction("weight", json!(3_999_999)),
        "the block would have a weight of 4000775, 4000000 is allowed",
    );
    check_refused(
        transaction("sigops", json!(80_001)),
        "the block would count 80001 signature operations, 80000 are allowed",
    );
}

#[test]
fn what_the_operator_asks_for_has_to_fit() {
    let refused = |request: CoinbaseRequest<'_>| made(&plain(), &request).unwrap_err();
    let error = refused(CoinbaseRequest { tag: &[b'x'; 90], ..REQUEST });
    assert_eq!(error, TemplateError::Script { bytes: 106, max: 100 });
    let error = refused(CoinbaseRequest { extranonce_bytes: 17, ..REQUEST });
    assert_eq!(error, TemplateError::Extranonce { bytes: 17 });
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(
        height: u32, version: i64, value: Option<u64>, bits in "[0-9a-f]{0,10}", data in "[0-9a-fg]{0,8}", tag in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut template = plain();
        (template["height"], template["version"], template["coinbasevalue"]) = (json!(height), json!(version), json!(value));
        template["transactions"] = json!([{ "data": data, "hash": "11".repeat(32) }]);
        let _ = made(&template, &CoinbaseRequest { tag: &tag, ..REQUEST });
        template["bits"] = json!(bits);
        let _ = made(&template, &REQUEST);
    }
}
