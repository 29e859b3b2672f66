//! One function for each decoder that reads what others send: it must not panic, hang, or take memory beyond its input's size.
//!
//! `tests/it/fuzz.rs` feeds them for a moment in every test run; `tests/fuzz` gives each to libFuzzer.

use adit_chain::{Block, Transaction};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, KnownBlock, Placement, Requirements, Scan, SearchJob, Template, Violation, read_rows,
};
use adit_primitives::{Decode, Encode, Target};

/// A decoder under test.
pub struct Decoder {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// Every decoder that needs no sandbox.
pub const DECODERS: &[Decoder] = &[
    Decoder { name: "transaction", run: one::<Transaction> },
    Decoder { name: "block", run: one::<Block> },
    Decoder { name: "header-view-rows", run: rows::<Result<HeaderView, Violation>> },
    Decoder { name: "placement-rows", run: rows::<Result<Placement, Violation>> },
    Decoder { name: "known-block-rows", run: rows::<Option<KnownBlock>> },
    Decoder { name: "candidate-rows", run: rows::<Candidate> },
    Decoder { name: "requirements", run: one::<Requirements> },
    Decoder { name: "draft", run: one::<Draft> },
    Decoder { name: "template", run: one::<Template> },
    Decoder { name: "search-job", run: one::<SearchJob> },
    Decoder { name: "scan", run: one::<Scan> },
    Decoder { name: "compact-target", run: compact },
];

/// Whatever decodes has exactly the bytes that it came from.
fn one<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "a value with two encodings");
    }
}

fn rows<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(rows) = read_rows::<T>(bytes) {
        assert_eq!(rows.to_bytes(), bytes, "rows with two encodings");
    }
}

fn compact(bytes: &[u8]) {
    if let Some(bits) = bytes.first_chunk().copied().map(u32::from_le_bytes)
        && let Ok(target) = Target::from_compact(bits)
    {
        assert_eq!(Target::from_compact(target.to_compact()), Ok(target));
        assert!(target.work().0 >= adit_primitives::U256::ONE);
    }
}
