//! Recorded and generated DAGs.

adit_tests::conformance_tests!(ghostdag, crate::native::Native);

#[test]
fn recorded_dags_refuse_wrong_rules() {
    adit_tests::conformance::ghostdag::recorded_dags_refuse_wrong_rules();
}
