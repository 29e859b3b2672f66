//! What rules must answer on recorded headers and DAGs, whoever runs them.
//!
//! Each check takes a [`Subject`], which makes rules and hashes from a `chain.toml` of `examples/`, and panics with what was wrong.
//! [`conformance_tests!`](crate::conformance_tests) makes a test of each.
//!
//! Reading order: this file, then [`replay`] (a chain in memory, and headers judged in batches) and any longest chain, or [`ghostdag`]
//! (DAGs by their shape) and [`kaspa`] (whole headers).

pub mod bitcoin;
pub mod bitcoin_cash;
pub mod ghostdag;
pub mod kaspa;
pub mod litecoin;
pub mod replay;

pub use ghostdag::refusals;

use adit_primitives::Hash256;
use adit_primitives::engine::{HashEngine, RulesEngine};
use serde_json::Value;
use std::sync::Arc;

/// Who runs the rules: native code, or components in the sandbox.
pub trait Subject {
    /// Configures the consensus plugin of that name.
    fn rules(&self, plugin: &str, config: &Value) -> Arc<dyn RulesEngine>;

    /// Starts the hash plugin of that name.
    fn hash(&self, plugin: &str) -> Box<dyn HashEngine>;

    /// Hashes inputs of `each` bytes by the hash plugin of that name.
    ///
    /// # Panics
    /// Where the plugin gives no answer.
    fn digests(&self, plugin: &str, inputs: &[u8], each: usize) -> Vec<Hash256> {
        let mut digests = Vec::new();
        self.hash(plugin).digest_many(inputs, each, &mut digests).expect("the plugin answers");
        digests
    }
}

/// The rules of a `chain.toml` of `examples/`.
#[derive(Debug, Clone)]
pub struct Example {
    /// The name of the consensus plugin.
    pub consensus: String,
    /// The `[consensus.config]` table.
    pub config: Value,
    /// The name of the hash plugin.
    pub hash: String,
}

impl Example {
    /// Reads `examples/<chain>/chain.toml`.
    ///
    /// # Panics
    /// Where it is missing or lacks what a chain needs.
    pub fn read(chain: &str) -> Self {
        Self::file(&format!("{chain}/chain.toml"))
    }

    /// Reads a file of `examples/`.
    ///
    /// # Panics
    /// Where it is missing or lacks what a chain needs.
    pub fn file(name: &str) -> Self {
        let path = format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        let file: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let plugin = |kind: &str| file[kind]["plugin"].as_str().expect("a chain names its plugins").to_owned();
        Self { consensus: plugin("consensus"), config: file["consensus"]["config"].clone(), hash: plugin("hash") }
    }
}

/// Makes a test of every check of one plugin. `$subject` is the path of a constant [`Subject`].
#[macro_export]
macro_rules! conformance_tests {
    (ghostdag, $subject:path) => {
        $crate::conformance_tests! { @each $subject;
            ghostdag {
                small_dags_are_coloured_as_recorded,
                large_dags_agree_in_every_field,
                the_order_of_arrival_changes_nothing,
                a_fresh_instance_answers_as_one_that_remembers,
                generated_dags_are_placed_by_definition,
                a_branch_kept_back_is_red,
            }
            refusals {
                a_parent_in_the_past_of_another_is_refused,
                more_parents_than_allowed_are_refused,
                a_merge_set_over_the_limit_is_refused_and_the_limit_itself_is_not,
                a_red_block_from_too_deep_is_refused_unless_a_blue_one_vouches_for_it,
                bits_other_than_the_rules_are_refused,
                a_digest_above_the_target_is_refused,
                a_time_at_the_past_median_is_refused_and_a_later_one_is_not,
                a_header_that_commits_to_other_parents_is_refused,
                a_second_genesis_is_refused,
                an_unknown_parent_and_unknown_tips_are_refused,
                a_rolled_version_is_sealed_and_any_other_is_refused,
                a_block_waits_aside_for_its_parents,
            }
            kaspa {
                recorded_digests_are_reproduced,
                recorded_headers_are_valid_whatever_their_order,
                fresh_instances_judge_headers_as_those_that_remember,
                a_restart_in_the_middle_changes_nothing,
                a_wrong_field_is_refused_by_its_rule,
                narrower_limits_refuse_what_goes_beyond_them,
            }
        }
    };
    (longest_chain, $subject:path) => {
        $crate::conformance_tests! { @each $subject;
            bitcoin {
                headers_from_the_genesis_are_accepted,
                headers_from_the_middle_are_accepted,
                every_retarget_of_the_main_network_is_computed,
                retarget_cases_of_bitcoin_core_agree,
                headers_of_the_test_network_are_accepted,
                a_flipped_bit_is_refused_by_its_rule,
                a_block_in_time_may_not_have_the_easiest_target,
                a_time_at_the_median_is_refused,
                a_parent_that_nobody_placed_is_refused,
            }
            bitcoin_cash {
                published_asert_vectors_agree,
            }
            litecoin {
                every_retarget_of_the_main_network_is_computed,
                headers_hash_as_recorded,
                headers_of_a_regression_test_network_are_accepted,
                a_flipped_bit_is_refused_by_its_rule,
            }
        }
    };
    (@each $subject:path; $($chain:ident { $($check:ident,)* })*) => {
        $(
            mod $chain {
                $(
                    #[test]
                    fn $check() {
                        $crate::conformance::$chain::$check(&$subject);
                    }
                )*
            }
        )*
    };
}
