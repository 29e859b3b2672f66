//! Bitcoin's main network and test network 3.

use super::replay::{RecordedChain, Refused, Replay, bare, known};
use super::{Example, Subject};
use crate::recorded;
use adit_primitives::{Height, Timestamp, U256, Work};
use std::collections::BTreeMap;

const HEADER_BYTES: usize = 80;
const RETARGETS: usize = 413;

fn headers(file: &str) -> Option<Vec<Vec<u8>>> {
    let bytes = recorded::bytes(file)?;
    Some(bytes.chunks_exact(HEADER_BYTES).map(<[u8]>::to_vec).collect())
}

fn work_by_height() -> Option<BTreeMap<Height, Work>> {
    let text = recorded::text("bitcoin/mainnet-chainwork.csv")?;
    let row = |line: &str| {
        let (height, work) = line.split_once(',').expect("two columns");
        let work = U256::from_str_radix(work.trim(), 16).expect("work is hexadecimal");
        (Height(height.parse().expect("a height")), Work(work))
    };
    Some(text.lines().map(row).collect())
}

/// 2,017 headers from the genesis: links, proof of work, bits, times, and the work at both ends of the first period.
pub fn headers_from_the_genesis_are_accepted(subject: &dyn Subject) {
    let (Some(headers), Some(work)) = (headers("bitcoin/mainnet-0-2016.bin"), work_by_height()) else { return };
    let mut replay = Replay::new(subject, &Example::read("bitcoin"));
    assert_eq!(replay.run(&headers), Ok(()));
    assert_eq!(headers.len(), 2017);
    for height in [0, 2015, 2016].map(Height) {
        assert_eq!(replay.chain.at(height).expect("the block was placed").work, work[&height], "work at {height}");
    }
    let tip = replay.next();
    assert_eq!((tip.height, tip.difficulty.as_str(), tip.subsidy), (Height(2017), "1", 5_000_000_000));
}

/// 10,000 headers from height 40,000, four of their five retargets computed from whole periods.
pub fn headers_from_the_middle_are_accepted(subject: &dyn Subject) {
    let Some(headers) = headers("bitcoin/mainnet-40000-49999.bin") else { return };
    let mut replay = Replay::from_middle(subject, &Example::read("bitcoin"), &headers[0], Height(40_000));
    assert_eq!(replay.run(&headers[1..]), Ok(()));
    let tip = replay.chain.tip().expect("blocks were placed");
    assert_eq!(tip.height, Height(49_999));
    let bits = |height: u64| replay.chain.at(Height(height)).expect("the block was placed").bits;
    assert_ne!(bits(42_335), bits(42_336));
}

/// Each of the 413 retargets is computed from the first and the last block of its period, and its first header placed.
pub fn every_retarget_of_the_main_network_is_computed(subject: &dyn Subject) {
    let (Some(text), Some(work)) = (recorded::text("bitcoin/mainnet-retarget-headers.csv"), work_by_height()) else {
        return;
    };
    let mut replay = Replay::new(subject, &Example::read("bitcoin"));
    let mut headers = BTreeMap::new();
    for line in text.lines() {
        let (height, hex) = line.split_once(',').expect("two columns");
        headers.insert(Height(height.parse().expect("a height")), recorded::from_hex(hex));
    }
    let mut retargets = 0;
    for (height, header) in &headers {
        let view = replay.decode(std::slice::from_ref(header)).remove(0).expect("a recorded header decodes");
        if height.0 > 0 && height.0.is_multiple_of(2016) {
            assert_eq!(replay.next().bits, view.bits, "bits at {height}");
            let placement = replay.place(std::slice::from_ref(header)).remove(0);
            let placement = placement.unwrap_or_else(|broken| panic!("block {height} is refused: {broken}"));
            assert_eq!((placement.height, placement.work), (*height, work[height]));
            retargets += 1;
        }
        replay.chain.add(known(&view, *height, work[height]));
    }
    assert_eq!(retargets, RETARGETS);
}

/// The cases of Bitcoin Core's own tests: at the limit, between, and at both clamps.
pub fn retarget_cases_of_bitcoin_core_agree(subject: &dyn Subject) {
    let Some(text) = recorded::text("bitcoin/core-pow-vectors.json") else { return };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list of cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let number = |key: &str| case[key].as_u64().expect("a number");
        let bits = |key: &str| u32::from_str_radix(case[key].as_str().expect("a text"), 16).expect("compact bits");
        let last = number("last_height");
        let mut replay = Replay::new(subject, &Example::read("bitcoin"));
        replay.chain.add(bare(Height(last - 2015), Timestamp::from_secs(number("first_time")), bits("last_bits")));
        replay.chain.add(bare(Height(last), Timestamp::from_secs(number("last_time")), bits("last_bits")));
        assert_eq!(replay.next().bits, bits("expected"), "{}", case["note"]);
    }
}

/// 5,000 headers of test network 3 above its genesis, among them 183 that came more than 20 minutes after their parent.
pub fn headers_of_the_test_network_are_accepted(subject: &dyn Subject) {
    let Some(headers) = testnet_headers() else { return };
    let mut replay = Replay::new(subject, &Example::read("bitcoin-testnet"));
    assert_eq!(replay.run(&headers), Ok(()));
    assert_eq!(replay.chain.tip().expect("blocks were placed").height, Height(5000));
    // From the middle of a period whose ordinary bits no block at the start of the run shows.
    let mut replay = Replay::from_middle(subject, &Example::read("bitcoin-testnet"), &headers[4100], Height(4100));
    assert_eq!(replay.run(&headers[4101..]), Ok(()));
}

