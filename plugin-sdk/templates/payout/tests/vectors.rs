use __CRATE__::{Config, __TYPE__};
use adit_plugin_sdk::PayoutScheme;
use adit_plugin_sdk::testing::check_payout_vectors;

#[test]
fn the_known_answers_come_out() {
    check_payout_vectors::<__TYPE__>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

#[test]
fn more_than_all_is_refused() {
    let error = __TYPE__::new(Config { bonus_percent: 101 }).err();
    assert_eq!(error.map(|error| error.key), Some("bonus-percent".to_owned()));
}
