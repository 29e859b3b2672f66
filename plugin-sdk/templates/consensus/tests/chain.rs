use __CRATE__::__TYPE__;
use adit_plugin_sdk::testing::TestChain;
use adit_plugin_sdk::{Draft, Hash256, Height, Timestamp};

/// A target that every second digest meets.
const EASY: &str = r#"{ "bits": 545259519, "genesis_time": 1000 }"#;
const EASY_BITS: u32 = 545259519;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn each_block_adds_its_work() {
    let mut chain = TestChain::<__TYPE__>::new(EASY);
    let first = chain.mine(at(2000)).unwrap();
    let second = chain.mine(at(3000)).unwrap();
    assert_eq!(chain.best(), second);
    assert_eq!(chain.placement(second).height, Height(2));
    assert!(chain.placement(second).work > chain.placement(first).work);
}

#[test]
fn a_block_as_old_as_its_parent_is_refused() {
    let mut chain = TestChain::<__TYPE__>::new(EASY);
    let broken = chain.mine(at(1000)).unwrap_err();
    assert_eq!(broken.rule, "time-too-old");
}

#[test]
fn the_longer_branch_wins() {
    let mut chain = TestChain::<__TYPE__>::new(EASY);
    let genesis = chain.genesis();
    chain.mine_over(&[genesis], at(2000)).unwrap();
    let other = chain.mine_over(&[genesis], at(2001)).unwrap();
    let longer = chain.mine_over(&[other], at(3000)).unwrap();
    assert_eq!(chain.best(), longer);
}

#[test]
fn a_header_over_an_unknown_parent_is_refused() {
    let mut chain = TestChain::<__TYPE__>::new(EASY);
    let parents = vec![adit_plugin_sdk::BlockId([7; 32])];
    let draft = Draft { parents, bits: EASY_BITS, time: at(2000), body_root: Hash256::default() };
    let header = chain.solve(&draft).unwrap();
    assert_eq!(chain.place(&header).unwrap_err().rule, "parent-unknown");
}
