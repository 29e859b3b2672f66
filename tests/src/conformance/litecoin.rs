//! Litecoin's main network, and a regression-test network that litecoind mined.

use super::replay::{Refused, Replay, bare};
use super::{Example, Subject};
use crate::recorded;
use adit_primitives::{Hash256, Height, Target, Timestamp, U256};
use serde_json::Value;

const PERIOD: u64 = 2016;
const RETARGETS: u64 = 972;
const REGTEST_HEADERS: usize = 469;

/// Each of the 972 retargets, from the last blocks of two periods.
pub fn every_retarget_of_the_main_network_is_computed(subject: &dyn Subject) {
    let Some(text) = recorded::text("litecoin/mainnet-checkpoints.json") else { return };
    let mut replay = Replay::new(subject, &Example::read("litecoin"));
    let genesis = replay.decode(&[recorded::from_hex(genesis_hex(&Example::read("litecoin")))]).remove(0);
    let genesis = genesis.expect("the genesis decodes");
    assert_eq!(genesis.id.to_string(), "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2");
    replay.chain.add(bare(Height(0), genesis.time, genesis.bits));
    let mut bits = genesis.bits;
    let mut last = Height(PERIOD - 1);
    for [time, target] in checkpoints(&text) {
        let time = time.parse().expect("a time in seconds");
        let target = Target(U256::from_str_radix(&target, 10).expect("a target in decimal digits"));
        replay.chain.add(bare(last, Timestamp::from_secs(time), bits));
        bits = replay.next().bits;
        assert_eq!(bits, target.to_compact(), "bits above {last}");
        last = Height(last.0 + PERIOD);
    }
    assert_eq!(last.0 / PERIOD, RETARGETS);
}

/// Reads `[hash, target, time]`, the target as text: it is an integer longer than any number of JSON libraries.
fn checkpoints(text: &str) -> impl Iterator<Item = [String; 2]> {
    let fields: Vec<String> = text
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|field| !field.is_empty())
        .map(str::to_owned)
        .collect();
    fields.chunks_exact(3).map(|row| [row[2].clone(), row[1].clone()]).collect::<Vec<_>>().into_iter()
}

/// Five headers of the main network and their digests under scrypt(1024, 1, 1).
pub fn headers_hash_as_recorded(subject: &dyn Subject) {
    let Some(text) = recorded::text("litecoin/scrypt_header_vectors.json") else { return };
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("a list of vectors");
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let header = recorded::from_hex(vector["header_hex"].as_str().expect("a header"));
        let mut want = recorded::from_hex(vector["scrypt_be"].as_str().expect("a digest"));
        want.reverse();
        let got = subject.digests(&Example::read("litecoin").hash, &header, header.len());
        assert_eq!(got, [Hash256(want.try_into().expect("32 bytes"))]);
    }
}

/// 469 headers by litecoind, all under scrypt. Under double SHA-256 about half would not do.
pub fn headers_of_a_regression_test_network_are_accepted(subject: &dyn Subject) {
    let Some(headers) = regtest_headers() else { return };
    assert_eq!(headers.len(), REGTEST_HEADERS);
    let example = Example::read("litecoin-regtest");
    let mut replay = Replay::new(subject, &example);
    assert_eq!(replay.run(&headers), Ok(()));
    let sha256d = Example { hash: "sha256d".to_owned(), ..example };
    let replay = Replay::new(subject, &sha256d).with_chain(replay.chain);
    let verdicts = replay.place(&headers[1..]);
    let refused =
        verdicts.iter().filter(|verdict| verdict.as_ref().is_err_and(|broken| broken.rule == "proof-of-work"));
    // The genesis passes unasked: 247 of 469 would.
    assert_eq!(REGTEST_HEADERS - refused.count(), 247);
}

/// Each bit of one header, alone and with the header after it: at this target half of all headers have enough work, and then it
/// is the link that breaks.
pub fn a_flipped_bit_is_refused_by_its_rule(subject: &dyn Subject) {
    let Some(headers) = regtest_headers() else { return };
    let example = Example::read("litecoin-regtest");
    let mut replay = Replay::new(subject, &example);
    assert_eq!(replay.run(&headers[..20]), Ok(()));
    for bit in 0..640 {
        let mut run = headers[20..22].to_vec();
        run[0][bit / 8] ^= 1 << (bit % 8);
        let mut replay = Replay::new(subject, &example).with_chain(replay.chain.clone());
        let Refused { index, rule } = replay.run(&run).expect_err("a flipped bit");
        let allowed: &[(usize, &str)] = match bit / 8 {
            4..36 => &[(0, "parent-unknown")],
            72..76 => &[(0, "bits")],
            68..72 => &[(0, "proof-of-work"), (0, "time-too-old"), (1, "parent-unknown")],
            _ => &[(0, "proof-of-work"), (1, "parent-unknown")],
        };
        assert!(allowed.contains(&(index, rule.as_str())), "bit {bit}: {rule} at {index}");
    }
}

fn regtest_headers() -> Option<Vec<Vec<u8>>> {
    let text = recorded::text("litecoin/litecoind_regtest_headers.csv")?;
    Some(text.lines().filter_map(|line| line.rsplit(',').next()).map(recorded::from_hex).collect())
}

fn genesis_hex(example: &Example) -> &str {
    example.config["genesis"]["header"].as_str().expect("a recorded genesis")
}
