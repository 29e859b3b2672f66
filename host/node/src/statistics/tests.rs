//! What the figures say of small histories.

use super::*;

const MILLI: Duration = Duration::from_millis(1);

fn id(number: u32) -> BlockId {
    let mut bytes = [0; 32];
    bytes[12..16].copy_from_slice(&number.to_le_bytes());
    BlockId(bytes)
}

fn block(number: u32) -> AcceptedBlock {
    AcceptedBlock { id: id(number), found: true, transactions: Some(2), merged: 1, placement: MILLI }
}

fn step(from: u32, disconnected: &[u32], connected: &[u32]) -> Reorg {
    let ids = |numbers: &[u32]| numbers.iter().copied().map(id).collect::<Vec<_>>();
    let connected = ids(connected);
    Reorg { from: id(from), to: *connected.last().unwrap(), disconnected: ids(disconnected), connected }
}

fn merging(of: u32, merged: &[(u32, bool)]) -> impl Fn(BlockId) -> Vec<MergedBlock> {
    let merged: Vec<_> = merged.iter().map(|(number, blue)| MergedBlock { id: id(*number), blue: *blue }).collect();
    move |asked| if asked == id(of) { merged.clone() } else { Vec::new() }
}

#[track_caller]
fn check(statistics: &Statistics, want: (u64, u64, u64, u64)) {
    let report = statistics.report();
    let found = (report.blocks_selected, report.blocks_merged_blue, report.blocks_merged_red, report.blocks_unmerged);
    assert_eq!(found, want);
}

#[test]
fn a_block_has_its_colour_from_the_block_that_merges_it() {
    let mut statistics = Statistics::new(100, 0);
    (1..=4).for_each(|number| statistics.accepted(&block(number)));
    statistics.moved(&step(0, &[], &[1]), merging(9, &[]));
    check(&statistics, (1, 0, 0, 3));
    statistics.moved(&step(1, &[], &[4]), merging(4, &[(2, true), (3, false)]));
    check(&statistics, (2, 1, 1, 0));
    assert_eq!(statistics.report().blue_ratio, Some(0.75));
    assert_eq!(statistics.report().merge_set_last, 2);
}

#[test]
fn a_block_that_leaves_the_selected_chain_takes_the_colours_it_gave_with_it() {
    let mut statistics = Statistics::new(100, 0);
    (1..=5).for_each(|number| statistics.accepted(&block(number)));
    statistics.moved(&step(0, &[], &[1, 3]), merging(3, &[(2, false)]));
    check(&statistics, (2, 0, 1, 2));
    statistics.moved(&step(3, &[3], &[4, 5]), merging(3, &[(2, false)]));
    check(&statistics, (3, 0, 0, 2));
}

#[test]
fn refused_blocks_are_counted_by_rule_while_they_are_among_the_newest() {
    let mut statistics = Statistics::new(3, 0);
    statistics.refused("proof-of-work", true);
    statistics.refused("bits", false);
    statistics.refused("bits", true);
    let rules = |statistics: &Statistics| statistics.report().rejected_by_rule;
    assert_eq!(rules(&statistics), BTreeMap::from([("bits".to_owned(), 2), ("proof-of-work".to_owned(), 1)]));
    statistics.accepted(&block(1));
    assert_eq!(rules(&statistics), BTreeMap::from([("bits".to_owned(), 2)]));
    assert_eq!((statistics.report().blocks_found, statistics.report().blocks_rejected), (2, 2));
    assert_eq!(statistics.report().since_start.blocks_rejected, 3);
}

#[test]
fn a_hundred_blocks_take_at_most_ten_kilobytes() {
    for capacity in [100, 250, 1_000, 10_000, 100_000] {
        let mut statistics = Statistics::new(capacity, 0);
        for number in 0..u32::try_from(capacity * 2).unwrap() {
            statistics.accepted(&block(number));
            statistics.served(Served::Reused);
            if number % 50 == 0 {
                statistics.refused(&format!("a-rule-with-quite-a-long-name-of-its-own-{number}"), true);
            }
            let blocks = statistics.ring.entries().len().max(100);
            assert!(statistics.bytes() <= blocks * 100, "{} bytes for {blocks} blocks", statistics.bytes());
        }
    }
}

#[test]
fn fewer_blocks_keep_the_newest() {
    let mut statistics = Statistics::new(10, 0);
    statistics.refused("bits", true);
    (1..=9).for_each(|number| statistics.accepted(&block(number)));
    statistics.resize(4);
    let report = statistics.report();
    assert_eq!((report.blocks_accepted, report.blocks_rejected, report.blocks_max), (4, 0, 4));
    assert_eq!(report.rejected_by_rule, BTreeMap::new());
}

#[test]
fn times_are_averaged_over_what_was_measured_since_the_oldest_block() {
    let mut statistics = Statistics::new(2, 0);
    statistics.built(9 * MILLI);
    statistics.accepted(&block(1));
    statistics.built(MILLI);
    statistics.accepted(&block(2));
    statistics.built(3 * MILLI);
    statistics.accepted(&block(3));
    statistics.chose(2 * MILLI);
    let report = statistics.report();
    assert_eq!(report.template, Timing { measured: 2, mean_ms: 2.0, max_ms: 3.0 });
    assert_eq!(report.selection, Timing { measured: 1, mean_ms: 2.0, max_ms: 2.0 });
    assert_eq!(report.placement, Timing { measured: 2, mean_ms: 1.0, max_ms: 1.0 });
    assert!((report.transactions_per_block - 2.0).abs() < f64::EPSILON);
}

#[test]
fn only_what_was_there_already_is_a_hit() {
    let mut statistics = Statistics::new(10, 0);
    let answers = [Served::Built, Served::Reused, Served::Prepared, Served::Prepared];
    answers.into_iter().for_each(|served| statistics.served(served));
    let report = statistics.report();
    assert_eq!((report.template_requests, report.template_hits), (4, 3));
    assert_eq!(report.template_hit_rate, Some(0.75));
    assert_eq!(report.since_start.template_hits_prepared, 2);
}

#[test]
fn the_printed_form_is_the_one_that_miners_know() {
    let report = StatisticsReport {
        uptime_seconds: 5025,
        blocks_found: 150,
        blocks_accepted: 145,
        blocks_rejected: 5,
        blocks_selected: 100,
        blocks_merged_blue: 30,
        blocks_merged_red: 15,
        template: Timing { measured: 7, mean_ms: 12.34, max_ms: 20.0 },
        placement: Timing { measured: 145, mean_ms: 2.15, max_ms: 4.0 },
        selection: Timing { measured: 7, mean_ms: 8.76, max_ms: 9.0 },
        transactions_per_block: 124.3,
        template_requests: 10_000,
        template_hits: 7_845,
        ..StatisticsReport::default()
    };
    let want = "\
Mining Statistics:
  Uptime: 1h 23m 45s
  Blocks Found: 150
  Blocks Accepted: 145 (96.67%)
  Blocks Rejected: 5
  Blue Blocks: 130 (89.66%)
  Red Blocks: 15 (10.34%)
Performance:
  Avg Template Generation: 12.34ms
  Avg GHOSTDAG Calculation: 2.15ms
  Avg TX Selection: 8.76ms
  Avg TXs per Block: 124.3
Cache Performance:
  Hit Rate: 78.45% (10000 requests)";
    assert_eq!(report.to_string(), want);
}
