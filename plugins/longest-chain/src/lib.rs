//! The chain with the most work.
