//! Known answers: those of FIPS 180-4's examples, and of lengths around a block's end.

use adit_plugin_sdk::testing::check_vectors;
use adit_plugin_sha256::Sha256;

#[test]
fn the_known_answers_come_out() {
    check_vectors::<Sha256>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}
