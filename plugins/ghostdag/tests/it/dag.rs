//! What DAGs of these tests have in common.

use serde_json::{Value, json};

/// When the genesis was.
pub const START: u64 = 1_700_000_000_000;

/// The easiest target: a nonce in two meets it.
pub const BITS: u32 = 0x207f_ffff;

/// The configuration of a DAG with these keys.
pub fn config(k: u16, more: Value) -> Value {
    let mut config = json!({
        "k": k,
        "genesis": { "time-ms": START, "bits": BITS, "message": "a DAG for tests" },
        "difficulty": { "rule": "fixed" },
    });
    for (key, value) in more.as_object().expect("further keys are an object") {
        config[key] = value.clone();
    }
    config
}
