//! Recorded headers and DAGs of real chains, judged by compiled plugins: the same checks as the plugins' own tests run natively.

adit_tests::conformance_tests!(longest_chain, crate::sandbox::Sandboxed);
adit_tests::conformance_tests!(ghostdag, crate::sandbox::Sandboxed);
