//! The published surface: conversations of both sides, as text files with the exact lines, and laws that hold for any bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bounds;
mod laws;
mod pair;
mod pools;
mod script;
mod sessions;
mod vectors;
