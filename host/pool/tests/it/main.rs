//! The pool through its public surface, over the database that it is run with.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod money_over_sql;
