//! Recorded headers of real chains.

adit_tests::conformance_tests!(longest_chain, crate::native::Native);
