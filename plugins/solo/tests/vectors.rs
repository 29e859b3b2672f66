//! Known answers.

use adit_plugin_sdk::testing::check_payout_vectors;
use adit_plugin_solo::Solo;

#[test]
fn the_known_answers_come_out() {
    check_payout_vectors::<Solo>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}
