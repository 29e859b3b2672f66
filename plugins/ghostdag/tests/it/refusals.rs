//! What is refused, and by which rule.

use crate::dag::{BITS, Dag, START, rule};
use adit_plugin_sdk::{BlockId, ChainView, Consensus, Draft, Hash256, Target, Timestamp};
use serde_json::json;

#[test]
fn a_parent_in_the_past_of_another_is_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    let first = dag.add(&[genesis]);
    let second = dag.add(&[first]);
    let beside = dag.add(&[genesis]);
    let above = dag.add(&[beside]);
    assert_eq!(rule(dag.try_add(&[genesis, second])), "parents-related", "below the selected parent");
    assert_eq!(rule(dag.try_add(&[second, beside, above])), "parents-related", "below a merged parent");
    assert_eq!(rule(dag.try_add(&[second, second])), "parents-related", "named twice");
    dag.add(&[above, second]);
}

#[test]
fn more_parents_than_allowed_are_refused() {
    let mut dag = Dag::new(3, json!({ "parents-max": 2 }));
    let genesis = dag.chain.genesis();
    let tips: Vec<BlockId> = (0..3).map(|_| dag.add(&[genesis])).collect();
    assert_eq!(rule(dag.try_add(&tips)), "parents-max");
    dag.add(&tips[..2]);
}

#[test]
fn a_merge_set_over_the_limit_is_refused_and_the_limit_itself_is_not() {
    let mut dag = Dag::new(3, json!({ "merge-set-max": 4 }));
    let genesis = dag.chain.genesis();
    let main = dag.run(genesis, 5);
    let side = dag.run(genesis, 4);
    assert_eq!(rule(dag.try_add(&[main[4], side[3]])), "merge-set-max", "the selected parent and four others");
    let merger = dag.add(&[main[4], side[2]]);
    assert_eq!(dag.chain.placement(merger).merge_set.len(), 3);
    let next = dag.chain.next(&[merger, side[3]]).expect("the tips are known");
    assert_eq!(next.parents, [merger, side[3]], "what is left fits now");
}

#[test]
fn a_red_block_from_too_deep_is_refused_unless_a_blue_one_vouches_for_it() {
    let mut dag = Dag::new(4, json!({ "merge-depth": 5 }));
    let genesis = dag.chain.genesis();
    let stray = dag.add(&[genesis]);
    let main = dag.run(genesis, 9);
    let voucher = dag.add(&[main[4], stray]);
    let colours = |dag: &Dag, id| -> Vec<(BlockId, bool)> {
        dag.chain.placement(id).merge_set.iter().map(|merged| (merged.id, merged.blue)).collect()
    };
    assert_eq!(colours(&dag, voucher), [(stray, false)]);
    assert_eq!(rule(dag.try_add(&[main[8], stray])), "merge-depth");
    assert_eq!(dag.chain.next(&[main[8], stray]).expect("the tips are known").parents, [main[8]], "nobody builds that");
    let merger = dag.add(&[main[8], voucher]);
    assert_eq!(colours(&dag, merger), [(stray, false), (voucher, true)]);
}

#[test]
fn bits_other_than_the_rules_are_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    for (bits, right) in [(BITS - 1, false), (0x2100_7fff, false), (BITS, true)] {
        let draft = Draft { bits, ..dag.draft(&[genesis]) };
        match right {
            true => _ = dag.add_drafted(&draft).expect("the bits are right"),
            false => assert_eq!(rule(dag.add_drafted(&draft)), "bits", "{bits:#x}"),
        }
    }
    let no_target = Draft { bits: 0, ..dag.draft(&[genesis]) };
    assert_eq!(rule(dag.chain.rules().encode(&no_target)), "bits");
}

