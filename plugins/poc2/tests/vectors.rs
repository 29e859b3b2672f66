//! Known answers, computed by the `shabal` crate: one account's nonces 0, 1337 and the last, under challenges that ask for the first, a middle and the last scoop.

use adit_plugin_poc2::Poc2;
use adit_plugin_sdk::testing::check_vectors;

#[test]
fn the_known_answers_come_out() {
    check_vectors::<Poc2>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}
