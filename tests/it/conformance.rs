//! Recorded headers of real chains, judged by compiled plugins: the same checks as `plugins/longest-chain/tests/it` runs natively.

adit_tests::conformance_tests!(crate::sandbox::Sandboxed);