#[test]
fn a_digest_above_the_target_is_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    let draft = dag.draft(&[genesis]);
    let template = dag.chain.rules().encode(&draft).expect("the draft is sound");
    let target = Target::from_compact(BITS).expect("a target");
    let digest = |header: &[u8]| adit_plugin_sdk::sha256d(&header[..88]);
    let wrong = (0u64..)
        .map(|nonce| dag.chain.rules().seal(&template.header, nonce, 1).expect("a nonce fits"))
        .find(|header| !target.is_met_by(&digest(header)))
        .expect("some digest is above the target");
    assert_eq!(rule(dag.chain.place(&wrong)), "proof-of-work");
}

#[test]
fn a_time_at_the_past_median_is_refused_and_a_later_one_is_not() {
    let mut dag = Dag::new(3, json!({ "median-time": { "size": 3 } }));
    let genesis = dag.chain.genesis();
    let at = |time: u64, parent: BlockId| Draft {
        parents: vec![parent],
        bits: BITS,
        time: Timestamp::from_millis(START + time),
        body_root: Hash256::default(),
    };
    assert_eq!(rule(dag.add_drafted(&at(0, genesis))), "time-too-old", "not later than the genesis");
    let first = dag.add_drafted(&at(100, genesis)).expect("later");
    let second = dag.add_drafted(&at(400, first)).expect("later");
    let third =
        dag.add_drafted(&at(301, second)).expect("later than the mean of 100 and 400, though not than its parent");
    let median = (100 + 400 + 301) / 3;
    assert_eq!(
        dag.chain.next(&[third]).expect("the tip is known").earliest,
        Timestamp::from_millis(START + median + 1)
    );
    assert_eq!(rule(dag.add_drafted(&at(median, third))), "time-too-old");
    dag.add_drafted(&at(median + 1, third)).expect("later than the median");
}

#[test]
fn a_header_that_commits_to_other_parents_is_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    let beside = dag.add(&[genesis]);
    let draft = dag.draft(&[genesis]);
    let header = dag.chain.solve(&draft).expect("the draft is sound");
    let swapped = [&header[..88], &beside.0].concat();
    let cut = &header[..header.len() - 1];
    let longer = [&header[..], &beside.0].concat();
    let orphaned = &header[..88];
    for wrong in [&swapped[..], cut, &longer, orphaned, &header[..87], &[]] {
        assert_eq!(rule(dag.chain.place(wrong)), "header");
    }
    let mut version = header.clone();
    version[0] = 2;
    assert_eq!(rule(dag.chain.place(&version)), "header");
    dag.chain.place(&header).expect("the header itself is right");
}

#[test]
fn a_second_genesis_is_refused() {
    let mut dag = Dag::new(3, json!({}));
    let draft = dag.draft(&[]);
    assert_eq!(rule(dag.add_drafted(&draft)), "genesis");
}

#[test]
fn an_unknown_parent_and_unknown_tips_are_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    assert_eq!(rule(dag.try_add(&[BlockId([7; 32])])), "history-unknown");
    assert_eq!(rule(dag.try_add(&[genesis, BlockId([7; 32])])), "history-unknown");
    assert_eq!(rule(dag.chain.next(&[BlockId([7; 32])])), "parent-unknown");
    assert_eq!(rule(dag.chain.rules().next(&dag.chain, &[genesis], Some(4))), "difficulty-override");
    assert!(dag.chain.block(genesis).is_some());
}

#[test]
fn a_rolled_version_is_sealed_and_any_other_is_refused() {
    let mut dag = Dag::new(3, json!({}));
    let genesis = dag.chain.genesis();
    let draft = dag.draft(&[genesis]);
    let template = dag.chain.rules().encode(&draft).expect("the draft is sound");
    let sealed = dag.chain.rules().seal(&template.header, 9, 0x1fff_e001).expect("these bits may be rolled");
    assert_eq!(dag.chain.rules().decode(&sealed).expect("it decodes").parents, [genesis]);
    assert_eq!(rule(dag.chain.rules().seal(&template.header, 9, 0x2000_0001)), "header");
    assert_eq!(rule(dag.chain.rules().seal(&[0; 12], 9, 1)), "header");
}
