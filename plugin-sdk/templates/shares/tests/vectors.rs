use __CRATE__::{Config, __TYPE__};
use adit_plugin_sdk::ShareValidator;
use adit_plugin_sdk::testing::check_share_vectors;

#[test]
fn the_known_answers_come_out() {
    check_share_vectors::<__TYPE__>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

#[test]
fn a_pace_of_nothing_is_refused() {
    let error = __TYPE__::new(Config { shares_per_minute: 0, patience: 1 }).err();
    assert_eq!(error.map(|error| error.key), Some("shares-per-minute".to_owned()));
}