/// The easiest target is for late blocks alone: the ordinary one stands until 20 minutes have passed.
pub fn a_block_in_time_may_not_have_the_easiest_target(subject: &dyn Subject) {
    let Some(headers) = testnet_headers() else { return };
    let example = Example::read("bitcoin-testnet");
    let mut strict = example.clone();
    strict.config["retarget"]["min-difficulty-after-seconds"] = 1201.into();
    // Height 4,033 came 1,201 seconds after its parent, at the easiest target.
    let mut replay = Replay::new(subject, &strict);
    assert_eq!(replay.run(&headers), Err(Refused { index: 4033, rule: "bits".to_owned() }));
    let mut replay = Replay::new(subject, &example);
    assert_eq!(replay.run(&headers[..4034]), Ok(()));
}

fn testnet_headers() -> Option<Vec<Vec<u8>>> {
    let text = recorded::text("bitcoin-testnet/testnet3-1-5000.csv")?;
    let genesis = Example::read("bitcoin-testnet").config["genesis"]["header"].as_str().map(recorded::from_hex);
    let header = |line: &str| {
        let fields = line.split(',').flat_map(|field| {
            let mut bytes = recorded::from_hex(field);
            bytes.reverse();
            bytes
        });
        fields.collect()
    };
    Some(genesis.into_iter().chain(text.lines().skip(1).map(header)).collect())
}

/// One bit flipped: every bit of some headers, and one bit of every header, each refused by the rule that it breaks.
pub fn a_flipped_bit_is_refused_by_its_rule(subject: &dyn Subject) {
    let Some(headers) = headers("bitcoin/mainnet-0-2016.bin") else { return };
    let mut replay = Replay::new(subject, &Example::read("bitcoin"));
    assert_eq!(replay.run(&headers), Ok(()));
    let every_bit = [1, 1000, 2016].into_iter().flat_map(|index| (0..8 * HEADER_BYTES).map(move |bit| (index, bit)));
    let every_header = (1..headers.len()).map(|index| (index, index * 7919 % (8 * HEADER_BYTES)));
    for (index, bit) in every_bit.chain(every_header) {
        let mut header = headers[index].clone();
        header[bit / 8] ^= 1 << (bit % 8);
        let want = match bit / 8 {
            4..36 => "parent-unknown",
            72..76 => "bits",
            _ => "proof-of-work",
        };
        let verdict = replay.place(&[header]).remove(0);
        let rule = verdict.map(|_| ()).map_err(|broken| broken.rule);
        assert_eq!(rule, Err(want.to_owned()), "bit {bit} of header {index}");
    }
    // In the genesis every flip makes another block, whose parent nobody knows.
    for bit in 0..8 * HEADER_BYTES {
        let mut run = headers[..2].to_vec();
        run[0][bit / 8] ^= 1 << (bit % 8);
        let refused = Replay::new(subject, &Example::read("bitcoin")).run(&run).expect_err("another genesis");
        assert_eq!(refused.index, 0, "bit {bit} of the genesis");
        assert!(["parent-unknown", "bits"].contains(&refused.rule.as_str()), "bit {bit} of the genesis: {refused:?}");
    }
    let mut short = headers[1].clone();
    short.pop();
    let refused = replay.decode(&[short]).remove(0).map(|_| ()).map_err(|broken| broken.rule);
    assert_eq!(refused, Err("header-length".to_owned()));
}

/// A block as old as the median of the eleven before it is refused, one second later it would do.
pub fn a_time_at_the_median_is_refused(subject: &dyn Subject) {
    let mut example = Example::read("bitcoin");
    example.config["retarget"]["limit-bits"] = 0x207f_ffff.into();
    let mut replay = Replay::new(subject, &example);
    let mut chain = RecordedChain::default();
    for height in 0..11 {
        chain.add(bare(Height(height), Timestamp::from_secs(1000 + height * height % 11), 0x207f_ffff));
    }
    replay.chain = chain;
    // In order: 0 1 1 3 3 4 4 5 5 9 9.
    let parent = replay.chain.tip().expect("eleven blocks").id;
    assert_eq!(replay.next().earliest, Timestamp::from_secs(1005));
    let verdict = |seconds: u32| {
        // About half of all nonces do at this target.
        let with_nonce = |nonce: u32| {
            let mut header = vec![0; HEADER_BYTES];
            header[4..36].copy_from_slice(&parent.0);
            header[68..72].copy_from_slice(&seconds.to_le_bytes());
            header[72..76].copy_from_slice(&0x207f_ffffu32.to_le_bytes());
            header[76..80].copy_from_slice(&nonce.to_le_bytes());
            header
        };
        let verdicts = replay.place(&Vec::from_iter((0..64).map(with_nonce)));
        let mut rules =
            verdicts.into_iter().map(|verdict| verdict.map_or_else(|broken| broken.rule, |_| "valid".to_owned()));
        rules.find(|rule| rule != "proof-of-work")
    };
    assert_eq!(verdict(1004).as_deref(), Some("time-too-old"));
    assert_eq!(verdict(1005).as_deref(), Some("valid"));
}

/// A header whose parent is missing, and one whose parent was refused in the same batch.
pub fn a_parent_that_nobody_placed_is_refused(subject: &dyn Subject) {
    let Some(mut headers) = headers("bitcoin/mainnet-0-2016.bin") else { return };
    headers.truncate(4);
    let replay = Replay::new(subject, &Example::read("bitcoin"));
    headers[1][79] ^= 1;
    let rules = replay.place(&headers).into_iter().map(|verdict| verdict.map(|_| ()).map_err(|broken| broken.rule));
    let unknown = || Err("parent-unknown".to_owned());
    assert_eq!(Vec::from_iter(rules), [Ok(()), Err("proof-of-work".to_owned()), unknown(), unknown()]);
}
