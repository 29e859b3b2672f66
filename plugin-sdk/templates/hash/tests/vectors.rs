use __CRATE__::{Config, __TYPE__};
use adit_plugin_sdk::HashAlgorithm;
use adit_plugin_sdk::testing::check_vectors;

#[test]
fn the_known_answers_come_out() {
    check_vectors::<__TYPE__>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

#[test]
fn a_salt_of_65_bytes_is_refused() {
    let error = __TYPE__::new(Config { salt: "x".repeat(65) }).err();
    assert_eq!(error.map(|error| error.key), Some("salt".to_owned()));
}
