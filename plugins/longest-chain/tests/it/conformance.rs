//! Recorded headers of real chains.

adit_tests::conformance_tests!(crate::native::Native);
