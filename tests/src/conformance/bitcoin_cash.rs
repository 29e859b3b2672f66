//! Bitcoin Cash: the published vectors of aserti3-2d.

use super::replay::{RecordedChain, Replay, bare};
use super::{Example, Subject};
use crate::recorded;
use adit_primitives::{Height, Timestamp};

const RUNS: [&str; 10] = ["01", "02", "03", "04", "05", "07", "08", "09", "10", "11"];

/// Each line of each run: the block at its height and time, and the target that the block after it must have.
pub fn published_asert_vectors_agree(subject: &dyn Subject) {
    for run in RUNS {
        let Some(text) = recorded::text(&format!("bitcoin-cash/asert-run{run}.txt")) else { return };
        check_run(subject, run, &text);
    }
}

fn check_run(subject: &dyn Subject, run: &str, text: &str) {
    let stated = |names: &[&str]| {
        let mut values = text.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once(": "));
        let value = values.find_map(|(name, value)| names.contains(&name).then_some(value));
        value.expect("the run states it").trim().to_owned()
    };
    let number = |names: &[&str]| stated(names).parse::<u64>().expect("a number");
    let compact = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("compact bits");

    let mut example = Example::read("bitcoin-cash");
    example.config["retarget"] = example.config["schedule"][0]["retarget"].clone();
    example.config["schedule"] = serde_json::json!([]);
    example.config["retarget"]["anchor"] = serde_json::json!({
        "height": number(&["anchor height"]),
        "bits": compact(&stated(&["anchor nBits"])),
        // The files call it "ancestor time" or "parent time".
        "parent-time-seconds": number(&["anchor ancestor time", "anchor parent time"]),
    });
    let mut replay = Replay::new(subject, &example);
    let mut lines = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let [_, height, time, bits] = Vec::from_iter(line.split_whitespace())[..] else {
            panic!("four columns: {line}")
        };
        let (height, time) = (Height(height.parse().expect("a height")), time.parse().expect("a time"));
        replay.chain = RecordedChain::default();
        replay.chain.add(bare(height, Timestamp::from_secs(time), 0x1d00_ffff));
        assert_eq!(replay.next().bits, compact(bits), "run {run}, height {height}");
        lines += 1;
    }
    assert_eq!(lines, number(&["iterations"]), "run {run}");
}
